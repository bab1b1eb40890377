//! Are generated cells a model's own, or observed ones by heart?

use std::collections::HashSet;

use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use thiserror::Error;
use tn_sentence::draw;

use super::ranked_genes::{GeneSet, first_genes, rankings};
use super::subsample::subsample;
use super::{DiversityOptions, GeneMismatch};
use crate::ExpressionMatrix;

/// How close generated cells are to the nearest observed one. To be read beside `observed_jaccard`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Novelty {
    /// Share of all generated cells whose whole ranking is that of an observed cell.
    pub copies: f64,
    /// Mean, over generated cells, of the largest Jaccard index of their first genes with those of an observed cell.
    pub nearest_jaccard: f64,
    /// The same mean over observed cells, with another observed cell: what cells of the tissue have in common anyway.
    pub observed_jaccard: f64,
}

/// An error of [`novelty`].
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum NoveltyError {
    /// The sides have different genes.
    #[error(transparent)]
    Genes(#[from] GeneMismatch),
    /// There is no generated cell.
    #[error("there are no generated cells")]
    NoGeneratedCells,
    /// An observed cell is compared with another.
    #[error("at least 2 observed cells are needed, there are {cells}")]
    TooFewObservedCells {
        /// Observed cells.
        cells: usize,
    },
}

/// Measures how close generated cells are to the nearest observed one.
///
/// A model that has learned cells by heart has a [`nearest_jaccard`](Novelty::nearest_jaccard) above
/// [`observed_jaccard`](Novelty::observed_jaccard), or copies; give it the cells it was trained on as the observed.
///
/// # Errors
///
/// Different genes, no generated cell and fewer than two observed cells are errors.
///
/// ```
/// use tn_eval::ExpressionMatrix;
/// use tn_eval::distribution::{DiversityOptions, novelty};
///
/// let genes = ["GFAP", "AQP4", "GAD1"];
/// let (mut generated, mut observed) = (ExpressionMatrix::new(genes)?, ExpressionMatrix::new(genes)?);
/// generated.push_dense(&[2.0, 1.0, 0.0])?; // GFAP AQP4, as the first observed cell
/// generated.push_dense(&[1.0, 2.0, 0.0])?; // AQP4 GFAP
/// observed.push_dense(&[3.0, 1.0, 0.0])?;
/// observed.push_dense(&[0.0, 1.0, 4.0])?;
/// let found = novelty(&generated, &observed, &DiversityOptions::new())?;
/// assert_eq!((found.copies, found.nearest_jaccard), (0.5, 1.0)); // the second in another order
/// assert_eq!(found.observed_jaccard, 1.0 / 3.0);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn novelty(generated: &ExpressionMatrix, observed: &ExpressionMatrix, options: &DiversityOptions) -> Result<Novelty, NoveltyError> {
    GeneMismatch::check(generated, observed)?;
    if generated.n_cells() == 0 {
        return Err(NoveltyError::NoGeneratedCells);
    }
    if observed.n_cells() < 2 {
        return Err(NoveltyError::TooFewObservedCells { cells: observed.n_cells() });
    }
    let (written, measured) = (rankings(generated), rankings(observed));
    let known: HashSet<&[u32]> = measured.iter().map(Vec::as_slice).collect();
    let copies = written.iter().filter(|ranking| known.contains(ranking.as_slice())).count();
    let (written_top, measured_top) = (first_genes(&written, options.top_genes), first_genes(&measured, options.top_genes));
    // `own` is the place of the cell itself among the observed.
    let nearest = |genes: &[u32], own: Option<usize>| {
        let genes = GeneSet::new(genes, observed.n_genes());
        let others = measured_top.iter().enumerate().filter(|(other, _)| Some(*other) != own);
        others.map(|(_, other)| genes.jaccard(other)).fold(0.0, f64::max)
    };
    let some = |n: usize, stream: u64| subsample(n, options.cells.max(1), draw(options.seed, stream));
    let of_written: Vec<f64> = some(written.len(), 1).par_iter().map(|&cell| nearest(written_top[cell], None)).collect();
    let of_measured: Vec<f64> = some(measured.len(), 2).par_iter().map(|&cell| nearest(measured_top[cell], Some(cell))).collect();
    Ok(Novelty { copies: copies as f64 / written.len() as f64, nearest_jaccard: mean(&of_written), observed_jaccard: mean(&of_measured) })
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
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
    fn copies_are_found_and_an_observed_cell_is_not_its_own_nearest() {
        let observed = matrix(&[&[3.0, 2.0, 0.0, 0.0], &[0.0, 2.0, 1.0, 0.0], &[0.0, 0.0, 0.0, 1.0]]);
        let generated = matrix(&[&[9.0, 1.0, 0.0, 0.0], &[1.0, 2.0, 0.0, 0.0], &[0.0, 1.0, 0.0, 0.0]]);
        let found = novelty(&generated, &observed, &DiversityOptions::new()).unwrap();
        assert_eq!(found.copies, 1.0 / 3.0);
        assert!((found.nearest_jaccard - 2.5 / 3.0).abs() < 1e-12);
        assert!((found.observed_jaccard - 2.0 / 9.0).abs() < 1e-12);
        let fewer = novelty(&generated, &observed, &DiversityOptions::new().with_cells(1)).unwrap();
        assert!([0.5, 1.0].contains(&fewer.nearest_jaccard));
    }

    #[test]
    fn bad_input_is_an_error_with_its_values() {
        let (one, none) = (matrix(&[&[1.0, 1.0]]), ExpressionMatrix::new(["G0", "G1"]).unwrap());
        let options = DiversityOptions::new();
        assert_eq!(novelty(&one, &one, &options), Err(NoveltyError::TooFewObservedCells { cells: 1 }));
        assert_eq!(novelty(&none, &one, &options), Err(NoveltyError::NoGeneratedCells));
        assert!(matches!(novelty(&one, &matrix(&[&[1.0]]), &options), Err(NoveltyError::Genes(_))));
    }
}
