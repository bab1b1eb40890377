//! The scores of single cells, and how far their mean may be off.

use std::collections::BTreeMap;

use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use tn_sentence::{TaskRecord, draw};

use super::{Estimate, Metric};
use crate::quantile::quantile;

/// The scores of one cell.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ScoredCell {
    /// The cell.
    pub cell_name: String,
    /// Its section.
    pub section: String,
    /// Its true class.
    pub class: String,
    /// The scenario, the condition and the pair, where there are some.
    pub condition: String,
    /// Its scores, in the order of the metrics; the mean over its samples.
    pub values: Vec<f64>,
}

impl ScoredCell {
    pub(super) fn new(task: &TaskRecord, values: Vec<f64>) -> Self {
        let label = task.scenario.as_ref().map(|label| [&*label.scenario, &label.condition, &label.pair_id].join("/"));
        Self {
            cell_name: task.cell_name.clone(),
            section: task.section.clone(),
            class: task.class.clone(),
            condition: label.unwrap_or_default(),
            values,
        }
    }

    /// What two predictions of one cell have in common.
    pub(super) fn key(&self) -> (&str, &str, &str) {
        (&self.section, &self.cell_name, &self.condition)
    }
}

/// The scores of all cells of a table.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct CellScores {
    metrics: Vec<Metric>,
    cells: Vec<ScoredCell>,
}

/// What is drawn again and again to see how far a mean may be off.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Unit {
    Cells,
    Sections,
}

/// A bootstrap: the mean of units that are drawn with replacement, many times; the interval has the middle 95% of these means.
///
/// Efron, Annals of Statistics 7, 1 (1979), the percentile method. Draws are numbered, each with a random stream of its own: the same
/// seed gives the same interval for any number of threads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bootstrap {
    unit: Unit,
    draws: usize,
    seed: u64,
}

impl Bootstrap {
    /// Draws cells, 2,000 times, with seed 42: what another sample of cells of these sections would give.
    #[must_use]
    pub fn of_cells() -> Self {
        Self { unit: Unit::Cells, draws: 2_000, seed: 42 }
    }

    /// Draws sections and then cells of each: what other sections would give, which is what matters for a new tissue. With a single
    /// section there is no interval.
    #[must_use]
    pub fn of_sections() -> Self {
        Self { unit: Unit::Sections, ..Self::of_cells() }
    }

    /// Sets how many means are drawn.
    #[must_use]
    pub fn with_draws(mut self, draws: usize) -> Self {
        self.draws = draws;
        self
    }

    /// Sets the seed.
    #[must_use]
    pub fn with_seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// Returns the mean of some values with its interval; `sections` names the section of each.
    pub(super) fn estimate(&self, values: &[f64], sections: &[&str]) -> Estimate {
        let mean = values.iter().sum::<f64>() / values.len() as f64;
        let mut groups: BTreeMap<&str, Vec<f64>> = BTreeMap::new();
        values.iter().zip(sections).for_each(|(&value, section)| groups.entry(section).or_default().push(value));
        let groups: Vec<Vec<f64>> = groups.into_values().collect();
        let units = if self.unit == Unit::Sections { groups.len() } else { values.len() };
        if units < 2 || self.draws == 0 {
            return Estimate { mean, low: None, high: None };
        }
        let draw_mean = |index: usize| {
            let mut rng = ChaCha8Rng::seed_from_u64(draw(self.seed, index as u64));
            match self.unit {
                Unit::Cells => drawn_sum(values, &mut rng) / values.len() as f64,
                Unit::Sections => {
                    let drawn: Vec<&Vec<f64>> = (0..groups.len()).map(|_| &groups[rng.random_range(0..groups.len())]).collect();
                    let cells: usize = drawn.iter().map(|group| group.len()).sum();
                    drawn.into_iter().map(|group| drawn_sum(group, &mut rng)).sum::<f64>() / cells as f64
                }
            }
        };
        let mut means: Vec<f64> = (0..self.draws).into_par_iter().map(draw_mean).collect();
        means.sort_by(f64::total_cmp);
        Estimate { mean, low: Some(quantile(&means, 0.025)), high: Some(quantile(&means, 0.975)) }
    }
}

/// Returns the sum of as many values as there are, drawn with replacement.
fn drawn_sum(values: &[f64], rng: &mut impl Rng) -> f64 {
    (0..values.len()).map(|_| values[rng.random_range(0..values.len())]).sum()
}

impl CellScores {
    pub(super) fn new(metrics: Vec<Metric>, cells: Vec<ScoredCell>) -> Self {
        Self { metrics, cells }
    }

    /// Returns the metrics, in the order of the values of each cell.
    #[must_use]
    pub fn metrics(&self) -> &[Metric] {
        &self.metrics
    }

    /// Returns the cells, in the order of the table.
    #[must_use]
    pub fn cells(&self) -> &[ScoredCell] {
        &self.cells
    }

    /// Returns the values of a metric, by its name, in the order of the cells; `None` if it is none of the table.
    #[must_use]
    pub fn values(&self, metric: &str) -> Option<Vec<f64>> {
        let place = self.metrics.iter().position(|other| other.to_string() == metric)?;
        Some(self.cells.iter().map(|cell| cell.values[place]).collect())
    }

    /// Returns the mean of a metric, by its name, with a bootstrap interval; `None` if it is none of the table.
    #[must_use]
    pub fn bootstrap(&self, metric: &str, bootstrap: Bootstrap) -> Option<Estimate> {
        let sections: Vec<&str> = self.cells.iter().map(|cell| cell.section.as_str()).collect();
        Some(bootstrap.estimate(&self.values(metric)?, &sections))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values() -> Vec<f64> {
        (0..400).map(|cell| (draw(5, cell) % 1_000) as f64 / 1_000.0).collect()
    }

    #[test]
    fn the_interval_of_cells_is_that_of_the_normal_approximation() {
        let sections = vec!["s"; 400];
        let (bootstrap, normal) = (Bootstrap::of_cells().estimate(&values(), &sections), Estimate::from_values(values()));
        assert_eq!(bootstrap.mean, normal.mean);
        assert!(
            (bootstrap.low.unwrap() - normal.low.unwrap()).abs() < 0.004 && (bootstrap.high.unwrap() - normal.high.unwrap()).abs() < 0.004
        );
    }

    #[test]
    fn sections_that_differ_widen_the_interval() {
        let sections: Vec<&str> = (0..400).map(|cell| ["a", "b", "c", "d"][cell / 100]).collect();
        let shifted: Vec<f64> = values().into_iter().enumerate().map(|(cell, value)| value + (cell / 100) as f64).collect();
        let width = |bootstrap: Bootstrap| {
            let estimate = bootstrap.estimate(&shifted, &sections);
            estimate.high.unwrap() - estimate.low.unwrap()
        };
        assert!(width(Bootstrap::of_sections()) > 3.0 * width(Bootstrap::of_cells()));
        assert_eq!(Bootstrap::of_sections().estimate(&shifted[..100], &sections[..100]).low, None);
    }

    #[test]
    fn the_number_of_threads_changes_nothing() {
        let sections: Vec<&str> = (0..400).map(|cell| ["a", "b"][cell % 2]).collect();
        let of = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| [Bootstrap::of_cells(), Bootstrap::of_sections()].map(|bootstrap| bootstrap.estimate(&values(), &sections)))
        };
        assert_eq!(of(1), of(2));
        assert_eq!(of(1), of(8));
    }
}
