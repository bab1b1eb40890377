//! A neighborhood as text.

pub(crate) mod parser;
pub(crate) mod unread;
mod writer;

use std::{fmt, str::FromStr};

use crate::{CellSentence, CoordinateFormat, Metadata, ParseError, Skipped};

/// Several cells, in the order in which they are read, behind an optional head of metadata that they share.
///
/// [`Display`](fmt::Display) is lossless and parses back to the same sentence. [`FromStr`] parses strictly; text from a
/// model goes through [`SpatialSentence::parse_lenient`].
///
/// # Examples
///
/// ```
/// use tn_sentence::SpatialSentence;
///
/// let text = "section: S1 <pos> X: 10, Y: -20 <meta> class: OEC <cs> AQP1 GJA1 </cs> <pos> X: -30.5, Y: 40.2 <cs> GFAP </cs>";
/// let sentence: SpatialSentence = text.parse()?;
/// assert_eq!(sentence.metadata().get("section"), Some("S1"));
/// assert_eq!(sentence.cells()[0].class(), Some("OEC"));
/// assert_eq!(sentence.to_string(), text);
/// # Ok::<(), tn_sentence::ParseError>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct SpatialSentence {
    metadata: Metadata,
    cells: Vec<CellSentence>,
}

impl SpatialSentence {
    /// Builds a sentence without a head.
    pub fn new(cells: Vec<CellSentence>) -> Self {
        Self { metadata: Metadata::new(), cells }
    }

    /// Replaces the head.
    pub fn with_metadata(mut self, metadata: Metadata) -> Self {
        self.metadata = metadata;
        self
    }

    /// Returns what is known about the sentence as a whole.
    pub fn metadata(&self) -> &Metadata {
        &self.metadata
    }

    /// Returns the cells in reading order.
    pub fn cells(&self) -> &[CellSentence] {
        &self.cells
    }

    /// Returns the cells in reading order, and drops the head.
    pub fn into_cells(self) -> Vec<CellSentence> {
        self.cells
    }

    /// Parses strictly: every block must be a well-formed cell.
    ///
    /// A text without `<pos>` is a head without cells. The closing `</cs>` of a cell may be missing.
    ///
    /// # Errors
    ///
    /// Returns an error that names the byte offset and what was expected there.
    pub fn parse(text: &str) -> Result<Self, ParseError> {
        parser::parse(text)
    }

    /// Parses what can be read and reports what cannot. Never fails, whatever the text.
    ///
    /// A block without a readable position or without genes is skipped as a whole; inside a readable block, words that
    /// are no gene, repeated genes and stray text are skipped alone. The report is in the order of the text.
    pub fn parse_lenient(text: &str) -> (Self, Vec<Skipped>) {
        parser::parse_lenient(text)
    }

    /// Returns the sentence as it is written with the given coordinates.
    pub fn display(&self, format: CoordinateFormat) -> impl fmt::Display + '_ {
        writer::SentenceText { sentence: self, format }
    }
}

impl fmt::Display for SpatialSentence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writer::write_sentence(f, self, CoordinateFormat::Decimal)
    }
}

impl FromStr for SpatialSentence {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::parse(text)
    }
}

impl FromIterator<CellSentence> for SpatialSentence {
    fn from_iter<I: IntoIterator<Item = CellSentence>>(cells: I) -> Self {
        Self::new(cells.into_iter().collect())
    }
}
