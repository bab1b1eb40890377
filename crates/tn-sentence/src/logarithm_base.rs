//! The bases of logarithms of expression.

use std::fmt;

/// Base of the logarithms that expression is given in, as `log(1 + x)`.
///
/// ```
/// use tn_sentence::LogarithmBase;
///
/// assert_eq!(LogarithmBase::Ten.log1p(99.0), 2.0);
/// assert!((LogarithmBase::Two.exp_m1(3.0) - 7.0).abs() < 1e-12);
/// ```
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "lowercase"))]
pub enum LogarithmBase {
    /// Base 2.
    Two,
    /// Base e: what scanpy's `log1p` writes.
    E,
    /// Base 10: what the published cell sentences are ranked by.
    Ten,
}

impl LogarithmBase {
    /// Returns the base as a number.
    pub fn value(self) -> f64 {
        match self {
            Self::Two => 2.0,
            Self::E => std::f64::consts::E,
            Self::Ten => 10.0,
        }
    }

    /// Returns the logarithm of `1 + value`; NaN below -1.
    pub fn log1p(self, value: f64) -> f64 {
        match self {
            Self::Two => (1.0 + value).log2(),
            Self::E => value.ln_1p(),
            Self::Ten => (1.0 + value).log10(),
        }
    }

    /// Returns the value whose `log(1 + x)` this is, exact also near 0.
    pub fn exp_m1(self, logarithm: f64) -> f64 {
        let natural = match self {
            Self::Two => std::f64::consts::LN_2,
            Self::E => 1.0,
            Self::Ten => std::f64::consts::LN_10,
        };
        (logarithm * natural).exp_m1()
    }
}

/// Prints `2`, `e` or `10`.
impl fmt::Display for LogarithmBase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Two => "2",
            Self::E => "e",
            Self::Ten => "10",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_base_to_its_logarithm_is_the_value_and_one() {
        for base in [LogarithmBase::Two, LogarithmBase::E, LogarithmBase::Ten] {
            for value in [0.0, 1e-12, 1e-3, 1.0, 99.0, 1e6] {
                let again = [base.value().powf(base.log1p(value)) - 1.0, base.exp_m1(base.log1p(value))];
                assert!(again.iter().all(|again| (again - value).abs() <= 1e-12 * (1.0 + value)), "base {base}: {value} became {again:?}");
            }
        }
    }
}
