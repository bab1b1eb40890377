//! Which groups of cells may speak to each other, by ligands and receptors.
//!
//! A group that makes a ligand speaks to one that has its receptor; how strongly is the **communication probability** of CellChat (Jin
//! et al., Nature Communications 12, 1088, 2021):
//!
//! ```text
//! P = x^n / (K^n + x^n) · A · B,   x = L · R
//! ```
//!
//! with `L` the average expression of the ligand in the sender, `R` that of the receptor in the receiver, of a complex the geometric
//! mean over its subunits, so that one that is missing silences it. `K = 0.5` and `n = 1` unless set. Expression is divided by the
//! largest value of the matrix first. `A` has a factor for each co-factor, 1 without: for an agonist of average `a`, `1 + a^n / (K^n +
//! a^n)`; for an antagonist, `K^n / (K^n + a^n)`, each in sender and receiver; `R` is multiplied by `1 + a` for each co-stimulating and
//! divided by `1 + a` for each co-inhibiting receptor. `B` is the product of both groups' shares of the cells where
//! [`Communication::with_group_sizes`] asks for it.
//!
//! [`Communication::infer_near`] asks what neighbors could tell each other: `x` is then the mean of `l · r` over the contacts between
//! cells of both groups, `l` and `r` the geometric means in the single cells.
//!
//! A **p-value** is the share of permutations of the labels over the cells that have at least the probability observed, itself
//! counted: `(1 + k) / (1 + N)`. It asks whether these groups speak more than random ones of their sizes would; it does not ask
//! whether the molecules meet.
//!
//! ```
//! use tn_eval::ExpressionMatrix;
//! use tn_eval::communication::{Communication, LigandReceptorPair};
//!
//! let mut cells = ExpressionMatrix::new(["Cxcl12", "Cxcr4", "Actb"])?;
//! for cell in 0..20 {
//!     let is_stroma = cell < 10;
//!     cells.push_dense(&if is_stroma { [2.0, 0.0, 1.0] } else { [0.0, 1.5, 1.0] })?;
//! }
//! let labels: Vec<&str> = (0..20).map(|cell| if cell < 10 { "stroma" } else { "T cell" }).collect();
//!
//! let pairs = [LigandReceptorPair::new("Cxcl12", "Cxcr4").with_pathway("CXCL")];
//! let table = Communication::new(pairs).with_permutations(200).with_seed(7).infer(&cells, &labels)?;
//! let strongest = &table.interactions()[0];
//! assert_eq!((strongest.source.as_str(), strongest.target.as_str()), ("stroma", "T cell"));
//! assert!((strongest.probability - 0.6).abs() < 1e-6 && strongest.p_value < 0.05); // 1 · 0.75 / (0.5 + 1 · 0.75)
//! assert_eq!(table.interactions().len(), 1); // nobody else speaks
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Pairs are read from the tables of CellChatDB, CellPhoneDB and LIANA by [`PairTable`].
//!
//! # Cost
//!
//! Zeros are neither stored nor sorted: a permutation goes twice through the stored values of the genes that occur in pairs. Between
//! neighbors, memory grows with the contacts of cells that have both molecules, never with the square of the cells. Permutations run in
//! parallel, each with a random stream of its own: the same seed gives the same table for any number of threads.

mod average;
mod comparison;
mod error;
mod inference;
mod pair;
mod pair_table;
mod table;

pub use self::average::Average;
pub use self::comparison::{PathwayChange, compare_pathways};
pub use self::error::CommunicationError;
pub use self::pair::{CoFactors, LigandReceptorPair, Molecule};
pub use self::pair_table::{PairLayout, PairTable, PairTableError};
pub use self::table::{CommunicationTable, GroupSize, Interaction, PathwayFlow};

use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;
use tn_sentence::draw;
use tn_spatial::RadiusGraph;

use self::inference::Inference;
use crate::ExpressionMatrix;

/// Probabilities that differ by this share are the same.
const SAME: f64 = 1e-12;

/// An inference of communication between groups of cells.
#[derive(Clone, Debug, PartialEq)]
pub struct Communication {
    pairs: Vec<LigandReceptorPair>,
    average: Average,
    half_saturation: f64,
    hill: f64,
    weigh_sizes: bool,
    min_cells: usize,
    permutations: usize,
    seed: u64,
}

