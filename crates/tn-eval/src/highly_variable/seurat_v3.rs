//! The variance of standardized counts.

use rayon::prelude::*;

use super::loess::{MIN_POINTS, loess};
use super::{HighlyVariableGenesError, Moments};
use crate::expression_matrix::GeneColumns;

/// Returns, for each gene, the variance of its counts over that expected from its mean.
pub(super) fn normalized_variances(columns: &GeneColumns, moments: &[Moments]) -> Result<Vec<f64>, HighlyVariableGenesError> {
    let varying: Vec<usize> = (0..moments.len()).filter(|&gene| moments[gene].variance > 0.0).collect();
    if varying.len() < MIN_POINTS {
        return Err(HighlyVariableGenesError::TooFewGenes { varying: varying.len(), needed: MIN_POINTS });
    }
    let means: Vec<f64> = varying.iter().map(|&gene| moments[gene].mean.log10()).collect();
    let variances: Vec<f64> = varying.iter().map(|&gene| moments[gene].variance.log10()).collect();
    let expected = loess(&means, &variances);

    let standardized = |(&gene, log_variance): (&usize, f64)| {
        let (n, mean, variance) = (columns.n_cells(), moments[gene].mean, 10_f64.powf(log_variance));
        let cut = mean + (n as f64 * variance).sqrt();
        let values = columns.gene(gene).1;
        let squares: f64 = values.iter().map(|&value| (f64::from(value).min(cut) - mean).powi(2)).sum();
        (squares + (n - values.len()) as f64 * mean * mean) / ((n as f64 - 1.0) * variance)
    };
    let mut normalized = vec![0.0; moments.len()];
    let of_varying: Vec<f64> = varying.par_iter().zip(expected).map(standardized).collect();
    varying.into_iter().zip(of_varying).for_each(|(gene, value)| normalized[gene] = value);
    Ok(normalized)
}
