//! The response to a perturbation, from matched pairs of predictions.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};
use thiserror::Error;
use tn_sentence::Vocabulary;

use crate::expression::ExpressionModel;

/// What is compared between the control and the perturbed prediction of a cell.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum ResponseMeasure {
    /// Whether the gene is among the first `top` genes: 1 or 0.
    Presence {
        /// How many genes count as present.
        top: usize,
    },
    /// Expression reconstructed from the rank, off the log scale: `10^(intercept + slope * log10(1 + rank)) - 1`, at
    /// least 0.
    Expression(ExpressionModel),
}

/// How one gene answered a perturbation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct GeneResponse {
    /// The gene.
    pub gene: String,
    /// Mean over the control predictions.
    pub control: f64,
    /// Mean over the perturbed predictions.
    pub perturbed: f64,
    /// `log2((perturbed + ε) / (control + ε))`.
    pub log2_fold_change: f64,
    /// Standard error of `perturbed - control` over the pairs; `None` for a single pair.
    pub standard_error: Option<f64>,
}

impl GeneResponse {
    /// Returns the paired difference in units of its standard error, 0 where both are 0; `None` for a single pair.
    ///
    /// Large over many pairs even where the fold change is small: rank genes by fold change, and read this as how far
    /// that is from chance.
    #[must_use]
    pub fn z_score(&self) -> Option<f64> {
        let difference = self.perturbed - self.control;
        self.standard_error.map(|error| if difference == 0.0 { 0.0 } else { difference / error })
    }
}

/// An error of a [`Response`].
#[derive(Clone, Debug, PartialEq, Error)]
#[non_exhaustive]
pub enum ResponseError {
    /// ε keeps the fold change of an absent gene finite, so it is above zero.
    #[error("the pseudocount is {0}; it must be above 0")]
    InvalidPseudocount(f64),
    /// A response needs at least one pair.
    #[error("there is no matched pair to compare")]
    NoPairs,
    /// Scores are finite and not below zero.
    #[error("the score of {gene} is {value}, not a number of zero or more")]
    InvalidScore {
        /// The gene.
        gene: String,
        /// Its score.
        value: f64,
    },
}

/// Collects matched pairs of predictions, control and perturbed, and compares them gene by gene.
///
/// The two predictions of a pair concern the same cell at the same place, with prompts that differ in one thing and one
/// seed for both, so that what differs between them is the answer to that one thing.
///
/// **ε**, the pseudocount, is added to both means: it keeps genes that are absent on both sides at a fold change of 0, one
/// that appears in a single prediction of n from counting as an infinite change, and shrinks the changes of rare genes
/// towards 0. It is on the scale of what is compared, and defaults to [`Response::DEFAULT_PSEUDOCOUNT`], 0.01: for a
/// presence, one cell in a hundred. Where the truth is a fold change of mean expression, take a presence of a small `top`
/// as a monotone stand-in (it saturates for genes that are always among the first) and compare by rank correlation.
///
/// ```
/// use tn_eval::{Response, ResponseMeasure};
/// use tn_sentence::{GeneRanking, Vocabulary};
///
/// let panel = Vocabulary::new(["GFAP", "AQP4", "SPP1"])?;
/// let mut response = Response::new(&panel);
/// let measure = ResponseMeasure::Presence { top: 2 };
/// let (control, perturbed) = (GeneRanking::parse("AQP4 GFAP SPP1")?, GeneRanking::parse("GFAP SPP1 AQP4")?);
/// response.add_rankings(control.genes(), perturbed.genes(), measure);
/// let genes = response.genes()?;
/// assert_eq!(genes[0].log2_fold_change, 0.0); // GFAP: present in both
/// assert!(genes[1].log2_fold_change < -6.0); // AQP4: gone
/// assert!(genes[2].log2_fold_change > 6.0); // SPP1: there
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Response<'v> {
    panel: &'v Vocabulary,
    pseudocount: f64,
    n_pairs: usize,
    control: Vec<f64>,
    perturbed: Vec<f64>,
    squared_difference: Vec<f64>,
}

