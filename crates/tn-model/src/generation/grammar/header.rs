//! The fields between the position of a cell and its genes.

use std::collections::BTreeSet;

use tn_sentence::{CellSentence, Metadata};

use super::GrammarError;
use super::text::TextTokens;
use super::trie::Trie;
use super::words::Words;
use crate::tokenizer::SentenceTokenizer;

/// A field of a header, such as `class: Astro`, and what its value may be.
///
/// ```
/// use tn_model::generation::HeaderField;
///
/// let fields = [HeaderField::one_of("class", ["Astro", "Oligo"]), HeaderField::text("note", 12)];
/// assert_eq!(fields[0].key(), "class");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeaderField {
    key: String,
    values: FieldValues,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum FieldValues {
    OneOf(Vec<String>),
    Text { max_tokens: usize },
}

impl HeaderField {
    /// Builds a field with a closed list of values. A value that is listed several times counts once.
    pub fn one_of<I>(key: &str, values: I) -> Self
    where
        I: IntoIterator,
        I::Item: Into<String>,
    {
        let mut values: Vec<String> = values.into_iter().map(Into::into).collect();
        values.sort_unstable();
        values.dedup();
        Self { key: key.trim().to_lowercase(), values: FieldValues::OneOf(values) }
    }

    /// Builds a field with free text of about `max_tokens` tokens at most: no tag, no comma, no white space but single blanks.
    pub fn text(key: &str, max_tokens: usize) -> Self {
        Self { key: key.trim().to_lowercase(), values: FieldValues::Text { max_tokens } }
    }

    /// Returns the fields of some cells, in their order, each with the values that occur; `None` when there are no fields, or the cells have
    /// not all the same ones. Empty values, which cannot be told from missing ones, are left out.
    ///
    /// ```
    /// use tn_model::generation::HeaderField;
    /// use tn_sentence::Metadata;
    ///
    /// let cells = [[("class", "Oligo"), ("layer", "L1")], [("class", "Astro"), ("layer", "L1")]];
    /// let fields = HeaderField::of_cells(cells.into_iter().map(Metadata::from_pairs).collect::<Result<Vec<_>, _>>()?);
    /// assert_eq!(fields, Some(vec![HeaderField::one_of("class", ["Astro", "Oligo"]), HeaderField::one_of("layer", ["L1"])]));
    /// # Ok::<(), tn_sentence::MetadataError>(())
    /// ```
    pub fn of_cells(cells: impl IntoIterator<Item = Metadata>) -> Option<Vec<Self>> {
        let mut fields: Vec<(String, BTreeSet<String>)> = Vec::new();
        for (number, cell) in cells.into_iter().enumerate() {
            if number == 0 {
                fields = cell.iter().map(|(key, _)| (key.to_owned(), BTreeSet::new())).collect();
            }
            if !cell.iter().map(|(key, _)| key).eq(fields.iter().map(|(key, _)| key.as_str())) {
                return None;
            }
            for ((_, value), (_, values)) in cell.iter().zip(&mut fields) {
                if !value.is_empty() && !values.contains(value) {
                    values.insert(value.to_owned());
                }
            }
        }
        let fields: Vec<Self> = fields.into_iter().map(|(key, values)| Self::one_of(&key, values)).collect();
        (!fields.is_empty()).then_some(fields)
    }

    /// Returns the values to choose from; `None` for free text.
    pub fn values(&self) -> Option<&[String]> {
        match &self.values {
            FieldValues::OneOf(values) => Some(values),
            FieldValues::Text { .. } => None,
        }
    }

    /// Returns the key, in lower case as everywhere in a header.
    pub fn key(&self) -> &str {
        &self.key
    }
}

/// A part of a header.
#[derive(Clone, Debug)]
pub(crate) enum Part {
    /// One of some token sequences, none of which is the beginning of another.
    OneOf(Trie),
    /// Free text, up to a token of [`TextTokens::ends`].
    Text(TextTokens),
}

/// Builds the parts of a header with the given fields: ` <meta> key: value, key: value <cs>`.
///
/// What is fixed before or after a value belongs to the same token sequence as the value, because a tokenizer may join the comma with the
/// end of the value, but nothing across a blank.
pub(super) fn parts(tokenizer: &SentenceTokenizer, fields: &[HeaderField]) -> Result<Vec<Part>, GrammarError> {
    check_keys(fields)?;
    let words = Words::new(tokenizer);
    let mut parts = Vec::new();
    for (number, field) in fields.iter().enumerate() {
        let last = number + 1 == fields.len();
        let before = if number == 0 { " <meta>" } else { "" };
        match &field.values {
            FieldValues::OneOf(values) => {
                let spelled = values.iter().map(|value| spell(&words, before, &field.key, value, last));
                let paths = spelled.collect::<Result<Vec<_>, _>>()?;
                let trie = Trie::new(&paths).filter(|_| !paths.is_empty());
                parts.push(Part::OneOf(trie.ok_or_else(|| GrammarError::NoValue { key: field.key.clone() })?));
            }
            FieldValues::Text { max_tokens } => {
                let (key, end) = (words.spell(&format!("{before} {}:", field.key))?, words.spell(if last { " <cs>" } else { "," })?);
                let endless = || GrammarError::EndlessText { key: field.key.clone() };
                parts.push(one_path(key));
                let text = TextTokens::new(tokenizer, &end, *max_tokens).ok_or_else(endless)?;
                parts.push(Part::Text(text));
                parts.extend((end.len() > 1).then(|| one_path(end[1..].to_vec())));
            }
        }
    }
    Ok(parts)
}

fn one_path(tokens: Vec<u32>) -> Part {
    Part::OneOf(Trie::new(&[tokens]).expect("one sequence that is not empty"))
}

fn check_keys(fields: &[HeaderField]) -> Result<(), GrammarError> {
    let mut metadata = Metadata::new();
    for (number, field) in fields.iter().enumerate() {
        metadata.insert(&field.key, "")?;
        if metadata.len() == number {
            return Err(GrammarError::RepeatedKey { key: field.key.clone() });
        }
        if let FieldValues::OneOf(values) = &field.values {
            values.iter().try_for_each(|value| check_value(&field.key, value))?;
        }
    }
    Ok(())
}

/// Checks that a value comes back when the cell is read.
fn check_value(key: &str, value: &str) -> Result<(), GrammarError> {
    let written = Metadata::from_pairs([(key, value)])?;
    let cell = CellSentence::parse(&format!("<pos> X: 0, Y: 0 <meta> {written} <cs> </cs>"));
    let read = cell.ok().and_then(|cell| cell.metadata().get(key).map(str::to_owned)).unwrap_or_default();
    // An empty value would leave two blanks, which tokenizers join.
    if read != value || value.is_empty() {
        return Err(GrammarError::Value { key: key.to_owned(), value: value.to_owned(), read });
    }
    Ok(())
}

fn spell(words: &Words<'_>, before: &str, key: &str, value: &str, last: bool) -> Result<Vec<u32>, GrammarError> {
    let written = Metadata::from_pairs([(key, value)])?.to_string();
    let pair = format!("{before} {written}");
    if !last {
        return words.spell(&format!("{pair},"));
    }
    let (pair, end) = (words.spell(&pair)?, words.spell(" <cs>")?);
    Ok([pair, end].concat())
}