impl Communication {
    /// Asks about these pairs: trimeans, `K = 0.5`, `n = 1`, groups of 10 cells or more, 1,000 permutations, seed 42.
    #[must_use]
    pub fn new(pairs: impl IntoIterator<Item = LigandReceptorPair>) -> Self {
        Self {
            pairs: pairs.into_iter().collect(),
            average: Average::default(),
            half_saturation: 0.5,
            hill: 1.0,
            weigh_sizes: false,
            min_cells: 10,
            permutations: 1_000,
            seed: 42,
        }
    }

    /// Sets how the cells of a group are averaged.
    #[must_use]
    pub fn with_average(mut self, average: Average) -> Self {
        self.average = average;
        self
    }

    /// Sets `K`, the product of ligand and receptor at which the probability is one half, above 0.
    #[must_use]
    pub fn with_half_saturation(mut self, half_saturation: f64) -> Self {
        self.half_saturation = half_saturation;
        self
    }

    /// Sets `n`, Hill's coefficient, above 0.
    #[must_use]
    pub fn with_hill(mut self, hill: f64) -> Self {
        self.hill = hill;
        self
    }

    /// Multiplies probabilities by both groups' shares of the cells: rare groups say less in all.
    #[must_use]
    pub fn with_group_sizes(mut self) -> Self {
        self.weigh_sizes = true;
        self
    }

    /// Leaves out groups of fewer cells. The table names them.
    #[must_use]
    pub fn with_min_cells(mut self, min_cells: usize) -> Self {
        self.min_cells = min_cells;
        self
    }

    /// Sets the number of permutations; without any, every p-value is 1.
    #[must_use]
    pub fn with_permutations(mut self, permutations: usize) -> Self {
        self.permutations = permutations;
        self
    }

    /// Sets the seed of the permutations.
    #[must_use]
    pub fn with_seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// Infers communication between all groups, wherever their cells are. A cell with an empty label is in no group.
    ///
    /// Symbols are compared as they are spelled. Pairs of which a gene is not in the matrix are listed in the table.
    ///
    /// # Errors
    ///
    /// A number of labels other than that of the cells, no group that is large enough, no pair that the matrix has, negative
    /// expression of one of their genes, and settings out of range are errors.
    pub fn infer<L: AsRef<str>>(&self, cells: &ExpressionMatrix, labels: &[L]) -> Result<CommunicationTable, CommunicationError> {
        self.run(&Inference::new(self, cells, labels, None)?)
    }

    /// Infers communication between cells that are near each other: those of `contacts`, which has the places of all cells.
    ///
    /// Places of several sections must not be near each other by accident: put sections far apart, or infer each alone.
    ///
    /// # Errors
    ///
    /// As [`infer`](Self::infer), and for a number of places other than that of the cells.
    pub fn infer_near<L: AsRef<str>>(
        &self,
        cells: &ExpressionMatrix,
        labels: &[L],
        contacts: &RadiusGraph,
    ) -> Result<CommunicationTable, CommunicationError> {
        self.run(&Inference::new(self, cells, labels, Some(contacts))?)
    }

    fn run(&self, inference: &Inference<'_>) -> Result<CommunicationTable, CommunicationError> {
        let observed = inference.probabilities(inference.groups());
        let new_counts = || vec![0_u32; observed.len()];
        let count = |mut counts: Vec<u32>, permutation: usize| {
            let permuted = inference.probabilities(&self.permuted(inference, permutation));
            for (count, (permuted, observed)) in counts.iter_mut().zip(permuted.iter().zip(&observed)) {
                // Sums in another order may differ in their last bits.
                *count += u32::from(*permuted >= observed * (1.0 - SAME));
            }
            counts
        };
        let add = |mut a: Vec<u32>, b: Vec<u32>| {
            a.iter_mut().zip(b).for_each(|(a, b)| *a += b);
            a
        };
        let counts = (0..self.permutations).into_par_iter().fold(new_counts, count).reduce(new_counts, add);
        Ok(inference.table(&observed, &counts, self.permutations))
    }

    /// Returns the groups of the cells in another order. Cells without a group stay without.
    fn permuted(&self, inference: &Inference<'_>, permutation: usize) -> Vec<u32> {
        let mut groups = inference.groups().to_vec();
        let mut labels: Vec<u32> = groups.iter().copied().filter(|&group| group != inference::NO_GROUP).collect();
        labels.shuffle(&mut ChaCha8Rng::seed_from_u64(draw(self.seed, permutation as u64)));
        let mut labels = labels.into_iter();
        for group in groups.iter_mut().filter(|group| **group != inference::NO_GROUP) {
            *group = labels.next().expect("there are as many labels as cells with one");
        }
        groups
    }
}
