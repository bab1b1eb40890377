//! What is in a file: a summary for people who have just been given one.

mod scale;

use std::collections::BTreeMap;
use std::path::Path;

use serde::Serialize;

pub use self::scale::LogarithmBase;

use self::scale::logarithm_base;
use crate::anndata::RAW;
use crate::candidates::{ColumnRole, candidates};
use crate::open::is_instrument_folder;
use crate::read_error::list;
use crate::section_reader::{SectionReader, TextColumn};
use crate::tables::{TableError, TableFormat};
use crate::{AnnData, ColumnKind, InstrumentFolder, LengthUnit, PROVENANCE_KEY, Provenance, ReadError, ValueScale};

/// Cells whose expression is looked at.
const SAMPLE_CELLS: usize = 2_000;
/// Distinct values of a column that are shown.
const SHOWN_VALUES: usize = 5;
/// Sections that a column can have and still be one of sections.
const MOST_SECTIONS: usize = 1_000;

/// What is in a file of cells.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[non_exhaustive]
pub struct FileSummary {
    /// The file.
    pub file: String,
    /// Its format, in words.
    pub format: String,
    /// Cells, or rows of a table.
    pub rows: usize,
    /// Genes, if the file holds expression.
    pub genes: Option<usize>,
    /// The first genes.
    pub first_genes: Vec<String>,
    /// The matrix `X`, if it is there.
    pub matrix: Option<MatrixSummary>,
    /// Other matrices.
    pub layers: Vec<MatrixSummary>,
    /// Columns that describe the cells.
    pub columns: Vec<ColumnSummary>,
    /// Columns that look like what a command needs, the likeliest first.
    pub candidates: Vec<Candidate>,
    /// Whether the file says by itself where cells are: in `obsm/spatial`, or in the columns of an instrument.
    pub has_spatial_coordinates: bool,
    /// The unit that the format documents for coordinates, or the one that they seem to have, with the reason.
    pub unit: Option<String>,
    /// Cells of every section, by the likeliest column of sections.
    pub sections: BTreeMap<String, usize>,
    /// Where the file came from, if a step of this program made it.
    pub provenance: Option<Provenance>,
}

/// What a matrix holds.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct MatrixSummary {
    /// `X` or `layers/NAME`.
    pub name: String,
    /// How it is stored, or why it cannot be read.
    pub encoding: String,
    /// What the first cells hold; nothing if it cannot be read.
    pub values: Option<ValueSummary>,
}

/// What the expression of the first cells looks like.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct ValueSummary {
    /// Counts, logarithms or neither.
    pub scale: ValueScale,
    /// Base of the logarithms, if they are logarithms of scaled counts.
    pub log_base: Option<LogarithmBase>,
    /// Smallest value, zeros left out.
    pub smallest: f32,
    /// Largest value.
    pub largest: f32,
    /// Mean number of genes that a cell expresses.
    pub genes_per_cell: f64,
}

/// What a column holds.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct ColumnSummary {
    /// Its name.
    pub name: String,
    /// Its type, in words.
    pub kind: String,
    /// Number of distinct values of text; in tables counted up to 10,000.
    pub distinct: Option<usize>,
    /// The first few distinct values, or the smallest and the largest number.
    pub examples: Vec<String>,
}

/// A column that could be what a command needs.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Candidate {
    /// What it could be.
    pub role: ColumnRole,
    /// The column.
    pub column: String,
    /// Why.
    pub reason: String,
}

