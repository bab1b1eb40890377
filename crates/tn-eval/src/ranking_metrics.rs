//! Agreement of two ranked gene lists.
//!
//! Every function takes the predicted list and the true list, highest expression first, and compares symbols exactly
//! (case matters). The shared rules:
//!
//! - the first `k` entries of each list count; a list shorter than `k` counts as it is;
//! - an empty prediction or an empty truth scores 0, and so does `k == 0`;
//! - there are no ties: a position in the list is the rank;
//! - results lie in `0.0..=1.0` and are never NaN.
//!
//! Relevance is binary throughout: a predicted gene is relevant when it is among the first `k` true genes.
//!
//! | function | a hit counts | divided by |
//! |---|---|---|
//! | [`overlap_at`] | once per gene | distinct genes predicted in the first `k` |
//! | [`recall_at`] | once per gene | genes there were to find, `min(k, truth)` |
//! | [`ndcg_at`] | `1 / log2(position + 2)` | the best possible list: every true gene first |
//! | [`ndcg_published_at`] | `1 / log2(position + 2)` | the *predicted* hits moved to the front |
//!
//! [`overlap_at`] and [`ndcg_published_at`] are the published forms. They never punish a gene that is missing: one
//! right gene, alone, scores 1.0 in both. [`recall_at`] and [`ndcg_at`] do.

use std::collections::{HashMap, HashSet};

use crate::correlation::{Correlation, kendall_tau, spearman};

/// Returns the share of the predicted top `k` that is in the true top `k`, the published overlap:
/// `|P ∩ T| / |P|` with `P` and `T` the sets of the first `k` genes.
///
/// A gene predicted twice counts once. The denominator is what was predicted, not `k`: a short prediction is not
/// punished (see [`recall_at`]).
///
/// ```
/// use tn_eval::overlap_at;
///
/// let truth = ["GAD1", "SLC32A1", "CALB2"];
/// assert_eq!(overlap_at(&["GAD1", "AQP4"], &truth, 10), 0.5);
/// assert_eq!(overlap_at(&["GAD1"], &truth, 10), 1.0);
/// assert_eq!(overlap_at::<&str, _>(&[], &truth, 10), 0.0);
/// ```
#[must_use]
pub fn overlap_at<P: AsRef<str>, T: AsRef<str>>(predicted: &[P], truth: &[T], k: usize) -> f64 {
    let predicted = distinct(first(predicted, k));
    let truth = distinct(first(truth, k));
    ratio(predicted.intersection(&truth).count(), predicted.len())
}

/// Returns the share of the true top `k` that was predicted within the top `k`: `|P ∩ T| / |T|`, where
/// `|T| = min(k, number of distinct true genes)`.
///
/// ```
/// use tn_eval::recall_at;
///
/// let truth = ["GAD1", "SLC32A1", "CALB2", "RELN"];
/// assert_eq!(recall_at(&["GAD1"], &truth, 10), 0.25);
/// assert_eq!(recall_at(&["GAD1"], &truth, 1), 1.0);
/// ```
#[must_use]
pub fn recall_at<P: AsRef<str>, T: AsRef<str>>(predicted: &[P], truth: &[T], k: usize) -> f64 {
    let predicted = distinct(first(predicted, k));
    let truth = distinct(first(truth, k));
    ratio(predicted.intersection(&truth).count(), truth.len())
}

/// Returns the normalized discounted cumulative gain of the top `k`, in its standard definition.
///
/// `DCG = Σ rel(i) / log2(i + 2)` over positions `i = 0, 1, …` of the predicted top `k`; the ideal has every one of the
/// `min(k, truth)` true genes in front. A gene that occurs twice in the prediction is relevant at its first occurrence
/// only, so that the value cannot exceed 1.
///
/// Järvelin and Kekäläinen, ACM Transactions on Information Systems 20, 422 (2002).
///
/// ```
/// use tn_eval::{ndcg_at, ndcg_published_at};
///
/// let truth = ["GAD1", "SLC32A1", "CALB2"];
/// assert_eq!(ndcg_at(&["CALB2", "GAD1", "SLC32A1"], &truth, 3), 1.0); // order inside the top k is free
/// assert!(ndcg_at(&["GAD1"], &truth, 3) < 0.5); // two of three are missing
/// assert_eq!(ndcg_published_at(&["GAD1"], &truth, 3), 1.0); // the published form does not notice
/// ```
#[must_use]
pub fn ndcg_at<P: AsRef<str>, T: AsRef<str>>(predicted: &[P], truth: &[T], k: usize) -> f64 {
    let truth = distinct(first(truth, k));
    let mut seen = HashSet::new();
    let gain: f64 = first(predicted, k)
        .iter()
        .map(AsRef::as_ref)
        .enumerate()
        .filter(|(_, gene)| truth.contains(gene) && seen.insert(*gene))
        .map(|(position, _)| discount(position))
        .sum();
    normalized(gain, truth.len())
}

