//! `cargo xtask bench model`: the decoder measured beside torch, transformers and PEFT.
//!
//! Both sides run in turns in one process each, on the same random weights and tokens, and have to return the same logits, tokens or
//! losses before a time counts. What is published is the ratio of the medians.

mod agreement;
mod constrained;
mod fresh;
mod inference;
mod inputs;
mod our_training;
mod peer;
mod prompts;
mod sizes;
mod training;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;

use self::inputs::Inputs;
use self::sizes::Sizes;
use super::report::{self, Conditions};
use super::{Measure, is_wanted, machine, measure_rows, start_threads};
use crate::flags::{FreshCommand, ModelBenchFlags};
use crate::peer::Peer;
use crate::workspace::root;

/// In the order of the table.
const MEASURES: [Measure<Bench>; 5] = [inference::rows, training::rows, fresh::memory_rows, fresh::first_token_rows, constrained::rows];

/// A run of the benchmark.
struct Bench {
    sizes: Sizes,
    inputs: Inputs,
    peer: Option<Peer>,
    repeats: u32,
    threads: usize,
    only: Vec<String>,
    /// Of the machine, before the run.
    load: Option<f64>,
}

impl Bench {
    /// Returns whether a row was asked for.
    fn wants(&self, row: &str) -> bool {
        is_wanted(row, &self.only)
    }
}

/// Measures the rows, prints them, and leaves them in the folder of results.
pub(super) fn run(flags: &ModelBenchFlags) -> Result<ExitCode> {
    let folder: PathBuf = root().join(&flags.out);
    let threads = flags.run.threads as usize;
    let load = machine::load();
    start_threads(threads)?;
    let peer = if flags.peer { Some(peer::start(&flags.python, threads)?) } else { None };
    let sizes = if flags.run.quick { Sizes::quick() } else { Sizes::published() };
    let inputs = Inputs::new(folder.join("checkpoints"));
    let bench = Bench { sizes, inputs, peer, repeats: flags.run.repeats, threads, only: flags.run.only.clone(), load };

    let rows = measure_rows(&bench, &MEASURES, bench.sizes.of, &bench.only)?;
    let conditions = Conditions {
        sizes: bench.sizes.of,
        repeats: bench.repeats,
        threads,
        load: bench.load,
        peer: bench.peer.as_ref(),
        packages: &["python", "torch", "transformers", "peft"],
        checked: "What was compared, each time with our side in 32 bits",
    };
    let text = report::write(&folder, &conditions, &rows)?;
    println!("\n{text}");
    Ok(ExitCode::SUCCESS)
}

/// Runs what a benchmark measures in a process of its own.
pub(super) fn run_fresh(command: &FreshCommand) -> Result<ExitCode> {
    fresh::run(command)?;
    Ok(ExitCode::SUCCESS)
}
