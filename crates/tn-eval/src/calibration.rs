//! Do predicted probabilities come true as often as they say?

use serde::Serialize;
use thiserror::Error;
use tn_sentence::{GeneRanking, Vocabulary};

/// How far a probability may lie outside of 0 to 1: what a sum of 32-bit probabilities is off at most.
const ROUNDING: f32 = 1e-3;

/// Predicted probabilities beside how often what they predict was observed, in bins of equal width.
///
/// A predictor is calibrated when, among all genes to which it gave a probability near `p` of being among the first `k` of a cell, the
/// share `p` was there (reliability diagram: DeGroot and Fienberg, The Statistician 32, 1983). One number for the whole table is the
/// expected calibration error (Naeini, Cooper and Hauskrecht, AAAI 2015): `sum over bins of n_b / n * |mean probability - frequency|`.
///
/// A table of most genes and few present ones is calibrated by saying "no" everywhere; the Brier score tells such a table from a good one.
///
/// # Examples
///
/// ```
/// use tn_eval::ReliabilityTable;
/// use tn_sentence::{GeneRanking, Vocabulary};
///
/// let panel = Vocabulary::new(["GFAP", "AQP4", "GAD1", "SST"])?;
/// let mut table = ReliabilityTable::new(10);
/// // Presence among the first two genes, as predicted and as measured.
/// table.add_cell(&[0.95, 0.95, 0.05, 0.05], &panel, &GeneRanking::parse("GFAP AQP4 SST")?, 2)?;
/// assert!((table.expected_calibration_error().unwrap() - 0.05).abs() < 1e-6);
/// assert_eq!(table.bins()[9].frequency(), Some(1.0));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct ReliabilityTable {
    bins: Vec<ReliabilityBin>,
    squared_errors: f64,
}

/// The predictions of one range of probabilities.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct ReliabilityBin {
    /// Least probability of the bin.
    pub from: f64,
    /// Where the next bin begins; the last one holds it.
    pub to: f64,
    /// Number of predictions.
    pub predictions: u64,
    /// How many of them came true.
    pub observed: u64,
    /// Sum of the predicted probabilities.
    pub expected: f64,
}

impl ReliabilityBin {
    /// Returns the mean of the predicted probabilities; `None` without predictions.
    pub fn mean_probability(&self) -> Option<f64> {
        (self.predictions > 0).then(|| self.expected / self.predictions as f64)
    }

    /// Returns the share of the predictions that came true; `None` without predictions.
    pub fn frequency(&self) -> Option<f64> {
        (self.predictions > 0).then(|| self.observed as f64 / self.predictions as f64)
    }
}

impl ReliabilityTable {
    /// Builds an empty table with bins of equal width, at least one.
    pub fn new(bins: usize) -> Self {
        let edge = |bin: usize| bin as f64 / bins.max(1) as f64;
        let bin = |bin| ReliabilityBin { from: edge(bin), to: edge(bin + 1), predictions: 0, observed: 0, expected: 0.0 };
        Self { bins: (0..bins.max(1)).map(bin).collect(), squared_errors: 0.0 }
    }

    /// Adds the predictions for one cell: for every gene of the panel, the probability that it is among the first `k`, and the ranking that
    /// was observed.
    ///
    /// A ranking with fewer than `k` genes counts with all it has; genes outside the panel are passed over.
    ///
    /// # Errors
    ///
    /// Returns an error, and adds nothing, when there is not one probability for each gene, or one is no number between 0 and 1 (by more
    /// than the rounding of a sum).
    pub fn add_cell(
        &mut self,
        probabilities: &[f32],
        panel: &Vocabulary,
        observed: &GeneRanking,
        k: usize,
    ) -> Result<(), CalibrationError> {
        if probabilities.len() != panel.len() {
            return Err(CalibrationError::Length { probabilities: probabilities.len(), genes: panel.len() });
        }
        if let Some(gene) = probabilities.iter().position(|p| !(-ROUNDING..=1.0 + ROUNDING).contains(p)) {
            return Err(CalibrationError::NoProbability { gene: panel.symbol(gene).to_owned(), value: probabilities[gene] });
        }
        let mut present = vec![false; panel.len()];
        observed.iter().take(k).filter_map(|gene| panel.index_of(gene)).for_each(|gene| present[gene] = true);
        for (&p, present) in probabilities.iter().zip(present) {
            self.add(f64::from(p).clamp(0.0, 1.0), present);
        }
        Ok(())
    }

    fn add(&mut self, probability: f64, present: bool) {
        let number = (probability * self.bins.len() as f64) as usize;
        let last = self.bins.len() - 1;
        let bin = &mut self.bins[number.min(last)];
        bin.predictions += 1;
        bin.observed += u64::from(present);
        bin.expected += probability;
        self.squared_errors += (probability - f64::from(u8::from(present))).powi(2);
    }

    /// Returns the bins, by rising probability.
    pub fn bins(&self) -> &[ReliabilityBin] {
        &self.bins
    }

    /// Returns the number of predictions.
    pub fn predictions(&self) -> u64 {
        self.bins.iter().map(|bin| bin.predictions).sum()
    }

    /// Returns the mean distance between probability and frequency over the bins, by their predictions; `None` for an empty table.
    pub fn expected_calibration_error(&self) -> Option<f64> {
        let distance: f64 = self.bins.iter().map(|bin| (bin.expected - bin.observed as f64).abs()).sum();
        (self.predictions() > 0).then(|| distance / self.predictions() as f64)
    }

