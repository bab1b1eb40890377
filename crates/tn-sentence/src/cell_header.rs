//! The part of a cell sentence before its genes.

use std::fmt;

use crate::{CoordinateFormat, Metadata, Position, cell_sentence::writer};

/// What comes before the genes of a cell: where it is and what is known about it.
///
/// [`Display`](fmt::Display) writes the header up to and including `<cs>`, with plain decimals.
///
/// # Examples
///
/// ```
/// use tn_sentence::{CellHeader, CoordinateFormat, Metadata, Position};
///
/// let header = CellHeader::new(Position::new(4768.2, 6093.0)?)
///     .with_metadata(Metadata::from_pairs([("class", "HY GABA")])?);
/// assert_eq!(
///     header.display(CoordinateFormat::Integer).to_string(),
///     "<pos> X: 4768, Y: 6093 <meta> class: HY GABA <cs>",
/// );
/// assert_eq!(header.position_text(CoordinateFormat::Integer), "<pos> X: 4768, Y: 6093");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct CellHeader {
    position: Position,
    metadata: Metadata,
}

impl CellHeader {
    /// Builds a header without metadata.
    pub fn new(position: Position) -> Self {
        Self { position, metadata: Metadata::new() }
    }

    /// Replaces the metadata.
    pub fn with_metadata(mut self, metadata: Metadata) -> Self {
        self.metadata = metadata;
        self
    }

    /// Returns where the cell is.
    pub fn position(&self) -> Position {
        self.position
    }

    /// Returns what is known about the cell.
    pub fn metadata(&self) -> &Metadata {
        &self.metadata
    }

    /// Returns the header as it is written, up to and including `<cs>`.
    pub fn display(&self, format: CoordinateFormat) -> impl fmt::Display + '_ {
        HeaderText { header: self, format }
    }

    /// Returns only the position as it is written: `<pos> X: 1, Y: 2`.
    pub fn position_text(&self, format: CoordinateFormat) -> String {
        let (x, y) = (self.position.x(), self.position.y());
        format!("<pos> X: {}, Y: {}", format.number(x), format.number(y))
    }
}

struct HeaderText<'a> {
    header: &'a CellHeader,
    format: CoordinateFormat,
}

impl fmt::Display for HeaderText<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writer::write_position(f, self.header.position, self.format)?;
        writer::write_metadata(f, &self.header.metadata)?;
        f.write_str(" <cs>")
    }
}

impl fmt::Display for CellHeader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.display(CoordinateFormat::Decimal).fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_without_metadata_has_no_meta_part() {
        let header = CellHeader::new(Position::new(-30.5, 40.2).unwrap());
        assert_eq!(header.to_string(), "<pos> X: -30.5, Y: 40.2 <cs>");
    }
}
