//! Drawing without replacement by weight, all at once.

/// Returns the order in which items are drawn without replacement, each draw proportional to the weights of those left.
///
/// Item `i` gets the key `-ln(u_i) / w_i`, with `u_i` uniform in (0, 1); sorting the keys ascending gives the same
/// distribution as drawing one item after the other, in O(n log n) instead of O(n^2) (Efraimidis and Spirakis, 2006).
/// The weights are given as natural logarithms, so that very large and very small ones neither overflow nor vanish;
/// negative infinity is weight 0 and comes last. `draws` are uniform 64-bit numbers, one for each item: from a
/// generator, or from a hash of the item, which keeps the relative order of the others when an item is added.
///
/// Equal keys are ordered by index. A log-weight of NaN counts as weight 0.
///
/// # Panics
///
/// Panics when the two slices differ in length.
///
/// # Examples
///
/// ```
/// use tn_sentence::{draw, weighted_order};
///
/// // The nearer of two cells is drawn first about nine times in ten.
/// let weights = [0.9_f64.ln(), 0.1_f64.ln()];
/// let first = (0..1000)
///     .filter(|&seed| weighted_order(&weights, &[draw(seed, 0), draw(seed, 1)])[0] == 0)
///     .count();
/// assert!((870..930).contains(&first));
/// ```
pub fn weighted_order(log_weights: &[f64], draws: &[u64]) -> Vec<usize> {
    assert_eq!(log_weights.len(), draws.len(), "one draw is needed for each weight");
    let mut keyed: Vec<(f64, usize)> =
        log_weights.iter().zip(draws).map(|(&log_weight, &draw)| exponential_key(log_weight, draw)).zip(0..).collect();
    keyed.sort_unstable_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
    keyed.into_iter().map(|(_, index)| index).collect()
}

/// Returns `ln(-ln(u) / w)`: the logarithm keeps the order and spares the division.
fn exponential_key(log_weight: f64, draw: u64) -> f64 {
    if log_weight.is_nan() {
        return f64::INFINITY;
    }
    // 52 random bits, shifted by half a step: u lies strictly between 0 and 1.
    let u = ((draw >> 12) as f64 + 0.5) * 2f64.powi(-52);
    (-u.ln()).ln() - log_weight
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seed::draw;

    fn draws(seed: u64, n: usize) -> Vec<u64> {
        (0..n as u64).map(|i| draw(seed, i)).collect()
    }

    #[test]
    fn the_first_item_follows_the_weights() {
        let weights = [1.0_f64, 2.0, 5.0];
        let logs = weights.map(f64::ln);
        let mut counts = [0usize; 3];
        for seed in 0..20_000 {
            counts[weighted_order(&logs, &draws(seed, 3))[0]] += 1;
        }
        for (count, weight) in counts.iter().zip(weights) {
            let share = *count as f64 / 20_000.0;
            assert!((share - weight / 8.0).abs() < 0.01, "{share}");
        }
    }

    #[test]
    fn weight_zero_comes_last() {
        for seed in 0..50 {
            let order = weighted_order(&[f64::NEG_INFINITY, 0.0, f64::NAN], &draws(seed, 3));
            assert_eq!(order, [1, 0, 2]);
        }
    }

    #[test]
    fn extreme_draws_and_weights_give_an_order() {
        let order = weighted_order(&[1e300, -1e300, f64::INFINITY], &[0, u64::MAX, 0]);
        assert_eq!(order, [2, 0, 1]);
    }

    #[test]
    fn nothing_has_an_empty_order() {
        assert!(weighted_order(&[], &[]).is_empty());
    }
}
