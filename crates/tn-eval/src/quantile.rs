//! Quantiles of sorted values.

/// Interpolates linearly between the two values around the place `share * (n - 1)`, as NumPy and R (type 7) do; NaN without values.
pub(crate) fn quantile(sorted: &[f64], share: f64) -> f64 {
    let Some(last) = sorted.len().checked_sub(1) else { return f64::NAN };
    let place = share * last as f64;
    let (below, above) = (sorted[place.floor() as usize], sorted[place.ceil() as usize]);
    // Weights instead of a difference, which could overflow.
    let weight = place.fract();
    if below == above { below } else { below * (1.0 - weight) + above * weight }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_linear_between_values() {
        let quantiles = [0.5, 0.75, 1.0].map(|share| quantile(&[1.0, 2.0, 4.0], share));
        assert_eq!(quantiles, [2.0, 3.0, 4.0]);
        assert!(quantile(&[], 0.5).is_nan());
        assert_eq!(quantile(&[-f64::MAX, f64::MAX], 0.5), 0.0);
    }
}
