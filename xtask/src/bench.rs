//! `cargo xtask bench`: the end-to-end benchmarks.

mod contest;
mod data;
pub(crate) mod machine;
mod model;
mod report;
mod row;

use std::process::ExitCode;

use anyhow::{Context, Result};

use crate::flags::{BenchCommand, BenchFlags};
use crate::workspace::cargo;

/// The benchmarks of the crate `benches`, and those of single functions beside them.
const BENCHMARKS: [&str; 7] = ["training", "generation", "likelihood", "linear", "sentence", "spatial", "eval"];

/// Runs the benchmarks, in the profile and with the features of everything else, so that Burn is not compiled again for them.
pub(crate) fn run(flags: &BenchFlags) -> Result<ExitCode> {
    match &flags.command {
        None => criterion(&flags.arguments),
        Some(BenchCommand::Model(flags)) => model::run(flags),
        Some(BenchCommand::Data(flags)) => data::run(flags),
        Some(BenchCommand::Fresh(command)) => model::run_fresh(command),
    }
}

fn criterion(arguments: &[String]) -> Result<ExitCode> {
    let mut command = cargo(["bench", "--workspace", "--profile", "dev"]);
    BENCHMARKS.iter().for_each(|name| {
        command.args(["--bench", name]);
    });
    let status = command.arg("--").args(arguments).status().context("cargo bench")?;
    Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
