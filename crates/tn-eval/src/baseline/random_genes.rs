//! Genes in random order.

use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use tn_sentence::{CellPredictor, CellSentence, GeneRanking, TaskRecord, Vocabulary, request_seed};

use super::{BaselineError, written_cell};

/// Writes genes of the panel in random order, 100 by default: what every metric gives for knowing nothing.
///
/// The order of a cell depends on the seed and the name of the cell only, whatever the order of the tasks: it is shuffled by
/// ChaCha8 seeded with [`request_seed`]`(seed, cell_name, 0)`. The prediction names no class.
#[derive(Clone, Debug)]
pub struct RandomGenes {
    panel: Vocabulary,
    seed: u64,
    max_genes: usize,
}

impl RandomGenes {
    /// The length of the rankings, that of the published class means.
    pub const DEFAULT_MAX_GENES: usize = 100;

    /// Creates the baseline for a panel.
    #[must_use]
    pub fn new(panel: Vocabulary, seed: u64) -> Self {
        Self { panel, seed, max_genes: Self::DEFAULT_MAX_GENES }
    }

    /// Sets the length of the rankings.
    #[must_use]
    pub fn with_max_genes(mut self, max_genes: usize) -> Self {
        self.max_genes = max_genes;
        self
    }
}

impl CellPredictor for RandomGenes {
    type Error = BaselineError;

    fn predict(&mut self, task: &TaskRecord) -> Result<CellSentence, Self::Error> {
        let seed = request_seed(self.seed, &task.cell_name, 0);
        let mut genes: Vec<&str> = self.panel.iter().collect();
        genes.shuffle(&mut ChaCha8Rng::seed_from_u64(seed));
        genes.truncate(self.max_genes);
        let ranking = GeneRanking::new(genes).expect("the symbols of a panel are valid and distinct");
        written_cell(task, ranking, None)
    }
}

#[cfg(test)]
mod tests {
    use super::super::task;
    use super::*;

    fn genes(baseline: &mut RandomGenes, cell_name: &str) -> String {
        let mut task = task("", "OEC");
        task.cell_name = cell_name.to_string();
        baseline.predict(&task).unwrap().ranking().to_string()
    }

    #[test]
    fn the_order_depends_on_seed_and_cell_only() {
        let panel = Vocabulary::new((0..30).map(|index| format!("G{index}"))).unwrap();
        let mut baseline = RandomGenes::new(panel.clone(), 42);
        let first = genes(&mut baseline, "one");
        assert_ne!(genes(&mut baseline, "two"), first);
        assert_eq!(genes(&mut baseline, "one"), first);
        assert_ne!(genes(&mut RandomGenes::new(panel, 7), "one"), first);
    }

    #[test]
    fn a_panel_shorter_than_the_ranking_is_used_up() {
        let panel = Vocabulary::new(["A", "B"]).unwrap();
        assert_eq!(genes(&mut RandomGenes::new(panel.clone(), 1), "one").len(), 3);
        assert_eq!(genes(&mut RandomGenes::new(panel, 1).with_max_genes(1), "one").len(), 1);
    }
}
