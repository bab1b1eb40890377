//! The steps, in the order in which their failure tells most.

use std::process::{Command, ExitCode};

use anyhow::{Result, ensure};

use super::smoke;
use crate::flags::{BenchFlags, FixturesFlags};
use crate::workspace::{cargo, root};

/// A step and what it does.
pub(super) struct Step {
    pub(super) name: &'static str,
    pub(super) work: Work,
}

pub(super) enum Work {
    Commands(Vec<Command>),
    Tests(Command),
    Function(fn() -> Result<()>),
}

/// Sets of features that a user may ask for. Those with Burn are what all other steps build.
const FEATURES: [&[&str]; 10] = [
    &["--package", "tissuenarrator", "--no-default-features"],
    &["--package", "tissuenarrator"],
    &["--package", "tissuenarrator", "--no-default-features", "--features", "sentence"],
    &["--package", "tissuenarrator", "--no-default-features", "--features", "spatial"],
    &["--package", "tissuenarrator", "--no-default-features", "--features", "eval"],
    &["--package", "tissuenarrator", "--no-default-features", "--features", "io"],
    &["--package", "tissuenarrator", "--no-default-features", "--features", "perturb"],
    &["--package", "tissuenarrator", "--no-default-features", "--features", "sentence,serde"],
    &["--package", "tn-sentence", "--features", "serde"],
    &["--package", "tn-sentence", "--features", "test-suite"],
];

/// What the other steps leave out: devices other than the processor, and Zarr, which compiles a library in C.
const OPTIONAL: &str = "tn-model/cuda,tn-model/wgpu,tn-model/host-cuda,tn-io/zarr";

/// Returns all steps.
pub(super) fn all() -> Vec<Step> {
    let commands = |name, commands| Step { name, work: Work::Commands(commands) };
    let mut documentation = cargo(["doc", "--quiet", "--workspace", "--no-deps"]);
    documentation.env("RUSTDOCFLAGS", "-D warnings");
    vec![
        commands("format", vec![cargo(["fmt", "--all", "--check"])]),
        Step { name: "fixtures", work: Work::Function(fixtures) },
        commands("features", FEATURES.iter().map(|features| check(features)).collect()),
        commands("lints", vec![cargo(["clippy", "--quiet", "--workspace", "--all-targets", "--", "-D", "warnings"])]),
        commands("documentation", vec![documentation]),
        Step { name: "main job, seconds long", work: Work::Function(smoke::run) },
        Step { name: "benchmarks, once", work: Work::Function(benchmarks) },
        Step { name: "tests", work: Work::Tests(cargo(["test", "--quiet", "--workspace", "--no-fail-fast"])) },
        commands("devices and Zarr", vec![optional()]),
    ]
}

/// Checks everything with all features, without machine code: that of Burn for GPUs would take longer than all other steps together.
fn optional() -> Command {
    cargo(["clippy", "--quiet", "--workspace", "--all-targets", "--features", OPTIONAL, "--", "-D", "warnings"])
}

fn check(features: &[&str]) -> Command {
    cargo(["check", "--quiet"].iter().chain(features))
}

/// Runs every benchmark once, without timing it: their assertions hold. Those with peers run at a size of seconds, without them.
fn benchmarks() -> Result<()> {
    let code = crate::bench::run(&BenchFlags { command: None, arguments: vec!["--test".to_owned()] })?;
    ensure!(code == ExitCode::SUCCESS, "a benchmark failed");
    // In processes of their own, which set their threads.
    for (name, out) in [("model", "target/ci/bench-model"), ("data", "target/ci/bench-data"), ("eval", "target/ci/bench-eval")] {
        let quick = ["bench", name, "--quick", "--repeats", "1", "--out", out];
        let status = Command::new(std::env::current_exe()?).args(quick).current_dir(root()).status()?;
        ensure!(status.success(), "the benchmark of the {name} ended with {status}");
    }
    Ok(())
}

fn fixtures() -> Result<()> {
    let code = crate::fixtures::run(&FixturesFlags { check: true })?;
    ensure!(code == ExitCode::SUCCESS, "the fixtures are not as committed");
    Ok(())
}