/// Returns [`ndcg_at`] over the full lists.
#[must_use]
pub fn ndcg<P: AsRef<str>, T: AsRef<str>>(predicted: &[P], truth: &[T]) -> f64 {
    ndcg_at(predicted, truth, usize::MAX)
}

/// Returns the published variant of NDCG over the top `k`: the same gain, but the ideal is the predicted list's own
/// relevances sorted.
///
/// It measures whether the hits come before the misses, not whether there are enough hits: random lists of 100 out of
/// 1,122 genes score about 0.43. A gene that occurs twice is relevant twice. Report it beside [`ndcg_at`], never alone.
#[must_use]
pub fn ndcg_published_at<P: AsRef<str>, T: AsRef<str>>(predicted: &[P], truth: &[T], k: usize) -> f64 {
    let truth = distinct(first(truth, k));
    let hits: Vec<usize> =
        first(predicted, k).iter().enumerate().filter(|(_, gene)| truth.contains(gene.as_ref())).map(|(position, _)| position).collect();
    normalized(hits.iter().map(|&position| discount(position)).sum(), hits.len())
}

/// Returns [`ndcg_published_at`] over the full lists.
#[must_use]
pub fn ndcg_published<P: AsRef<str>, T: AsRef<str>>(predicted: &[P], truth: &[T]) -> f64 {
    ndcg_published_at(predicted, truth, usize::MAX)
}

/// The persistence of [`rank_biased_overlap`] in score tables: the first ten genes have 86% of the weight.
pub const RBO_PERSISTENCE: f64 = 0.9;

/// Returns the rank-biased overlap of two lists, extrapolated to infinite depth, in 0 to 1: order counts, the first places most.
///
/// With `X_d` the number of genes that the first `d` of both lists share, `s` and `l` the shorter and the longer length, and the
/// persistence `p`, the chance to look at the next place:
///
/// ```text
/// RBO = (1 - p)/p · (Σ_{d=1..l} X_d/d · p^d + Σ_{d=s+1..l} X_s (d - s)/(s d) · p^d) + ((X_l - X_s)/l + X_s/s) · p^l
/// ```
///
/// Webber, Moffat and Zobel, ACM Transactions on Information Systems 28, 20 (2010), equation 32. A gene that occurs twice counts at its
/// first place. `p` outside of 0 to 1, ends excluded, gives NaN.
///
/// ```
/// use tn_eval::{RBO_PERSISTENCE, rank_biased_overlap};
///
/// let truth = ["GAD1", "SLC32A1", "CALB2", "RELN"];
/// let rbo = |predicted: &[&str]| rank_biased_overlap(predicted, &truth, RBO_PERSISTENCE);
/// assert!((rbo(&truth) - 1.0).abs() < 1e-12);
/// assert!(rbo(&["GAD1", "SLC32A1", "RELN", "CALB2"]) > rbo(&["RELN", "CALB2", "SLC32A1", "GAD1"]));
/// ```
#[must_use]
pub fn rank_biased_overlap<P: AsRef<str>, T: AsRef<str>>(predicted: &[P], truth: &[T], persistence: f64) -> f64 {
    let (predicted, truth) = (in_order(predicted), in_order(truth));
    let places: HashMap<&str, usize> = truth.iter().enumerate().map(|(place, gene)| (*gene, place)).collect();
    let depths = predicted.iter().enumerate().filter_map(|(place, gene)| Some(place.max(*places.get(gene)?) + 1));
    rank_biased_overlap_of_depths(depths, predicted.len(), truth.len(), persistence)
}

/// Computes [`rank_biased_overlap`] from the depths at which the lists have found each gene that they share.
pub(crate) fn rank_biased_overlap_of_depths(depths: impl Iterator<Item = usize>, predicted: usize, truth: usize, persistence: f64) -> f64 {
    let (short, long) = (predicted.min(truth), predicted.max(truth));
    if short == 0 {
        return 0.0;
    }
    if !(persistence > 0.0 && persistence < 1.0) {
        return f64::NAN;
    }
    let mut found = vec![0_usize; long + 1];
    depths.for_each(|depth| found[depth] += 1);
    let (mut shared, mut shared_short, mut weight, mut sum) = (0, 0, 1.0, 0.0);
    for (depth, found) in found.into_iter().enumerate().skip(1) {
        weight *= persistence;
        shared += found;
        sum += shared as f64 / depth as f64 * weight;
        if depth <= short {
            shared_short = shared;
        } else {
            sum += shared_short as f64 * (depth - short) as f64 / (short * depth) as f64 * weight;
        }
    }
    let tail = (shared - shared_short) as f64 / long as f64 + shared_short as f64 / short as f64;
    (1.0 - persistence) / persistence * sum + tail * weight
}

