//! `cargo xtask bench`: the end-to-end benchmarks.

use std::process::ExitCode;

use anyhow::{Context, Result};

use crate::flags::BenchFlags;
use crate::workspace::cargo;

/// Runs the benchmarks of the crate `benches`.
pub(crate) fn run(flags: &BenchFlags) -> Result<ExitCode> {
    let status = cargo(["bench", "--package", "benches", "--"]).args(&flags.arguments).status().context("cargo bench")?;
    Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
