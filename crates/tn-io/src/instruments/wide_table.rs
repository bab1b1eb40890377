//! Counts as a text table: one row a cell, one column a gene.

use std::collections::HashMap;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use csv::StringRecord;

use super::cell_table::{CellTable, check_end};
use crate::anndata::matrix::{BLOCK_CELLS, BLOCK_VALUES};
use crate::cell_buckets::{CellBuckets, CellBucketsWriter, temporary_file_error};
use crate::section_reader::SparseRows;
use crate::tables::delimited::Text;
use crate::{ReadError, TableError};

/// What a program's table looks like.
pub(super) struct WideFormat {
    /// Columns whose values, joined by `_`, name a cell; nothing if the first column does.
    pub(super) keys: Option<&'static [&'static str]>,
    /// Whether a column counts a control and is left out.
    pub(super) is_control: fn(&str) -> bool,
    /// Whether a row of this name is no cell and is left out.
    pub(super) is_background: fn(&str) -> bool,
}

/// A table of counts, which is read once, when the first rows are asked for.
pub(super) struct WideTable {
    path: PathBuf,
    format: WideFormat,
    /// Places of the columns that name a cell.
    key_places: Vec<usize>,
    /// Places of the columns of the genes.
    gene_places: Vec<usize>,
    genes: Vec<String>,
    buckets: Mutex<Option<Arc<CellBuckets>>>,
}

impl WideTable {
    pub(super) fn open(path: &Path, format: WideFormat) -> Result<Self, ReadError> {
        check_end(path)?;
        let header = header(path)?;
        let key_places = match format.keys {
            None => vec![0],
            Some(keys) => keys.iter().map(|key| place(path, &header, key)).collect::<Result<_, _>>()?,
        };
        let is_gene = |place: &usize| !key_places.contains(place) && !(format.is_control)(&header[*place]) && !header[*place].is_empty();
        // Some programs repeat the name of the cell in a column `cell`.
        let is_name = |place: &usize| format.keys.is_some() && matches!(&header[*place], "cell" | "cell_id");
        let gene_places: Vec<usize> = (0..header.len()).filter(|place| is_gene(place) && !is_name(place)).collect();
        let genes = gene_places.iter().map(|&place| header[place].to_owned()).collect();
        Ok(Self { path: path.to_owned(), format, key_places, gene_places, genes, buckets: Mutex::new(None) })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn genes(&self) -> &[String] {
        &self.genes
    }

    pub(super) fn rows_per_block(&self) -> usize {
        (BLOCK_VALUES / self.genes.len().max(1)).clamp(1, BLOCK_CELLS)
    }

    pub(super) fn rows(&self, range: Range<usize>, cells: &CellTable) -> Result<SparseRows, ReadError> {
        let buckets = {
            // A panic cannot leave half of the buckets behind: they are stored when they are complete.
            let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
            match buckets.as_ref() {
                Some(buckets) => Arc::clone(buckets),
                None => Arc::clone(buckets.insert(Arc::new(self.read(cells)?))),
            }
        };
        buckets.rows(range).map_err(|source| temporary_file_error(&self.path, source))
    }

    /// Reads all counts, each row into the place of its cell in the table of cells.
    fn read(&self, cells: &CellTable) -> Result<CellBuckets, ReadError> {
        let io_error = |source| temporary_file_error(&self.path, source);
        let mut writer = CellBucketsWriter::new(cells.n_cells(), self.rows_per_block()).map_err(io_error)?;
        let mut waiting: HashMap<String, u32> = cells.rows_by_name()?;
        let mut reader = reader(&self.path)?;
        let mut record = StringRecord::new();
        let mut row = 0;
        while reader.read_record(&mut record).map_err(|source| malformed(&self.path, source))? {
            let name = self.name(&record);
            if !(self.format.is_background)(&name) {
                let cell = waiting.remove(&name).ok_or_else(|| self.unmatched(name, cells))?;
                for (gene, &place) in (0..).zip(&self.gene_places) {
                    let value = self.value(&record, row, place, gene)?;
                    if value != 0.0 {
                        writer.push(cell as usize, gene, value).map_err(io_error)?;
                    }
                }
            }
            row += 1;
        }
        if let Some(cell) = waiting.into_iter().min_by_key(|(_, row)| *row).map(|(name, _)| name) {
            return Err(ReadError::UnmatchedCell { path: cells.path().to_owned(), other: self.path.clone(), cell });
        }
        writer.finish().map_err(io_error)
    }

    fn name(&self, record: &StringRecord) -> String {
        let parts: Vec<&str> = self.key_places.iter().map(|&place| record.get(place).unwrap_or_default()).collect();
        parts.join("_")
    }

    fn value(&self, record: &StringRecord, row: usize, place: usize, gene: u32) -> Result<f32, ReadError> {
        let text = record.get(place).unwrap_or_default();
        // Most counts are zero.
        if text == "0" {
            return Ok(0.0);
        }
        text.trim().parse().map_err(|source: std::num::ParseFloatError| {
            ReadError::Table(TableError::InvalidValue {
                path: self.path.clone(),
                row,
                column: self.genes[gene as usize].clone(),
                found: text.to_owned(),
                source: source.into(),
            })
        })
    }

    /// A row of counts that no cell is waiting for: its cell is not in the table, or had its row already.
    fn unmatched(&self, cell: String, cells: &CellTable) -> ReadError {
        match cells.rows_by_name() {
            Ok(rows) if rows.contains_key(&cell) => ReadError::RepeatedCell { path: self.path.clone(), cell },
            Ok(_) => ReadError::UnmatchedCell { path: self.path.clone(), other: cells.path().to_owned(), cell },
            Err(error) => error,
        }
    }
}

/// Returns the column names of a text table.
pub(super) fn header(path: &Path) -> Result<StringRecord, ReadError> {
    reader(path)?.headers().cloned().map_err(|source| malformed(path, source))
}

fn reader(path: &Path) -> Result<csv::Reader<Text>, ReadError> {
    Ok(csv::Reader::from_reader(Text::open(path)?))
}

fn place(path: &Path, header: &StringRecord, column: &str) -> Result<usize, ReadError> {
    header.iter().position(|name| name == column).ok_or_else(|| ReadError::MissingColumn {
        path: path.to_owned(),
        column: column.to_owned(),
        columns: header.iter().take(10).map(str::to_owned).collect(),
    })
}

fn malformed(path: &Path, source: csv::Error) -> ReadError {
    ReadError::Table(TableError::Delimited { path: path.to_owned(), source })
}
