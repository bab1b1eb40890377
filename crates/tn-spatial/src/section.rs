//! The cells that share a coordinate frame.

use std::collections::HashMap;

use tn_sentence::{CellRecord, Position};

use crate::KdTree;

/// The cells of one section of tissue: the rows of a table whose positions can be compared.
///
/// # Examples
///
/// ```
/// use tn_sentence::{CellRecord, GeneRanking, Metadata, Position};
/// use tn_spatial::Section;
///
/// let cell = |name: &str, section: &str| CellRecord {
///     cell_name: name.to_owned(),
///     ranking: GeneRanking::default(),
///     position: Position::default(),
///     section: section.to_owned(),
///     metadata: Metadata::new(),
/// };
/// let cells = [cell("a", "S2"), cell("b", "S1"), cell("c", "S2")];
/// let sections = Section::of_table(&cells);
/// assert_eq!(sections[0].name(), "S2");
/// assert_eq!(sections[0].rows(), [0, 2]);
/// ```
#[derive(Clone, Debug)]
pub struct Section<'a> {
    name: &'a str,
    split: Option<&'a str>,
    table: &'a [CellRecord],
    rows: Vec<usize>,
}

impl<'a> Section<'a> {
    /// Returns the sections of a table, in the order in which they are met.
    pub fn of_table(table: &'a [CellRecord]) -> Vec<Self> {
        Self::group(table, |_| None)
    }

    /// Returns the sections of a table, taken apart by split: no two cells of one value differ in their split.
    ///
    /// A table without the column `split` gives the same as [`Section::of_table`].
    pub fn of_table_by_split(table: &'a [CellRecord]) -> Vec<Self> {
        Self::group(table, CellRecord::split)
    }

    fn group(table: &'a [CellRecord], split: impl Fn(&'a CellRecord) -> Option<&'a str>) -> Vec<Self> {
        let mut sections: Vec<Self> = Vec::new();
        let mut places = HashMap::new();
        for (row, cell) in table.iter().enumerate() {
            let (name, split) = (cell.section.as_str(), split(cell));
            let place = *places.entry((name, split)).or_insert_with(|| {
                sections.push(Self { name, split, table, rows: Vec::new() });
                sections.len() - 1
            });
            sections[place].rows.push(row);
        }
        sections
    }

    /// Returns the name of the section.
    pub fn name(&self) -> &'a str {
        self.name
    }

    /// Returns the split that all cells share, if the cells were taken apart by split and have one.
    pub fn split(&self) -> Option<&'a str> {
        self.split
    }

    /// Returns the number of cells.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Returns whether the section has no cell.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Returns the rows of the cells in the table, ascending.
    pub fn rows(&self) -> &[usize] {
        &self.rows
    }

    /// Returns a cell of the section.
    ///
    /// # Panics
    ///
    /// Panics when `index` is not less than [`Section::len`].
    pub fn cell(&self, index: usize) -> &'a CellRecord {
        &self.table[self.rows[index]]
    }

    /// Returns the cells in the order of the table.
    pub fn cells(&self) -> impl ExactSizeIterator<Item = &'a CellRecord> + '_ {
        self.rows.iter().map(|&row| &self.table[row])
    }

    /// Returns the positions of the cells in the order of the table.
    pub fn positions(&self) -> Vec<Position> {
        self.cells().map(|cell| cell.position).collect()
    }

    /// Builds a neighbor index over the cells; its indices are those of [`Section::cell`].
    pub fn index(&self) -> KdTree {
        KdTree::build(&self.positions())
    }
}
