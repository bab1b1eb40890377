//! Control of the false discovery rate.

/// Adjusts p-values by the procedure of Benjamini and Hochberg, in their order.
///
/// `q(i) = min over j >= i of p(j) n / j` for the p-values sorted ascending, at most 1. Equal p-values get equal results.
/// A NaN stays NaN and does not count among the `n` tests. Equals `scipy.stats.false_discovery_control`.
/// Benjamini and Hochberg, Journal of the Royal Statistical Society B 57, 289 (1995).
///
/// ```
/// assert_eq!(tn_eval::benjamini_hochberg(&[0.01, 0.8, 0.02]), [0.03, 0.8, 0.03]);
/// ```
#[must_use]
pub fn benjamini_hochberg(p_values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..p_values.len()).filter(|&index| !p_values[index].is_nan()).collect();
    order.sort_by(|&a, &b| p_values[b].total_cmp(&p_values[a]));
    let n = order.len();
    let mut adjusted = vec![f64::NAN; p_values.len()];
    let mut smallest = 1.0_f64;
    for (from_largest, index) in order.into_iter().enumerate() {
        let rank = (n - from_largest) as f64;
        smallest = smallest.min(p_values[index] * (n as f64 / rank));
        adjusted[index] = smallest;
    }
    adjusted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_test_gives_no_result() {
        assert!(benjamini_hochberg(&[]).is_empty());
    }

    #[test]
    fn nan_stays_nan_and_is_not_counted() {
        let adjusted = benjamini_hochberg(&[0.5, f64::NAN]);
        assert_eq!(adjusted[0], 0.5);
        assert!(adjusted[1].is_nan());
    }
}