    /// Returns the Brier score, the mean of `(probability - observed)^2`; `None` for an empty table.
    pub fn brier_score(&self) -> Option<f64> {
        (self.predictions() > 0).then(|| self.squared_errors / self.predictions() as f64)
    }
}

/// Predictions that no table can be made of.
#[derive(Clone, Debug, Error, PartialEq)]
#[non_exhaustive]
pub enum CalibrationError {
    /// There is not one probability for each gene.
    #[error("{probabilities} probabilities cannot belong to {genes} genes")]
    Length {
        /// Number of probabilities.
        probabilities: usize,
        /// Number of genes of the panel.
        genes: usize,
    },
    /// A prediction is no probability.
    #[error("the presence of gene {gene} is {value}, but has to be a probability")]
    NoProbability {
        /// The gene.
        gene: String,
        /// What was given.
        value: f32,
    },
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::*;

    fn panel(genes: usize) -> Vocabulary {
        Vocabulary::new((0..genes).map(|gene| format!("G{gene}"))).unwrap()
    }

    /// Draws cells in which every gene is present with its own probability, and tables the predictions `predict(p)`.
    fn table(cells: usize, predict: impl Fn(f32) -> f32) -> ReliabilityTable {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let panel = panel(40);
        let mut table = ReliabilityTable::new(10);
        for _ in 0..cells {
            let truth: Vec<f32> = (0..40).map(|_| rng.random()).collect();
            let present: Vec<String> = (0..40).filter(|&gene| rng.random::<f32>() < truth[gene]).map(|gene| format!("G{gene}")).collect();
            let predicted: Vec<f32> = truth.into_iter().map(&predict).collect();
            table.add_cell(&predicted, &panel, &GeneRanking::new(&present).unwrap(), 40).unwrap();
        }
        table
    }

    #[test]
    fn true_probabilities_are_calibrated() {
        let table = table(2_000, |p| p);
        assert_eq!(table.predictions(), 80_000);
        // 8,000 predictions a bin: a standard error below 0.006.
        assert!(table.expected_calibration_error().unwrap() < 0.01, "{:?}", table.expected_calibration_error());
        for bin in table.bins() {
            let (p, frequency) = (bin.mean_probability().unwrap(), bin.frequency().unwrap());
            assert!((p - frequency).abs() < 0.03 && (bin.from..=bin.to).contains(&p), "{bin:?}");
        }
        // Uniform p: the mean of p (1 - p).
        assert!((table.brier_score().unwrap() - 1.0 / 6.0).abs() < 0.005);
    }

    #[test]
    fn too_sure_predictions_are_found_out() {
        let table = table(500, |p| if p > 0.5 { 1.0 } else { 0.0 });
        assert!((table.expected_calibration_error().unwrap() - 0.25).abs() < 0.01);
        assert_eq!(table.bins()[9].to, 1.0);
        assert!(table.bins()[4].frequency().is_none() && table.bins()[4].mean_probability().is_none());
    }

    #[test]
    fn only_the_first_genes_count_and_others_are_passed_over() {
        let mut table = ReliabilityTable::new(0);
        table.add_cell(&[0.5, 0.5, 0.5], &panel(3), &GeneRanking::parse("OTHER G2 G0").unwrap(), 2).unwrap();
        assert_eq!((table.bins().len(), table.bins()[0].observed, table.bins()[0].predictions), (1, 1, 3));
        assert_eq!(ReliabilityTable::new(5).expected_calibration_error(), None);
        assert_eq!(ReliabilityTable::new(5).brier_score(), None);
    }

    #[test]
    fn what_is_no_probability_is_refused() {
        let mut table = ReliabilityTable::new(10);
        let mut add = |probabilities: &[f32]| table.add_cell(probabilities, &panel(2), &GeneRanking::default(), 1);
        assert_eq!(add(&[0.5]), Err(CalibrationError::Length { probabilities: 1, genes: 2 }));
        assert_eq!(add(&[0.5, 1.1]), Err(CalibrationError::NoProbability { gene: "G1".to_owned(), value: 1.1 }));
        assert!(matches!(add(&[f32::NAN, 0.0]), Err(CalibrationError::NoProbability { .. })));
        assert_eq!(add(&[1.000_01, -0.000_01]), Ok(()));
        assert_eq!(table.predictions(), 2);
    }

    proptest! {
        #[test]
        fn numbers_stay_in_their_range(cells in prop::collection::vec((prop::collection::vec(0.0f32..=1.0, 5), 0usize..7), 1..20), bins in 1usize..30) {
            let mut table = ReliabilityTable::new(bins);
            for (probabilities, k) in &cells {
                table.add_cell(probabilities, &panel(5), &GeneRanking::parse("G3 G0 G1").unwrap(), *k).unwrap();
            }
            prop_assert_eq!(table.predictions(), 5 * cells.len() as u64);
            prop_assert!((0.0..=1.0).contains(&table.expected_calibration_error().unwrap()));
            prop_assert!((0.0..=1.0).contains(&table.brier_score().unwrap()));
            for bin in table.bins().iter().filter(|bin| bin.predictions > 0) {
                let p = bin.mean_probability().unwrap();
                prop_assert!(bin.from - 1e-6 <= p && p <= bin.to + 1e-6, "{:?}", bin);
            }
        }
    }
}