/// Returns how alike two lists order the genes that they share: [`kendall_tau`](crate::kendall_tau) of their ranks.
///
/// Says nothing about genes that are missing. A gene that occurs twice counts at its first place. `None` where fewer than two genes are
/// shared.
///
/// ```
/// let shared = tn_eval::shared_kendall(&["GAD1", "RELN", "NPY"], &["GAD1", "CALB2", "RELN"]).unwrap();
/// assert_eq!((shared.coefficient, shared.n), (1.0, 2));
/// ```
#[must_use]
pub fn shared_kendall<P: AsRef<str>, T: AsRef<str>>(predicted: &[P], truth: &[T]) -> Option<Correlation> {
    let (x, y) = shared_ranks(predicted, truth);
    kendall_tau(&x, &y).ok()
}

/// Returns [`spearman`](crate::spearman) of the ranks of the genes that two lists share; see [`shared_kendall`].
#[must_use]
pub fn shared_spearman<P: AsRef<str>, T: AsRef<str>>(predicted: &[P], truth: &[T]) -> Option<Correlation> {
    let (x, y) = shared_ranks(predicted, truth);
    spearman(&x, &y).ok()
}

fn shared_ranks<P: AsRef<str>, T: AsRef<str>>(predicted: &[P], truth: &[T]) -> (Vec<f64>, Vec<f64>) {
    let (predicted, truth) = (in_order(predicted), in_order(truth));
    let places: HashMap<&str, usize> = truth.iter().enumerate().map(|(place, gene)| (*gene, place)).collect();
    predicted.iter().enumerate().filter_map(|(place, gene)| Some((place as f64, *places.get(gene)? as f64))).unzip()
}

/// Returns the distinct genes of a list by their first places.
fn in_order<T: AsRef<str>>(list: &[T]) -> Vec<&str> {
    let mut seen = HashSet::new();
    list.iter().map(AsRef::as_ref).filter(|gene| seen.insert(*gene)).collect()
}

fn first<T>(list: &[T], k: usize) -> &[T] {
    &list[..k.min(list.len())]
}

fn distinct<T: AsRef<str>>(list: &[T]) -> HashSet<&str> {
    list.iter().map(AsRef::as_ref).collect()
}

fn ratio(part: usize, whole: usize) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}

fn discount(position: usize) -> f64 {
    1.0 / (position as f64 + 2.0).log2()
}

/// The gain divided by that of `hits` hits in the first positions.
fn normalized(gain: f64, hits: usize) -> f64 {
    if hits == 0 { 0.0 } else { gain / (0..hits).map(discount).sum::<f64>() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(actual: f64, expected: f64) {
        assert!((actual - expected).abs() < 1e-12, "{actual}, expected {expected}");
    }

    #[test]
    fn empty_lists_score_zero() {
        let none: [&str; 0] = [];
        for k in [0, 1, 10] {
            check(overlap_at(&none, &["A"], k), 0.0);
            check(overlap_at(&["A"], &none, k), 0.0);
            check(recall_at(&none, &["A"], k), 0.0);
            check(recall_at(&["A"], &none, k), 0.0);
            check(ndcg_at(&none, &["A"], k), 0.0);
            check(ndcg_at(&["A"], &none, k), 0.0);
            check(ndcg_published_at(&none, &["A"], k), 0.0);
            check(ndcg_published_at(&["A"], &none, k), 0.0);
        }
        check(ndcg_at(&["A"], &["A"], 0), 0.0);
    }

    #[test]
    fn standard_ndcg_punishes_missing_genes() {
        check(ndcg_at(&["X", "A"], &["A", "B"], 2), (1.0 / 3_f64.log2()) / (1.0 + 1.0 / 3_f64.log2()));
        check(ndcg_published_at(&["X", "A"], &["A", "B"], 2), 1.0 / 3_f64.log2());
    }

    #[test]
    fn the_ideal_is_as_long_as_the_truth() {
        check(ndcg_at(&["A", "B"], &["B", "A"], 50), 1.0);
        check(recall_at(&["A", "B"], &["B", "A"], 50), 1.0);
    }

    #[test]
    fn a_repeated_gene_is_one_hit_in_the_standard_forms() {
        check(overlap_at(&["A", "A"], &["A", "B"], 2), 1.0);
        check(recall_at(&["A", "A"], &["A", "B"], 2), 0.5);
        check(ndcg_at(&["A", "A"], &["A", "B"], 2), 1.0 / (1.0 + 1.0 / 3_f64.log2()));
        check(ndcg_published_at(&["A", "A"], &["A", "B"], 2), 1.0);
    }
}
