//! The table of the cells of a folder: one row a cell, read column by column when it is asked for.

use std::collections::HashMap;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use crate::section_reader::TextColumn;
use crate::tables::column::Values;
use crate::tables::source::{Source, columns};
use crate::{ColumnKind, ColumnSpec, ReadError};

/// A table of cells.
pub(super) struct CellTable {
    path: PathBuf,
    /// Columns whose values, joined by `_`, name a cell.
    keys: Vec<String>,
    columns: Vec<(String, ColumnKind)>,
    n_cells: usize,
}

impl CellTable {
    /// Opens a table whose cells are named by these columns.
    pub(super) fn open(path: &Path, keys: &[&str]) -> Result<Self, ReadError> {
        check_end(path)?;
        let mut table =
            Self { path: path.to_owned(), keys: keys.iter().map(|&key| key.to_owned()).collect(), columns: columns(path)?, n_cells: 0 };
        table.n_cells = table.names()?.len();
        Ok(table)
    }

    /// Opens a text table whose first column names the cells, whatever it is called.
    pub(super) fn open_by_first_column(path: &Path) -> Result<Self, ReadError> {
        let header = super::wide_table::header(path)?;
        Self::open(path, &[header.get(0).unwrap_or_default()])
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn n_cells(&self) -> usize {
        self.n_cells
    }

    pub(super) fn columns(&self) -> &[(String, ColumnKind)] {
        &self.columns
    }

    pub(super) fn check_column(&self, name: &str) -> Result<(), ReadError> {
        if self.columns.iter().any(|(column, _)| column == name) {
            return Ok(());
        }
        Err(ReadError::MissingColumn {
            path: self.path.clone(),
            column: name.to_owned(),
            columns: self.columns.iter().map(|(column, _)| column.clone()).collect(),
        })
    }

    /// Returns the names of all cells.
    pub(super) fn names(&self) -> Result<Vec<String>, ReadError> {
        let mut names = Vec::new();
        self.read(&self.keys, ColumnKind::Text, |values| {
            let rows = values.first().map_or(0, Values::len);
            for row in 0..rows {
                let parts = values.iter().map(|values| match values {
                    Values::Text(texts) => texts.get(row).unwrap_or_default(),
                    _ => "",
                });
                names.push(parts.collect::<Vec<_>>().join("_"));
            }
        })?;
        Ok(names)
    }

    /// Returns the row of every cell by its name.
    ///
    /// # Errors
    ///
    /// Returns an error if two rows have the same name.
    pub(super) fn rows_by_name(&self) -> Result<HashMap<String, u32>, ReadError> {
        let names = self.names()?;
        let mut rows = HashMap::with_capacity(names.len());
        for (row, name) in (0..).zip(names) {
            if rows.contains_key(&name) {
                return Err(ReadError::RepeatedCell { path: self.path.clone(), cell: name });
            }
            rows.insert(name, row);
        }
        Ok(rows)
    }

    pub(super) fn text(&self, name: &str) -> Result<TextColumn, ReadError> {
        self.check_column(name)?;
        let mut texts = Vec::with_capacity(self.n_cells);
        self.read(&[name.to_owned()], ColumnKind::Text, |values| {
            if let [Values::Text(batch)] = values {
                texts.extend(batch.iter().map(|text| text.map(str::to_owned)));
            }
        })?;
        self.check_length(name, texts.len())?;
        Ok(TextColumn::from_values(texts))
    }

    pub(super) fn numbers(&self, name: &str) -> Result<Vec<f64>, ReadError> {
        self.check_column(name)?;
        let mut numbers = Vec::with_capacity(self.n_cells);
        self.read(&[name.to_owned()], ColumnKind::Number, |values| {
            if let [Values::Number(batch)] = values {
                numbers.extend(batch.iter().map(|number| number.unwrap_or(f64::NAN)));
            }
        })?;
        self.check_length(name, numbers.len())?;
        Ok(numbers)
    }

    /// Says what a column holds. A text file does not say: if its first rows are numbers, they all should be.
    pub(super) fn kind(&self, name: &str) -> Result<ColumnKind, ReadError> {
        self.check_column(name)?;
        let declared = self.columns.iter().find(|(column, _)| column == name).map_or(ColumnKind::Other, |(_, kind)| *kind);
        if declared != ColumnKind::Text {
            return Ok(declared);
        }
        let spec = ColumnSpec::required(name, ColumnKind::Text);
        let is_number = |text: &str| text.trim().parse::<f64>().is_ok();
        match Source::open(&self.path, &[spec], false)?.next_batch()? {
            Some(batch) => match batch.columns.first() {
                Some((_, Values::Text(texts))) if texts.iter().any(|text| text.is_some()) && texts.iter().flatten().all(is_number) => {
                    Ok(ColumnKind::Number)
                }
                _ => Ok(ColumnKind::Text),
            },
            None => Ok(ColumnKind::Text),
        }
    }

    /// Reads some columns batch by batch.
    fn read(&self, names: &[String], kind: ColumnKind, mut take: impl FnMut(&[Values])) -> Result<(), ReadError> {
        let specs: Vec<ColumnSpec> = names.iter().map(|name| ColumnSpec::required(name, kind)).collect();
        let mut source = Source::open(&self.path, &specs, false)?;
        while let Some(batch) = source.next_batch()? {
            let values: Vec<Values> = batch.columns.into_iter().map(|(_, values)| values).collect();
            take(&values);
        }
        Ok(())
    }

    /// The file may have been changed since it was opened.
    fn check_length(&self, column: &str, found: usize) -> Result<(), ReadError> {
        if found == self.n_cells {
            return Ok(());
        }
        Err(ReadError::WrongLength { path: self.path.clone(), object: column.to_owned(), expected: self.n_cells, found })
    }
}

/// Checks that a plain text file ends with a line break, as instruments write it: without one, its last number may have
/// lost digits. Other formats know by themselves when they are cut short.
pub(super) fn check_end(path: &Path) -> Result<(), ReadError> {
    let is_text = path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("csv"));
    if !is_text {
        return Ok(());
    }
    let open_error = |source| ReadError::Open { path: path.to_owned(), source };
    let mut file = File::open(path).map_err(open_error)?;
    let mut last = [0];
    if file.metadata().map_err(open_error)?.len() > 0 {
        file.seek(SeekFrom::End(-1)).map_err(open_error)?;
        file.read_exact(&mut last).map_err(open_error)?;
    }
    if last == *b"\n" { Ok(()) } else { Err(ReadError::CutShort { path: path.to_owned() }) }
}
