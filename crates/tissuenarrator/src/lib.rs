//! Spatial transcriptomics as language: a tissue section in, cells out.
//!
//! TissueNarrator turns tissue sections into text that a language model can read and write. A cell becomes a ranked list
//! of genes, a neighborhood becomes a spatial sentence, and a model that has learned them writes cells for places,
//! neighborhoods and perturbations that were never measured. Around it are the statistics that tell whether what it wrote
//! is right.
//!
//! This crate holds no logic. It re-exports the crates of the workspace by feature, so that one line in `Cargo.toml` is
//! enough:
//!
//! ```toml
//! tissuenarrator = { version = "0.1", features = ["io", "model"] }
//! ```
//!
//! # From a section to a score
//!
//! A toy section of two kinds of cells, one task for each cell, and the question how far one gets by copying the nearest
//! neighbor. A language model answers the same question through the same trait.
//!
#![cfg_attr(all(feature = "sentence", feature = "spatial", feature = "eval"), doc = "```")]
#![cfg_attr(not(all(feature = "sentence", feature = "spatial", feature = "eval")), doc = "```ignore")]
//! use tissuenarrator::eval::baseline::NearestNeighbor;
//! use tissuenarrator::prelude::*;
//!
//! // Astrocytes on the left, neurons on the right; one row of expression for each.
//! let panel = Vocabulary::new(["Gfap", "Aqp4", "Gad1", "Slc32a1"])?;
//! let encoder = RankEncoder::new(&panel).with_seed(42);
//! let mut cells = Vec::new();
//! for i in 0..20 {
//!     let (class, expression) = if i < 10 { ("Astro", [3.0, 2.0, 0.0, 0.0]) } else { ("Neuron", [0.0, 0.0, 2.0, 1.0]) };
//!     let cell_name = format!("cell-{i}");
//!     cells.push(CellRecord {
//!         ranking: encoder.encode_named(&expression, &cell_name)?,
//!         position: Position::new(f64::from(i) * 12.5, 0.0)?,
//!         section: "S1".to_owned(),
//!         metadata: Metadata::from_pairs([("class", class)])?,
//!         cell_name,
//!     });
//! }
//!
//! let tasks = build_tasks(&cells, &TaskOptions::default().with_neighbors(4))?;
//! assert_eq!(tasks[0].answer, "<pos> X: 0, Y: 0 <meta> class: Astro <cs> GFAP AQP4 </cs>");
//!
//! // Away from the border, the nearest neighbor is of the right kind.
//! let scores = score_cells(&mut NearestNeighbor::closest(), &tasks, &[2])?;
//! assert!(scores.mean("overlap@2").is_some_and(|overlap| overlap >= 0.9));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Which crate do I need?
//!
//! | Feature | Module | For |
//! |---|---|---|
//! | `sentence` (default) | `sentence` | cells as text and back, gene panels, prompts, the `CellPredictor` trait |
//! | `spatial` (default) | `spatial` | sections, bins, neighbor search, traversals, spatial sentences and tasks |
//! | `eval` (default) | `eval` | metrics, statistics, baselines, figures |
//! | `png` | `eval` | figures as pictures |
//! | `io` | `io` | AnnData `.h5ad` files and Parquet or CSV tables |
//! | `perturb` | `perturb` | scenarios: pairs of prompts that differ in one thing |
//! | `model` | `model` | the Qwen3 decoder: training and generation (compiles Burn) |
//! | `data-parallel` | `model` | training by several workers of one process |
//! | `remote` | `model` | cells written by an OpenAI-compatible server, such as vLLM or SGLang, over HTTP |
//! | `remote-tls` | `model` | the same over HTTPS; the only feature that needs a C compiler |
//! | `serde` | | serializes the values of `sentence` |
//! | `full` | all | everything above but `remote-tls` |
//!
//! All of `full` needs only cargo: no system library, no GPU, no Python, and no network until a server is asked. A feature
//! adds items or speed; it never changes a result.
//!
//! The [`prelude`] has what most programs begin with.

#[cfg(feature = "eval")]
#[doc(inline)]
pub use tn_eval as eval;
#[cfg(feature = "io")]
#[doc(inline)]
pub use tn_io as io;
#[cfg(feature = "model")]
#[doc(inline)]
pub use tn_model as model;
#[cfg(feature = "perturb")]
#[doc(inline)]
pub use tn_perturb as perturb;
#[cfg(feature = "sentence")]
#[doc(inline)]
pub use tn_sentence as sentence;
#[cfg(feature = "spatial")]
#[doc(inline)]
pub use tn_spatial as spatial;

/// What most programs begin with: `use tissuenarrator::prelude::*;`.
pub mod prelude {
    #[cfg(feature = "eval")]
    pub use tn_eval::score_cells;
    #[cfg(feature = "perturb")]
    pub use tn_perturb::{Edit, ProximityGroups, Scenario};
    #[cfg(feature = "sentence")]
    pub use tn_sentence::{
        CellPredictor, CellRecord, CellSentence, Conditioning, GeneRanking, GeneratedRecord, Metadata, Position, PromptBuilder,
        PromptOrder, RankEncoder, SentenceRecord, SpatialSentence, TaskRecord, Vocabulary,
    };
    #[cfg(feature = "spatial")]
    pub use tn_spatial::{
        BinGrid, KdTree, NeighborIndex, Neighborhood, PatchOptions, Section, TaskOptions, Traversal, build_tasks, patch_bins,
        patch_neighborhoods,
    };
}
