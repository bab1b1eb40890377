//! Welch's t-test.

use statrs::function::beta::beta_reg;

use super::moments::Moments;

/// Returns the score of a group and its two-sided p-value.
pub(super) fn test(group: Moments, reference: Moments) -> (f64, f64) {
    let difference = group.mean() - reference.mean();
    if difference == 0.0 {
        return (0.0, 1.0);
    }
    let (a, b) = (group.variance_of_mean(), reference.variance_of_mean());
    let t = difference / (a + b).sqrt();
    if t.is_infinite() {
        return (t, 0.0);
    }
    let freedom = (a + b).powi(2) / (a * a / (group.cells as f64 - 1.0) + b * b / (reference.cells as f64 - 1.0));
    (t, beta_reg(freedom / 2.0, 0.5, freedom / (freedom + t * t)))
}
