//! From counts to logarithms, and how to tell which of them a matrix holds.

/// Sum that the counts of a cell are scaled to.
pub const TARGET_SUM: f64 = 10_000.0;

/// No logarithm of a normalized count is above this, whatever the base.
const LARGEST_LOGARITHM: f32 = 17.0;

/// What happens to expression before it is ranked.
///
/// None of this changes the order of the genes of a cell, but it makes the numbers comparable between cells and refuses
/// matrices that are neither counts nor logarithms.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Normalization {
    /// Counts become `log10(1 + x)` of counts scaled to 10,000 a cell; logarithms are taken as they are. Which of them it
    /// is, is decided by the first cells of the file: see [`ValueScale`].
    #[default]
    Auto,
    /// Values are taken as they are.
    None,
    /// Values become `log10(1 + x)` of values scaled to `target_sum` a cell.
    Log1p10 {
        /// Sum over the genes of a cell after scaling.
        target_sum: f64,
    },
}

/// What the values of a matrix look like.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ValueScale {
    /// Only whole numbers that are not negative.
    Counts,
    /// Fractions, and nothing above 17: logarithms of normalized counts, of any base.
    Logarithms,
    /// Fractions with larger values, such as counts that were scaled but not logged, or volumes.
    Linear,
    /// Negative values, such as z-scores: their order says nothing about expression levels.
    Centered,
    /// No values.
    Empty,
}

impl ValueScale {
    /// Decides by a sample of values. Values that are not finite count as small fractions: they are named with their cell when it is
    /// ranked.
    pub fn of_values<I: IntoIterator<Item = f32>>(values: I) -> Self {
        let mut scale = Self::Empty;
        let mut largest = 0.0_f32;
        let mut has_fractions = false;
        for value in values {
            if value < 0.0 {
                return Self::Centered;
            }
            has_fractions |= value.fract() != 0.0 || !value.is_finite();
            if value.is_finite() {
                largest = largest.max(value);
            }
            scale = match (has_fractions, largest <= LARGEST_LOGARITHM) {
                (false, _) => Self::Counts,
                (true, true) => Self::Logarithms,
                (true, false) => Self::Linear,
            };
        }
        scale
    }
}

/// Writes `log10(1 + x)` of values scaled to `target_sum` into `normalized`.
pub(super) fn log1p10(values: &[f32], target_sum: f64, normalized: &mut Vec<f32>) {
    let total: f64 = values.iter().map(|&value| f64::from(value)).sum();
    let scale = if total > 0.0 { target_sum / total } else { 0.0 };
    normalized.clear();
    normalized.extend(values.iter().map(|&value| (1.0 + f64::from(value) * scale).log10() as f32));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(values: &[f32], expected: ValueScale) {
        assert_eq!(ValueScale::of_values(values.iter().copied()), expected, "{values:?}");
    }

    #[test]
    fn scales_are_told_apart() {
        check(&[1.0, 250.0, 3.0], ValueScale::Counts);
        check(&[0.5, 2.25], ValueScale::Logarithms);
        check(&[0.5, 800.0], ValueScale::Linear);
        check(&[-0.5, 2.0], ValueScale::Centered);
        check(&[], ValueScale::Empty);
        check(&[f32::NAN], ValueScale::Logarithms);
        check(&[f32::INFINITY, 3.0], ValueScale::Logarithms);
    }

    #[test]
    fn counts_are_scaled_and_logged() {
        let mut normalized = Vec::new();
        log1p10(&[1.0, 3.0], 396.0, &mut normalized);
        assert_eq!(normalized, [2.0, (298.0_f64).log10() as f32]);
        log1p10(&[0.0], 10_000.0, &mut normalized);
        assert_eq!(normalized, [0.0]);
    }
}
