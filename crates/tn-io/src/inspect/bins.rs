//! How full the bins of a section are.

use std::collections::BTreeMap;

use serde::Serialize;

use super::cells::Cells;

/// Width of a bin in micrometers, the default of `tn patch`.
pub(super) const BIN_WIDTH: f64 = 200.0;
/// Cells of a bin that becomes a sentence, the default of `tn patch`.
pub(super) const ENOUGH_CELLS: usize = 5;

/// How full the bins of a section are. Bins are squares of 200 micrometers with a corner at the origin, as in `BinGrid` of
/// `tn-spatial`; empty ones do not count, nor do cells whose coordinates are not finite.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct BinOccupancy {
    /// The section; nothing if the file has no column of sections, so that all cells are taken to share a frame.
    pub section: Option<String>,
    /// Bins with a cell.
    pub bins: usize,
    /// Cells in them.
    pub cells: usize,
    /// Lower quartile of the cells of a bin, interpolated between counts.
    pub lower_quartile: f64,
    /// Median of the cells of a bin.
    pub median: f64,
    /// Upper quartile of the cells of a bin.
    pub upper_quartile: f64,
    /// Share of the cells, 0 to 1, that lie in bins of fewer than 5 cells, of which `tn patch` writes no sentence.
    pub sparse_share: f64,
}

/// The cells of every bin of every section.
#[derive(Debug, Default)]
pub(super) struct FilledBins<'c>(BTreeMap<Option<&'c str>, Bins>);

/// The cells of every bin of a section.
type Bins = BTreeMap<(i64, i64), Vec<usize>>;

impl<'c> FilledBins<'c> {
    /// Puts cells into bins; coordinates of unknown unit give none.
    pub(super) fn of(cells: &'c Cells) -> Self {
        let mut bins = Self::default();
        let Some(scale) = cells.micrometers_per_unit else { return bins };
        for (cell, [x, y]) in cells.located() {
            // A quotient beyond the range of integers ends in the outermost bin.
            let index = |coordinate: f64| (coordinate * scale / BIN_WIDTH).floor() as i64;
            bins.0.entry(cells.section(cell)).or_default().entry((index(x), index(y))).or_default().push(cell);
        }
        bins
    }

    /// Says how full they are, by section.
    pub(super) fn occupancy(&self) -> Vec<BinOccupancy> {
        let of_section = |(section, bins): (&Option<&str>, &BTreeMap<_, Vec<usize>>)| {
            let mut counts: Vec<usize> = bins.values().map(Vec::len).collect();
            counts.sort_unstable();
            let cells: usize = counts.iter().sum();
            let sparse: usize = counts.iter().filter(|count| **count < ENOUGH_CELLS).sum();
            BinOccupancy {
                section: section.map(str::to_owned),
                bins: counts.len(),
                cells,
                lower_quartile: quantile(&counts, 0.25),
                median: quantile(&counts, 0.5),
                upper_quartile: quantile(&counts, 0.75),
                sparse_share: sparse as f64 / cells as f64,
            }
        };
        self.0.iter().map(of_section).collect()
    }

    /// Returns the cells of the bins that become sentences, the fullest bin last.
    pub(super) fn usable(&self) -> Vec<&[usize]> {
        let bins = self.0.values().flat_map(BTreeMap::values).map(Vec::as_slice);
        let mut usable: Vec<&[usize]> = bins.filter(|cells| cells.len() >= ENOUGH_CELLS).collect();
        usable.sort_by_key(|cells| cells.len());
        usable
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Returns a quantile of ascending counts, of which there is at least one, interpolated between the two that it lies between.
fn quantile(counts: &[usize], share: f64) -> f64 {
    let place = share * (counts.len() - 1) as f64;
    let (below, above) = (counts[place.floor() as usize], counts[place.ceil() as usize]);
    below as f64 + (above - below) as f64 * place.fract()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::section_reader::TextColumn;

    /// Cells in a row, so many in the first bin, the second and so on.
    fn cells(counts: &[usize]) -> Cells {
        let places = counts.iter().enumerate().flat_map(|(bin, &count)| vec![[BIN_WIDTH * bin as f64, -1.0]; count]);
        Cells { places: Some(places.collect()), micrometers_per_unit: Some(1.0), ..Cells::default() }
    }

    fn check(counts: &[usize], quartiles: [f64; 3], sparse_share: f64) {
        let cells = cells(counts);
        let found = FilledBins::of(&cells).occupancy().remove(0);
        assert_eq!((found.bins, found.cells), (counts.len(), counts.iter().sum()), "{counts:?}");
        assert_eq!([found.lower_quartile, found.median, found.upper_quartile], quartiles, "{counts:?}");
        assert_eq!(found.sparse_share, sparse_share, "{counts:?}");
    }

    #[test]
    fn quartiles_lie_between_counts() {
        check(&[7], [7.0, 7.0, 7.0], 0.0);
        check(&[4, 16], [7.0, 10.0, 13.0], 0.2);
        check(&[30, 1, 4, 5, 10], [4.0, 5.0, 10.0], 0.1);
    }

    #[test]
    fn cells_without_a_place_or_a_known_unit_are_in_no_bin() {
        let lost = Cells { places: Some(vec![[f64::NAN, 1.0], [1.0, f64::INFINITY]]), ..cells(&[]) };
        assert!(FilledBins::of(&lost).occupancy().is_empty());
        let pixels = Cells { micrometers_per_unit: None, ..cells(&[3]) };
        assert!(FilledBins::of(&pixels).is_empty());
        assert!(FilledBins::of(&Cells::default()).is_empty());
    }

    #[test]
    fn sections_have_bins_of_their_own_and_units_are_scaled() {
        let sections = TextColumn::from_values(["b", "a", "b"].map(|section| Some(section.to_owned())));
        let places = Some(vec![[0.15, 0.0], [0.15, 0.0], [0.25, 0.0]]);
        let cells = Cells { places, micrometers_per_unit: Some(1_000.0), sections: Some(sections), ..Cells::default() };
        let found: Vec<(Option<String>, usize)> =
            FilledBins::of(&cells).occupancy().into_iter().map(|occupancy| (occupancy.section, occupancy.bins)).collect();
        assert_eq!(found, [(Some("a".to_owned()), 1), (Some("b".to_owned()), 2)]);
    }

    #[test]
    fn only_bins_of_enough_cells_are_usable() {
        let cells = cells(&[6, 4, 9, 5]);
        let bins = FilledBins::of(&cells);
        assert_eq!(bins.usable().iter().map(|cells| cells.len()).collect::<Vec<_>>(), [5, 6, 9]);
    }
}
