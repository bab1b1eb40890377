//! One cell as text.

pub(crate) mod parser;
pub(crate) mod writer;

use std::{fmt, str::FromStr};

use crate::{CellHeader, CoordinateFormat, GeneRanking, Metadata, MetadataError, ParseError, Position, Skipped};

/// A cell as text: where it is, what is known about it, and its genes from the highest to the lowest.
///
/// [`Display`](fmt::Display) is lossless: plain decimals, no exponent, and parsing what was printed gives the same
/// cell. [`CellSentence::display`] writes the other forms. [`FromStr`] parses strictly; text from a model goes through
/// [`CellSentence::parse_lenient`].
///
/// # Examples
///
/// ```
/// use tn_sentence::{CellSentence, CoordinateFormat, GeneRanking, Position};
///
/// let cell = CellSentence::new(Position::new(-30.5, 40.2)?, GeneRanking::parse("GFAP IGF2")?)
///     .with_metadata("class", "OEC")?;
/// let text = cell.to_string();
/// assert_eq!(text, "<pos> X: -30.5, Y: 40.2 <meta> class: OEC <cs> GFAP IGF2 </cs>");
/// assert_eq!(text.parse::<CellSentence>()?, cell);
///
/// // The text that models are trained on has whole micrometers.
/// assert_eq!(
///     cell.display(CoordinateFormat::Integer).to_string(),
///     "<pos> X: -30, Y: 40 <meta> class: OEC <cs> GFAP IGF2 </cs>",
/// );
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct CellSentence {
    header: CellHeader,
    ranking: GeneRanking,
}

impl CellSentence {
    /// Builds a cell without metadata.
    pub fn new(position: Position, ranking: GeneRanking) -> Self {
        Self::from_header(CellHeader::new(position), ranking)
    }

    /// Builds a cell from its header and its genes.
    pub fn from_header(header: CellHeader, ranking: GeneRanking) -> Self {
        Self { header, ranking }
    }

    /// Adds one metadata pair, or replaces the value of a key that is there.
    ///
    /// # Errors
    ///
    /// Returns an error for a key that would not survive in text: see [`Metadata::insert`].
    pub fn with_metadata(mut self, key: &str, value: &str) -> Result<Self, MetadataError> {
        let mut metadata = self.header.metadata().clone();
        metadata.insert(key, value)?;
        self.header = self.header.with_metadata(metadata);
        Ok(self)
    }

    /// Returns where the cell is.
    pub fn position(&self) -> Position {
        self.header.position()
    }

    /// Returns what is known about the cell.
    pub fn metadata(&self) -> &Metadata {
        self.header.metadata()
    }

    /// Returns the class of the cell, if it is known.
    pub fn class(&self) -> Option<&str> {
        self.metadata().get("class")
    }

    /// Returns position and metadata.
    pub fn header(&self) -> &CellHeader {
        &self.header
    }

    /// Returns the genes, highest first.
    pub fn ranking(&self) -> &GeneRanking {
        &self.ranking
    }

    /// Returns the genes, highest first, and drops the rest.
    pub fn into_ranking(self) -> GeneRanking {
        self.ranking
    }

    /// Returns the same cell without metadata.
    pub fn without_metadata(mut self) -> Self {
        self.header = self.header.with_metadata(Metadata::new());
        self
    }

    /// Keeps the `n` highest genes.
    pub fn truncate(&mut self, n: usize) {
        self.ranking.truncate(n);
    }

    /// Parses one cell strictly: the whole text must be one well-formed cell.
    ///
    /// Tags and metadata keys are read in any case. The closing `</cs>` may be missing, as in the last cell of a text
    /// that was cut.
    ///
    /// # Errors
    ///
    /// Returns an error that names the byte offset and what was expected there.
    pub fn parse(text: &str) -> Result<Self, ParseError> {
        parser::parse_cell(text, &mut parser::Refuse)
    }

    /// Parses the first readable cell of a generated text, and reports what was skipped.
    ///
    /// Never fails: a text without a readable cell gives `None`. Words that are no gene symbol and later occurrences of
    /// a gene are left out of the ranking; all words, as written, are in [`gene_words`](crate::gene_words).
    ///
    /// # Examples
    ///
    /// ```
    /// use tn_sentence::CellSentence;
    ///
    /// let (cell, skipped) = CellSentence::parse_lenient("<pos> X: 1, Y: 2 <cs> GAD1 <gad AQP4 GAD1");
    /// assert_eq!(cell.unwrap().ranking().to_string(), "GAD1 AQP4");
    /// assert_eq!(skipped.len(), 2);
    /// assert_eq!(skipped[0].range, 27..31);
    /// ```
    pub fn parse_lenient(text: &str) -> (Option<Self>, Vec<Skipped>) {
        let mut skipped = parser::Collect::default();
        let cell = parser::first_cell(text, &mut skipped);
        (cell, skipped.into_skipped())
    }

    /// Returns the cell as it is written with the given coordinates.
    pub fn display(&self, format: CoordinateFormat) -> impl fmt::Display + '_ {
        writer::CellText { cell: self, format }
    }
}

impl fmt::Display for CellSentence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writer::write_cell(f, self, CoordinateFormat::Decimal)
    }
}

impl FromStr for CellSentence {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::parse(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_without_genes_survives() {
        let cell = CellSentence::new(Position::new(1.0, 2.0).unwrap(), GeneRanking::default());
        assert_eq!(cell.to_string(), "<pos> X: 1, Y: 2 <cs> </cs>");
        assert_eq!(cell.to_string().parse(), Ok(cell));
    }

    #[test]
    fn lenient_parsing_takes_the_first_readable_cell() {
        let text = "junk <pos> X: a <pos> X: 1, Y: 2 <cs> A </cs> <pos> X: 3, Y: 4 <cs> B </cs>";
        let (cell, skipped) = CellSentence::parse_lenient(text);
        assert_eq!(cell.unwrap().ranking().to_string(), "A");
        assert_eq!(skipped.len(), 2);
    }

    #[test]
    fn lenient_parsing_of_nothing_gives_nothing() {
        assert_eq!(CellSentence::parse_lenient(""), (None, vec![]));
    }
}
