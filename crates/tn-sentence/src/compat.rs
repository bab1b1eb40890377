//! The behavior of the published program, by name.
//!
//! The rest of this crate is right by default; these functions are for those who compare numbers with the published
//! ones. Each says how it differs.

use crate::{
    CellSentence, ParseError, SpatialSentence, Vocabulary,
    cell_sentence::parser::{Defects, parse_cell as parse_cell_with},
    clean_up::merged_positions,
    spatial_sentence::parser::parse_with,
};

/// The word that stands for a word outside the panel.
pub const NOT_A_GENE: &str = "NOT_A_GENE";

/// Ignores stray text and refuses everything else.
struct IgnoreText;

impl Defects for IgnoreText {
    fn note(&mut self, _: std::ops::Range<usize>, reason: ParseError) -> Result<(), ParseError> {
        match reason {
            ParseError::UnexpectedText { .. } => Ok(()),
            reason => Err(reason),
        }
    }
}

/// Parses the first cell of a text as the published program does: text around its parts is silently ignored.
///
/// # Errors
///
/// Returns an error for a block without position or genes.
///
/// # Examples
///
/// ```
/// use tn_sentence::{CellSentence, compat};
///
/// let text = "<pos> X: 1, Y: 2 extra <cs> A </cs> tail";
/// assert!(CellSentence::parse(text).is_err());
/// assert_eq!(compat::parse_cell(text)?.to_string(), "<pos> X: 1, Y: 2 <cs> A </cs>");
/// # Ok::<(), tn_sentence::ParseError>(())
/// ```
pub fn parse_cell(text: &str) -> Result<CellSentence, ParseError> {
    parse_cell_with(text, &mut IgnoreText)
}

/// Parses a spatial sentence as the published program does in its strict mode: a block without a cell is an error, text
/// around the parts of a block is silently ignored.
///
/// # Errors
///
/// Returns an error for a block without position or genes.
pub fn parse_spatial_sentence(text: &str) -> Result<SpatialSentence, ParseError> {
    parse_with(text, &mut IgnoreText)
}

/// Cleans up the words that a model wrote as the published program does.
///
/// It differs from [`clean_generated_genes`](crate::clean_generated_genes) in two points: words are separated by single
/// blanks only, so that an empty text is one word outside the panel; and such a word in first position survives as the
/// literal [`NOT_A_GENE`], which takes rank 0.
///
/// # Examples
///
/// ```
/// use tn_sentence::{Vocabulary, compat};
///
/// let panel = Vocabulary::new(["AQP4", "GAD1"])?;
/// assert_eq!(compat::clean_generated_genes("xyz GAD1 abc", &panel, 100), ["NOT_A_GENE", "GAD1"]);
/// # Ok::<(), tn_sentence::VocabularyError>(())
/// ```
pub fn clean_generated_genes(text: &str, vocabulary: &Vocabulary, top: usize) -> Vec<String> {
    merged_positions(text.split(' '), vocabulary)
        .into_iter()
        .enumerate()
        .filter(|(place, column)| column.is_some() || *place == 0)
        .take(top)
        .map(|(_, column)| column.map_or(NOT_A_GENE, |gene| vocabulary.symbol(gene)).to_owned())
        .collect()
}