impl<'v> Response<'v> {
    /// The default of ε.
    pub const DEFAULT_PSEUDOCOUNT: f64 = 0.01;

    /// Creates a response of the genes of a panel, without pairs.
    #[must_use]
    pub fn new(panel: &'v Vocabulary) -> Self {
        Self {
            panel,
            pseudocount: Self::DEFAULT_PSEUDOCOUNT,
            n_pairs: 0,
            control: vec![0.0; panel.len()],
            perturbed: vec![0.0; panel.len()],
            squared_difference: vec![0.0; panel.len()],
        }
    }

    /// Sets ε.
    ///
    /// # Errors
    ///
    /// ε must be finite and above 0.
    pub fn with_pseudocount(mut self, pseudocount: f64) -> Result<Self, ResponseError> {
        if !pseudocount.is_finite() || pseudocount <= 0.0 {
            return Err(ResponseError::InvalidPseudocount(pseudocount));
        }
        self.pseudocount = pseudocount;
        Ok(self)
    }

    /// Returns the number of pairs added.
    #[must_use]
    pub fn n_pairs(&self) -> usize {
        self.n_pairs
    }

    /// Adds a pair of predicted rankings. Genes outside the panel take up a rank and are otherwise ignored.
    pub fn add_rankings<G: AsRef<str>>(&mut self, control: &[G], perturbed: &[G], measure: ResponseMeasure) {
        let control = self.measured(control, measure);
        let perturbed = self.measured(perturbed, measure);
        self.add(&control, &perturbed);
    }

    /// Adds a pair of predictions given as one score for each gene, such as the expected presence that a consensus of
    /// sampled trajectories yields. Genes not mentioned have the score 0; those outside the panel are ignored.
    ///
    /// # Errors
    ///
    /// A score that is negative, NaN or infinite is an error, and the pair is not added.
    pub fn add_scores(&mut self, control: &HashMap<String, f64>, perturbed: &HashMap<String, f64>) -> Result<(), ResponseError> {
        let control = self.scores_of_panel(control)?;
        let perturbed = self.scores_of_panel(perturbed)?;
        self.add(&control, &perturbed);
        Ok(())
    }

    /// Returns the response of every gene, in the order of the panel.
    ///
    /// # Errors
    ///
    /// Returns [`ResponseError::NoPairs`] when no pair was added.
    pub fn genes(&self) -> Result<Vec<GeneResponse>, ResponseError> {
        if self.n_pairs == 0 {
            return Err(ResponseError::NoPairs);
        }
        Ok((0..self.panel.len()).map(|gene| self.gene(gene)).collect())
    }

    fn gene(&self, index: usize) -> GeneResponse {
        let n = self.n_pairs as f64;
        let (control, perturbed) = (self.control[index] / n, self.perturbed[index] / n);
        let difference = perturbed - control;
        let standard_error = (self.n_pairs > 1).then(|| {
            let sum_of_squares = self.squared_difference[index] - n * difference * difference;
            (sum_of_squares.max(0.0) / (n - 1.0) / n).sqrt()
        });
        GeneResponse {
            gene: self.panel.symbol(index).to_string(),
            control,
            perturbed,
            log2_fold_change: ((perturbed + self.pseudocount) / (control + self.pseudocount)).log2(),
            standard_error,
        }
    }

    fn measured<G: AsRef<str>>(&self, genes: &[G], measure: ResponseMeasure) -> Vec<f64> {
        let mut values = vec![0.0; self.panel.len()];
        for (rank, gene) in genes.iter().enumerate() {
            let value = match measure {
                ResponseMeasure::Presence { top } if rank < top => 1.0,
                ResponseMeasure::Presence { .. } => break,
                ResponseMeasure::Expression(model) => (10_f64.powf(model.at_rank(rank)) - 1.0).max(0.0),
            };
            if let Some(index) = self.panel.index_of(gene.as_ref()) {
                values[index] = value;
            }
        }
        values
    }

