//! Pearson and Spearman correlation with two-sided p-values.

use serde::{Deserialize, Serialize};
use statrs::function::beta::beta_reg;
use statrs::function::erf::erfc;
use thiserror::Error;

/// A correlation coefficient and how surprising it would be between unrelated values.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Correlation {
    /// The coefficient, in `-1.0..=1.0`.
    pub coefficient: f64,
    /// The two-sided p-value of no correlation; 1.0 for two points, where every coefficient is ±1.
    pub p_value: f64,
    /// The number of pairs.
    pub n: usize,
}

/// An error of a correlation.
#[derive(Clone, Copy, Debug, PartialEq, Error)]
#[non_exhaustive]
pub enum CorrelationError {
    /// The two lists cannot be paired.
    #[error("{x} values of x and {y} of y cannot be paired")]
    LengthMismatch {
        /// Values of x.
        x: usize,
        /// Values of y.
        y: usize,
    },
    /// A correlation takes at least two pairs.
    #[error("a correlation takes at least 2 pairs, there are {n}")]
    TooFew {
        /// Pairs given.
        n: usize,
    },
    /// A value is NaN or infinite.
    #[error("pair {index} is not finite: ({x}, {y})")]
    NotFinite {
        /// Position of the pair.
        index: usize,
        /// Its x.
        x: f64,
        /// Its y.
        y: f64,
    },
    /// All values of one side are equal, so that the coefficient is undefined.
    #[error("one side is constant: the correlation is undefined")]
    Constant,
}

/// Computes Pearson's product-moment correlation.
///
/// `r = Σ (x - x̄)(y - ȳ) / √(Σ (x - x̄)² Σ (y - ȳ)²)`, clamped to `-1.0..=1.0`. The p-value is that of Student's t with
/// `n - 2` degrees of freedom, `t = r √((n - 2) / (1 - r²))`, and equals `scipy.stats.pearsonr`.
///
/// # Errors
///
/// Lists of unequal length, fewer than two pairs, NaN or infinite values, and a constant side are errors: a coefficient
/// is never NaN.
pub fn pearson(x: &[f64], y: &[f64]) -> Result<Correlation, CorrelationError> {
    validate(x, y)?;
    product_moment(x, y)
}

/// Computes Spearman's rank correlation: Pearson's of the ranks, where equal values share the mean of their ranks.
///
/// The p-value is that of Student's t, as in `scipy.stats.spearmanr`; it is approximate below some ten pairs.
///
/// ```
/// let planted = [1.0, 0.5, 0.0, -2.0];
/// let recovered = [0.7, 0.6, 0.1, -0.2];
/// assert_eq!(tn_eval::spearman(&planted, &recovered)?.coefficient, 1.0);
/// # Ok::<(), tn_eval::CorrelationError>(())
/// ```
///
/// # Errors
///
/// As [`pearson`].
pub fn spearman(x: &[f64], y: &[f64]) -> Result<Correlation, CorrelationError> {
    validate(x, y)?;
    product_moment(&average_ranks(x), &average_ranks(y))
}

