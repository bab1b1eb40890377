//! Are generated cells as different from each other as observed ones?

use std::collections::HashSet;

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use thiserror::Error;
use tn_sentence::draw;

use super::ranked_genes::{GeneSet, first_genes, rankings};
use crate::ExpressionMatrix;

/// What [`diversity`] and [`novelty`](super::novelty) look at.
///
/// A cell's ranking is its genes with a value above 0, highest first, the order of equal values that of the columns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DiversityOptions {
    pub(super) top_genes: usize,
    pairs: usize,
    pub(super) cells: usize,
    pub(super) seed: u64,
}

impl Default for DiversityOptions {
    fn default() -> Self {
        Self { top_genes: 50, pairs: 10_000, cells: 500, seed: 42 }
    }
}

impl DiversityOptions {
    /// Creates the options: 50 genes, 10,000 pairs, 500 cells, seed 42.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets how many of the first genes of a ranking count.
    #[must_use]
    pub fn with_top_genes(mut self, top_genes: usize) -> Self {
        self.top_genes = top_genes;
        self
    }

    /// Sets how many pairs of cells are drawn at most; where there are no more, each is taken once.
    #[must_use]
    pub fn with_pairs(mut self, pairs: usize) -> Self {
        self.pairs = pairs;
        self
    }

    /// Sets for how many cells at most the nearest observed one is sought.
    #[must_use]
    pub fn with_cells(mut self, cells: usize) -> Self {
        self.cells = cells;
        self
    }

    /// Sets the seed of what is drawn.
    #[must_use]
    pub fn with_seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }
}

/// How different cells are from each other. To be read beside that of the observed cells.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Diversity {
    /// The number of cells.
    pub cells: usize,
    /// Share of the cells whose whole ranking is that of a cell before them.
    pub duplicates: f64,
    /// Share of the genes that are in the ranking of at least one cell.
    pub panel_coverage: f64,
    /// Shannon's entropy, in bits, of how often each gene is among the first of a cell. `2^entropy` genes used equally often
    /// would have the same.
    pub usage_entropy: f64,
    /// Mean Jaccard index, shared genes over all genes, of the first genes of two cells; two cells without genes count 1.
    pub mean_jaccard: f64,
}

/// An error of [`diversity`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum DiversityError {
    /// One cell is different from none.
    #[error("at least 2 cells are needed, there are {cells}")]
    TooFewCells {
        /// Cells given.
        cells: usize,
    },
}

/// Measures how different cells are from each other.
///
/// # Errors
///
/// Returns [`DiversityError::TooFewCells`] for fewer than two cells.
///
/// ```
/// use tn_eval::ExpressionMatrix;
/// use tn_eval::distribution::{DiversityOptions, diversity};
///
/// let mut cells = ExpressionMatrix::new(["GFAP", "AQP4", "GAD1", "SST"])?;
/// for row in [[2.0, 1.0, 0.0, 0.0], [3.0, 1.0, 0.0, 0.0], [0.0, 0.0, 2.0, 0.0]] {
///     cells.push_dense(&row)?;
/// }
/// let found = diversity(&cells, &DiversityOptions::new())?;
/// assert_eq!(found.duplicates, 1.0 / 3.0); // GFAP AQP4 twice
/// assert_eq!(found.panel_coverage, 0.75); // no SST
/// assert_eq!(found.mean_jaccard, 1.0 / 3.0); // 1, 0 and 0
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn diversity(cells: &ExpressionMatrix, options: &DiversityOptions) -> Result<Diversity, DiversityError> {
    let n = cells.n_cells();
    if n < 2 {
        return Err(DiversityError::TooFewCells { cells: n });
    }
    let rankings = rankings(cells);
    let distinct: HashSet<&[u32]> = rankings.iter().map(Vec::as_slice).collect();
    let used: HashSet<u32> = rankings.iter().flatten().copied().collect();
    let top = first_genes(&rankings, options.top_genes);
    let drawn = pairs(n, options);
    let jaccards: Vec<f64> = drawn.par_iter().map(|&(a, b)| GeneSet::new(top[a], cells.n_genes()).jaccard(top[b])).collect();
    Ok(Diversity {
        cells: n,
        duplicates: (n - distinct.len()) as f64 / n as f64,
        panel_coverage: used.len() as f64 / cells.n_genes().max(1) as f64,
        usage_entropy: usage_entropy(&top, cells.n_genes()),
        mean_jaccard: jaccards.iter().sum::<f64>() / jaccards.len() as f64,
    })
}