    fn scores_of_panel(&self, scores: &HashMap<String, f64>) -> Result<Vec<f64>, ResponseError> {
        let mut values = Vec::with_capacity(self.panel.len());
        for gene in 0..self.panel.len() {
            let gene = self.panel.symbol(gene);
            let value = scores.get(gene).copied().unwrap_or(0.0);
            if !value.is_finite() || value < 0.0 {
                let gene = gene.to_string();
                return Err(ResponseError::InvalidScore { gene, value });
            }
            values.push(value);
        }
        Ok(values)
    }

    fn add(&mut self, control: &[f64], perturbed: &[f64]) {
        self.n_pairs += 1;
        for (gene, (control, perturbed)) in control.iter().zip(perturbed).enumerate() {
            self.control[gene] += control;
            self.perturbed[gene] += perturbed;
            self.squared_difference[gene] += (perturbed - control).powi(2);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn panel() -> Vocabulary {
        Vocabulary::new(["A", "B", "C"]).unwrap()
    }

    #[test]
    fn the_fold_change_is_that_of_the_means() {
        let panel = panel();
        let mut response = Response::new(&panel).with_pseudocount(0.5).unwrap();
        let presence = ResponseMeasure::Presence { top: 1 };
        response.add_rankings(&["A", "B"], &["B", "A"], presence);
        response.add_rankings(&["A"], &["A"], presence);
        let genes = response.genes().unwrap();
        assert_eq!((genes[0].control, genes[0].perturbed), (1.0, 0.5));
        assert_eq!(genes[0].log2_fold_change, (1.0_f64 / 1.5).log2());
        assert_eq!(genes[1].log2_fold_change, (1.0_f64 / 0.5).log2());
        assert_eq!(genes[2].log2_fold_change, 0.0);
        assert_eq!(genes[2].z_score(), Some(0.0));
    }

    #[test]
    fn the_error_is_that_of_the_paired_difference() {
        let panel = panel();
        let mut response = Response::new(&panel);
        let presence = ResponseMeasure::Presence { top: 1 };
        response.add_rankings(&["A"], &["B"], presence);
        assert_eq!(response.genes().unwrap()[0].standard_error, None);
        response.add_rankings(&["A"], &["B"], presence);
        assert_eq!(response.genes().unwrap()[0].standard_error, Some(0.0));
        response.add_rankings(&["A"], &["A"], presence);
        // Differences -1, -1, 0: standard deviation √(1/3) over √3.
        let error = response.genes().unwrap()[0].standard_error.unwrap();
        assert!((error - 1.0 / 3.0).abs() < 1e-12);
    }

    #[test]
    fn expression_is_compared_off_the_log_scale() {
        let panel = panel();
        let mut response = Response::new(&panel);
        let model = ExpressionModel::new(1.0, -1.0);
        response.add_rankings(&["A", "X"], &["X", "A"], ResponseMeasure::Expression(model));
        let gene = response.genes().unwrap().remove(0);
        assert!((gene.control - 9.0).abs() < 1e-12);
        assert!((gene.perturbed - 4.0).abs() < 1e-12);
    }

    #[test]
    fn scores_not_mentioned_are_zero() {
        let panel = panel();
        let mut response = Response::new(&panel);
        let scores = |pairs: &[(&str, f64)]| pairs.iter().map(|(gene, score)| (gene.to_string(), *score)).collect();
        response.add_scores(&scores(&[("A", 0.25), ("X", 1.0)]), &scores(&[("B", 0.75)])).unwrap();
        let genes = response.genes().unwrap();
        assert_eq!((genes[0].control, genes[0].perturbed), (0.25, 0.0));
        assert_eq!((genes[1].control, genes[1].perturbed), (0.0, 0.75));
    }

    #[test]
    fn bad_input_is_an_error_with_its_values() {
        let panel = panel();
        assert_eq!(Response::new(&panel).genes(), Err(ResponseError::NoPairs));
        let error = Response::new(&panel).with_pseudocount(0.0).unwrap_err();
        assert_eq!(error, ResponseError::InvalidPseudocount(0.0));
        let scores = HashMap::from([("A".to_string(), f64::NAN)]);
        let error = Response::new(&panel).add_scores(&scores, &HashMap::new()).unwrap_err();
        assert_eq!(error.to_string(), "the score of A is NaN, not a number of zero or more");
    }
}
