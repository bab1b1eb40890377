//! `cargo xtask bench eval`: the statistics, beside scanpy and GSEApy, and scores beside what the published program took.

mod enrichment;
mod groups;
mod scores;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result};

use super::report::{self, Conditions};
use super::row::SizesOf;
use super::{Measure, is_wanted, machine, measure_rows, start_threads};
use crate::flags::EvalBenchFlags;
use crate::peer::Peer;
use crate::workspace::root;

/// In the order of the table.
const MEASURES: [Measure<Bench>; 4] = [groups::two_groups, groups::knockouts, enrichment::rows, scores::rows];

/// What runs beside ours.
const PEER: &str = "benches/peers/statistics.py";

/// A run of the benchmark.
struct Bench {
    sizes: SizesOf,
    folder: PathBuf,
    peer: Option<Peer>,
    repeats: u32,
    only: Vec<String>,
}

impl Bench {
    fn wants(&self, row: &str) -> bool {
        is_wanted(row, &self.only)
    }

    /// Returns the published size, or a tiny one.
    fn size(&self, published: usize, quick: usize) -> usize {
        if self.sizes == SizesOf::Published { published } else { quick }
    }
}

/// Measures the rows, prints them, and leaves them in the folder of results.
pub(super) fn run(flags: &EvalBenchFlags) -> Result<ExitCode> {
    let folder: PathBuf = root().join(&flags.out);
    let threads = flags.run.threads as usize;
    let load = machine::load();
    start_threads(threads)?;
    let peer = flags.peer.as_ref().map(|python| Peer::of_program(python, PEER, "scanpy gseapy")).transpose()?;
    let sizes = if flags.run.quick { SizesOf::Quick } else { SizesOf::Published };
    std::fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let bench = Bench { sizes, folder: folder.clone(), peer, repeats: flags.run.repeats, only: flags.run.only.clone() };
    let rows = measure_rows(&bench, &MEASURES, sizes, &bench.only)?;
    let conditions = Conditions {
        sizes,
        repeats: bench.repeats,
        threads,
        load,
        peer: bench.peer.as_ref(),
        packages: &["python", "numpy", "scanpy", "gseapy"],
        checked: "What was checked",
    };
    let text = report::write(&folder, &conditions, &rows)?;
    println!("\n{text}");
    Ok(ExitCode::SUCCESS)
}
