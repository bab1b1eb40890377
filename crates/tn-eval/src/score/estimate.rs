//! A mean and how far it may be off.

use serde::{Deserialize, Serialize};

/// Two-sided 95% quantile of the standard normal distribution.
const Z_95: f64 = 1.959_963_984_540_054;

/// The mean of some values with its 95% interval.
///
/// The interval is `mean ± 1.96 s / √n` with the sample standard deviation `s` (divisor `n - 1`): the normal approximation,
/// which is good from some thirty values on. It is not clipped to the range of the metric. Serialized as
/// `{"mean": …, "low": …, "high": …}`, `null` for an end that is not known.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Estimate {
    /// The mean.
    pub mean: f64,
    /// Lower end of the 95% interval; `None` for a single value.
    pub low: Option<f64>,
    /// Upper end of the 95% interval; `None` for a single value.
    pub high: Option<f64>,
}

impl Estimate {
    /// Returns the estimate from independent values. No value gives a mean of NaN; a NaN among them makes all NaN.
    ///
    /// ```
    /// let estimate = tn_eval::Estimate::from_values([0.25, 0.5, 0.75]);
    /// assert_eq!(estimate.mean, 0.5);
    /// assert!((estimate.high.unwrap() - (0.5 + 1.96 * 0.25 / 3_f64.sqrt())).abs() < 1e-4);
    /// assert_eq!(tn_eval::Estimate::from_values([0.2]).low, None);
    /// ```
    #[must_use]
    pub fn from_values(values: impl IntoIterator<Item = f64>) -> Self {
        let values: Vec<f64> = values.into_iter().collect();
        let n = values.len() as f64;
        let mean = values.iter().sum::<f64>() / n;
        if values.len() < 2 {
            return Self { mean, low: None, high: None };
        }
        let sum_of_squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
        let half_width = Z_95 * (sum_of_squares / (n - 1.0) / n).sqrt();
        Self { mean, low: Some(mean - half_width), high: Some(mean + half_width) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_values_have_an_interval_of_no_width() {
        let estimate = Estimate::from_values([0.5; 4]);
        assert_eq!((estimate.low, estimate.high), (Some(0.5), Some(0.5)));
    }

    #[test]
    fn no_value_has_no_mean() {
        assert!(Estimate::from_values([]).mean.is_nan());
    }
}
