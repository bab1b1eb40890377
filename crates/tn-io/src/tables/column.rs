//! A batch of rows by columns, and single rows of it.

use std::path::Path;

use thiserror::Error;

use super::texts::{TextLists, Texts};
use super::{InvalidValue, TableError};
use crate::ColumnKind;

/// Characters of an invalid value that a message shows.
const SHOWN_CHARACTERS: usize = 80;

/// A column of a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ColumnSpec {
    /// Its name.
    pub name: String,
    /// What it holds.
    pub kind: ColumnKind,
    /// Whether a table without it is refused.
    pub is_required: bool,
}

impl ColumnSpec {
    /// Describes a column that every table has.
    pub fn required(name: &str, kind: ColumnKind) -> Self {
        Self { name: name.to_owned(), kind, is_required: true }
    }

    /// Describes a column that a table to be read may lack.
    pub fn optional(name: &str, kind: ColumnKind) -> Self {
        Self { name: name.to_owned(), kind, is_required: false }
    }
}

/// The values of one column of a batch.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Values {
    Text(Texts),
    Number(Vec<Option<f64>>),
    Integer(Vec<Option<i64>>),
    Flag(Vec<Option<bool>>),
    List(TextLists),
    NumberList(Vec<Option<Vec<f64>>>),
}

impl Values {
    pub(super) fn empty(kind: ColumnKind) -> Self {
        match kind {
            ColumnKind::Number => Self::Number(Vec::new()),
            ColumnKind::Integer => Self::Integer(Vec::new()),
            ColumnKind::Flag => Self::Flag(Vec::new()),
            ColumnKind::List => Self::List(TextLists::default()),
            ColumnKind::NumberList => Self::NumberList(Vec::new()),
            ColumnKind::Text | ColumnKind::Category | ColumnKind::Other => Self::Text(Texts::default()),
        }
    }

    pub(crate) fn len(&self) -> usize {
        match self {
            Self::Text(values) => values.len(),
            Self::Number(values) => values.len(),
            Self::Integer(values) => values.len(),
            Self::Flag(values) => values.len(),
            Self::List(values) => values.len(),
            Self::NumberList(values) => values.len(),
        }
    }

    fn push_missing(&mut self) {
        match self {
            Self::Text(values) => values.push(None),
            Self::Number(values) => values.push(None),
            Self::Integer(values) => values.push(None),
            Self::Flag(values) => values.push(None),
            Self::List(values) => values.push(None::<[&str; 0]>),
            Self::NumberList(values) => values.push(None),
        }
    }
}

/// Rows by columns.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Batch {
    pub(crate) columns: Vec<(String, Values)>,
    pub(crate) rows: usize,
    /// Bytes of the values that were written, about.
    pub(crate) bytes: usize,
}

impl Batch {
    pub(super) fn empty(specs: &[ColumnSpec]) -> Self {
        Self { columns: specs.iter().map(|spec| (spec.name.clone(), Values::empty(spec.kind))).collect(), rows: 0, bytes: 0 }
    }

    /// Ends a row that was written: columns without a value get a missing one.
    pub(super) fn end_row(&mut self) {
        self.rows += 1;
        for (_, values) in &mut self.columns {
            if values.len() < self.rows {
                values.push_missing();
            }
        }
    }

    fn column(&self, name: &str) -> Option<&Values> {
        self.columns.iter().find(|(other, _)| other == name).map(|(_, values)| values)
    }
}

/// A row that is being written. Values go to columns by name; a column that the table does not have is left out.
#[derive(Debug)]
pub struct RowWriter<'b> {
    pub(super) batch: &'b mut Batch,
}

