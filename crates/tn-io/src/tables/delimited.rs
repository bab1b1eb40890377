//! Batches from and to CSV and TSV files.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use flate2::read::MultiGzDecoder;

use super::column::{Batch, ColumnSpec, UnexpectedText, Values, parse_list, parse_number_list};
use super::{InvalidValue, TableError};
use crate::ColumnKind;
use crate::output::AtomicFile;

#[derive(Debug)]
pub(super) struct DelimitedWriter {
    path: PathBuf,
    writer: csv::Writer<AtomicFile>,
}

impl DelimitedWriter {
    pub(super) fn create(path: &Path, delimiter: u8, specs: &[ColumnSpec]) -> Result<Self, TableError> {
        let file = AtomicFile::create(path).map_err(|source| TableError::Write { path: path.to_owned(), source })?;
        let mut writer = csv::WriterBuilder::new().delimiter(delimiter).from_writer(file);
        writer.write_record(specs.iter().map(|spec| &spec.name)).map_err(|source| write_error(path, source))?;
        Ok(Self { path: path.to_owned(), writer })
    }

    pub(super) fn write(&mut self, batch: &Batch) -> Result<(), TableError> {
        for row in 0..batch.rows {
            let cells = batch.columns.iter().map(|(_, values)| print(values, row));
            self.writer.write_record(cells).map_err(|source| write_error(&self.path, source))?;
        }
        Ok(())
    }

    pub(super) fn finish(self) -> Result<(), TableError> {
        let Self { path, writer } = self;
        let write_error = |source| TableError::Write { path: path.clone(), source };
        let file = writer.into_inner().map_err(|error| write_error(error.into_error()))?;
        file.commit().map_err(write_error)
    }
}

/// Prints a value. A missing one is empty, a list is a JSON array (but for numbers that are not finite).
fn print(values: &Values, row: usize) -> String {
    match values {
        Values::Text(values) => values.get(row).map(str::to_owned),
        Values::Number(values) => values[row].map(|number| number.to_string()),
        Values::Integer(values) => values[row].map(|number| number.to_string()),
        Values::Flag(values) => values[row].map(|flag| flag.to_string()),
        Values::List(values) => values.get(row).map(|list| serde_json::Value::from_iter(list).to_string()),
        Values::NumberList(values) => values[row].as_ref().map(|list| format!("{list:?}")),
    }
    .unwrap_or_default()
}

fn write_error(path: &Path, source: csv::Error) -> TableError {
    TableError::Write { path: path.to_owned(), source: source.into() }
}

/// A text file, plain or compressed by gzip (`.gz`).
#[derive(Debug)]
pub(crate) enum Text {
    Plain(File),
    Gzip(Box<MultiGzDecoder<File>>),
}

impl Text {
    pub(crate) fn open(path: &Path) -> Result<Self, TableError> {
        let file = File::open(path).map_err(|source| TableError::Open { path: path.to_owned(), source })?;
        let is_gzip = path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("gz"));
        Ok(if is_gzip { Self::Gzip(Box::new(MultiGzDecoder::new(file))) } else { Self::Plain(file) })
    }
}

impl Read for Text {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(file) => file.read(buffer),
            Self::Gzip(decoder) => decoder.read(buffer),
        }
    }
}

#[derive(Debug)]
pub(crate) struct DelimitedReader {
    path: PathBuf,
    reader: csv::Reader<Text>,
    /// For every wanted column its name, its kind and its place in a record.
    columns: Vec<(String, ColumnKind, usize)>,
    rows_before: usize,
}

impl DelimitedReader {
    pub(super) fn open(path: &Path, delimiter: u8, specs: &[ColumnSpec], keeps_others: bool) -> Result<Self, TableError> {
        let mut reader = csv::ReaderBuilder::new().delimiter(delimiter).from_reader(Text::open(path)?);
        let header = reader.headers().map_err(|source| TableError::Delimited { path: path.to_owned(), source })?.clone();
        let mut columns = Vec::new();
        for spec in specs {
            match header.iter().position(|name| name == spec.name) {
                Some(place) => columns.push((spec.name.clone(), spec.kind, place)),
                None if spec.is_required => {
                    return Err(TableError::MissingColumn {
                        path: path.to_owned(),
                        column: spec.name.clone(),
                        columns: header.iter().map(str::to_owned).collect(),
                    });
                }
                None => {}
            }
        }
        if keeps_others {
            for (place, name) in header.iter().enumerate() {
                // pandas writes its index as a column without a name.
                if !name.is_empty() && columns.iter().all(|(other, _, _)| other != name) {
                    columns.push((name.to_owned(), ColumnKind::Text, place));
                }
            }
        }
        Ok(Self { path: path.to_owned(), reader, columns, rows_before: 0 })
    }

    /// Returns the columns. A text file does not say what they hold: text.
    pub(super) fn column_names(&self) -> Vec<(String, ColumnKind)> {
        self.columns.iter().map(|(name, kind, _)| (name.clone(), *kind)).collect()
    }

    pub(super) fn next_batch(&mut self, rows: usize) -> Result<Option<Batch>, TableError> {
        let mut batch =
            Batch { columns: self.columns.iter().map(|(name, kind, _)| (name.clone(), Values::empty(*kind))).collect(), rows: 0, bytes: 0 };
        for record in self.reader.records().take(rows) {
            let record = record.map_err(|source| TableError::Delimited { path: self.path.clone(), source })?;
            for ((name, values), (_, _, place)) in batch.columns.iter_mut().zip(&self.columns) {
                let text = record.get(*place).unwrap_or_default();
                parse(values, text).map_err(|source| TableError::InvalidValue {
                    path: self.path.clone(),
                    row: self.rows_before + batch.rows,
                    column: name.clone(),
                    found: text.to_owned(),
                    source,
                })?;
            }
            batch.rows += 1;
        }
        self.rows_before += batch.rows;
        Ok((batch.rows > 0).then_some(batch))
    }
}

fn parse(values: &mut Values, text: &str) -> Result<(), InvalidValue> {
    let is_missing = text.is_empty();
    match values {
        Values::Text(values) => values.push((!is_missing).then_some(text)),
        _ if is_missing => match values {
            Values::Number(values) => values.push(None),
            Values::Integer(values) => values.push(None),
            Values::Flag(values) => values.push(None),
            Values::List(values) => values.push(None::<[&str; 0]>),
            Values::NumberList(values) => values.push(None),
            Values::Text(_) => {}
        },
        Values::Number(values) => values.push(Some(text.trim().parse()?)),
        Values::Integer(values) => values.push(Some(parse_integer(text.trim())?)),
        Values::Flag(values) => values.push(Some(match text.trim() {
            "true" | "True" | "TRUE" | "1" => true,
            "false" | "False" | "FALSE" | "0" => false,
            _ => return Err(UnexpectedText { expected: "true or false" }.into()),
        })),
        Values::List(values) => values.push(Some(parse_list(text)?.iter().map(String::as_str))),
        Values::NumberList(values) => values.push(Some(parse_number_list(text)?)),
    }
    Ok(())
}

/// Parses a whole number, also where a program wrote `3.0` because the column had missing values.
fn parse_integer(text: &str) -> Result<i64, std::num::ParseIntError> {
    text.strip_suffix(".0").unwrap_or(text).parse()
}
