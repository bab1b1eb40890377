//! The bases of logarithms of expression.

use std::fmt;

use serde::Serialize;

/// Base of a logarithm.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum LogarithmBase {
    /// Base 2.
    Two,
    /// Base e, as scanpy's `log1p`.
    E,
    /// Base 10.
    Ten,
}

impl LogarithmBase {
    /// Returns the base as a number.
    pub(crate) fn value(self) -> f64 {
        match self {
            Self::Two => 2.0,
            Self::E => std::f64::consts::E,
            Self::Ten => 10.0,
        }
    }

    /// Returns the logarithm of `1 + value`.
    pub(crate) fn log1p(self, value: f64) -> f64 {
        match self {
            Self::Two => (1.0 + value).log2(),
            Self::E => value.ln_1p(),
            Self::Ten => (1.0 + value).log10(),
        }
    }
}

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
            for value in [0.0, 1e-3, 1.0, 99.0, 1e6] {
                let again = base.value().powf(base.log1p(value)) - 1.0;
                assert!((again - value).abs() <= 1e-12 * (1.0 + value), "base {base}: {value} became {again}");
            }
        }
    }
}
