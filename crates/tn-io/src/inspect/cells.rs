//! What a file says about its cells, expression left out.

use std::collections::BTreeMap;

use crate::section_reader::TextColumn;

/// Name of the section of cells that have none, though others have.
const NO_SECTION: &str = "(missing)";

/// The cells of a file, in its order.
#[derive(Debug, Default)]
pub(crate) struct Cells {
    /// Their names; none if the file does not name its rows.
    pub(crate) names: Vec<String>,
    /// Where they are, in the unit of the file; nothing if it does not say.
    pub(crate) places: Option<Vec<[f64; 2]>>,
    /// Micrometers in that unit; nothing for pixels whose size the file does not say.
    pub(crate) micrometers_per_unit: Option<f64>,
    /// Their sections; nothing if there is no column of sections.
    pub(crate) sections: Option<TextColumn>,
}

impl Cells {
    /// Returns the cells that have a place.
    pub(super) fn located(&self) -> impl Iterator<Item = (usize, [f64; 2])> + '_ {
        let places = self.places.iter().flatten().copied().enumerate();
        places.filter(|(_, place)| place.iter().all(|coordinate| coordinate.is_finite()))
    }

    /// Returns the section of a cell; nothing if there is no column of sections.
    pub(super) fn section(&self, cell: usize) -> Option<&str> {
        self.sections.as_ref().map(|sections| sections.get(cell).unwrap_or(NO_SECTION))
    }

    /// Returns the name of a cell, for messages.
    pub(super) fn name(&self, cell: usize) -> String {
        self.names.get(cell).cloned().unwrap_or_else(|| format!("row {cell}"))
    }

    /// Counts the cells of every section.
    pub(super) fn count_sections(&self) -> BTreeMap<String, usize> {
        let mut counts: BTreeMap<String, usize> = BTreeMap::new();
        let cells = self.sections.as_ref().map_or(0, |sections| sections.codes.len());
        for section in (0..cells).filter_map(|cell| self.section(cell)) {
            match counts.get_mut(section) {
                Some(count) => *count += 1,
                None => drop(counts.insert(section.to_owned(), 1)),
            }
        }
        counts
    }
}
