//! Whether two programs did the same.

/// Returns the largest difference of two sets of values, over the standard deviation of the second; infinite where their
/// shapes differ or the first is not a number.
pub(super) fn relative_difference(found: &[Vec<f32>], expected: &[Vec<f32>]) -> f64 {
    let lengths = |values: &[Vec<f32>]| values.iter().map(Vec::len).collect::<Vec<_>>();
    let values: Vec<f64> = expected.iter().flatten().copied().map(f64::from).collect();
    if lengths(found) != lengths(expected) || values.is_empty() {
        return f64::INFINITY;
    }
    let mean = values.iter().sum::<f64>() / values.len() as f64;
    let deviation = (values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / values.len() as f64).sqrt();
    let differences = found.iter().flatten().zip(&values).map(|(&a, &b)| (f64::from(a) - b).abs());
    // `max` passes over NaN, which is the largest difference.
    let largest = differences.map(|difference| if difference.is_nan() { f64::INFINITY } else { difference }).fold(0.0, f64::max);
    largest / deviation
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn differences_are_measured_in_standard_deviations() {
        let expected = [vec![1.0, 3.0], vec![1.0, 3.0]];
        assert_eq!(relative_difference(&expected, &expected), 0.0);
        assert_eq!(relative_difference(&[vec![1.0, 3.0], vec![1.0, 3.5]], &expected), 0.5);
    }

    #[test]
    fn other_shapes_and_undefined_values_never_agree() {
        assert_eq!(relative_difference(&[vec![1.0, 3.0]], &[vec![1.0], vec![3.0]]), f64::INFINITY);
        assert_eq!(relative_difference(&[], &[]), f64::INFINITY);
        assert_eq!(relative_difference(&[vec![f32::NAN, 3.0]], &[vec![1.0, 3.0]]), f64::INFINITY);
    }
}