fn pairs(n: usize, options: &DiversityOptions) -> Vec<(usize, usize)> {
    if n.saturating_mul(n - 1) / 2 <= options.pairs {
        return (0..n).flat_map(|a| (a + 1..n).map(move |b| (a, b))).collect();
    }
    let mut rng = ChaCha8Rng::seed_from_u64(draw(options.seed, 0));
    let mut pair = || {
        let (a, b) = (rng.random_range(0..n), rng.random_range(0..n - 1));
        (a, if b < a { b } else { b + 1 })
    };
    (0..options.pairs.max(1)).map(|_| pair()).collect()
}

fn usage_entropy(top: &[&[u32]], n_genes: usize) -> f64 {
    let mut counts = vec![0_usize; n_genes];
    top.iter().copied().flatten().for_each(|&gene| counts[gene as usize] += 1);
    let total = counts.iter().sum::<usize>() as f64;
    // From 0, which is never -0 then.
    0.0 - counts.iter().filter(|&&count| count > 0).map(|&count| count as f64 / total).map(|p| p * p.log2()).sum::<f64>()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matrix(rows: &[&[f32]]) -> ExpressionMatrix {
        let mut cells = ExpressionMatrix::new((0..rows[0].len()).map(|gene| format!("G{gene}"))).unwrap();
        rows.iter().for_each(|row| cells.push_dense(row).unwrap());
        cells
    }

    #[test]
    fn cells_that_are_all_the_same_have_no_diversity() {
        let cells = matrix(&[&[2.0, 1.0, 0.0, 0.0][..]; 4]);
        let found = diversity(&cells, &DiversityOptions::new()).unwrap();
        let expected = Diversity { cells: 4, duplicates: 0.75, panel_coverage: 0.5, usage_entropy: 1.0, mean_jaccard: 1.0 };
        assert_eq!(found, expected);
        let one_gene = diversity(&cells, &DiversityOptions::new().with_top_genes(1)).unwrap();
        assert_eq!((one_gene.usage_entropy, one_gene.panel_coverage), (0.0, 0.5));
        assert_eq!(diversity(&matrix(&[&[0.0][..]; 2]), &DiversityOptions::new()).unwrap().mean_jaccard, 1.0);
    }

    #[test]
    fn drawn_pairs_estimate_the_mean_over_all() {
        let rows: Vec<Vec<f32>> = (0..60).map(|cell| (0..10).map(|gene| ((cell * 7 + gene * gene) % 5) as f32).collect()).collect();
        let cells = matrix(&rows.iter().map(Vec::as_slice).collect::<Vec<_>>());
        let options = DiversityOptions::new().with_top_genes(4);
        let all = diversity(&cells, &options).unwrap().mean_jaccard;
        let drawn = diversity(&cells, &options.clone().with_pairs(1_000)).unwrap().mean_jaccard;
        assert!(drawn != all && (drawn - all).abs() < 0.05, "{drawn}, {all}");
        assert_ne!(diversity(&cells, &options.with_pairs(1_000).with_seed(1)).unwrap().mean_jaccard, drawn);
    }

    #[test]
    fn no_cell_is_paired_with_itself() {
        let drawn = pairs(5, &DiversityOptions::new().with_pairs(9));
        assert!(drawn.len() == 9 && drawn.iter().all(|&(a, b)| a != b && a < 5 && b < 5));
        assert_eq!(pairs(3, &DiversityOptions::new()), [(0, 1), (0, 2), (1, 2)]);
    }

    #[test]
    fn a_single_cell_is_an_error() {
        let error = diversity(&matrix(&[&[1.0]]), &DiversityOptions::new()).unwrap_err();
        assert_eq!(error, DiversityError::TooFewCells { cells: 1 });
    }
}
