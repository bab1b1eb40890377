//! `tn`: a tissue section in, cells out, from the command line.
//!
//! Every command is a few lines over a call of the library: it reads tables, calls, writes a table and says what it did. Names,
//! columns and exit codes are a contract with scripts.

mod arguments;
mod cell_tables;
mod commands;
mod error;
mod gene_panel;
mod header_fields;
mod interrupt;
mod model_folder;
mod progress;
mod ranges;
mod report;
mod run_record;
mod statistic_tables;
mod task_run;

use std::process::ExitCode;

use clap::Parser;

use crate::arguments::Cli;
use crate::error::CliError;
use crate::progress::Console;

fn main() -> ExitCode {
    let cli = Cli::parse();
    let console = Console::new(cli.global.verbosity());
    match run(&cli, &console) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            console.print_error(&error);
            error.kind().exit_code()
        }
    }
}

fn run(cli: &Cli, console: &Console) -> Result<(), CliError> {
    cli.global.set_threads()?;
    let report = cli.command.run(&cli.global, console)?;
    report.print(cli.global.output())
}
