//! `cargo xtask bench data`: from files to sentences, tokens, neighbors and baselines.
//!
//! The published program is not run here: its seconds were measured on a machine of 2 cores, and stand beside ours. SciPy's k-d tree
//! runs in turns with ours, where there is a Python that has it.

mod cells;
mod inputs;
mod limits;
mod neighbors;
mod text;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use serde_json::Value;

use self::inputs::Inputs;
use super::report::{self, Conditions};
use super::row::{Measured, Side, SizesOf};
use super::{Measure, contest, is_wanted, machine, measure_rows, start_threads};
use crate::flags::DataBenchFlags;
use crate::peer::Peer;
use crate::workspace::root;

/// In the order of the table.
const MEASURES: [Measure<Bench>; 5] = [cells::rows, text::token_rows, text::baseline_rows, neighbors::rows, cells::memory_rows];

/// The peer of the row of neighbors.
const PEER: &str = "benches/peers/neighbors.py";

/// A run of the benchmark.
struct Bench {
    sizes: Sizes,
    inputs: Inputs,
    peer: Option<Peer>,
    repeats: u32,
    only: Vec<String>,
}

/// How much is measured.
struct Sizes {
    of: SizesOf,
    /// Cells that are encoded, patched and tokenized.
    cells: usize,
    /// Tokens that are cut into sequences, about.
    tokens: usize,
    /// Prompts of the baseline.
    prompts: usize,
    /// Positions of the radius graph.
    positions: usize,
    /// Cells of the small and of the large file, whose costs for each cell are compared.
    scaling: [usize; 2],
}

impl Sizes {
    fn published() -> Self {
        let of = SizesOf::Published;
        Self { of, cells: 200_000, tokens: 5_600_000, prompts: 10_000, positions: 150_000, scaling: [10_000, 1_000_000] }
    }

    fn quick() -> Self {
        Self { of: SizesOf::Quick, cells: 2_000, tokens: 50_000, prompts: 50, positions: 2_000, scaling: [1_000, 4_000] }
    }
}

impl Bench {
    /// Returns whether a row was asked for.
    fn wants(&self, row: &str) -> bool {
        is_wanted(row, &self.only)
    }

    /// Measures ours in turns with nobody, beside seconds that the published program took.
    fn beside_published(&self, seconds: f64, measure: impl FnMut() -> Result<f64>) -> Result<Vec<Measured>> {
        let mut measured = contest::in_turns(vec![contest::Contender::new(Side::Ours, "ours", measure)], self.repeats)?;
        // It was measured on as much as the published sizes have.
        if self.sizes.of == SizesOf::Published {
            measured.push(Measured { name: "published program".to_owned(), side: Side::Peer, values: vec![seconds] });
        }
        Ok(measured)
    }
}

/// Measures the rows, prints them, and leaves them in the folder of results.
pub(super) fn run(flags: &DataBenchFlags) -> Result<ExitCode> {
    let folder: PathBuf = root().join(&flags.out);
    let threads = flags.run.threads as usize;
    let load = machine::load();
    start_threads(threads)?;
    let peer = flags.peer.as_ref().map(|python| Peer::of_program(python, PEER, "scipy")).transpose()?;
    let sizes = if flags.run.quick { Sizes::quick() } else { Sizes::published() };
    let bench = Bench { sizes, inputs: Inputs::new(folder.join("inputs")), peer, repeats: flags.run.repeats, only: flags.run.only.clone() };

    let rows = measure_rows(&bench, &MEASURES, bench.sizes.of, &bench.only)?;
    let conditions = Conditions {
        sizes: bench.sizes.of,
        repeats: bench.repeats,
        threads,
        load,
        peer: bench.peer.as_ref(),
        packages: &["python", "numpy", "scipy"],
        checked: "What was checked, and how far it is from what the machine could do",
    };
    let text = report::write(&folder, &conditions, &rows)?;
    println!("\n{text}");
    Ok(ExitCode::SUCCESS)
}

/// Prints what a process of its own was started for: the peak of its memory, in MiB.
pub(super) fn run_fresh(input: &std::path::Path, output: &std::path::Path, threads: usize) -> Result<Value> {
    start_threads(threads)?;
    cells::encode(input, output)?;
    Ok(serde_json::json!({"peak_mib": machine::peak_memory()?}))
}
