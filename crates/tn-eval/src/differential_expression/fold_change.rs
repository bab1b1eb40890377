//! Fold changes of mean expression.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Keeps the ratio of two means finite where one of them is 0; scanpy's value.
const PSEUDOCOUNT: f64 = 1e-9;

/// The base of the logarithm that expression is given in, as `log(1 + x)`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogBase {
    /// Base 2.
    Two,
    /// Base e: what scanpy writes, and what it takes any data for.
    #[default]
    E,
    /// Base 10: what cells are ranked by.
    Ten,
}

impl LogBase {
    fn ln(self) -> f64 {
        match self {
            Self::Two => std::f64::consts::LN_2,
            Self::E => 1.0,
            Self::Ten => std::f64::consts::LN_10,
        }
    }
}

/// Prints `2`, `e` or `10`.
impl fmt::Display for LogBase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Two => "2",
            Self::E => "e",
            Self::Ten => "10",
        })
    }
}

/// Returns the fold change between two means of logarithms, as its logarithm of base 2.
///
/// `log2((b^group - 1 + 1e-9) / (b^reference - 1 + 1e-9))` with `b` the base of the data: the form of scanpy's
/// `logfoldchanges`, which assumes base e. Read as such, data of base 10 show fold changes that are too small by a factor between
/// 1 and 2.3, the larger the stronger the expression. The logarithms are averaged, not the expression itself, so that few cells with
/// much of a gene count less. A mean below 0, as scaled data have, makes no fold change: the result is NaN.
///
/// ```
/// use tn_eval::{LogBase, log2_fold_change};
///
/// // A gene with 3 counts in every cell of the group, 1 in every other: a fold change of 3.
/// let (group, reference) = (4_f64.log10(), 2_f64.log10());
/// assert!((log2_fold_change(group, reference, LogBase::Ten) - 3_f64.log2()).abs() < 1e-8);
/// assert!((log2_fold_change(group, reference, LogBase::E) - 1.233).abs() < 1e-3); // taken for natural logarithms
/// ```
#[must_use]
pub fn log2_fold_change(group: f64, reference: f64, base: LogBase) -> f64 {
    let log2_expression = |mean: f64| ((mean * base.ln()).exp_m1() + PSEUDOCOUNT).log2();
    log2_expression(group) - log2_expression(reference)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gene_in_neither_group_does_not_change() {
        assert_eq!(log2_fold_change(0.0, 0.0, LogBase::Ten), 0.0);
    }

    #[test]
    fn a_gene_in_one_group_only_has_a_finite_change() {
        let change = log2_fold_change(0.0, 2_f64.log2(), LogBase::Two);
        assert!((change + 1e9_f64.log2()).abs() < 1e-6, "{change}");
    }

    #[test]
    fn negative_means_have_no_fold_change() {
        assert!(log2_fold_change(-0.5, 0.5, LogBase::E).is_nan());
        assert!(log2_fold_change(-0.5, -0.5, LogBase::E).is_nan());
    }

    #[test]
    fn bases_print_as_numbers() {
        assert_eq!([LogBase::Two, LogBase::E, LogBase::Ten].map(|base| base.to_string()), ["2", "e", "10"]);
    }
}
