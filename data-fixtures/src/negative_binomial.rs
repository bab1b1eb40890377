//! Draws from a negative binomial distribution.

/// Largest count that is ever returned, far above any count of a real cell.
const MAX_COUNT: u32 = 1_000_000;

/// Returns the count whose cumulative probability first exceeds `uniform`, a number in `[0, 1)`.
///
/// The distribution has mean `mean` and variance `mean + dispersion * mean^2`. Inversion takes one uniform number a
/// draw, whatever the mean, so streams of random numbers stay aligned when an effect changes a mean. Cost grows with
/// the count; counts here are small. A mean of zero gives zero. A dispersion of zero is not allowed.
pub(crate) fn quantile(uniform: f64, mean: f64, dispersion: f64) -> u32 {
    let shape = dispersion.recip();
    let spread = 1.0 + dispersion * mean;
    let ratio = (spread - 1.0) / spread;
    let mut probability = (-shape * spread.ln()).exp();
    let mut cumulative = probability;
    let mut count = 0_u32;
    while uniform >= cumulative && count < MAX_COUNT {
        probability *= ratio * (shape + f64::from(count)) / f64::from(count + 1);
        count += 1;
        // Rounding can leave the sum just below one: stop where no further count adds anything.
        if probability < f64::EPSILON * 1e-3 && f64::from(count) > mean {
            break;
        }
        cumulative += probability;
    }
    count
}

/// Returns the probability of a count of zero.
pub(crate) fn zero_probability(mean: f64, dispersion: f64) -> f64 {
    (-(1.0 + dispersion * mean).ln() / dispersion).exp()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(mean: f64, dispersion: f64) {
        let draws = 200_000;
        let counts: Vec<f64> = (0..draws).map(|i| f64::from(quantile((f64::from(i) + 0.5) / f64::from(draws), mean, dispersion))).collect();
        let observed_mean = counts.iter().sum::<f64>() / f64::from(draws);
        let observed_variance = counts.iter().map(|c| (c - observed_mean).powi(2)).sum::<f64>() / f64::from(draws);
        let variance = mean + dispersion * mean * mean;
        assert!((observed_mean - mean).abs() < 0.01 * mean, "{mean}: {observed_mean}");
        assert!((observed_variance - variance).abs() < 0.02 * variance, "{variance}: {observed_variance}");
    }

    #[test]
    fn draws_have_the_stated_mean_and_variance() {
        check(0.05, 0.3);
        check(2.0, 0.25);
        check(40.0, 0.1);
    }

    #[test]
    fn a_mean_of_zero_gives_zero() {
        assert_eq!(quantile(0.999_999, 0.0, 0.2), 0);
        assert_eq!(zero_probability(0.0, 0.2), 1.0);
    }

    #[test]
    fn the_largest_uniform_number_ends() {
        assert!(quantile(1.0 - f64::EPSILON / 2.0, 3.0, 0.2) < 1_000);
    }
}
