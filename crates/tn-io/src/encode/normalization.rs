//! From counts to logarithms, and how to tell which of them a matrix holds.

use std::fmt;

use tn_sentence::LogarithmBase;

use super::EncodeSectionError;
use crate::logarithm_base::logarithm_base;
use crate::section_reader::SectionReader;

/// Cells by which the scale of the values is decided.
const SAMPLE_CELLS: usize = 2_000;

/// Sum that the counts of a cell are scaled to.
pub const TARGET_SUM: f64 = 10_000.0;

/// No logarithm of a normalized count is above this, whatever the base.
const LARGEST_LOGARITHM: f32 = 17.0;

/// How expression is made comparable between cells.
///
/// None of this changes the order of the genes of a cell, because scaling and logarithms are monotonic; so encoding leaves the
/// computation out, and ranks the values of the file. It records what the values are, and [`Normalization::Auto`] refuses matrices that
/// are neither counts nor logarithms. [`Normalization::apply`] is for those who need the numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Normalization {
    /// Counts become `log10(1 + x)` of counts scaled to 10,000 a cell; logarithms are taken as they are. Which of them it
    /// is, is decided by the first cells of the file: see [`ValueScale`].
    #[default]
    Auto,
    /// Values are taken as they are.
    None,
    /// Values become `log(1 + x)` of values scaled to `target_sum` a cell.
    Log1p {
        /// Base of the logarithm.
        base: LogarithmBase,
        /// Sum over the genes of a cell after scaling, above 0. A cell without expression stays so.
        target_sum: f64,
    },
}

/// What the first cells of a file say.
pub(super) struct Decision {
    /// What their values are.
    pub(super) scale: ValueScale,
    /// What is done, without `Auto`.
    pub(super) normalization: Normalization,
    /// The base of the logarithms that the file holds or that are made, where it is known.
    pub(super) base: Option<LogarithmBase>,
}

impl Normalization {
    /// Looks at the first cells of a file.
    ///
    /// # Errors
    ///
    /// Returns an error if the sum to scale to is not a positive number, or if values are neither counts nor logarithms and `Auto` has to
    /// decide.
    pub(super) fn decide<R: SectionReader + ?Sized>(self, reader: &R) -> Result<Decision, EncodeSectionError> {
        let sample = reader.rows(0..reader.n_cells().min(SAMPLE_CELLS).min(reader.rows_per_block()))?;
        let scale = ValueScale::of_values(sample.values().iter().copied());
        let normalization = match (self, scale) {
            (Self::Log1p { target_sum, .. }, _) if !(target_sum.is_finite() && target_sum > 0.0) => {
                return Err(EncodeSectionError::InvalidTargetSum { target_sum });
            }
            (Self::Auto, ValueScale::Linear) => {
                let largest = sample.values().iter().copied().fold(0.0, f32::max);
                return Err(EncodeSectionError::UnclearScale { file: reader.file_name(), largest });
            }
            (Self::Auto, ValueScale::Counts) => Self::Log1p { base: LogarithmBase::Ten, target_sum: TARGET_SUM },
            (Self::Auto, _) => Self::None,
            (chosen, _) => chosen,
        };
        let base = match (normalization, scale) {
            (Self::Log1p { base, .. }, _) => Some(base),
            (_, ValueScale::Logarithms) => logarithm_base(&sample),
            _ => None,
        };
        Ok(Decision { scale, normalization, base })
    }

    /// Returns the expression of a cell on the scale that this normalization makes, in `normalized` where it changes.
    ///
    /// `Auto` leaves values as they are: what it decides depends on the file. A cell whose sum is 0 stays so.
    ///
    /// ```
    /// use tn_io::Normalization;
    /// use tn_sentence::LogarithmBase;
    ///
    /// let log1p = Normalization::Log1p { base: LogarithmBase::Ten, target_sum: 1e4 };
    /// assert_eq!(log1p.apply(&[1.0, 0.0, 9.0], &mut Vec::new()), [1_001_f32.log10(), 0.0, 9_001_f32.log10()]);
    /// ```
    pub fn apply<'v>(self, values: &'v [f32], normalized: &'v mut Vec<f32>) -> &'v [f32] {
        match self {
            Self::Auto | Self::None => values,
            Self::Log1p { base, target_sum } => {
                let total: f64 = values.iter().map(|&value| f64::from(value)).sum();
                let scale = if total > 0.0 { target_sum / total } else { 0.0 };
                normalized.clear();
                normalized.extend(values.iter().map(|&value| base.log1p(f64::from(value) * scale) as f32));
                normalized
            }
        }
    }
}

/// Prints the normalization as the command line names it, with the sum.
impl fmt::Display for Normalization {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => f.write_str("auto"),
            Self::None => f.write_str("none"),
            Self::Log1p { base: LogarithmBase::E, target_sum } => write!(f, "log1p of {target_sum}"),
            Self::Log1p { base, target_sum } => write!(f, "log1p{base} of {target_sum}"),
        }
    }
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
        let check = |base, expected: [f32; 2]| {
            let mut normalized = Vec::new();
            let normalization = Normalization::Log1p { base, target_sum: 396.0 };
            assert_eq!(normalization.apply(&[1.0, 3.0], &mut normalized), expected, "{normalization}");
            assert_eq!(normalization.apply(&[0.0], &mut normalized), [0.0], "{normalization}");
        };
        check(LogarithmBase::Ten, [2.0, 298.0_f64.log10() as f32]);
        check(LogarithmBase::Two, [100.0_f64.log2() as f32, 298.0_f64.log2() as f32]);
        check(LogarithmBase::E, [100.0_f64.ln() as f32, 298.0_f64.ln() as f32]);
    }

    #[test]
    fn a_normalization_prints_as_the_command_line_names_it() {
        let print = |base| Normalization::Log1p { base, target_sum: 1e4 }.to_string();
        let printed = [LogarithmBase::Ten, LogarithmBase::Two, LogarithmBase::E].map(print);
        assert_eq!(printed, ["log1p10 of 10000", "log1p2 of 10000", "log1p of 10000"]);
    }
}
