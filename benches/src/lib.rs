//! The simulated input that the benchmarks share.
//!
//! The benchmarks are in `benches/benches`, one file for each area, and for single functions in `crates/*/benches`; they run with
//! `cargo xtask bench`. Every one of them asserts its result, so that a faster program is also a right one. Names read
//! `area/what/size`:
//!
//! | benchmark | what one iteration does |
//! |---|---|
//! | `training/step/8x1100_tokens` | loss and gradients of 8 sequences of 1,100 tokens, 0.8 million parameters |
//! | `generation/expected_ranking/16_trajectories` | reads a prompt of 20 neighbors and writes 16 cells from it |
//! | `generation/grammar/one_token_genes/1122_genes` | writes a cell under a grammar from given logits of 151,669 tokens, without a model |
//! | `generation/grammar/qwen3_tokens/1122_genes` | the same, each gene in the tokens of Qwen3; only where its tokenizer is |
//! | `generation/grammar/decode_step/one_layer` | what that is beside: a step of a decoder of 0.6B's shape, with 1 layer of its 28 |
//! | `model/influence/20_neighbors/shared_beginning` | the influence of each neighbor on an observed cell, what prompts share read once |
//! | `model/influence/20_neighbors/whole_prompts` | the same, every prompt read from its beginning; equal within 1e-4 nats |
//! | `linear/prefill_512/...` | a feed-forward product of 0.6B's shape for 512 tokens, dense and packed in each format |
//! | `linear/decode/...` | the same for one token and 16 weights, as in a pass of a decoder |
//! | `sentence/encode/10k_cells` | counts to rankings |
//! | `sentence/parse/10k_cells` | text to cells |
//! | `spatial/traversal/nearest_first/10k_cells` | an order of all cells of a section |
//! | `spatial/patch_neighborhoods/5k_cells` | every cell with its 20 nearest neighbors as text |
//! | `differential_expression/...` | rank-sum and t-tests of 10,000 and of 39,250 cells, first gene and score as scanpy has them |
//! | `eval/score/1k_cells` | ten metrics of each cell, with intervals and by class |
//! | `eval/baseline/nearest_neighbor/1k_cells` | reads each prompt and copies the nearest cell |
//!
//! `peers/` holds what `cargo xtask bench model`, `data` and `eval` run beside ours; `docs/performance.md` has the results.

#![allow(clippy::missing_panics_doc, reason = "inputs of benchmarks are simulated, and each expectation states why it holds")]

use data_fixtures::{SimulatedTissue, SimulationConfig};
use tissuenarrator::prelude::*;

/// Metadata that is written for each cell.
pub const METADATA: [&str; 2] = ["class", "spatial_domain"];

/// Genes that are written for each cell.
pub const GENES: usize = 50;

/// Neighbors of a cell in sentences and prompts.
pub const NEIGHBORS: usize = 20;

/// Returns a simulated tissue of three sections, one for each split.
///
/// # Panics
///
/// Panics for fewer than three cells.
#[must_use]
pub fn tissue(cells: usize) -> SimulatedTissue {
    SimulatedTissue::new(SimulationConfig { cells, sections: 3, ..SimulationConfig::default() }).expect("one cell for each section")
}

/// Returns the gene panel of a tissue.
#[must_use]
pub fn panel(tissue: &SimulatedTissue) -> Vocabulary {
    Vocabulary::new(tissue.panel()).expect("simulated symbols are distinct")
}

/// Returns the cells of a tissue as the step `tn encode` makes them.
#[must_use]
pub fn cell_records(tissue: &SimulatedTissue) -> Vec<CellRecord> {
    let panel = panel(tissue);
    let encoder = RankEncoder::new(&panel).with_seed(42);
    let record = |cell: data_fixtures::SimulatedCell| CellRecord {
        ranking: encoder.encode_sparse(&cell.counts.genes, &cell.counts.to_f32(), &cell.name).expect("counts are positive"),
        position: Position::new(cell.x, cell.y).expect("simulated coordinates are finite"),
        section: cell.section,
        metadata: Metadata::from_pairs([("class", cell.class), ("spatial_domain", cell.spatial_domain), ("split", cell.split.as_str())])
            .expect("simulated classes and domains are plain words"),
        cell_name: cell.name,
    };
    tissue.cells().map(record).collect()
}

/// Returns tasks for the first `targets` cells of the test split.
#[must_use]
pub fn tasks(cells: &[CellRecord], targets: usize) -> Vec<TaskRecord> {
    let options = TaskOptions::default().with_split("test").with_neighbors(NEIGHBORS).with_truncate(GENES).with_meta(METADATA);
    let mut tasks = build_tasks(cells, &options).expect("three sections have a test split");
    tasks.truncate(targets);
    tasks
}

/// Compiles the program of the README.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
pub struct Readme;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_split_has_cells_and_tasks_have_neighbors() {
        let cells = cell_records(&tissue(300));
        assert_eq!(cells.len(), 300);
        let tasks = tasks(&cells, 10);
        assert_eq!(tasks.len(), 10);
        assert!(tasks.iter().all(|task| task.neighbor_cell_names.len() == NEIGHBORS));
    }
}
