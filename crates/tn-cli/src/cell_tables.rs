//! Reading and writing tables with what the commands add: what kind of table was expected, provenance and the panel.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::Path;

use tissuenarrator::io::{PANEL_KEY, PROVENANCE_KEY, Provenance, TableError, TableFormat, TableReader, TableRecord, TableWriter};
use tissuenarrator::sentence::CellRecord;

use crate::error::{CliError, TableKind};

/// Columns that describe cells by themselves, where a table has them.
const DESCRIBING_COLUMNS: [&str; 2] = ["class", "spatial_domain"];

/// A table in memory, with the metadata of its file.
#[derive(Debug)]
pub(crate) struct Table<R> {
    pub(crate) rows: Vec<R>,
    pub(crate) metadata: BTreeMap<String, String>,
}

/// Reads a table that has to have rows.
pub(crate) fn read<R: TableRecord>(path: &Path, expected: TableKind) -> Result<Table<R>, CliError> {
    let reader = TableReader::<R>::open(path).map_err(|source| of_kind(source, expected))?;
    read_rows(path, reader, expected)
}

/// Reads a table of cells, and only the `max_genes` highest genes of each.
pub(crate) fn read_cells(path: &Path, max_genes: usize) -> Result<Table<CellRecord>, CliError> {
    let reader = TableReader::open(path).map_err(|source| of_kind(source, TableKind::Cells))?;
    read_rows(path, reader.with_max_genes(max_genes), TableKind::Cells)
}

fn read_rows<R: TableRecord>(path: &Path, reader: TableReader<R>, expected: TableKind) -> Result<Table<R>, CliError> {
    let metadata = reader.metadata();
    let rows = reader.read_all().map_err(|source| of_kind(source, expected))?;
    if rows.is_empty() {
        return Err(CliError::EmptyTable { path: path.to_owned() });
    }
    Ok(Table { rows, metadata })
}

/// Names the kind of table that was expected, where another kind may have been given.
pub(crate) fn of_kind(source: TableError, expected: TableKind) -> CliError {
    match source {
        TableError::MissingColumn { .. } | TableError::WrongType { .. } => CliError::WrongTable { source, expected },
        _ => CliError::Table(source),
    }
}

/// Starts a table with its provenance, passing on the gene panel of the table that it is made from.
pub(crate) fn create<R: TableRecord>(
    path: &Path,
    provenance: &Provenance,
    source: &BTreeMap<String, String>,
) -> Result<TableWriter<R>, CliError> {
    create_with_columns(path, provenance, source, &[])
}

/// Starts a table as [`create`] does, with more columns.
pub(crate) fn create_with_columns<R: TableRecord>(
    path: &Path,
    provenance: &Provenance,
    source: &BTreeMap<String, String>,
    columns: &[String],
) -> Result<TableWriter<R>, CliError> {
    let writer = TableWriter::create_with_columns(path, columns)?.with_metadata(PROVENANCE_KEY, &provenance.to_json());
    Ok(match source.get(PANEL_KEY) {
        Some(panel) => writer.with_metadata(PANEL_KEY, panel),
        None => writer,
    })
}

/// Checks, before long work, that a table can be written.
pub(crate) fn check_output(path: &Path) -> Result<(), CliError> {
    TableFormat::of_path(path)?;
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if folder.is_dir() {
        return Ok(());
    }
    let source = io::Error::new(io::ErrorKind::NotFound, format!("there is no folder {}", folder.display()));
    Err(CliError::Write { path: path.to_owned(), source })
}

/// Checks, before any work, that an output is none of the files or folders that are read.
pub(crate) fn check_is_no_input<P: AsRef<Path>>(output: &Path, inputs: &[P]) -> Result<(), CliError> {
    let Ok(place) = output.canonicalize() else { return Ok(()) };
    match inputs.iter().any(|input| input.as_ref().canonicalize().is_ok_and(|input| input == place)) {
        true => Err(CliError::OutputIsInput { path: output.to_owned() }),
        false => Ok(()),
    }
}

/// Starts the provenance of a step with its inputs.
pub(crate) fn provenance(step: &str, seed: u64, inputs: &[&Path]) -> Result<Provenance, CliError> {
    inputs.iter().try_fold(Provenance::new(step).with_seed(seed), |provenance, path| {
        provenance.with_input(path).map_err(|source| CliError::Open { path: path.to_path_buf(), source })
    })
}

/// Returns the metadata to write for each cell: the chosen keys, or class and spatial domain where the table has them.
pub(crate) fn metadata_keys(
    path: &Path,
    cells: &[CellRecord],
    option: &'static str,
    chosen: Option<&[String]>,
) -> Result<Vec<String>, CliError> {
    let present = |key: &str| cells.iter().any(|cell| cell.metadata.get(key).is_some());
    let Some(chosen) = chosen else {
        return Ok(DESCRIBING_COLUMNS.into_iter().filter(|key| present(key)).map(str::to_owned).collect());
    };
    let chosen: Vec<String> = chosen.iter().map(|key| key.trim().to_lowercase()).filter(|key| !key.is_empty()).collect();
    match chosen.iter().find(|key| !present(key)) {
        None => Ok(chosen),
        Some(key) => {
            let columns: BTreeSet<&str> = cells.iter().flat_map(|cell| cell.metadata.iter().map(|(key, _)| key)).collect();
            let columns = columns.into_iter().map(str::to_owned).collect();
            Err(CliError::UnknownKey { path: path.to_owned(), option, key: key.clone(), columns })
        }
    }
}

/// Returns the distinct values, ascending.
pub(crate) fn distinct<'a>(values: impl Iterator<Item = &'a str>) -> Vec<String> {
    values.collect::<BTreeSet<_>>().into_iter().map(str::to_owned).collect()
}
