//! `cargo xtask ci`: every check of the repository.
//!
//! Runs all steps, even after one has failed, and ends with the number of tests that passed and failed. It needs the
//! pinned toolchain and nothing else; what needs more is skipped by name in the output of the tests.

mod smoke;
mod steps;
mod test_counts;

use std::io::{BufRead, BufReader};
use std::process::{Command, ExitCode, Stdio};
use std::time::Instant;

use anyhow::{Context, Result, bail};

use self::steps::{Step, Work};
use self::test_counts::TestCounts;
use crate::flags::CiFlags;

/// Runs the steps.
pub(crate) fn run(flags: &CiFlags) -> Result<ExitCode> {
    let wanted = |step: &Step| flags.only.as_deref().is_none_or(|only| step.name.contains(only));
    let mut counts = TestCounts::default();
    let mut lines = Vec::new();
    let mut failed = 0;
    for step in steps::all().into_iter().filter(wanted) {
        println!("==> {}", step.name);
        let start = Instant::now();
        let outcome = match run_step(step.work, &mut counts) {
            Ok(()) => "ok",
            Err(error) => {
                println!("{error:#}");
                failed += 1;
                "FAILED"
            }
        };
        let line = format!("{:<34} {outcome:<6} {:>7.1} s", step.name, start.elapsed().as_secs_f64());
        println!("{line}");
        lines.push(line);
    }
    println!("\n{}", lines.join("\n"));
    if failed > 0 {
        println!("{failed} of {} steps failed", lines.len());
    }
    if counts.is_any() {
        println!("{counts}");
    }
    Ok(if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn run_step(work: Work, counts: &mut TestCounts) -> Result<()> {
    match work {
        Work::Commands(commands) => commands.into_iter().try_for_each(succeed),
        Work::Tests(command) => run_tests(command, counts),
        Work::Function(check) => check(),
    }
}

fn succeed(mut command: Command) -> Result<()> {
    println!("    {}", shown(&command));
    let status = command.status().with_context(|| shown(&command))?;
    if !status.success() {
        bail!("`{}` ended with {status}", shown(&command));
    }
    Ok(())
}

/// Runs tests, passing on and counting what they print.
fn run_tests(mut command: Command, counts: &mut TestCounts) -> Result<()> {
    println!("    {}", shown(&command));
    let mut child = command.stdout(Stdio::piped()).spawn().with_context(|| shown(&command))?;
    let output = child.stdout.take().context("the tests have no output")?;
    for line in BufReader::new(output).lines() {
        let line = line?;
        counts.read(&line);
        println!("{line}");
    }
    let status = child.wait()?;
    if !status.success() {
        bail!("`{}` ended with {status}", shown(&command));
    }
    Ok(())
}

fn shown(command: &Command) -> String {
    let arguments: Vec<_> = command.get_args().map(|argument| argument.to_string_lossy()).collect();
    format!("cargo {}", arguments.join(" "))
}