/// Computes Kendall's rank correlation τ-b: how many more pairs are in the same order than in the opposite one.
///
/// `τ = (C - D) / √((C + D + T_x)(C + D + T_y))` with `C` pairs in the same and `D` in the opposite order, `T_x` those equal in x only, `T_y`
/// those equal in y only. The p-value is that of the normal approximation with ties, as `scipy.stats.kendalltau(method='asymptotic')`;
/// below some ten pairs it is rough. Takes `n log n` steps. Kendall, Biometrika 33, 239 (1945); Knight, Journal of the American
/// Statistical Association 61, 436 (1966).
///
/// ```
/// let tau = tn_eval::kendall_tau(&[1.0, 2.0, 3.0], &[1.0, 3.0, 2.0])?;
/// assert!((tau.coefficient - 1.0 / 3.0).abs() < 1e-12);
/// # Ok::<(), tn_eval::CorrelationError>(())
/// ```
///
/// # Errors
///
/// As [`pearson`].
pub fn kendall_tau(x: &[f64], y: &[f64]) -> Result<Correlation, CorrelationError> {
    validate(x, y)?;
    let n = x.len();
    // Adding 0.0 turns -0.0 into 0.0.
    let mut pairs: Vec<(f64, f64)> = x.iter().zip(y).map(|(x, y)| (x + 0.0, y + 0.0)).collect();
    pairs.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.total_cmp(&b.1)));
    let tied_both = tied_pairs(pairs.chunk_by(|a, b| a == b).map(<[_]>::len));
    let x_ties: Vec<usize> = pairs.chunk_by(|a, b| a.0 == b.0).map(<[_]>::len).collect();
    let mut by_y: Vec<f64> = pairs.into_iter().map(|(_, y)| y).collect();
    let discordant = sort_counting_inversions(&mut by_y);
    let y_ties: Vec<usize> = by_y.chunk_by(|a, b| a == b).map(<[_]>::len).collect();
    let (tied_x, tied_y) = (tied_pairs(x_ties.iter().copied()), tied_pairs(y_ties.iter().copied()));
    let all = (n * (n - 1) / 2) as f64;
    if tied_x == all || tied_y == all {
        return Err(CorrelationError::Constant);
    }
    let difference = all - tied_x - tied_y + tied_both - 2.0 * discordant as f64;
    let coefficient = (difference / (all - tied_x).sqrt() / (all - tied_y).sqrt()).clamp(-1.0, 1.0);
    let sum = |ties: &[usize], term: fn(f64) -> f64| ties.iter().map(|&t| term(t as f64)).sum::<f64>();
    let (x_0, y_0) = (sum(&x_ties, |t| t * (t - 1.0) * (t - 2.0)), sum(&y_ties, |t| t * (t - 1.0) * (t - 2.0)));
    let (x_1, y_1) = (sum(&x_ties, |t| t * (t - 1.0) * (2.0 * t + 5.0)), sum(&y_ties, |t| t * (t - 1.0) * (2.0 * t + 5.0)));
    let (n_pairs, size) = (2.0 * all, n as f64);
    let mut variance = (n_pairs * (2.0 * size + 5.0) - x_1 - y_1) / 18.0 + 2.0 * tied_x * tied_y / n_pairs;
    if n > 2 {
        variance += x_0 * y_0 / (9.0 * n_pairs * (size - 2.0));
    }
    let p_value = erfc(difference.abs() / variance.sqrt() / std::f64::consts::SQRT_2);
    Ok(Correlation { coefficient, p_value, n })
}

fn tied_pairs(ties: impl Iterator<Item = usize>) -> f64 {
    ties.map(|t| (t * (t - 1) / 2) as f64).sum()
}

/// Sorts, and returns how many pairs were in the wrong order.
fn sort_counting_inversions(values: &mut [f64]) -> u64 {
    if values.len() < 2 {
        return 0;
    }
    let (left, right) = values.split_at_mut(values.len() / 2);
    let mut inversions = sort_counting_inversions(left) + sort_counting_inversions(right);
    let mut merged = Vec::with_capacity(left.len() + right.len());
    let mut next = 0;
    for (place, &value) in left.iter().enumerate() {
        while next < right.len() && right[next] < value {
            merged.push(right[next]);
            inversions += (left.len() - place) as u64;
            next += 1;
        }
        merged.push(value);
    }
    merged.extend_from_slice(&right[next..]);
    values.copy_from_slice(&merged);
    inversions
}

/// Returns the rank of each value, 1 for the smallest; equal values share the mean of their ranks.
///
/// Values are ordered by [`f64::total_cmp`], except that `-0.0` equals `0.0`; NaN ranks last.
#[must_use]
pub fn average_ranks(values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    // Adding 0.0 turns -0.0 into 0.0.
    order.sort_by(|&a, &b| (values[a] + 0.0).total_cmp(&(values[b] + 0.0)));
    let mut ranks = vec![0.0; values.len()];
    let mut start = 0;
    while start < order.len() {
        let value = values[order[start]];
        let tied = order[start..].iter().take_while(|&&index| values[index] == value).count().max(1);
        for &index in &order[start..start + tied] {
            ranks[index] = (2 * start + tied + 1) as f64 / 2.0;
        }
        start += tied;
    }
    ranks
}

