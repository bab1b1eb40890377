//! What was planted in a simulated tissue.

use serde::{Deserialize, Serialize};

use crate::SimulationConfig;

/// The truth behind a simulation, to be stored beside its cells.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TissueTruth {
    /// Seed of the simulation.
    pub seed: u64,
    /// All options of the simulation.
    pub config: SimulationConfig,
    /// Everything that was planted.
    pub effects: Vec<PlantedEffect>,
}

/// One planted effect and the genes it changes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
#[non_exhaustive]
pub enum PlantedEffect {
    /// Cells of `focal` closer than `radius_um` to any cell of `partner` express `genes` differently.
    Proximity {
        /// Class that answers.
        focal: String,
        /// Class whose closeness causes the effect.
        partner: String,
        /// Reach in micrometers, exclusive.
        radius_um: f64,
        /// Changes against focal cells without a partner in reach.
        genes: Vec<GeneEffect>,
    },
    /// Cells of `target` closer than `radius_um` to a knocked-out cell of `source` express `genes` differently.
    Knockout {
        /// The gene that is knocked out; the value of the column `perturbation` in cells that carry it.
        gene: String,
        /// Class of the cells that carry the knock-out.
        source: String,
        /// Share of the source cells that carry it.
        fraction: f64,
        /// Class that answers.
        target: String,
        /// Reach in micrometers, exclusive.
        radius_um: f64,
        /// Changes against target cells without a knocked-out cell in reach.
        genes: Vec<GeneEffect>,
    },
    /// Levels of `genes` change evenly (in log2 units) along x, in all classes.
    Gradient {
        /// The axis, `x`.
        axis: String,
        /// Changes from the lowest to the highest coordinate of a section.
        genes: Vec<GeneEffect>,
    },
}

/// The change of one gene.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct GeneEffect {
    /// Symbol of the gene.
    pub gene: String,
    /// Logarithm, base 2, of the ratio of mean expression.
    pub log2_fold_change: f64,
}

impl TissueTruth {
    /// Returns the genes of the proximity effect, strongest increase first.
    pub fn proximity_genes(&self) -> &[GeneEffect] {
        self.genes_of(|effect| matches!(effect, PlantedEffect::Proximity { .. }))
    }

    /// Returns the genes of the knock-out effect, strongest increase first.
    pub fn knockout_genes(&self) -> &[GeneEffect] {
        self.genes_of(|effect| matches!(effect, PlantedEffect::Knockout { .. }))
    }

    /// Returns the genes of the gradient, strongest increase first.
    pub fn gradient_genes(&self) -> &[GeneEffect] {
        self.genes_of(|effect| matches!(effect, PlantedEffect::Gradient { .. }))
    }

    fn genes_of(&self, wanted: impl Fn(&PlantedEffect) -> bool) -> &[GeneEffect] {
        self.effects.iter().find(|effect| wanted(effect)).map_or(&[], PlantedEffect::genes)
    }
}

impl PlantedEffect {
    /// Returns the genes this effect changes.
    pub fn genes(&self) -> &[GeneEffect] {
        match self {
            Self::Proximity { genes, .. } | Self::Knockout { genes, .. } | Self::Gradient { genes, .. } => genes,
        }
    }
}
