//! The arguments that all commands share.

use clap::{Args, Parser};

use crate::commands::Command;
use crate::error::CliError;
use crate::progress::Verbosity;
use crate::report::OutputFormat;

/// Spatial transcriptomics as language: a tissue section in, cells out.
///
/// A run goes from expression to a score: simulate (or your own .h5ad), encode, patch, prompts, train, generate, baseline, score.
/// Tables are Parquet, or CSV and TSV by extension; coordinates are micrometers. The same seed gives the same bytes on any
/// number of threads.
///
/// Exit codes: 0 success, 1 failure while running, 2 wrong usage, 3 bad input data.
#[derive(Debug, Parser)]
#[command(name = "tn", version, arg_required_else_help = true)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: GlobalOptions,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Options that every command has.
#[derive(Args, Debug)]
#[command(next_help_heading = "Global options")]
pub(crate) struct GlobalOptions {
    /// Seed of everything random
    #[arg(long, global = true, value_name = "N", default_value_t = 42)]
    pub(crate) seed: u64,
    /// Threads to use [default: all]
    #[arg(long, global = true, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    threads: Option<u16>,
    /// Print the result as one JSON object
    #[arg(long, global = true)]
    json: bool,
    /// Say more about what happens (-vv: everything)
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    verbose: u8,
    /// Show warnings and errors only
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    quiet: bool,
}

impl GlobalOptions {
    pub(crate) fn verbosity(&self) -> Verbosity {
        match (self.quiet, self.verbose) {
            (true, _) => Verbosity::Quiet,
            (false, 0) => Verbosity::Normal,
            (false, 1) => Verbosity::Verbose,
            (false, _) => Verbosity::Everything,
        }
    }

    pub(crate) fn output(&self) -> OutputFormat {
        if self.json { OutputFormat::Json } else { OutputFormat::Text }
    }

    pub(crate) fn set_threads(&self) -> Result<(), CliError> {
        let Some(threads) = self.threads else { return Ok(()) };
        rayon::ThreadPoolBuilder::new().num_threads(usize::from(threads)).build_global().map_err(CliError::Threads)
    }
}
