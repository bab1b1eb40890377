//! `cargo xtask gpu`: everything that only a GPU can show, checked and measured where there is one.
//!
//! `--bundle DIR` builds what is carried to that machine: this program and `gpu.py`. There, without cargo and without a network, each
//! part writes a table and its numbers into a folder. What cannot be measured is absent, and never passed.

mod attention;
mod bundle;
mod correctness;
mod gates;
mod gemm;
mod generate;
mod line;
mod peer;
mod report;
mod session;
mod shapes;
mod start;
mod train;
mod turns;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::process::{Command, ExitCode};

use anyhow::{Context, Result};

use self::line::Line;
use self::session::Session;
use crate::flags::{GpuFlags, GpuPart};

/// The parts in the order in which their failure tells most.
const PARTS: [GpuPart; 5] = [GpuPart::Tests, GpuPart::Gemm, GpuPart::Attention, GpuPart::Train, GpuPart::Generate];

/// Makes the bundle, or runs a part.
pub(crate) fn run(flags: &GpuFlags) -> Result<ExitCode> {
    match (&flags.bundle, flags.part, &flags.out) {
        (Some(folder), _, _) => bundle::make(folder),
        (None, Some(GpuPart::Start), _) => start::run(flags.device),
        (None, Some(GpuPart::All), Some(out)) => run_all(flags, out),
        (None, Some(part), Some(out)) => run_part(flags, part, out),
        _ => {
            eprintln!("error: say --bundle DIR, or --part PART --out DIR");
            Ok(ExitCode::from(2))
        }
    }
}

/// Runs every part in a process of its own: a device that fails takes one part with it, and each begins with all of the memory.
fn run_all(flags: &GpuFlags, out: &Path) -> Result<ExitCode> {
    let program = std::env::current_exe().context("this program has no path")?;
    let mut failed = Vec::new();
    for part in PARTS {
        let mut command = Command::new(&program);
        command.args(["gpu", "--part", part.name(), "--device", &flags.device.to_string(), "--seconds", &flags.seconds.to_string()]);
        command.arg("--out").arg(out);
        if let Some(python) = &flags.peer {
            command.arg("--peer").arg(python);
        }
        if flags.quick {
            command.arg("--quick");
        }
        if !command.status().with_context(|| format!("cannot start {}", program.display()))?.success() {
            failed.push(part.name());
        }
    }
    match failed.is_empty() {
        true => Ok(ExitCode::SUCCESS),
        false => {
            println!("missed or failed: {}", failed.join(", "));
            Ok(ExitCode::FAILURE)
        }
    }
}

fn run_part(flags: &GpuFlags, part: GpuPart, out: &Path) -> Result<ExitCode> {
    let name = part.name();
    std::fs::create_dir_all(out).with_context(|| format!("cannot make {}", out.display()))?;
    let (lines, versions) = match Session::open(flags) {
        Ok(session) => (measure(part, &session), session.versions()),
        Err(reason) => (vec![Line::absent(name, "the device", reason.to_string())], serde_json::Value::Null),
    };
    let text = report::write(out, name, flags, &versions, &lines)?;
    println!("{text}");
    Ok(if lines.iter().any(|line| line.verdict().is_failure()) { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// Measures the lines of a part. A kernel that cannot be launched panics: then what was measured before stays.
fn measure(part: GpuPart, session: &Session) -> Vec<Line> {
    let mut lines = Vec::new();
    attempt(&mut lines, part.name(), "the rest of this part", |lines| match part {
        GpuPart::Tests => correctness::measure(session, lines),
        GpuPart::Gemm => gemm::measure(session, lines),
        GpuPart::Attention => attention::measure(session, lines),
        GpuPart::Train => train::measure(session, lines),
        GpuPart::Generate => generate::measure(session, lines),
        GpuPart::All | GpuPart::Start => Ok(()),
    });
    lines
}

/// Measures something that may fail, which takes nothing else with it.
fn attempt(lines: &mut Vec<Line>, name: &str, what: &str, measure: impl FnOnce(&mut Vec<Line>) -> Result<()>) {
    let failure = match catch_unwind(AssertUnwindSafe(|| measure(lines))) {
        Ok(Ok(())) => return,
        Ok(Err(error)) => format!("{error:#}"),
        Err(panic) => text_of(&panic),
    };
    lines.push(Line::failed(name, what, failure));
}

/// Returns what a panic said.
fn text_of(panic: &Box<dyn std::any::Any + Send>) -> String {
    let text = panic.downcast_ref::<String>().cloned().or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
    text.unwrap_or_else(|| "it panicked".to_owned())
}
