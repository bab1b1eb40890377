//! Area under the receiver operating characteristic curve.

use thiserror::Error;

use crate::correlation::average_ranks;

/// An error of [`auroc`].
#[derive(Clone, Copy, Debug, PartialEq, Error)]
#[non_exhaustive]
pub enum AurocError {
    /// Every score needs its label.
    #[error("{scores} scores and {labels} labels cannot be paired")]
    LengthMismatch {
        /// Number of scores.
        scores: usize,
        /// Number of labels.
        labels: usize,
    },
    /// Both kinds of cell are needed.
    #[error("both labels are needed: {positive} positive, {negative} negative")]
    OneClass {
        /// Number of positive labels.
        positive: usize,
        /// Number of negative labels.
        negative: usize,
    },
    /// A score is NaN.
    #[error("score {index} is NaN")]
    Nan {
        /// Position of the score.
        index: usize,
    },
}

/// Returns the probability that a positive scores above a negative, a tie counting one half.
///
/// `AUROC = (R - n₊(n₊ + 1) / 2) / (n₊ n₋)` with `R` the sum of the positives' ranks among all scores (ties share the
/// mean of their ranks). Equals `sklearn.metrics.roc_auc_score`. Hanley and McNeil, Radiology 143, 29 (1982).
///
/// ```
/// let cd14 = [2.1, 1.8, 0.0, 0.4];
/// let is_monocyte = [true, true, false, false];
/// assert_eq!(tn_eval::auroc(&cd14, &is_monocyte)?, 1.0);
/// # Ok::<(), tn_eval::AurocError>(())
/// ```
///
/// # Errors
///
/// Lists of unequal length, only one kind of label (also: empty lists), and NaN scores are errors.
pub fn auroc(scores: &[f64], positive: &[bool]) -> Result<f64, AurocError> {
    if scores.len() != positive.len() {
        return Err(AurocError::LengthMismatch { scores: scores.len(), labels: positive.len() });
    }
    if let Some(index) = scores.iter().position(|score| score.is_nan()) {
        return Err(AurocError::Nan { index });
    }
    let n_positive = positive.iter().filter(|&&label| label).count();
    let n_negative = positive.len() - n_positive;
    if n_positive == 0 || n_negative == 0 {
        return Err(AurocError::OneClass { positive: n_positive, negative: n_negative });
    }
    let rank_sum: f64 = average_ranks(scores).iter().zip(positive).filter(|(_, label)| **label).map(|(rank, _)| rank).sum();
    let (n_positive, n_negative) = (n_positive as f64, n_negative as f64);
    Ok((rank_sum - n_positive * (n_positive + 1.0) / 2.0) / (n_positive * n_negative))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ties_count_one_half() {
        assert_eq!(auroc(&[1.0, 1.0], &[true, false]), Ok(0.5));
        assert_eq!(auroc(&[0.0, 1.0], &[true, false]), Ok(0.0));
    }

    #[test]
    fn bad_input_is_an_error_with_its_values() {
        assert_eq!(auroc(&[1.0], &[]), Err(AurocError::LengthMismatch { scores: 1, labels: 0 }));
        assert_eq!(auroc(&[], &[]), Err(AurocError::OneClass { positive: 0, negative: 0 }));
        assert_eq!(auroc(&[1.0, 2.0], &[true, true]), Err(AurocError::OneClass { positive: 2, negative: 0 }));
        assert_eq!(auroc(&[1.0, f64::NAN], &[true, false]), Err(AurocError::Nan { index: 1 }));
    }
}
