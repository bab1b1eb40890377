//! How coordinates are written.

use std::fmt;

/// How the numbers after `X:` and `Y:` are written.
///
/// # Examples
///
/// ```
/// use tn_sentence::CoordinateFormat;
///
/// let write = |format: CoordinateFormat, value| format.number(value).to_string();
/// assert_eq!(write(CoordinateFormat::Integer, 2.5), "2");
/// assert_eq!(write(CoordinateFormat::Decimal, 1234567.25), "1234567.25");
/// assert_eq!(write(CoordinateFormat::PublishedG, 1234567.25), "1.23457e+06");
/// ```
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "kebab-case"))]
pub enum CoordinateFormat {
    /// Whole micrometers, rounded half to even: the text that models are trained on.
    #[default]
    Integer,
    /// The shortest plain decimal that parses back to the same number, never with an exponent.
    Decimal,
    /// Six significant digits as by C's `%g`, with an exponent for large and small numbers (`1e+06`).
    ///
    /// This is what the published program prints for a parsed cell; such text does not always parse back.
    PublishedG,
}

impl CoordinateFormat {
    /// Returns the coordinate as it is written in this format.
    pub fn number(self, value: f64) -> impl fmt::Display {
        Number { format: self, value }
    }
}

/// Whole numbers below this are exact in 64 bits of either kind: 2 to the 53rd.
const EXACT_INTEGERS: f64 = 9_007_199_254_740_992.0;

struct Number {
    format: CoordinateFormat,
    value: f64,
}

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.format {
            CoordinateFormat::Integer => {
                let rounded = self.value.round_ties_even();
                match rounded.abs() < EXACT_INTEGERS {
                    // Whole numbers print as such several times as fast.
                    true => write!(f, "{}", rounded as i64),
                    false => write!(f, "{rounded:.0}"),
                }
            }
            CoordinateFormat::Decimal => write!(f, "{}", self.value),
            CoordinateFormat::PublishedG => f.write_str(&six_significant_digits(self.value)),
        }
    }
}

fn six_significant_digits(value: f64) -> String {
    let scientific = format!("{value:.5e}");
    let Some((mantissa, exponent)) = scientific.split_once('e') else {
        return scientific;
    };
    let exponent: i32 = exponent.parse().unwrap_or_default();
    if (-4..6).contains(&exponent) {
        let decimals = usize::try_from(5 - exponent).unwrap_or_default();
        return without_trailing_zeros(&format!("{value:.decimals$}")).to_owned();
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{}e{sign}{:02}", without_trailing_zeros(mantissa), exponent.unsigned_abs())
}

fn without_trailing_zeros(number: &str) -> &str {
    if number.contains('.') { number.trim_end_matches('0').trim_end_matches('.') } else { number }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(format: CoordinateFormat, cases: &[(f64, &str)]) {
        for &(value, expected) in cases {
            assert_eq!(format.number(value).to_string(), expected);
        }
    }

    #[test]
    fn integers_are_rounded_half_to_even() {
        check(CoordinateFormat::Integer, &[(0.5, "0"), (1.5, "2"), (-0.5, "0"), (-1.5, "-2"), (-0.2, "0"), (1e15, "1000000000000000")]);
    }

    #[test]
    fn decimals_have_no_exponent() {
        check(CoordinateFormat::Decimal, &[(1e6, "1000000"), (1.234e-5, "0.00001234"), (-30.5, "-30.5")]);
    }

    #[test]
    fn published_numbers_have_six_digits() {
        check(
            CoordinateFormat::PublishedG,
            &[
                (12.125, "12.125"),
                (123456.78, "123457"),
                (999999.5, "1e+06"),
                (1234567.0, "1.23457e+06"),
                (0.00001234, "1.234e-05"),
                (0.0001234, "0.0001234"),
                (-0.0, "-0"),
                (0.0, "0"),
                (1e100, "1e+100"),
            ],
        );
    }
}
