//! The mean expression of the neighbors.

use tn_sentence::{CellPredictor, CellSentence, TaskRecord, Vocabulary};

use super::{BaselineError, most_common_class, prompt_cells, ranked_by, target_position, written_cell};
use crate::ExpressionModel;

/// Writes the genes by their mean expression over the cells of the prompt, 100 by default; expression is that of the rank.
///
/// With [`NeighborhoodMean::of_nearest`], only the closest cells count; with [`NeighborhoodMean::with_distance_weights`], near ones count
/// more. The prediction names the most common class of the cells that count. Of genes of equal mean, the first of the panel comes first.
///
/// ```
/// use tn_eval::ExpressionModel;
/// use tn_eval::baseline::NeighborhoodMean;
/// use tn_sentence::{CellPredictor, TaskRecord, Vocabulary};
///
/// let task = TaskRecord {
///     prompt: "<pos> X: 3, Y: 4 <cs> GFAP AQP4 </cs> <pos> X: 9, Y: 0 <cs> AQP4 MLC1 </cs>".to_string(),
///     ..TaskRecord::default()
/// };
/// let panel = Vocabulary::new(["AQP4", "GFAP", "MLC1"])?;
/// let mut mean = NeighborhoodMean::new(panel, ExpressionModel::MERFISH_BRAIN);
/// assert_eq!(mean.predict(&task)?.ranking().to_string(), "AQP4 GFAP MLC1");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct NeighborhoodMean {
    panel: Vocabulary,
    model: ExpressionModel,
    nearest: usize,
    power: f64,
    max_genes: usize,
}

impl NeighborhoodMean {
    /// Takes all cells of the prompt alike.
    #[must_use]
    pub fn new(panel: Vocabulary, model: ExpressionModel) -> Self {
        Self { panel, model, nearest: usize::MAX, power: 0.0, max_genes: 100 }
    }

    /// Takes the `k` closest cells only; of cells at the same distance, the first in the prompt.
    #[must_use]
    pub fn of_nearest(mut self, k: usize) -> Self {
        self.nearest = k;
        self
    }

    /// Weighs cells by `1 / (1 + d)^power` of their distance `d` in micrometers.
    #[must_use]
    pub fn with_distance_weights(mut self, power: f64) -> Self {
        self.power = power;
        self
    }

    /// Sets the length of the rankings.
    #[must_use]
    pub fn with_max_genes(mut self, max_genes: usize) -> Self {
        self.max_genes = max_genes;
        self
    }
}

impl CellPredictor for NeighborhoodMean {
    type Error = BaselineError;

    fn predict(&mut self, task: &TaskRecord) -> Result<CellSentence, Self::Error> {
        let position = target_position(task)?;
        let mut cells: Vec<(f64, CellSentence)> =
            prompt_cells(task).into_iter().map(|cell| (cell.position().distance(&position), cell)).collect();
        if cells.is_empty() {
            return Err(BaselineError::NoNeighbors { cell_name: task.cell_name.clone() });
        }
        cells.sort_by(|a, b| a.0.total_cmp(&b.0));
        cells.truncate(self.nearest.max(1));
        let mut sums = vec![0.0; self.panel.len()];
        for (distance, cell) in &cells {
            let weight = (1.0 + distance).powf(-self.power);
            for (rank, gene) in cell.ranking().iter().enumerate() {
                if let Some(index) = self.panel.index_of(gene) {
                    sums[index] += weight * self.model.at_rank(rank).max(0.0);
                }
            }
        }
        let class = most_common_class(cells.iter().filter_map(|(_, cell)| cell.class())).map(str::to_string);
        written_cell(task, ranked_by(&self.panel, &sums, self.max_genes), class.as_deref())
    }
}

#[cfg(test)]
mod tests {
    use super::super::task;
    use super::*;

    fn predictor() -> NeighborhoodMean {
        NeighborhoodMean::new(Vocabulary::new(["A", "B", "C"]).unwrap(), ExpressionModel::new(1.0, -0.5))
    }

    #[test]
    fn near_cells_count_alone_or_more() {
        let task =
            task("<pos> X: 1, Y: 0 <meta> class: near <cs> C </cs> <pos> X: 90, Y: 0 <cs> A B </cs> <pos> X: 99, Y: 0 <cs> A X </cs>", "");
        let predict = |mut predictor: NeighborhoodMean| predictor.predict(&task).unwrap().to_string();
        assert_eq!(predict(predictor()), "<pos> X: 0, Y: 0 <meta> class: near <cs> A C B </cs>");
        assert_eq!(predict(predictor().of_nearest(1)), "<pos> X: 0, Y: 0 <meta> class: near <cs> C </cs>");
        assert_eq!(predict(predictor().with_distance_weights(1.0).with_max_genes(2)), "<pos> X: 0, Y: 0 <meta> class: near <cs> C A </cs>");
    }

    #[test]
    fn nobody_around_is_an_error() {
        assert!(matches!(predictor().predict(&task("", "")), Err(BaselineError::NoNeighbors { .. })));
    }
}
