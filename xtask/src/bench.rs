//! `cargo xtask bench`: the end-to-end benchmarks.

mod contest;
mod data;
mod eval;
pub(crate) mod machine;
mod model;
mod report;
mod row;

use std::process::ExitCode;

use anyhow::{Context, Result, ensure};

use self::row::{Row, SizesOf};
use crate::flags::{BenchCommand, BenchFlags};
use crate::workspace::cargo;

/// The benchmarks of the crate `benches`, and those of single functions beside them.
const BENCHMARKS: [&str; 8] = ["training", "generation", "likelihood", "linear", "sentence", "spatial", "eval", "differential_expression"];

/// Runs the benchmarks, in the profile and with the features of everything else, so that Burn is not compiled again for them.
pub(crate) fn run(flags: &BenchFlags) -> Result<ExitCode> {
    match &flags.command {
        None => criterion(&flags.arguments),
        Some(BenchCommand::Model(flags)) => model::run(flags),
        Some(BenchCommand::Data(flags)) => data::run(flags),
        Some(BenchCommand::Eval(flags)) => eval::run(flags),
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

/// Measures the rows of one kind that were asked for.
type Measure<B> = fn(&B) -> Result<Vec<Row>>;

/// Measures rows, and prints each when it is there.
fn measure_rows<B>(bench: &B, measures: &[Measure<B>], sizes: SizesOf, only: &[String]) -> Result<Vec<Row>> {
    let mut rows: Vec<Row> = Vec::new();
    for measure in measures {
        for row in measure(bench)? {
            println!("{}", report::line(&row, sizes));
            rows.push(row);
        }
    }
    ensure!(!rows.is_empty(), "no row is named {}", only.join(" or "));
    Ok(rows)
}

/// Returns whether a row was asked for.
fn is_wanted(row: &str, only: &[String]) -> bool {
    only.is_empty() || only.iter().any(|only| row.contains(only.as_str()))
}

/// Sets the number of threads of everything that runs here.
fn start_threads(threads: usize) -> Result<()> {
    rayon::ThreadPoolBuilder::new().num_threads(threads).build_global().context("the threads are set once")
}
