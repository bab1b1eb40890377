//! Expression of a file on one scale.

use std::ops::Range;

use tn_sentence::LogarithmBase;

use super::{EncodeSectionError, Normalization, ValueScale};
use crate::section_reader::{SectionReader, SparseRows};

/// The expression of a file on the scale that statistics take, in blocks of rows.
///
/// ```no_run
/// use tn_io::{AnnData, Normalization, NormalizedExpression, SectionReader};
///
/// let section = AnnData::open("section.h5ad")?;
/// let expression = NormalizedExpression::new(&section, Normalization::Auto)?;
/// println!("logarithms of base {:?}", expression.base());
/// let rows = expression.rows(0..section.n_cells().min(1_000))?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct NormalizedExpression<'r, R: ?Sized> {
    reader: &'r R,
    scale: ValueScale,
    normalization: Normalization,
    base: Option<LogarithmBase>,
}

impl<'r, R: SectionReader + ?Sized> NormalizedExpression<'r, R> {
    /// Looks at the first cells to decide what is done.
    ///
    /// # Errors
    ///
    /// Returns an error if the first cells cannot be read, the sum to scale to is not a positive number, or the values are neither
    /// counts nor logarithms and [`Normalization::Auto`] has to decide.
    pub fn new(reader: &'r R, normalization: Normalization) -> Result<Self, EncodeSectionError> {
        let decision = normalization.decide(reader)?;
        Ok(Self { reader, scale: decision.scale, normalization: decision.normalization, base: decision.base })
    }

    /// Returns what the values of the file look like.
    pub fn value_scale(&self) -> ValueScale {
        self.scale
    }

    /// Returns what is done with them: never `Auto`.
    pub fn normalization(&self) -> Normalization {
        self.normalization
    }

    /// Returns the base of the logarithms that rows hold, where it is known: that of the normalization, or the one that makes whole
    /// counts of the logarithms of the file.
    pub fn base(&self) -> Option<LogarithmBase> {
        self.base
    }

    /// Returns the expression of a range of cells.
    ///
    /// # Errors
    ///
    /// Returns an error if the rows cannot be read.
    ///
    /// # Panics
    ///
    /// Panics if the range is not within the cells.
    pub fn rows(&self, range: Range<usize>) -> Result<SparseRows, EncodeSectionError> {
        let rows = self.reader.rows(range)?;
        let mut values = Vec::with_capacity(rows.values().len());
        let mut normalized = Vec::new();
        for row in 0..rows.len() {
            values.extend_from_slice(self.normalization.apply(rows.row(row).1, &mut normalized));
        }
        Ok(rows.with_values(values))
    }
}
