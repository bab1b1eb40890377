//! How many tokens the spatial sentences of a file will have.

use std::collections::BTreeMap;

use serde::Serialize;
use tn_sentence::{CellRecord, CoordinateFormat};

use super::bins::FilledBins;

/// Genes of a cell that are written, the default of `tn patch`.
pub(super) const GENES: usize = 50;
/// Metadata that is written with a cell, the default of `tn patch`.
pub(crate) const CLASS: &str = "class";
/// Bins whose cells are written.
const SAMPLED_BINS: usize = 12;
/// Cells of a bin that are written.
const SAMPLED_CELLS: usize = 200;

/// Counts the tokens of a text.
pub(crate) type CountTokens<'t> = &'t dyn Fn(&str) -> usize;

/// How many tokens the spatial sentences of a file will have: one sentence for each bin of 200 micrometers with 5 cells or more, with the
/// 50 highest genes of each cell and its class, if there is one.
///
/// At most 12 bins are looked at, from the emptiest to the fullest, and of each at most 200 cells. The tokens of a bin are those of the
/// cells looked at, scaled to all of its cells; the mean over all bins is the mean of a cell times the mean number of cells.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct TokenSummary {
    /// Bins of 5 cells or more: sentences.
    pub sentences: usize,
    /// Mean tokens of a sentence.
    pub mean: f64,
    /// Tokens of the longest sentence among those that were looked at, the one with most cells among them.
    pub max: f64,
    /// Mean tokens of a cell.
    pub per_cell: f64,
    /// Bins that were looked at.
    pub sampled_sentences: usize,
    /// Cells that were looked at.
    pub sampled_cells: usize,
}

/// The cells that are looked at.
pub(super) struct TokenSample {
    sentences: usize,
    /// Cells in all sentences.
    cells: usize,
    bins: Vec<SampledBin>,
}

struct SampledBin {
    /// All cells of the bin.
    cells: usize,
    /// The cells that are looked at.
    sampled: Vec<usize>,
}

impl TokenSample {
    /// Chooses cells; nothing if no bin has enough of them.
    pub(super) fn of(bins: &FilledBins<'_>) -> Option<Self> {
        let usable = bins.usable();
        let bins = spread(usable.len(), SAMPLED_BINS).map(|bin| {
            let cells = usable[bin];
            SampledBin { cells: cells.len(), sampled: spread(cells.len(), SAMPLED_CELLS).map(|cell| cells[cell]).collect() }
        });
        let sample = Self { sentences: usable.len(), cells: usable.iter().map(|cells| cells.len()).sum(), bins: bins.collect() };
        (sample.sentences > 0).then_some(sample)
    }

    /// Returns the cells, ascending.
    pub(super) fn cells(&self) -> Vec<usize> {
        let mut cells: Vec<usize> = self.bins.iter().flat_map(|bin| bin.sampled.iter().copied()).collect();
        cells.sort_unstable();
        cells
    }

    /// Counts the tokens of the texts of these cells; a cell without a text, because it expresses nothing, has none.
    pub(super) fn count(&self, texts: &BTreeMap<usize, String>, count: CountTokens<'_>) -> TokenSummary {
        let tokens: Vec<f64> = self.bins.iter().map(|bin| bin.tokens(texts, count)).collect();
        let cells: usize = self.bins.iter().map(|bin| bin.cells).sum();
        let per_cell = tokens.iter().sum::<f64>() / cells as f64;
        TokenSummary {
            sentences: self.sentences,
            mean: per_cell * self.cells as f64 / self.sentences as f64,
            max: tokens.iter().copied().fold(0.0, f64::max),
            per_cell,
            sampled_sentences: self.bins.len(),
            sampled_cells: self.bins.iter().map(|bin| bin.sampled.len()).sum(),
        }
    }
}

impl SampledBin {
    /// Returns the tokens of the sentence of the bin.
    fn tokens(&self, texts: &BTreeMap<usize, String>, count: CountTokens<'_>) -> f64 {
        // In one text, as in a sentence: how a cell begins can depend on what is before it.
        let cells: Vec<&str> = self.sampled.iter().filter_map(|cell| texts.get(cell)).map(String::as_str).collect();
        count(&cells.join(" ")) as f64 * self.cells as f64 / self.sampled.len() as f64
    }
}

/// Returns at most `most` of the places `0..length`, at equal distances, the last one among them.
fn spread(length: usize, most: usize) -> impl Iterator<Item = usize> {
    let taken = length.min(most);
    (1..=taken).map(move |place| place * length / taken - 1)
}

/// Returns the text of a cell in a spatial sentence, with its class where the file has classes.
pub(crate) fn cell_text(cell: &CellRecord, has_classes: bool) -> String {
    let keys: &[&str] = if has_classes { &[CLASS] } else { &[] };
    cell.cell_sentence(keys, GENES).display(CoordinateFormat::Integer).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inspect::cells::Cells;

    /// Counts the tokens of bins of so many cells, each of whose texts has two words, but every tenth none.
    fn check(counts: &[usize], expected: Option<(usize, f64, f64)>) {
        let places = counts.iter().enumerate().flat_map(|(bin, &count)| vec![[300.0 * bin as f64, 0.0]; count]).collect();
        let cells = Cells { places: Some(places), micrometers_per_unit: Some(1.0), ..Cells::default() };
        let sample = TokenSample::of(&FilledBins::of(&cells));
        let found = sample.map(|sample| {
            let texts = sample.cells().into_iter().filter(|cell| cell % 10 > 0).map(|cell| (cell, "two words".to_owned())).collect();
            let summary = sample.count(&texts, &|text| text.split_whitespace().count());
            (summary.sentences, summary.mean, summary.max)
        });
        assert_eq!(found, expected, "{counts:?}");
    }

    #[test]
    fn few_small_bins_are_counted_exactly() {
        check(&[10, 20, 3, 30], Some((3, 36.0, 54.0)));
        check(&[4, 4], None);
        check(&[], None);
    }

    #[test]
    fn a_large_bin_is_counted_by_some_of_its_cells() {
        // Every fifth of a thousand cells is looked at, none of which is without a text.
        check(&[1_000], Some((1, 2_000.0, 2_000.0)));
    }

    #[test]
    fn the_fullest_bin_is_always_looked_at() {
        let mut counts = vec![10; 100];
        counts[17] = 120;
        let places = counts.iter().enumerate().flat_map(|(bin, &count)| vec![[300.0 * bin as f64, 0.0]; count]).collect();
        let cells = Cells { places: Some(places), micrometers_per_unit: Some(1.0), ..Cells::default() };
        let sample = TokenSample::of(&FilledBins::of(&cells)).unwrap();
        let texts = sample.cells().into_iter().map(|cell| (cell, "w".to_owned())).collect();
        let summary = sample.count(&texts, &|text| text.split_whitespace().count());
        assert_eq!((summary.sampled_sentences, summary.sampled_cells), (12, 230));
        assert_eq!((summary.per_cell, summary.max), (1.0, 120.0));
        assert_eq!(summary.mean, 1_110.0 / 100.0);
    }

    #[test]
    fn places_are_spread_and_end_with_the_last() {
        assert_eq!(spread(10, 4).collect::<Vec<_>>(), [1, 4, 6, 9]);
        assert_eq!(spread(3, 4).collect::<Vec<_>>(), [0, 1, 2]);
        assert_eq!(spread(0, 4).count(), 0);
    }
}
