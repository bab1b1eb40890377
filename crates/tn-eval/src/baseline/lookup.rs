//! Rankings that were made elsewhere.

use std::collections::HashMap;

use tn_sentence::{CellPredictor, CellSentence, GeneRanking, TaskRecord};

use super::{BaselineError, written_cell};

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
}
