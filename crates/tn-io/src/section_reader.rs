//! Expression files as blocks of rows.

use std::ops::Range;
use std::path::PathBuf;

use crate::{ColumnKind, ReadError};

/// The code of a missing value in a [`TextColumn`].
pub const MISSING: u32 = u32::MAX;

/// A file of cells, read in blocks of rows, never as a whole.
///
/// [`AnnData`](crate::AnnData) and [`InstrumentFolder`](crate::InstrumentFolder) are the implementations of this crate, and
/// [`open_section`](crate::open_section) picks the one that reads a path; others can be encoded the same way. Methods take
/// `&self`, so several blocks can be read at once.
pub trait SectionReader: Sync {
    /// Returns the name of the file, for messages.
    fn file_name(&self) -> String;

    /// Returns the files and folders that are read, for the record of where an output came from.
    fn inputs(&self) -> Vec<PathBuf>;

    /// Returns the number of cells.
    fn n_cells(&self) -> usize;

    /// Returns the gene symbols, in column order, as the file spells them.
    fn genes(&self) -> &[String];

    /// Returns the names of the columns that describe cells, in file order.
    fn columns(&self) -> Vec<String>;

    /// Returns the names of all cells.
    ///
    /// # Errors
    ///
    /// Returns an error if the names cannot be read.
    fn cell_names(&self) -> Result<Vec<String>, ReadError>;

    /// Returns a column as text. Numbers are printed, missing values stay missing.
    ///
    /// # Errors
    ///
    /// Returns an error if there is no such column or it cannot be read.
    fn text_column(&self, name: &str) -> Result<TextColumn, ReadError>;

    /// Returns a column of numbers. Missing values are NaN.
    ///
    /// # Errors
    ///
    /// Returns an error if there is no such column, it holds no numbers or it cannot be read.
    fn number_column(&self, name: &str) -> Result<Vec<f64>, ReadError>;

    /// Says what a column holds.
    ///
    /// # Errors
    ///
    /// Returns an error if there is no such column or it cannot be read.
    fn column_kind(&self, name: &str) -> Result<ColumnKind, ReadError>;

    /// Returns the coordinates of all cells where they are not in columns `x` and `y`: `obsm/spatial`, or the columns that
    /// the instrument's manual names.
    ///
    /// # Errors
    ///
    /// Returns an error if they are there but cannot be read.
    fn coordinates(&self) -> Result<Option<Vec<[f64; 2]>>, ReadError>;

    /// Returns the unit of a column of coordinates, or that of [`SectionReader::coordinates`] if no column is named, as far
    /// as the format documents it.
    fn length_unit(&self, column: Option<&str>) -> LengthUnit;

    /// Returns the expression of a range of cells.
    ///
    /// # Errors
    ///
    /// Returns an error if the rows cannot be read.
    ///
    /// # Panics
    ///
    /// Panics if the range is not within the cells.
    fn rows(&self, range: Range<usize>) -> Result<SparseRows, ReadError>;

    /// Returns a number of rows that is good to read at once: a few megabytes.
    fn rows_per_block(&self) -> usize;
}

/// The unit of coordinates, by the manual of the format. Nothing is guessed from the numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum LengthUnit {
    /// Micrometers.
    Micrometers,
    /// Millimeters.
    Millimeters,
    /// Pixels, whose size the file does not say.
    Pixels,
    /// The format does not say: taken as micrometers unless the size of a pixel is given.
    Unstated,
}

/// A block of rows without their zeros.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SparseRows {
    offsets: Vec<usize>,
    genes: Vec<u32>,
    values: Vec<f32>,
}

impl SparseRows {
    /// Builds a block from row offsets, gene indices and values.
    ///
    /// # Panics
    ///
    /// Panics if the offsets do not ascend from 0 to the number of values, or if there are more or fewer indices than
    /// values.
    pub fn new(offsets: Vec<usize>, genes: Vec<u32>, values: Vec<f32>) -> Self {
        assert!(offsets.is_sorted() && offsets.first() == Some(&0), "offsets ascend from 0");
        assert_eq!(offsets.last(), Some(&values.len()), "the last offset is the number of values");
        assert_eq!(genes.len(), values.len(), "one gene index per value");
        Self { offsets, genes, values }
    }

    /// Builds a block from a dense matrix, leaving out zeros.
    pub fn from_dense(values: &[f32], genes: usize) -> Self {
        let mut rows = Self { offsets: vec![0], genes: Vec::new(), values: Vec::new() };
        for row in values.chunks_exact(genes.max(1)) {
            for (gene, &value) in (0..).zip(row) {
                if value != 0.0 {
                    rows.genes.push(gene);
                    rows.values.push(value);
                }
            }
            rows.offsets.push(rows.values.len());
        }
        rows
    }

    /// Puts other values in the places of those that are stored.
    pub(crate) fn with_values(self, values: Vec<f32>) -> Self {
        Self::new(self.offsets, self.genes, values)
    }

    /// Returns the number of rows.
    pub fn len(&self) -> usize {
        self.offsets.len().saturating_sub(1)
    }

    /// Returns whether there are no rows.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns the gene indices and the values of a row, in the order of the file.
    ///
    /// # Panics
    ///
    /// Panics if there is no such row.
    pub fn row(&self, index: usize) -> (&[u32], &[f32]) {
        let range = self.offsets[index]..self.offsets[index + 1];
        (&self.genes[range.clone()], &self.values[range])
    }

    /// Returns all stored values.
    pub fn values(&self) -> &[f32] {
        &self.values
    }
}

/// A column of text: distinct values and, for every cell, the index of its value.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TextColumn {
    /// Distinct values.
    pub categories: Vec<String>,
    /// For every cell an index into `categories`, or [`MISSING`].
    pub codes: Vec<u32>,
}

impl TextColumn {
    /// Returns the value of a cell, or nothing if it is missing.
    ///
    /// # Panics
    ///
    /// Panics if there is no such cell.
    pub fn get(&self, cell: usize) -> Option<&str> {
        self.categories.get(self.codes[cell] as usize).map(String::as_str)
    }

    /// Builds a column from values in cell order. Categories come in order of first occurrence.
    pub fn from_values<I>(values: I) -> Self
    where
        I: IntoIterator<Item = Option<String>>,
    {
        let mut column = Self::default();
        let mut index = std::collections::HashMap::new();
        for value in values {
            let code = match value {
                None => MISSING,
                Some(value) => *index.entry(value).or_insert_with_key(|value| {
                    column.categories.push(value.clone());
                    (column.categories.len() - 1) as u32
                }),
            };
            column.codes.push(code);
        }
        column
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dense_rows_lose_their_zeros() {
        let rows = SparseRows::from_dense(&[0.0, 2.0, 0.0, 0.0, 1.0, 0.5], 3);
        assert_eq!(rows.len(), 2);
        assert_eq!(rows.row(0), (&[1][..], &[2.0][..]));
        assert_eq!(rows.row(1), (&[1, 2][..], &[1.0, 0.5][..]));
    }

    #[test]
    fn not_a_number_is_not_a_zero() {
        assert_eq!(SparseRows::from_dense(&[0.0, f32::NAN], 2).values().len(), 1);
    }

    #[test]
    fn repeated_text_is_stored_once() {
        let column = TextColumn::from_values(["A", "B", "A"].map(|v| Some(v.to_owned())).into_iter().chain([None]));
        assert_eq!(column.categories, ["A", "B"]);
        assert_eq!((column.get(2), column.get(3)), (Some("A"), None));
    }
}
