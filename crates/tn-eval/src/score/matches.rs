//! The genes that a prediction and the truth have in common, found once for all metrics.

use tn_sentence::{UnreadCell, symbol_hash};

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
    /// Compares two cells of a text; without a predicted one, nothing matches.
    pub(crate) fn of_cells(predicted: Option<UnreadCell<'_>>, truth: UnreadCell<'_>) -> Self {
        let Some(predicted) = predicted else {
            return Self { places: Vec::new(), truth: truth.read().ranking().len() };
        };
        // Nearly every text is as models are trained to write it, and is compared word by word.
        let plain = predicted.plain_genes().zip(truth.plain_genes());
        plain.and_then(|(predicted, truth)| Self::of_words(predicted, truth)).unwrap_or_else(|| {
            let (predicted, truth) = (predicted.read(), truth.read());
            Self::of_words(predicted.ranking().iter(), truth.ranking().iter()).expect("no gene is twice in a ranking")
        })
    }

    /// Compares two lists; nothing if a word is twice in one of them.
    fn of_words<'w>(predicted: impl Iterator<Item = &'w str>, truth: impl Iterator<Item = &'w str>) -> Option<Self> {
        let mut words: Vec<&str> = truth.collect();
        let truth = words.len();
        let mut table = PlaceTable::with_capacity(2 * truth + 128);
        for (place, word) in (0..).zip(&words) {
            let slot = table.slot(word, &words);
            if std::mem::replace(&mut table.slots[slot], place) != NOWHERE {
                return None;
            }
        }
        let mut is_taken = vec![false; truth];
        let mut places = Vec::with_capacity(truth);
        for word in predicted {
            let slot = table.slot(word, &words);
            match table.slots[slot] {
                NOWHERE => {
                    table.slots[slot] = words.len() as u32;
                    words.push(word);
                    places.push(NOWHERE);
                    if 2 * words.len() > table.slots.len() {
                        table = PlaceTable::of(&words, 2 * table.slots.len());
                    }
                }
                place if (place as usize) < truth && !std::mem::replace(&mut is_taken[place as usize], true) => places.push(place),
                _ => return None,
            }
        }
        Some(Self { places, truth })
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

/// Finds words by their hash, in the first free slot from its own on.
struct PlaceTable {
    slots: Vec<u32>,
    shift: u32,
}

impl PlaceTable {
    /// Makes room for at least so many slots.
    fn with_capacity(slots: usize) -> Self {
        let slots = slots.next_power_of_two();
        Self { slots: vec![NOWHERE; slots], shift: u64::BITS - slots.trailing_zeros() }
    }

    fn of(words: &[&str], slots: usize) -> Self {
        let mut table = Self::with_capacity(slots);
        for (place, word) in (0..).zip(words) {
            let slot = table.slot(word, words);
            table.slots[slot] = place;
        }
        table
    }

    /// Returns the slot of a word, or the free one where it would be.
    fn slot(&self, word: &str, words: &[&str]) -> usize {
        let mut slot = (symbol_hash(word) >> self.shift) as usize;
        while self.slots[slot] != NOWHERE && words[self.slots[slot] as usize] != word {
            slot = (slot + 1) & (self.slots.len() - 1);
        }
        slot
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
            let matches = Matches::of_words(predicted.iter(), truth.iter()).unwrap();
            for metric in Metric::all(&[1, 3, 10, 50]).unwrap() {
                let expected = metric.evaluate(predicted.genes(), truth.genes());
                let found = matches.evaluate(metric, &discounts);
                assert!(found == expected, "{metric} of {predicted} and {truth}: {found}, expected {expected}");
            }
        }
    }

    /// What the lenient parser makes of a text, whatever it is.
    #[test]
    fn texts_are_compared_as_they_are_read() {
        let discounts = Discounts::new();
        let texts = [
            "<pos> X: 1, Y: 2 <cs> A B C D </cs>",
            "<pos> X: 1, Y: 2 <cs> A  C B E </cs> tail",
            "<pos> X: 1, Y: 2 <cs> A B A C </cs>",
            "<pos> X: 1, Y: 2 <cs> a B <x> C",
            "<pos> X: 1, Y: 2 <cs> A\tB\u{a0}C </cs>",
            "<pos> X: 1, Y: 2 <meta> class: x <cs> </cs>",
            "no cell <pos> X: 1 <cs> B </cs> <pos> X: 2, Y: 2 <cs> C A </CS> D",
        ];
        for predicted in texts {
            for truth in texts {
                let cell = |text| UnreadCell::all_of(text).next().unwrap();
                let matches = Matches::of_cells(Some(cell(predicted)), cell(truth));
                let read = |text| tn_sentence::CellSentence::parse_lenient(text).0.unwrap();
                for metric in Metric::all(&[1, 2, 3]).unwrap() {
                    let expected = metric.evaluate(read(predicted).ranking().genes(), read(truth).ranking().genes());
                    assert!(matches.evaluate(metric, &discounts) == expected, "{metric} of {predicted} and {truth}");
                }
            }
        }
    }

    #[test]
    fn long_lists_have_discounts_too() {
        let genes: Vec<String> = (0..DISCOUNTS + 10).map(|gene| format!("G{gene}")).collect();
        let ranking = GeneRanking::new(genes).unwrap();
        let value = Matches::of_words(ranking.iter(), ranking.iter()).unwrap().evaluate(Metric::NdcgFull, &Discounts::new());
        assert!((value - 1.0).abs() < 1e-12);
    }
}
