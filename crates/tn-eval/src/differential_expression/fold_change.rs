//! Fold changes of mean expression.

use tn_sentence::LogarithmBase;

/// Keeps the ratio of two means finite where one of them is 0; scanpy's value.
const PSEUDOCOUNT: f64 = 1e-9;

/// Returns the fold change between two means of logarithms, as its logarithm of base 2.
///
/// `log2((b^group - 1 + 1e-9) / (b^reference - 1 + 1e-9))` with `b` the base of the data: the form of scanpy's
/// `logfoldchanges`, which assumes base e. Read as such, data of base 10 show fold changes that are too small by a factor between
/// 1 and 2.3, the larger the stronger the expression. The logarithms are averaged, not the expression itself, so that few cells with
/// much of a gene count less. A mean below 0, as scaled data have, makes no fold change: the result is NaN.
///
/// ```
/// use tn_eval::log2_fold_change;
/// use tn_sentence::LogarithmBase;
///
/// // A gene with 3 counts in every cell of the group, 1 in every other: a fold change of 3.
/// let (group, reference) = (4_f64.log10(), 2_f64.log10());
/// assert!((log2_fold_change(group, reference, LogarithmBase::Ten) - 3_f64.log2()).abs() < 1e-8);
/// assert!((log2_fold_change(group, reference, LogarithmBase::E) - 1.233).abs() < 1e-3); // taken for natural logarithms
/// ```
#[must_use]
pub fn log2_fold_change(group: f64, reference: f64, base: LogarithmBase) -> f64 {
    let log2_expression = |mean: f64| (base.exp_m1(mean) + PSEUDOCOUNT).log2();
    log2_expression(group) - log2_expression(reference)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gene_in_neither_group_does_not_change() {
        assert_eq!(log2_fold_change(0.0, 0.0, LogarithmBase::Ten), 0.0);
    }

    #[test]
    fn a_gene_in_one_group_only_has_a_finite_change() {
        let change = log2_fold_change(0.0, 2_f64.log2(), LogarithmBase::Two);
        assert!((change + 1e9_f64.log2()).abs() < 1e-6, "{change}");
    }

    #[test]
    fn negative_means_have_no_fold_change() {
        assert!(log2_fold_change(-0.5, 0.5, LogarithmBase::E).is_nan());
        assert!(log2_fold_change(-0.5, -0.5, LogarithmBase::E).is_nan());
    }
}
