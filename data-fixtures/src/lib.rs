//! A simulated tissue whose truth is known.
//!
//! [`SimulatedTissue`] yields cells of a small mouse cortex, as many as wanted, in constant memory: five curved
//! domains with their own mixtures of cell classes, marker programs, realistic sparsity and noise, and three planted
//! spatial effects. [`TissueTruth`] records what was planted, so that anyone can check that an effect found by a
//! method is there, and that its size is right.
//!
//! ```
//! use data_fixtures::{SimulatedTissue, SimulationConfig};
//!
//! let config = SimulationConfig { cells: 600, sections: 3, ..SimulationConfig::default() };
//! let tissue = SimulatedTissue::new(config)?;
//! assert_eq!(tissue.cells().count(), 600);
//!
//! let truth = tissue.truth();
//! let strongest = &truth.proximity_genes()[0];
//! assert_eq!(strongest.log2_fold_change, 2.5); // in astrocytes within 30 micrometers of microglia
//!
//! let cell = tissue.cells().next().expect("the first of 600 cells");
//! let best_guess = tissue.true_ranking(&cell, 10); // genes by true mean
//! assert_eq!(best_guess.len(), 10);
//! # Ok::<(), data_fixtures::ConfigError>(())
//! ```
//!
//! # How a cell comes about
//!
//! 1. **Place.** Sections are squares of `cells_per_mm2`, filled tile by tile. A wavy border separates the domains
//!    [`DOMAINS`]; each has a dominant class (38 to 44 % with the default classes).
//! 2. **Class.** Drawn from the mixture of the domain, each cell by itself.
//! 3. **Mean expression.** Baseline of the gene, marker program of the class, modulation by the domain (partly the same
//!    in all classes, partly of one class), gradient along x, and the two neighbor effects; times the library size.
//! 4. **Counts.** Negative binomial. The library size is set so that an average cell shows `detected_fraction` of the
//!    panel.
//!
//! # Planted effects
//!
//! - **Proximity**: `Astro` closer than 30 micrometers to any `Microglia` changes 40 genes by 0.5 to 2.5 in log2 units,
//!   half up, half down. About half of the astrocytes are proximal.
//! - **Knock-out**: half of the `Endo` cells lack `FLT1`; `Oligo` closer than 30 micrometers to one of them changes 20
//!   genes.
//! - **Gradient**: a quarter of the panel changes along x, in all classes.
//!
//! # Splits
//!
//! With three sections or more, whole sections are split 8 : 1 : 1 into train, validation and test, at least one each;
//! the last ones are held out. With fewer, square blocks of about 250 micrometers are.
//!
//! # What a predictor can reach
//!
//! `cargo run -p data-fixtures --example calibration` prints, for the defaults, the share of a cell's 30 highest genes
//! that simple predictors find: random genes 0.10, nearest neighbor 0.26, class mean 0.52, mean of the class in its
//! domain 0.58, genes by true mean 0.60 (nobody does better on average), a second draw of the same cell 0.46.
//!
//! # Features
//!
//! `files` adds `write_tissue` (an AnnData file) and `write_truth` (a table of what is true about every cell).
//!
//! Golden files for the tests of the workspace lie in `golden/`.

mod cell;
mod config;
#[cfg(feature = "files")]
mod files;
mod layout;
mod negative_binomial;
mod panel;
mod program;
mod seed;
mod tissue;
mod truth;

pub use cell::{SimulatedCell, SparseCounts};
pub use config::{ConfigError, MAX_CLASSES, MIN_CLASSES, MIN_GENES, SimulationConfig};
#[cfg(feature = "files")]
pub use files::{SimulateError, TRUTH_RANKS, write_tissue, write_truth};
pub use layout::Split;
pub use panel::classes::{DOMAINS, KNOCKED_OUT_GENE, KNOCKOUT_SOURCE, KNOCKOUT_TARGET, PROXIMITY_FOCAL, PROXIMITY_PARTNER};
pub use tissue::{Cells, SimulatedTissue};
pub use truth::{GeneEffect, PlantedEffect, TissueTruth};
