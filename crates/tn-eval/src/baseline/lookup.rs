//! Rankings that were made elsewhere.

use std::collections::HashMap;

use thiserror::Error;
use tn_sentence::{CellPredictor, CellSentence, GeneRanking, RankEncoder, TaskRecord, TieBreak, Vocabulary, VocabularyError};

use super::{BaselineError, written_cell};
use crate::ExpressionMatrix;

/// Writes the ranking that was given for a cell.
///
/// What the rankings are makes it one baseline or another:
///
/// - **oracle**: the genes of each cell by their true mean expression, known in a simulation only: about the best that any
///   predictor can do, because all that is left is counting noise;
/// - **replicate**: a second draw of the same cell from the same means: what a perfect generator, which samples instead of
///   averaging, scores;
/// - another program's predictions, scored like our own.
///
/// Cells are found by name. The prediction names the class of the task.
#[derive(Clone, Debug, Default)]
pub struct Lookup {
    rankings: HashMap<String, GeneRanking>,
}

impl Lookup {
    /// Creates the predictor from rankings by cell name.
    #[must_use]
    pub fn new(rankings: HashMap<String, GeneRanking>) -> Self {
        Self { rankings }
    }
}

impl Lookup {
    /// Takes expression that another program predicted, a row for each cell, for its ranking: genes above 0, the highest first; equal ones
    /// by symbol. Genes keep to the symbols of the matrix, in upper case.
    ///
    /// ```
    /// use tn_eval::ExpressionMatrix;
    /// use tn_eval::baseline::Lookup;
    /// use tn_sentence::{CellPredictor, TaskRecord};
    ///
    /// let mut predicted = ExpressionMatrix::new(["Gfap", "Aqp4"])?;
    /// predicted.push_dense(&[0.2, 1.5])?;
    /// let task = TaskRecord { cell_name: "cell-7".to_string(), ..TaskRecord::default() };
    /// let cell = Lookup::from_expression(&["cell-7"], &predicted)?.predict(&task)?;
    /// assert_eq!(cell.ranking().to_string(), "AQP4 GFAP");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// A number of names other than that of the cells, and symbols that cannot be ranked are errors.
    #[expect(clippy::missing_panics_doc, reason = "a matrix holds finite values, and one for each gene of a cell")]
    pub fn from_expression<N: AsRef<str>>(names: &[N], expression: &ExpressionMatrix) -> Result<Self, LookupError> {
        if names.len() != expression.n_cells() {
            return Err(LookupError::LengthMismatch { cells: expression.n_cells(), names: names.len() });
        }
        let panel = Vocabulary::new(expression.genes())?;
        let encoder = RankEncoder::new(&panel).with_tie_break(TieBreak::Symbol);
        let ranking = |cell: usize| {
            let (genes, values) = expression.cell(cell);
            let (genes, values): (Vec<u32>, Vec<f32>) = genes.iter().zip(values).filter(|(_, value)| **value > 0.0).unzip();
            encoder.encode_sparse(&genes, &values, "").expect("the values of a matrix are finite, and each gene has one")
        };
        Ok(names.iter().enumerate().map(|(cell, name)| (name.as_ref().to_string(), ranking(cell))).collect())
    }
}

/// Why predicted expression cannot be ranked.
#[derive(Clone, Debug, PartialEq, Error)]
#[non_exhaustive]
pub enum LookupError {
    /// Every cell has its name.
    #[error("{cells} cells and {names} names cannot be paired")]
    LengthMismatch {
        /// Cells of the matrix.
        cells: usize,
        /// Names given.
        names: usize,
    },
    /// The genes cannot be written.
    #[error("the genes cannot be ranked")]
    Genes(#[from] VocabularyError),
}

impl FromIterator<(String, GeneRanking)> for Lookup {
    fn from_iter<I: IntoIterator<Item = (String, GeneRanking)>>(rankings: I) -> Self {
        Self::new(rankings.into_iter().collect())
    }
}

impl CellPredictor for Lookup {
    type Error = BaselineError;

    fn predict(&mut self, task: &TaskRecord) -> Result<CellSentence, Self::Error> {
        let ranking = self.rankings.get(&task.cell_name).ok_or_else(|| BaselineError::NotFound { cell_name: task.cell_name.clone() })?;
        written_cell(task, ranking.clone(), Some(&task.class))
    }
}

#[cfg(test)]
mod tests {
    use super::super::task;
    use super::*;

    #[test]
    fn a_cell_is_found_by_name() {
        let ranking = GeneRanking::parse("A B").unwrap();
        let mut oracle = Lookup::from_iter([("target".to_string(), ranking)]);
        let cell = oracle.predict(&task("", "OEC")).unwrap();
        assert_eq!(cell.to_string(), "<pos> X: 0, Y: 0 <meta> class: OEC <cs> A B </cs>");
    }

    #[test]
    fn an_unknown_cell_is_an_error_with_its_name() {
        let error = Lookup::default().predict(&task("", "OEC")).unwrap_err();
        assert_eq!(error.to_string(), "there is no ranking for cell target");
    }

    #[test]
    fn expression_becomes_rankings() {
        let mut expression = ExpressionMatrix::new(["b", "A", "c"]).unwrap();
        expression.push_dense(&[1.0, 1.0, 2.0]).unwrap();
        expression.push_dense(&[-1.0, 0.0, 0.5]).unwrap();
        let lookup = Lookup::from_expression(&["one", "two"], &expression).unwrap();
        assert_eq!((lookup.rankings["one"].to_string(), lookup.rankings["two"].to_string()), ("C A B".to_string(), "C".to_string()));
        let error = Lookup::from_expression(&["one"], &expression).unwrap_err().to_string();
        assert_eq!(error, "2 cells and 1 names cannot be paired");
        let colliding = ExpressionMatrix::new(["a", "A"]).unwrap();
        assert!(matches!(Lookup::from_expression(&[] as &[&str], &colliding), Err(LookupError::Genes(_))));
    }
}
