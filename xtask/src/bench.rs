//! `cargo xtask bench`: the end-to-end benchmarks.

use std::process::ExitCode;

use anyhow::{Context, Result};

use crate::flags::BenchFlags;
use crate::workspace::cargo;

/// The benchmarks of the crate `benches`, and those of single functions beside them.
const BENCHMARKS: [&str; 7] = ["training", "generation", "likelihood", "linear", "sentence", "spatial", "eval"];

/// Runs the benchmarks, in the profile and with the features of everything else, so that Burn is not compiled again for them.
pub(crate) fn run(flags: &BenchFlags) -> Result<ExitCode> {
    let mut command = cargo(["bench", "--workspace", "--profile", "dev"]);
    BENCHMARKS.iter().for_each(|name| {
        command.args(["--bench", name]);
    });
    let status = command.arg("--").args(&flags.arguments).status().context("cargo bench")?;
    Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