/// Why a file could not be inspected.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InspectError {
    /// The AnnData file cannot be read.
    #[error(transparent)]
    AnnData(#[from] ReadError),
    /// The table cannot be read.
    #[error(transparent)]
    Table(#[from] TableError),
}

/// Summarizes an AnnData file (`.h5ad`), a folder (Zarr, or of an instrument), or a table (by extension).
///
/// A matrix that cannot be read is listed with the reason; everything else is still summarized.
///
/// # Errors
///
/// Returns an error if the file cannot be opened or is damaged.
pub fn inspect_file(path: &Path) -> Result<FileSummary, InspectError> {
    if is_instrument_folder(path) {
        return Ok(inspect_folder(path)?);
    }
    match TableFormat::of_path(path) {
        Ok(format) => Ok(crate::tables::inspect(path, format)?),
        Err(_) => Ok(inspect_anndata(path)?),
    }
}

fn inspect_anndata(path: &Path) -> Result<FileSummary, ReadError> {
    // A matrix in a form that cannot be read must not hide the rest of the file.
    let section = AnnData::open_without_matrix(path)?;
    let provenance = section.unstructured_text("tissuenarrator/provenance")?;
    let layers =
        section.layers().iter().map(|layer| summarize_anndata_matrix(&format!("layers/{layer}"), AnnData::open_layer(path, layer)));
    let raw = section.has_raw()?.then(|| summarize_anndata_matrix(RAW, AnnData::open_raw(path)));
    let summary = summarize(&section)?;
    Ok(FileSummary {
        format: if section.container() == "Zarr" { "AnnData, Zarr" } else { "AnnData" }.to_owned(),
        matrix: Some(summarize_anndata_matrix("X", AnnData::open(path))),
        layers: layers.chain(raw).collect(),
        provenance: provenance.as_deref().and_then(Provenance::from_json),
        ..summary
    })
}

fn inspect_folder(path: &Path) -> Result<FileSummary, ReadError> {
    let section = InstrumentFolder::open(path)?;
    let summary = summarize(&section)?;
    let documented = match section.length_unit(None) {
        LengthUnit::Micrometers => Some("micrometers (documented)".to_owned()),
        LengthUnit::Millimeters => Some("millimeters (documented)".to_owned()),
        LengthUnit::Pixels => Some("pixels (documented): give their size in micrometers with --pixel-size".to_owned()),
        LengthUnit::Unstated => None,
    };
    Ok(FileSummary {
        format: section.instrument().to_string(),
        matrix: Some(summarize_matrix(("counts".to_owned(), "counts of the instrument".to_owned()), &section)),
        unit: documented.or(summary.unit),
        ..summary
    })
}

/// Summarizes everything but the matrices and what only one format has.
fn summarize<R: SectionReader>(section: &R) -> Result<FileSummary, ReadError> {
    let columns = section.columns().iter().map(|name| summarize_column(section, name)).collect::<Result<Vec<_>, _>>()?;
    let pairs = section.coordinates()?;
    let candidates = find_candidates(&columns);
    let best = |role| candidates.iter().find(|candidate| candidate.role == role).map(|candidate| candidate.column.as_str());
    let sections = match best(ColumnRole::Section) {
        Some(column) => Some(section.text_column(column)?),
        None => None,
    };
    let coordinates = match (best(ColumnRole::X), best(ColumnRole::Y)) {
        (Some(x), Some(y)) => {
            let (x, y) = (section.number_column(x)?, section.number_column(y)?);
            Some(x.into_iter().zip(y).map(|(x, y)| [x, y]).collect())
        }
        _ => pairs.clone(),
    };
    Ok(FileSummary {
        file: section.file_name(),
        rows: section.n_cells(),
        genes: Some(section.genes().len()),
        first_genes: section.genes().iter().take(SHOWN_VALUES).cloned().collect(),
        columns,
        has_spatial_coordinates: pairs.is_some(),
        unit: coordinates.and_then(|coordinates| {
            let (area, cells) = covered_area(&coordinates, sections.as_ref());
            guess_unit(area, cells)
        }),
        sections: sections.as_ref().map(count_sections).unwrap_or_default(),
        candidates,
        ..FileSummary::default()
    })
}

/// Summarizes a matrix, or says why it cannot be opened.
fn summarize_anndata_matrix(name: &str, opened: Result<AnnData, ReadError>) -> MatrixSummary {
    match opened {
        Ok(section) => summarize_matrix(section.matrix_encoding(), &section),
        Err(error) => MatrixSummary { name: name.to_owned(), encoding: error.to_string(), values: None },
    }
}

/// Summarizes the first cells of a matrix, or says why they cannot be read.
fn summarize_matrix<R: SectionReader>((name, encoding): (String, String), section: &R) -> MatrixSummary {
    let cells = section.n_cells().min(SAMPLE_CELLS).min(section.rows_per_block());
    match section.rows(0..cells) {
        Err(error) => MatrixSummary { name, encoding: error.to_string(), values: None },
        Ok(rows) => {
            let values = || rows.values().iter().copied();
            let scale = ValueScale::of_values(values());
            let log_base = if scale == ValueScale::Logarithms { logarithm_base(&rows) } else { None };
            MatrixSummary {
                name,
                encoding,
                values: Some(ValueSummary {
                    scale,
                    log_base,
                    smallest: values().filter(|value| *value != 0.0).fold(f32::INFINITY, f32::min),
                    largest: values().fold(f32::NEG_INFINITY, f32::max),
                    genes_per_cell: rows.values().len() as f64 / cells.max(1) as f64,
                }),
            }
        }
    }
}

fn summarize_column<R: SectionReader>(section: &R, name: &str) -> Result<ColumnSummary, ReadError> {
    let kind = section.column_kind(name)?;
    let (distinct, examples) = match kind {
        ColumnKind::Number | ColumnKind::Integer => (None, number_range(&section.number_column(name)?)),
        ColumnKind::Text | ColumnKind::Category | ColumnKind::Flag => {
            let column = section.text_column(name)?;
            (Some(column.categories.len()), column.categories.into_iter().take(SHOWN_VALUES).collect())
        }
        ColumnKind::List | ColumnKind::NumberList | ColumnKind::Other => (None, Vec::new()),
    };
    Ok(ColumnSummary { name: name.to_owned(), kind: kind.to_string(), distinct, examples })
}

fn number_range(values: &[f64]) -> Vec<String> {
    let finite = || values.iter().copied().filter(|value| value.is_finite());
    match finite().next() {
        None => Vec::new(),
        Some(_) => vec![finite().fold(f64::INFINITY, f64::min).to_string(), finite().fold(f64::NEG_INFINITY, f64::max).to_string()],
    }
}

/// Finds the columns that fit a role by name and by what they hold.
pub(crate) fn find_candidates(columns: &[ColumnSummary]) -> Vec<Candidate> {
    let is_number =
        |column: &ColumnSummary| column.kind == ColumnKind::Number.to_string() || column.kind == ColumnKind::Integer.to_string();
    let fits = |column: &ColumnSummary, role| match role {
        ColumnRole::X | ColumnRole::Y => is_number(column),
        ColumnRole::Section => column.distinct.is_none_or(|distinct| distinct <= MOST_SECTIONS),
        ColumnRole::Class | ColumnRole::Split => column.distinct.is_none_or(|distinct| distinct > 0),
    };
    ColumnRole::ALL
        .into_iter()
        .flat_map(|role| {
            let names: Vec<&str> = columns.iter().filter(|column| fits(column, role)).map(|column| column.name.as_str()).collect();
            candidates(&names, role).into_iter().map(move |(column, reason)| Candidate { role, column, reason: reason.to_owned() })
        })
        .collect()
}

fn count_sections(sections: &TextColumn) -> BTreeMap<String, usize> {
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for cell in 0..sections.codes.len() {
        *counts.entry(sections.get(cell).unwrap_or("(missing)").to_owned()).or_default() += 1;
    }
    counts
}

/// Guesses the unit by the typical distance between cells: sections of this many cells cover this area together.
pub(crate) fn guess_unit(area: f64, cells: usize) -> Option<String> {
    let spacing = (area / cells as f64).sqrt();
    if !(spacing.is_finite() && spacing > 0.0) {
        return None;
    }
    // In tissue, cells lie 5 to 50 micrometers apart.
    let unit = match spacing {
        spacing if spacing < 0.2 => "millimeters",
        spacing if spacing < 4.0 => "unclear, too dense for micrometers",
        spacing if spacing < 80.0 => "micrometers",
        _ => "pixels or nanometers, too sparse for micrometers",
    };
    Some(format!("{unit}, it seems (a cell every {} units)", (spacing * 1e3).round() / 1e3))
}

/// Returns the area of the boxes around the cells of each section, and how many cells they hold.
fn covered_area(coordinates: &[[f64; 2]], sections: Option<&TextColumn>) -> (f64, usize) {
    let mut boxes: BTreeMap<u32, ([f64; 2], [f64; 2], usize)> = BTreeMap::new();
    for (cell, place) in coordinates.iter().enumerate().filter(|(_, place)| place.iter().all(|value| value.is_finite())) {
        let code = sections.map_or(0, |sections| sections.codes[cell]);
        let (low, high, count) = boxes.entry(code).or_insert(([f64::INFINITY; 2], [f64::NEG_INFINITY; 2], 0));
        for axis in 0..2 {
            low[axis] = low[axis].min(place[axis]);
            high[axis] = high[axis].max(place[axis]);
        }
        *count += 1;
    }
    boxes.values().fold((0.0, 0), |(area, cells), (low, high, count)| (area + (high[0] - low[0]) * (high[1] - low[1]), cells + count))
}

/// Prints the summary as text for a terminal.
impl std::fmt::Display for FileSummary {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}, {} rows", self.file, self.format, self.rows)?;
        if let Some(genes) = self.genes {
            write!(f, ", {genes} genes ({}, …)", list(&self.first_genes))?;
        }
        writeln!(f)?;
        for matrix in self.matrix.iter().chain(&self.layers) {
            write!(f, "  {:<16} {}", matrix.name, matrix.encoding)?;
            if let Some(values) = &matrix.values {
                write!(f, "; {values}")?;
            }
            writeln!(f)?;
        }
        if self.has_spatial_coordinates {
            writeln!(f, "  {:<16} of all cells", "coordinates")?;
        }
        writeln!(f, "columns")?;
        for column in &self.columns {
            write!(f, "  {:<16} {}", column.name, column.kind)?;
            if let Some(distinct) = column.distinct {
                write!(f, ", {distinct} distinct")?;
            }
            match column.examples.as_slice() {
                [] => {}
                [low, high] if column.distinct.is_none() => write!(f, ", {low} to {high}")?,
                examples => write!(f, ": {}", examples.join(", "))?,
            }
            writeln!(f)?;
        }
        for candidate in &self.candidates {
            writeln!(f, "--{:<15} {} ({})", candidate.role.as_str(), candidate.column, candidate.reason)?;
        }
        if let Some(unit) = &self.unit {
            writeln!(f, "coordinates are in {unit}")?;
        }
        for (section, cells) in &self.sections {
            writeln!(f, "  {section:<16} {cells} cells")?;
        }
        if let Some(provenance) = &self.provenance {
            writeln!(f, "made by {provenance}")?;
        }
        Ok(())
    }
}

impl std::fmt::Display for ValueSummary {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match (self.scale, self.log_base) {
            (ValueScale::Counts, _) => write!(f, "counts")?,
            (ValueScale::Logarithms, Some(base)) => write!(f, "logarithms of scaled counts, base {base}")?,
            (ValueScale::Logarithms, None) => write!(f, "logarithms, base unknown")?,
            (ValueScale::Linear, _) => write!(f, "scaled, not logged")?,
            (ValueScale::Centered, _) => write!(f, "centered (has negative values)")?,
            (ValueScale::Empty, _) => return write!(f, "no values"),
        }
        write!(f, ", {} to {}, {:.1} genes per cell", self.smallest, self.largest, self.genes_per_cell)
    }
}

pub(crate) fn table_provenance(metadata: &BTreeMap<String, String>) -> Option<Provenance> {
    metadata.get(PROVENANCE_KEY).and_then(|json| Provenance::from_json(json))
}
