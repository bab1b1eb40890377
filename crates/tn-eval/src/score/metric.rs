//! The metrics by name.

use std::fmt;

use serde::{Serialize, Serializer};

use super::ScoreError;
use crate::ranking_metrics::{
    RBO_PERSISTENCE, ndcg, ndcg_at, ndcg_published, ndcg_published_at, overlap_at, rank_biased_overlap, recall_at,
};

/// A metric of a predicted ranking. Its name, by [`Display`](fmt::Display), is what tables and JSON use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Metric {
    /// `overlap@k`: [`overlap_at`].
    Overlap(usize),
    /// `recall@k`: [`recall_at`].
    Recall(usize),
    /// `ndcg@k`: [`ndcg_at`].
    Ndcg(usize),
    /// `ndcg_published@k`: [`ndcg_published_at`].
    NdcgPublished(usize),
    /// `ndcg`: [`ndcg()`] over the full lists.
    NdcgFull,
    /// `ndcg_published`: [`ndcg_published()`] over the full lists.
    NdcgPublishedFull,
    /// `rbo`: [`rank_biased_overlap`] of the full lists at the persistence [`RBO_PERSISTENCE`].
    RankBiasedOverlap,
}

impl Metric {
    /// Returns the metrics of a score table: four for each `k`, grouped by kind, then the three of the full lists.
    ///
    /// # Errors
    ///
    /// Returns [`ScoreError::ZeroCutoff`] when a `k` is 0.
    pub fn all(ks: &[usize]) -> Result<Vec<Self>, ScoreError> {
        if ks.contains(&0) {
            return Err(ScoreError::ZeroCutoff);
        }
        let at_k = [Self::Overlap as fn(usize) -> Self, Self::Recall, Self::Ndcg, Self::NdcgPublished];
        let mut metrics: Vec<Self> = at_k.into_iter().flat_map(|metric| ks.iter().map(move |&k| metric(k))).collect();
        metrics.extend([Self::NdcgFull, Self::NdcgPublishedFull, Self::RankBiasedOverlap]);
        Ok(metrics)
    }

    /// Returns the value of the metric.
    #[must_use]
    pub fn evaluate<P: AsRef<str>, T: AsRef<str>>(&self, predicted: &[P], truth: &[T]) -> f64 {
        match *self {
            Self::Overlap(k) => overlap_at(predicted, truth, k),
            Self::Recall(k) => recall_at(predicted, truth, k),
            Self::Ndcg(k) => ndcg_at(predicted, truth, k),
            Self::NdcgPublished(k) => ndcg_published_at(predicted, truth, k),
            Self::NdcgFull => ndcg(predicted, truth),
            Self::NdcgPublishedFull => ndcg_published(predicted, truth),
            Self::RankBiasedOverlap => rank_biased_overlap(predicted, truth, RBO_PERSISTENCE),
        }
    }
}

impl fmt::Display for Metric {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Overlap(k) => write!(f, "overlap@{k}"),
            Self::Recall(k) => write!(f, "recall@{k}"),
            Self::Ndcg(k) => write!(f, "ndcg@{k}"),
            Self::NdcgPublished(k) => write!(f, "ndcg_published@{k}"),
            Self::NdcgFull => f.write_str("ndcg"),
            Self::NdcgPublishedFull => f.write_str("ndcg_published"),
            Self::RankBiasedOverlap => f.write_str("rbo"),
        }
    }
}

impl Serialize for Metric {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_every_cutoff() {
        let names: Vec<String> = Metric::all(&[10, 30]).unwrap().iter().map(Metric::to_string).collect();
        assert_eq!(
            names,
            [
                "overlap@10",
                "overlap@30",
                "recall@10",
                "recall@30",
                "ndcg@10",
                "ndcg@30",
                "ndcg_published@10",
                "ndcg_published@30",
                "ndcg",
                "ndcg_published",
                "rbo"
            ]
        );
    }
}