impl RowWriter<'_> {
    /// Writes a text.
    pub fn text(&mut self, column: &str, value: &str) {
        self.text_with(column, |text| text.push_str(value));
    }

    /// Writes a text by a function that appends it, and leaves what is there as it is.
    pub(crate) fn text_with(&mut self, column: &str, append: impl FnOnce(&mut String)) {
        let Batch { columns, bytes, .. } = &mut *self.batch;
        if let Some((_, Values::Text(values))) = columns.iter_mut().find(|(other, _)| other == column) {
            *bytes += values.push_with(append);
        }
    }

    /// Writes texts to the columns after the first `own`, by a function from the name of a column to its value.
    pub fn other_texts<'v>(&mut self, own: usize, value: impl Fn(&str) -> Option<&'v str>) {
        let Batch { columns, bytes, .. } = &mut *self.batch;
        for (name, values) in columns.iter_mut().skip(own) {
            if let (Values::Text(values), Some(value)) = (values, value(name)) {
                values.push(Some(value));
                *bytes += value.len();
            }
        }
    }

    /// Writes a number.
    pub fn number(&mut self, column: &str, value: f64) {
        if let Some(Values::Number(values)) = self.values(column) {
            values.push(Some(value));
        }
    }

    /// Writes a whole number.
    pub fn integer(&mut self, column: &str, value: u32) {
        if let Some(Values::Integer(values)) = self.values(column) {
            values.push(Some(i64::from(value)));
        }
    }

    /// Writes true or false.
    pub fn flag(&mut self, column: &str, value: bool) {
        if let Some(Values::Flag(values)) = self.values(column) {
            values.push(Some(value));
        }
    }

    /// Writes a list of texts.
    pub fn list(&mut self, column: &str, value: &[String]) {
        if let Some(Values::List(values)) = self.values(column) {
            values.push(Some(value.iter().map(String::as_str)));
            self.batch.bytes += value.iter().map(String::len).sum::<usize>();
        }
    }

    /// Writes a list of numbers.
    pub fn number_list(&mut self, column: &str, value: &[f64]) {
        if let Some(Values::NumberList(values)) = self.values(column) {
            values.push(Some(value.to_vec()));
            self.batch.bytes += size_of_val(value);
        }
    }

    fn values(&mut self, column: &str) -> Option<&mut Values> {
        self.batch.columns.iter_mut().find(|(other, _)| other == column).map(|(_, values)| values)
    }
}

/// A row that was read.
#[derive(Debug)]
pub struct RowReader<'b> {
    pub(super) path: &'b Path,
    pub(super) batch: &'b Batch,
    pub(super) index: usize,
    pub(super) number: usize,
    /// Genes that are read of a cell.
    pub(super) max_genes: usize,
}

impl<'b> RowReader<'b> {
    /// Returns the names of the columns of the table.
    pub fn columns(&self) -> impl Iterator<Item = &'b str> + use<'b> {
        self.batch.columns.iter().map(|(name, _)| name.as_str())
    }

    /// Returns a text, or nothing if it or its column is missing.
    pub fn optional_text(&self, column: &str) -> Option<&'b str> {
        match self.batch.column(column)? {
            Values::Text(values) => values.get(self.index),
            _ => None,
        }
    }

    /// Returns a text.
    ///
    /// # Errors
    ///
    /// Returns an error if it is missing.
    pub fn text(&self, column: &str) -> Result<&'b str, TableError> {
        self.optional_text(column).ok_or_else(|| self.missing(column))
    }

    /// Returns a number, or nothing if it or its column is missing.
    pub fn optional_number(&self, column: &str) -> Option<f64> {
        match self.batch.column(column)? {
            Values::Number(values) => values[self.index],
            _ => None,
        }
    }

    /// Returns a number.
    ///
    /// # Errors
    ///
    /// Returns an error if it is missing.
    pub fn number(&self, column: &str) -> Result<f64, TableError> {
        self.optional_number(column).ok_or_else(|| self.missing(column))
    }

    /// Returns a whole number that is not negative, or nothing if it or its column is missing.
    ///
    /// # Errors
    ///
    /// Returns an error if it is negative or too large.
    pub fn optional_integer(&self, column: &str) -> Result<Option<u32>, TableError> {
        match self.batch.column(column) {
            Some(Values::Integer(values)) => values[self.index]
                .map(|value| u32::try_from(value).map_err(|source| self.invalid(column, &value.to_string(), source)))
                .transpose(),
            _ => Ok(None),
        }
    }

    /// Returns a whole number that is not negative.
    ///
    /// # Errors
    ///
    /// Returns an error if it is missing, negative or too large.
    pub fn integer(&self, column: &str) -> Result<u32, TableError> {
        self.optional_integer(column)?.ok_or_else(|| self.missing(column))
    }

    /// Returns true or false.
    ///
    /// # Errors
    ///
    /// Returns an error if it is missing.
    pub fn flag(&self, column: &str) -> Result<bool, TableError> {
        match self.batch.column(column) {
            Some(Values::Flag(values)) => values[self.index],
            _ => None,
        }
        .ok_or_else(|| self.missing(column))
    }

    /// Returns a list of texts; nothing is an empty list.
    pub fn list(&self, column: &str) -> Vec<String> {
        match self.batch.column(column) {
            Some(Values::List(values)) => values.get(self.index).into_iter().flatten().map(str::to_owned).collect(),
            _ => Vec::new(),
        }
    }

    /// Returns a list of numbers; nothing is an empty list.
    pub fn number_list(&self, column: &str) -> Vec<f64> {
        match self.batch.column(column) {
            Some(Values::NumberList(values)) => values[self.index].clone().unwrap_or_default(),
            _ => Vec::new(),
        }
    }

    /// Makes an error of a value that cannot be used.
    pub fn invalid<E: Into<InvalidValue>>(&self, column: &str, found: &str, source: E) -> TableError {
        let mut shown: String = found.chars().take(SHOWN_CHARACTERS).collect();
        if shown.len() < found.len() {
            shown.push('…');
        }
        TableError::InvalidValue {
            path: self.path.to_owned(),
            row: self.number,
            column: column.to_owned(),
            found: shown,
            source: source.into(),
        }
    }

    /// Makes an error of a value that is missing.
    pub fn missing(&self, column: &str) -> TableError {
        TableError::MissingValue { path: self.path.to_owned(), row: self.number, column: column.to_owned() }
    }
}

