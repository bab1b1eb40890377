//! The seam between what writes cells and what judges them.

use crate::{CellSentence, TaskRecord};

/// Something that writes a cell for a place in a neighborhood: a language model, or a baseline.
///
/// Evaluation and perturbation know predictors only through this trait. The feature `test-suite` exports the checks
/// that every implementation should pass, in `tn_sentence::test_suite`.
///
/// # Contract
///
/// - The cell lies at the position of the task.
/// - The same predictor, freshly built, gives the same cells for the same tasks; a random choice comes from a seed and
///   the name of the cell ([`request_seed`](crate::request_seed)), never from the order of the calls.
/// - A prompt that is empty or malformed gives a cell or an error, not a panic.
///
/// # Examples
///
/// A baseline that repeats the last cell of the prompt:
///
/// ```
/// use std::convert::Infallible;
/// use tn_sentence::{CellPredictor, CellSentence, GeneRanking, Position, SpatialSentence, TaskRecord};
///
/// struct RepeatLast;
///
/// impl CellPredictor for RepeatLast {
///     type Error = tn_sentence::PositionError;
///
///     fn predict(&mut self, task: &TaskRecord) -> Result<CellSentence, Self::Error> {
///         let (neighbors, _) = SpatialSentence::parse_lenient(&task.prompt);
///         let last = neighbors.into_cells().pop();
///         let ranking = last.map(CellSentence::into_ranking).unwrap_or_default();
///         Ok(CellSentence::new(Position::new(task.x, task.y)?, ranking))
///     }
/// }
///
/// let task = TaskRecord {
///     prompt: "<pos> X: 1, Y: 2 <cs> GFAP AQP4 </cs>".to_owned(),
///     ..TaskRecord::default()
/// };
/// assert_eq!(RepeatLast.predict(&task)?.to_string(), "<pos> X: 0, Y: 0 <cs> GFAP AQP4 </cs>");
/// # Ok::<(), tn_sentence::PositionError>(())
/// ```
pub trait CellPredictor {
    /// What can go wrong.
    type Error: std::error::Error;

    /// Writes the target cell of a task.
    ///
    /// The observed answer of the task must not be used beyond what the mode of the prompt shows: its header.
    ///
    /// # Errors
    ///
    /// Returns an error when no cell can be written for the task.
    fn predict(&mut self, task: &TaskRecord) -> Result<CellSentence, Self::Error>;
}

impl<P: CellPredictor + ?Sized> CellPredictor for &mut P {
    type Error = P::Error;

    fn predict(&mut self, task: &TaskRecord) -> Result<CellSentence, Self::Error> {
        (**self).predict(task)
    }
}