fn validate(x: &[f64], y: &[f64]) -> Result<(), CorrelationError> {
    if x.len() != y.len() {
        return Err(CorrelationError::LengthMismatch { x: x.len(), y: y.len() });
    }
    if x.len() < 2 {
        return Err(CorrelationError::TooFew { n: x.len() });
    }
    match x.iter().zip(y).position(|(x, y)| !x.is_finite() || !y.is_finite()) {
        Some(index) => Err(CorrelationError::NotFinite { index, x: x[index], y: y[index] }),
        None => Ok(()),
    }
}

fn product_moment(x: &[f64], y: &[f64]) -> Result<Correlation, CorrelationError> {
    let (Some(x), Some(y)) = (standardized(x), standardized(y)) else {
        return Err(CorrelationError::Constant);
    };
    let coefficient = (dot(&x, &y) / (dot(&x, &x) * dot(&y, &y)).sqrt()).clamp(-1.0, 1.0);
    Ok(Correlation { coefficient, p_value: p_value(coefficient, x.len()), n: x.len() })
}

/// The distances from the mean in units of the largest, so that no square over- or underflows; `None` for equal values.
fn standardized(values: &[f64]) -> Option<Vec<f64>> {
    if values.iter().all(|&value| value == values[0]) {
        return None;
    }
    let largest = values.iter().map(|value| value.abs()).fold(0.0, f64::max);
    let mean = values.iter().map(|value| value / largest).sum::<f64>() / values.len() as f64;
    let centered: Vec<f64> = values.iter().map(|value| value / largest - mean).collect();
    let spread = centered.iter().map(|value| value.abs()).fold(0.0, f64::max);
    (spread > 0.0).then(|| centered.iter().map(|value| value / spread).collect())
}

fn dot(x: &[f64], y: &[f64]) -> f64 {
    x.iter().zip(y).map(|(x, y)| x * y).sum()
}

/// Two-sided tail of Student's t for a coefficient over `n` pairs, as the incomplete beta function of `1 - r²`.
fn p_value(coefficient: f64, n: usize) -> f64 {
    if n == 2 {
        return 1.0;
    }
    let unexplained = (1.0 - coefficient) * (1.0 + coefficient);
    beta_reg((n as f64 - 2.0) / 2.0, 0.5, unexplained)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ties_share_the_mean_of_their_ranks() {
        assert_eq!(average_ranks(&[3.0, 1.0, 3.0, -0.0, 0.0]), [4.5, 3.0, 4.5, 1.5, 1.5]);
        assert_eq!(average_ranks(&[]), [0.0; 0]);
        assert_eq!(average_ranks(&[f64::NAN, 1.0]), [2.0, 1.0]);
    }

    #[test]
    fn a_perfect_line_has_coefficient_one() {
        let fit = pearson(&[1.0, 2.0, 3.0], &[-2.0, -4.0, -6.0]).unwrap();
        assert!((fit.coefficient + 1.0).abs() < 1e-15);
        assert!(fit.p_value < 1e-6);
    }

    #[test]
    fn values_of_any_size_are_correlated() {
        for size in [1e-300, 1.0, 1e300] {
            let fit = pearson(&[size, 2.0 * size, 3.5 * size], &[1.0, 2.0, 3.0]).unwrap();
            assert!((fit.coefficient - 0.993_399_267_798_783).abs() < 1e-12);
        }
    }

    #[test]
    fn two_pairs_prove_nothing() {
        assert_eq!(pearson(&[1.0, 2.0], &[5.0, 3.0]).unwrap().p_value, 1.0);
    }

    #[test]
    fn bad_input_is_an_error_with_its_values() {
        assert_eq!(pearson(&[1.0], &[1.0, 2.0]), Err(CorrelationError::LengthMismatch { x: 1, y: 2 }));
        assert_eq!(spearman(&[], &[]), Err(CorrelationError::TooFew { n: 0 }));
        assert_eq!(spearman(&[1.0, 0.1, 0.1], &[0.1, 0.1, 0.1]), Err(CorrelationError::Constant));
        let error = pearson(&[1.0, 2.0], &[3.0, f64::INFINITY]).unwrap_err();
        assert_eq!(error.to_string(), "pair 1 is not finite: (2, inf)");
    }
}
