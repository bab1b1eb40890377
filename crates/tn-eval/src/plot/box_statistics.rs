//! The five numbers of a box.

use crate::quantile::quantile;

/// Quartiles and the ends of the whiskers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct BoxStatistics {
    pub(super) lower_whisker: f64,
    pub(super) first_quartile: f64,
    pub(super) median: f64,
    pub(super) third_quartile: f64,
    pub(super) upper_whisker: f64,
}

impl BoxStatistics {
    /// Computes them from finite values in ascending order, at least one.
    pub(super) fn of_sorted(sorted: &[f64]) -> Self {
        let [first_quartile, median, third_quartile] = [0.25, 0.5, 0.75].map(|share| quantile(sorted, share));
        let reach = 1.5 * (third_quartile - first_quartile);
        let lower = sorted.iter().find(|&&value| value >= first_quartile - reach);
        let upper = sorted.iter().rfind(|&&value| value <= third_quartile + reach);
        Self {
            // A quartile between two values may be farther from the middle than every value within reach.
            lower_whisker: lower.map_or(first_quartile, |value| value.min(first_quartile)),
            first_quartile,
            median,
            third_quartile,
            upper_whisker: upper.map_or(third_quartile, |value| value.max(third_quartile)),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    #[test]
    fn boxes_equal_those_of_matplotlib() {
        let golden: Value = serde_json::from_str(include_str!("../../../../data-fixtures/golden/box_statistics.json")).unwrap();
        let cases = golden["cases"].as_array().unwrap();
        assert!(cases.len() >= 8);
        for case in cases {
            let mut values: Vec<f64> = case["values"].as_array().unwrap().iter().map(|value| value.as_f64().unwrap()).collect();
            values.sort_by(f64::total_cmp);
            let found = BoxStatistics::of_sorted(&values);
            let found = [found.lower_whisker, found.first_quartile, found.median, found.third_quartile, found.upper_whisker];
            for (found, name) in found.into_iter().zip(["whislo", "q1", "med", "q3", "whishi"]) {
                let expected = case["expected"][name].as_f64().unwrap();
                assert!((found - expected).abs() <= 1e-12 * expected.abs(), "{name} of {values:?}: {found}, expected {expected}");
            }
        }
    }

    #[test]
    fn huge_values_have_quartiles() {
        let statistics = BoxStatistics::of_sorted(&[f64::MIN, f64::MAX]);
        assert!(statistics.median.abs() < f64::MAX && statistics.first_quartile < statistics.third_quartile);
    }
}