/// Text that should be a list, a number or a truth value and is not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("expected {expected}")]
pub(super) struct UnexpectedText {
    pub(super) expected: &'static str,
}

/// Reads a list that is stored as text: a JSON array, or the way Python prints a list.
pub(super) fn parse_list(text: &str) -> Result<Vec<String>, UnexpectedText> {
    let text = text.trim();
    if text.is_empty() {
        return Ok(Vec::new());
    }
    if let Ok(list) = serde_json::from_str(text) {
        return Ok(list);
    }
    let inner = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    let inner = inner.ok_or(UnexpectedText { expected: "a list such as [\"a\", \"b\"]" })?.trim();
    if inner.is_empty() {
        return Ok(Vec::new());
    }
    let unquoted = |item: &str| item.trim().trim_matches(|c| c == '\'' || c == '"').to_owned();
    Ok(inner.split(',').map(unquoted).collect())
}

/// Reads a list of numbers that is stored as text, to the last bit as it was printed.
pub(super) fn parse_number_list(text: &str) -> Result<Vec<f64>, UnexpectedText> {
    let unexpected = UnexpectedText { expected: "a list of numbers such as [0.5, 2]" };
    let inner = text.trim().strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).ok_or(unexpected)?.trim();
    match inner.is_empty() {
        true => Ok(Vec::new()),
        false => inner.split(',').map(|item| item.trim().parse().map_err(|_| unexpected)).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &[&str]) {
        assert_eq!(parse_list(text).unwrap(), expected, "{text}");
    }

    #[test]
    fn lists_are_read_from_json_and_from_python() {
        check(r#"["a, b", "c"]"#, &["a, b", "c"]);
        check("['a', 'b']", &["a", "b"]);
        check("[]", &[]);
        check(" ", &[]);
        assert!(parse_list("a b").is_err());
    }

    #[test]
    fn numbers_of_lists_keep_every_bit() {
        let numbers = [0.1 + 0.2, -1e-300, f64::MAX, 5e-324, 2.0, -0.0];
        let text = format!("{numbers:?}");
        let read = parse_number_list(&text).unwrap();
        assert!(read.iter().zip(numbers).all(|(read, number)| read.to_bits() == number.to_bits()), "{text}: {read:?}");
        assert_eq!(parse_number_list(" [ ] ").unwrap(), [0.0; 0]);
        for text in ["", "1, 2", "[1, a]", "[1,]", "[1"] {
            assert!(parse_number_list(text).is_err(), "{text}");
        }
    }
}
