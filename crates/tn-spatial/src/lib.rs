//! Where cells are, who their neighbors are, and in which order to read them.
//!
//! ```
//! use tn_sentence::{CellRecord, GeneRanking, Metadata, Position};
//! use tn_spatial::{BinGrid, NeighborIndex, PatchOptions, Section, TaskOptions, Traversal, build_tasks, patch_bins};
//!
//! // Ten cells in a row, 20 micrometers apart.
//! let cells: Vec<CellRecord> = (0..10)
//!     .map(|i| {
//!         Ok(CellRecord {
//!             cell_name: format!("cell-{i}"),
//!             ranking: GeneRanking::parse("GFAP AQP4")?,
//!             position: Position::new(20.0 * f64::from(i), 0.0)?,
//!             section: "S1".to_owned(),
//!             metadata: Metadata::from_pairs([("class", if i == 4 { "OEC" } else { "Astro" })])?,
//!         })
//!     })
//!     .collect::<Result<_, Box<dyn std::error::Error>>>()?;
//!
//! // Who lives within 30 micrometers of cell 4?
//! let section = &Section::of_table(&cells)[0];
//! let near = section.index().within_radius(&cells[4].position, 30.0);
//! assert_eq!(near.iter().map(|n| n.index).collect::<Vec<_>>(), [4, 3, 5]);
//!
//! // Spatial sentences for training: the cells of 100 micrometer bins, each read in two random orders.
//! let sentences = patch_bins(&cells, &BinGrid::new(100.0)?, Traversal::nearest_first(), &PatchOptions::default());
//! assert_eq!(sentences.len(), 4);
//! assert_eq!(sentences[0].spatial_bin_id, "S1__0_0");
//!
//! // Tasks for a model: two neighbors each, the nearest last.
//! let tasks = build_tasks(&cells, &TaskOptions::default().with_neighbors(2))?;
//! assert_eq!(tasks[0].neighbor_cell_names, ["cell-2", "cell-1"]);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Which type do I need?
//!
//! | You want | Use |
//! |---|---|
//! | the cells that share a coordinate frame | [`Section`] |
//! | square bins | [`BinGrid`] |
//! | cells to learn from and cells to hold out | [`Splitter`] |
//! | the nearest cells, or all within a radius | [`KdTree`], through [`NeighborIndex`] |
//! | all pairs of cells within a radius | [`RadiusGraph`] |
//! | an order in which to read cells | [`Traversal`] |
//! | spatial sentences for training | [`patch_bins`], [`patch_neighborhoods`] |
//! | tasks: neighbors, place and answer | [`build_tasks`] |
//! | the same without holding all in memory | [`Neighborhoods`], [`Tasks`] |
//!
//! All distances are Euclidean, in micrometers. Every random choice comes from a seed that is mixed with names of cells
//! and bins: the same table and seed give the same bytes, on any number of threads.
//!
//! # Out of scope
//!
//! Text is written by `tn-sentence`; files are read and written by `tn-io`.

mod bin_grid;
mod neighbors;
mod patch;
mod radius_graph;
mod section;
mod split;
mod tasks;
mod traversal;

pub use crate::{
    bin_grid::{Bin, BinGrid, BinGridError},
    neighbors::{Neighbor, NeighborIndex, kd_tree::KdTree, linear::LinearScan},
    patch::{
        PatchOptions,
        bins::patch_bins,
        neighborhoods::{Neighborhood, Neighborhoods, patch_neighborhoods},
    },
    radius_graph::{RadiusGraph, RadiusGraphError},
    section::Section,
    split::{ExistingSplits, InvalidSplitRatio, Split, SplitError, SplitPlan, SplitRatio, Splitter},
    tasks::{SameClass, TaskError, TaskOptions, Tasks, build_tasks},
    traversal::{Traversal, UnknownTraversal},
};
