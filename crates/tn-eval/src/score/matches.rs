//! The genes that a prediction and the truth have in common, found once for all metrics.

use tn_sentence::GeneSymbol;

use super::Metric;
use crate::ranking_metrics::{RBO_PERSISTENCE, rank_biased_overlap_of_depths};

/// The place of a gene that the truth does not have.
const NOWHERE: u32 = u32::MAX;
/// Places whose discounts are at hand; longer lists compute theirs.
const DISCOUNTS: usize = 4_096;

/// Discounts by place and their sums, in the order in which the metrics add them.
pub(crate) struct Discounts {
    of_place: Vec<f64>,
    /// The sum of the first so many.
    sums: Vec<f64>,
}

impl Discounts {
    pub(crate) fn new() -> Self {
        let of_place: Vec<f64> = (0..DISCOUNTS).map(discount).collect();
        let mut sums = vec![0.0];
        sums.extend(of_place.iter().scan(0.0, |sum, discount| {
            *sum += discount;
            Some(*sum)
        }));
        Self { of_place, sums }
    }

    fn at(&self, place: usize) -> f64 {
        self.of_place.get(place).copied().unwrap_or_else(|| discount(place))
    }

    fn sum(&self, n: usize) -> f64 {
        self.sums.get(n).copied().unwrap_or_else(|| (0..n).map(discount).sum())
    }
}

fn discount(place: usize) -> f64 {
    1.0 / (place as f64 + 2.0).log2()
}

/// Where the truth has each predicted gene. No gene is twice in either list.
pub(crate) struct Matches {
    places: Vec<u32>,
    truth: usize,
}

impl Matches {
    pub(crate) fn new(predicted: &[GeneSymbol], truth: &[GeneSymbol]) -> Self {
        let table = PlaceTable::new(truth);
        Self { places: predicted.iter().map(|gene| table.place(gene, truth)).collect(), truth: truth.len() }
    }

    /// Returns what [`Metric::evaluate`] returns for the two lists, to the last bit.
    pub(crate) fn evaluate(&self, metric: Metric, discounts: &Discounts) -> f64 {
        match metric {
            Metric::Overlap(k) => ratio(self.hits(k).count(), k.min(self.places.len())),
            Metric::Recall(k) => ratio(self.hits(k).count(), k.min(self.truth)),
            Metric::Ndcg(k) => self.normalized_gain(k, discounts, |_| k.min(self.truth)),
            Metric::NdcgPublished(k) => self.normalized_gain(k, discounts, |hits| hits),
            Metric::NdcgFull => self.evaluate(Metric::Ndcg(usize::MAX), discounts),
            Metric::NdcgPublishedFull => self.evaluate(Metric::NdcgPublished(usize::MAX), discounts),
            Metric::RankBiasedOverlap => {
                let depths = self.places.iter().enumerate().filter(|(_, truth)| **truth != NOWHERE);
                let depths = depths.map(|(place, &truth)| place.max(truth as usize) + 1);
                rank_biased_overlap_of_depths(depths, self.places.len(), self.truth, RBO_PERSISTENCE)
            }
        }
    }

    /// Returns the places among the first `k` whose genes are among the first `k` of the truth.
    fn hits(&self, k: usize) -> impl Iterator<Item = usize> {
        let first = self.places[..k.min(self.places.len())].iter().enumerate();
        first.filter(move |(_, truth)| **truth != NOWHERE && (**truth as usize) < k).map(|(place, _)| place)
    }

    fn normalized_gain(&self, k: usize, discounts: &Discounts, ideal_hits: impl FnOnce(usize) -> usize) -> f64 {
        let (gain, hits) = self.hits(k).fold((0.0, 0), |(gain, hits), place| (gain + discounts.at(place), hits + 1));
        match ideal_hits(hits) {
            0 => 0.0,
            ideal => gain / discounts.sum(ideal),
        }
    }
}

fn ratio(part: usize, whole: usize) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}

/// Finds genes by their hash, in the first free slot from its own on.
struct PlaceTable {
    slots: Vec<u32>,
    shift: u32,
}

impl PlaceTable {
    fn new(genes: &[GeneSymbol]) -> Self {
        let bits = usize::BITS - (2 * genes.len()).leading_zeros() + 1;
        let mut table = Self { slots: vec![NOWHERE; 1 << bits], shift: u64::BITS - bits };
        for (place, gene) in (0..).zip(genes) {
            let slot = table.slot(gene, genes);
            table.slots[slot] = place;
        }
        table
    }

    /// Returns the slot of a gene, or the free one where it would be.
    fn slot(&self, gene: &GeneSymbol, genes: &[GeneSymbol]) -> usize {
        let mut slot = (gene.quick_hash() >> self.shift) as usize;
        while self.slots[slot] != NOWHERE && genes[self.slots[slot] as usize] != *gene {
            slot = (slot + 1) & (self.slots.len() - 1);
        }
        slot
    }

    fn place(&self, gene: &GeneSymbol, genes: &[GeneSymbol]) -> u32 {
        self.slots[self.slot(gene, genes)]
    }
}

#[cfg(test)]
mod tests {
    use tn_sentence::{GeneRanking, draw};

    use super::*;

    #[test]
    fn all_metrics_at_once_are_those_one_by_one() {
        let discounts = Discounts::new();
        for case in 0..200 {
            let list = |stream: u64| {
                let mut genes: Vec<String> = (0..draw(stream, 0) % 40).map(|index| format!("G{}", draw(stream, 1 + index) % 60)).collect();
                genes.sort();
                genes.dedup();
                genes.sort_by_key(|gene| draw(stream, gene.len() as u64 + gene.as_bytes()[1..].iter().map(|&b| u64::from(b)).sum::<u64>()));
                GeneRanking::new(genes).unwrap()
            };
            let (predicted, truth) = (list(2 * case), list(2 * case + 1));
            let matches = Matches::new(predicted.genes(), truth.genes());
            for metric in Metric::all(&[1, 3, 10, 50]).unwrap() {
                let expected = metric.evaluate(predicted.genes(), truth.genes());
                let found = matches.evaluate(metric, &discounts);
                assert!(found == expected, "{metric} of {predicted} and {truth}: {found}, expected {expected}");
            }
        }
    }

    #[test]
    fn long_lists_have_discounts_too() {
        let genes: Vec<String> = (0..DISCOUNTS + 10).map(|gene| format!("G{gene}")).collect();
        let ranking = GeneRanking::new(genes).unwrap();
        let value = Matches::new(ranking.genes(), ranking.genes()).evaluate(Metric::NdcgFull, &Discounts::new());
        assert!((value - 1.0).abs() < 1e-12);
    }
}
