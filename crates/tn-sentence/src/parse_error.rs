//! What can be wrong with a text.

use std::{fmt, ops::Range};

use thiserror::Error;

use crate::{Axis, GeneSymbol, gene::GeneSymbolError, metadata::MetadataError};

/// A part of a text that a lenient parser left out.
///
/// # Examples
///
/// ```
/// use tn_sentence::SpatialSentence;
///
/// let text = "<pos> X: ten, Y: 2 <cs> A </cs> <pos> X: 1, Y: 2 <cs> B </cs>";
/// let (sentence, skipped) = SpatialSentence::parse_lenient(text);
/// assert_eq!(sentence.cells().len(), 1);
/// assert_eq!(&text[skipped[0].range.clone()], "<pos> X: ten, Y: 2 <cs> A </cs>");
/// assert_eq!(skipped[0].reason.to_string(), r#"expected a number for X at byte 9, found "ten""#);
/// ```
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Skipped {
    /// The bytes that were left out, counted from the beginning of the parsed text.
    pub range: Range<usize>,
    /// Why they were left out.
    pub reason: ParseError,
}

impl fmt::Display for Skipped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Range { start, end } = self.range;
        write!(f, "skipped bytes {start} to {end}: {}", self.reason)
    }
}

/// The tags of a cell sentence.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Tag {
    /// `<pos>`, before the coordinates.
    Position,
    /// `<meta>`, before the metadata.
    Metadata,
    /// `<cs>`, before the genes.
    Genes,
    /// `</cs>`, after the genes.
    End,
}

impl Tag {
    /// Returns the tag as it is written.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Position => "<pos>",
            Self::Metadata => "<meta>",
            Self::Genes => "<cs>",
            Self::End => "</cs>",
        }
    }
}

impl fmt::Display for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A text that is no cell sentence or spatial sentence.
///
/// Offsets are bytes from the beginning of the parsed text.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
#[non_exhaustive]
pub enum ParseError {
    /// A tag is missing.
    #[error("expected {tag} at byte {offset}")]
    MissingTag {
        /// The tag.
        tag: Tag,
        /// Where it was expected at the latest.
        offset: usize,
    },
    /// A coordinate is no plain decimal number.
    #[error("expected a number for {axis} at byte {offset}, found {found:?}")]
    InvalidCoordinate {
        /// The axis.
        axis: Axis,
        /// Where the number was expected.
        offset: usize,
        /// The word found there.
        found: String,
    },
    /// The coordinates do not read `X: 1, Y: 2`.
    #[error("expected {expected:?} at byte {offset}")]
    MissingCoordinate {
        /// The text expected.
        expected: &'static str,
        /// Where it was expected.
        offset: usize,
    },
    /// A metadata item has no usable key.
    #[error("invalid metadata at byte {offset}")]
    InvalidMetadata {
        /// Where the item begins.
        offset: usize,
        /// What is wrong with the key.
        source: MetadataError,
    },
    /// A word among the genes is no gene symbol.
    #[error("invalid gene at byte {offset}")]
    InvalidGene {
        /// Where the word begins.
        offset: usize,
        /// What is wrong with the word.
        source: GeneSymbolError,
    },
    /// A gene occurs twice in a cell.
    #[error("gene {gene} occurs again at byte {offset}")]
    RepeatedGene {
        /// The gene.
        gene: GeneSymbol,
        /// Where it occurs again.
        offset: usize,
    },
    /// There is text where none belongs.
    #[error("unexpected text at byte {offset}: {found:?}")]
    UnexpectedText {
        /// Where the text begins.
        offset: usize,
        /// The text, shortened.
        found: String,
    },
}

impl ParseError {
    /// Returns the byte at which the error was found.
    pub fn offset(&self) -> usize {
        match self {
            Self::MissingTag { offset, .. }
            | Self::InvalidCoordinate { offset, .. }
            | Self::MissingCoordinate { offset, .. }
            | Self::InvalidMetadata { offset, .. }
            | Self::InvalidGene { offset, .. }
            | Self::RepeatedGene { offset, .. }
            | Self::UnexpectedText { offset, .. } => *offset,
        }
    }
}
