//! Summaries of files and folders of expression.

use std::collections::BTreeMap;
use std::path::Path;

use tn_sentence::{CellRecord, Metadata, Position, RankEncoder, Vocabulary};

use super::column::summarize_column;
use super::matrix::{summarize_anndata_matrix, summarize_matrix};
use super::tokens::{CLASS, CountTokens, GENES, cell_text};
use super::warning::warn_of_genes;
use super::{Cells, FileSummary, InspectWarning, best, describe_unit, find_candidates};
use crate::anndata::RAW;
use crate::candidates::ColumnRole;
use crate::section_reader::SectionReader;
use crate::{AnnData, EncodeSectionError, InstrumentFolder, LengthUnit, Provenance, ReadError};

/// Genes that are shown.
const SHOWN_GENES: usize = 5;

/// Summarizes an AnnData file or Zarr folder.
pub(super) fn inspect_anndata(path: &Path, count: Option<CountTokens<'_>>) -> Result<FileSummary, ReadError> {
    // A matrix in a form that cannot be read must not hide the rest of the file.
    let section = AnnData::open_without_matrix(path)?;
    let provenance = section.unstructured_text("tissuenarrator/provenance")?;
    let summarize_other = |name: &str, opened: Result<AnnData, ReadError>| summarize_anndata_matrix(name, opened.as_ref());
    let layers = section.layers().iter().map(|layer| summarize_other(&format!("layers/{layer}"), AnnData::open_layer(path, layer)));
    let raw = section.has_raw()?.then(|| summarize_other(RAW, AnnData::open_raw(path)));
    let (summary, cells) = summarize(&section)?;
    let matrix = AnnData::open(path);
    let summary = FileSummary {
        format: if section.container() == "Zarr" { "AnnData, Zarr" } else { "AnnData" }.to_owned(),
        matrix: Some(summarize_anndata_matrix("X", matrix.as_ref())),
        layers: layers.chain(raw).collect(),
        provenance: provenance.as_deref().and_then(Provenance::from_json),
        ..summary
    };
    let class = best(&summary.candidates, ColumnRole::Class).map(str::to_owned);
    Ok(summary.with_tokens(&cells, count, |sample| match &matrix {
        Ok(section) => write_cells(section, &cells, class.as_deref(), sample).map_err(|error| InspectWarning::not_encodable(&error)),
        Err(error) => Err(InspectWarning::not_encodable(error)),
    }))
}

/// Summarizes the output folder of an instrument.
pub(super) fn inspect_folder(path: &Path, count: Option<CountTokens<'_>>) -> Result<FileSummary, ReadError> {
    let section = InstrumentFolder::open(path)?;
    let (summary, cells) = summarize(&section)?;
    let documented = match section.length_unit(None) {
        LengthUnit::Micrometers => Some("micrometers (documented)".to_owned()),
        LengthUnit::Millimeters => Some("millimeters (documented)".to_owned()),
        LengthUnit::Pixels => Some("pixels (documented): give their size in micrometers with --pixel-size".to_owned()),
        LengthUnit::Unstated => None,
    };
    let summary = FileSummary {
        format: section.instrument().to_string(),
        matrix: Some(summarize_matrix(("counts".to_owned(), "counts of the instrument".to_owned()), &section)),
        unit: documented.or(summary.unit),
        ..summary
    };
    let class = best(&summary.candidates, ColumnRole::Class).map(str::to_owned);
    Ok(summary.with_tokens(&cells, count, |sample| {
        write_cells(&section, &cells, class.as_deref(), sample).map_err(|error| InspectWarning::not_encodable(&error))
    }))
}

/// Summarizes everything but the matrices and what only one format has.
fn summarize<R: SectionReader>(section: &R) -> Result<(FileSummary, Cells), ReadError> {
    let columns = section.columns().iter().map(|name| summarize_column(section, name)).collect::<Result<Vec<_>, _>>()?;
    let pairs = section.coordinates()?;
    let has_spatial_coordinates = pairs.is_some();
    let candidates = find_candidates(&columns);
    let (x, y) = (best(&candidates, ColumnRole::X), best(&candidates, ColumnRole::Y));
    let (places, unit) = match x.zip(y) {
        Some((x, y)) => (Some(zip(section.number_column(x)?, section.number_column(y)?)), section.length_unit(Some(x))),
        None => (pairs, section.length_unit(None)),
    };
    let sections = best(&candidates, ColumnRole::Section).map(|column| section.text_column(column)).transpose()?;
    let cells = Cells { names: section.cell_names()?, places, micrometers_per_unit: micrometers(unit), sections };
    let summary = FileSummary {
        file: section.file_name(),
        rows: section.n_cells(),
        genes: Some(section.genes().len()),
        first_genes: section.genes().iter().take(SHOWN_GENES).cloned().collect(),
        columns,
        has_spatial_coordinates,
        unit: describe_unit(&cells),
        sections: cells.count_sections(),
        candidates,
        warnings: warn_of_genes(section.genes()),
        ..FileSummary::default()
    };
    Ok((summary.with_cells(&cells, unit != LengthUnit::Unstated), cells))
}

fn zip(x: Vec<f64>, y: Vec<f64>) -> Vec<[f64; 2]> {
    x.into_iter().zip(y).map(|(x, y)| [x, y]).collect()
}

/// Returns the micrometers in a unit; a format that does not say is taken to mean micrometers, as `tn encode` takes it.
fn micrometers(unit: LengthUnit) -> Option<f64> {
    match unit {
        LengthUnit::Micrometers | LengthUnit::Unstated => Some(1.0),
        LengthUnit::Millimeters => Some(1_000.0),
        LengthUnit::Pixels => None,
    }
}

/// Returns the texts of cells as `tn encode` and `tn patch` write them; cells that express nothing have none.
fn write_cells<R: SectionReader>(
    section: &R,
    cells: &Cells,
    class: Option<&str>,
    sample: &[usize],
) -> Result<BTreeMap<usize, String>, EncodeSectionError> {
    let file = || section.file_name();
    let vocabulary = Vocabulary::new(section.genes()).map_err(|source| EncodeSectionError::Genes { file: file(), source })?;
    let encoder = RankEncoder::new(&vocabulary).with_max_genes(GENES);
    let classes = class.map(|column| section.text_column(column)).transpose()?;
    let scale = cells.micrometers_per_unit.unwrap_or(1.0);
    let mut texts = BTreeMap::new();
    for &cell in sample {
        let cell_name = cells.name(cell);
        let rows = section.rows(cell..cell + 1)?;
        let (genes, values) = rows.row(0);
        let ranking = encoder.encode_sparse(genes, values, &cell_name).map_err(|source| EncodeSectionError::Expression {
            file: file(),
            cell: cell_name.clone(),
            source,
        })?;
        if ranking.is_empty() {
            continue;
        }
        let [x, y] = cells.places.as_ref().map_or([f64::NAN; 2], |places| places[cell]);
        let position = Position::new(x * scale, y * scale).map_err(|source| EncodeSectionError::Coordinates {
            file: file(),
            cell: cell_name.clone(),
            source,
        })?;
        let class = classes.as_ref().and_then(|classes| classes.get(cell)).map(|class| (CLASS, class));
        let metadata = Metadata::from_pairs(class).map_err(|source| EncodeSectionError::Metadata { file: file(), source })?;
        let record = CellRecord { cell_name, ranking, position, section: String::new(), metadata };
        texts.insert(cell, cell_text(&record, classes.is_some()));
    }
    Ok(texts)
}
