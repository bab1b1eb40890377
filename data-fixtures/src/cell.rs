//! One simulated cell and what is true about it.

use crate::Split;
use crate::program::CellState;

/// A cell of a simulated tissue: what an experiment would measure, and the causes behind it.
#[derive(Clone, Debug)]
pub struct SimulatedCell {
    /// Name, unique in the tissue, for example `s03_c000123`.
    pub name: String,
    /// Horizontal coordinate in micrometers, positive, in tenths.
    pub x: f64,
    /// Vertical coordinate in micrometers, positive, in tenths.
    pub y: f64,
    /// Name of the section, for example `section_03`.
    pub section: String,
    /// Cell class.
    pub class: &'static str,
    /// Domain, one of [`DOMAINS`](crate::DOMAINS).
    pub spatial_domain: &'static str,
    /// Split.
    pub split: Split,
    /// The gene that is knocked out in this cell.
    pub perturbation: Option<&'static str>,
    /// Whether the cell is of the focal class and has a partner in reach.
    pub proximal: bool,
    /// Whether the cell is of the knock-out's target class and has a knocked-out cell in reach.
    pub knockout_neighbor: bool,
    /// Measured counts.
    pub counts: SparseCounts,
    pub(crate) section_index: usize,
    pub(crate) index: usize,
    pub(crate) state: CellState,
}

impl SimulatedCell {
    /// Returns the library size relative to a typical cell.
    pub fn library_size(&self) -> f64 {
        self.state.size
    }

    /// Returns the gene knocked out in this cell, or `none`: the value of the column `perturbation`.
    pub fn perturbation_label(&self) -> &'static str {
        self.perturbation.unwrap_or("none")
    }
}

/// Counts of the genes that were seen.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SparseCounts {
    /// Indices into the panel, ascending.
    pub genes: Vec<u32>,
    /// Counts of these genes, at least one each.
    pub counts: Vec<u32>,
}

impl SparseCounts {
    /// Returns the number of genes that were seen.
    pub fn len(&self) -> usize {
        self.genes.len()
    }

    /// Returns whether no gene was seen.
    pub fn is_empty(&self) -> bool {
        self.genes.is_empty()
    }

    /// Returns the counts as numbers, as expression files store them.
    pub fn to_f32(&self) -> Vec<f32> {
        self.counts.iter().map(|&count| count as f32).collect()
    }
}
