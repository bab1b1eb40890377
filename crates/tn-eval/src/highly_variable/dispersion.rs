//! Dispersions among genes of similar mean.

use super::Moments;
use crate::quantile::quantile;

/// Stands for a mean of 0, by which a dispersion could not be divided; scanpy's value.
const TINY_MEAN: f64 = 1e-12;

/// The median distance from the median of a standard normal distribution.
const NORMAL_MAD: f64 = 0.674_489_750_196_081_7;

/// Returns, for each gene, how far its dispersion lies from the median of its bin, in robust standard deviations.
pub(super) fn normalized_dispersions(moments: &[Moments]) -> Vec<f64> {
    let means: Vec<f64> = moments.iter().map(|gene| if gene.mean == 0.0 { TINY_MEAN } else { gene.mean }).collect();
    let dispersions: Vec<f64> = moments.iter().zip(&means).map(|(gene, mean)| gene.variance / mean).collect();
    let mut sorted_means = means.clone();
    sorted_means.sort_by(f64::total_cmp);
    let edges: Vec<f64> = (2..=20).map(|twentieth| quantile(&sorted_means, f64::from(twentieth) / 20.0)).collect();

    let mut bins = vec![Vec::new(); edges.len() + 1];
    for (gene, &mean) in means.iter().enumerate() {
        bins[edges.partition_point(|&edge| edge < mean)].push(gene);
    }
    let mut normalized = vec![f64::NAN; moments.len()];
    for bin in bins.iter().filter(|bin| !bin.is_empty()) {
        let center = median(bin.iter().map(|&gene| dispersions[gene]).collect());
        let spread = median(bin.iter().map(|&gene| (dispersions[gene] - center).abs()).collect()) / NORMAL_MAD;
        for &gene in bin.iter().filter(|_| spread > 0.0) {
            normalized[gene] = (dispersions[gene] - center) / spread;
        }
    }
    normalized
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    quantile(&values, 0.5)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians_are_those_of_sorted_values() {
        assert_eq!(median(vec![3.0, 1.0]), 2.0);
        assert!(median(Vec::new()).is_nan());
    }

    #[test]
    fn genes_of_one_dispersion_cannot_be_compared() {
        let genes = [Moments { mean: 1.0, variance: 2.0 }; 4];
        assert!(normalized_dispersions(&genes).iter().all(|value| value.is_nan()));
    }
}
