//! From expression to a stream of cell records.

mod error;
mod normalization;

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;

use rayon::prelude::*;
use tn_sentence::{CellRecord, EncodeError, GeneAliases, Metadata, Position, RankEncoder, TieBreak, Vocabulary};

pub use self::error::EncodeSectionError;
pub use self::normalization::{Normalization, TARGET_SUM, ValueScale};

use crate::candidates::{ColumnRole, candidates};
use crate::section_reader::{LengthUnit, SectionReader, SparseRows, TextColumn};
use crate::{PROVENANCE_KEY, Provenance, ReadError, TableWriter, open_section};

/// Key of a cell table's metadata that holds the gene panel as a JSON array, in the order of the matrix.
pub const PANEL_KEY: &str = "tn.panel";

/// Cells by which the scale of the values is decided.
const SAMPLE_CELLS: usize = 2_000;
/// Blocks that are read and ranked at once. It does not depend on the number of threads.
const BLOCKS_AT_ONCE: usize = 8;

/// How to make cell records of an expression file.
///
/// # Examples
///
/// ```
/// use tn_io::EncodeOptions;
///
/// let options = EncodeOptions::new()
///     .with_layer("counts")
///     .with_coordinates("center_x", "center_y")
///     .with_section("slice_id")
///     .with_columns(["class", "split"])
///     .with_max_genes(100);
/// ```
#[derive(Clone, Debug, Default)]
pub struct EncodeOptions {
    layer: Option<String>,
    coordinates: Option<(String, String)>,
    pixel_size: Option<f64>,
    section: Option<String>,
    columns: Vec<Column>,
    gene_aliases: GeneAliases,
    normalization: Normalization,
    max_genes: Option<usize>,
    tie_break: TieBreak,
    seed: Option<u64>,
}

/// A column that is copied, and its name in the metadata of the cells.
#[derive(Clone, Debug)]
struct Column {
    name: String,
    column: String,
}

impl Column {
    /// Returns the column as the command line takes it.
    fn argument(&self) -> String {
        if self.name == self.column { self.column.clone() } else { format!("{}={}", self.name, self.column) }
    }
}

impl EncodeOptions {
    /// Returns the defaults: the matrix `X`, columns `x`, `y` (or `obsm/spatial`) and `section`, no other columns,
    /// [`Normalization::Auto`], all genes, ties broken by the seed 42.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes a layer in place of `X`, or `raw/X`: see [`open_section`].
    #[must_use]
    pub fn with_layer(mut self, layer: &str) -> Self {
        self.layer = Some(layer.to_owned());
        self
    }

    /// Takes the coordinates from these columns. Micrometers are expected where the format does not document the unit.
    #[must_use]
    pub fn with_coordinates(mut self, x: &str, y: &str) -> Self {
        self.coordinates = Some((x.to_owned(), y.to_owned()));
        self
    }

    /// Sets how many micrometers a pixel is wide, for coordinates in pixels. A format that documents pixels (CosMx) needs
    /// this; one that documents micrometers refuses it.
    #[must_use]
    pub fn with_pixel_size(mut self, micrometers: f64) -> Self {
        self.pixel_size = Some(micrometers);
        self
    }

    /// Takes the section from this column.
    #[must_use]
    pub fn with_section(mut self, column: &str) -> Self {
        self.section = Some(column.to_owned());
        self
    }

    /// Copies these columns into the metadata of the cells, lower-casing their names.
    #[must_use]
    pub fn with_columns<I>(mut self, columns: I) -> Self
    where
        I: IntoIterator,
        I::Item: Into<String>,
    {
        self.columns.extend(columns.into_iter().map(Into::into).map(|column| Column { name: column.clone(), column }));
        self
    }

    /// Copies a column into the metadata of the cells under another name: later steps look for `class`, `split` and
    /// `spatial_domain`.
    #[must_use]
    pub fn with_column_as(mut self, column: &str, name: &str) -> Self {
        self.columns.push(Column { name: name.to_owned(), column: column.to_owned() });
        self
    }

    /// Writes the current symbol of each gene that has one of these aliases. The provenance lists those genes.
    #[must_use]
    pub fn with_gene_aliases(mut self, aliases: GeneAliases) -> Self {
        self.gene_aliases = aliases;
        self
    }

    /// Sets what happens to expression before it is ranked.
    #[must_use]
    pub fn with_normalization(mut self, normalization: Normalization) -> Self {
        self.normalization = normalization;
        self
    }

    /// Keeps the highest genes of a cell only.
    #[must_use]
    pub fn with_max_genes(mut self, max_genes: usize) -> Self {
        self.max_genes = Some(max_genes);
        self
    }

    /// Sets how genes of equal expression are ordered.
    #[must_use]
    pub fn with_tie_break(mut self, tie_break: TieBreak) -> Self {
        self.tie_break = tie_break;
        self
    }

    /// Sets the seed that orders genes of equal expression.
    #[must_use]
    pub fn with_seed(mut self, seed: u64) -> Self {
        self.seed = Some(seed);
        self
    }

    fn seed(&self) -> u64 {
        self.seed.unwrap_or(42)
    }

    fn provenance(&self) -> Provenance {
        let (x, y) = self.coordinates.clone().unzip();
        let tie_break = match self.tie_break {
            TieBreak::Seed => "seed",
            TieBreak::Symbol => "symbol",
        };
        Provenance::new("encode")
            .with_seed(self.seed())
            .with_option("layer", &self.layer)
            .with_option("x", x)
            .with_option("y", y)
            .with_option("pixel_size", self.pixel_size)
            .with_option("section", &self.section)
            .with_option("columns", self.columns.iter().map(Column::argument).collect::<Vec<_>>())
            .with_option("normalize", self.normalization.to_string())
            .with_option("max_genes", self.max_genes)
            .with_option("tie_break", tie_break)
    }
}

/// The cells of an expression file as records, in file order.
///
/// Blocks of rows are read and ranked in parallel; the records are the same at any number of threads. Memory holds a few
/// blocks, and for every cell its name, place, section and metadata codes. Cells without any expression are left out and
/// counted.
///
/// # Examples
///
/// ```no_run
/// use tn_io::{AnnData, EncodeOptions, EncodedCells};
///
/// let section = AnnData::open("section.h5ad")?;
/// let options = EncodeOptions::new().with_columns(["class"]);
/// for cell in EncodedCells::new(&section, &options)? {
///     let cell = cell?;
///     println!("{} {:?} {}", cell.cell_name, cell.class(), cell.ranking.top(10));
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct EncodedCells<'r, R: ?Sized> {
    reader: &'r R,
    table: CellTable,
    vocabulary: Vocabulary,
    /// What happens to values; `Auto` has been decided.
    normalization: Normalization,
    scale: ValueScale,
    max_genes: usize,
    tie_break: TieBreak,
    seed: u64,
    next_row: usize,
    batch: std::vec::IntoIter<Result<CellRecord, EncodeSectionError>>,
    skipped: usize,
    failed: bool,
}

/// Everything about the cells but their expression.
#[derive(Debug)]
struct CellTable {
    names: Vec<String>,
    coordinates: Coordinates,
    section: TextColumn,
    columns: Vec<(String, TextColumn)>,
}

/// Coordinates in micrometers.
#[derive(Debug)]
enum Coordinates {
    Columns(Vec<f64>, Vec<f64>),
    Pairs(Vec<[f64; 2]>),
}

impl Coordinates {
    fn get(&self, cell: usize) -> [f64; 2] {
        match self {
            Self::Columns(x, y) => [x[cell], y[cell]],
            Self::Pairs(pairs) => pairs[cell],
        }
    }

    fn of_columns<R: SectionReader + ?Sized>(reader: &R, options: &EncodeOptions, x: &str, y: &str) -> Result<Self, EncodeSectionError> {
        let axis = |column: &str| {
            let scale = micrometers_per_unit(reader, options, Some(column))?;
            let mut values = reader.number_column(column)?;
            scale_all(&mut values, scale);
            Ok::<_, EncodeSectionError>(values)
        };
        Ok(Self::Columns(axis(x)?, axis(y)?))
    }

    fn of_pairs<R: SectionReader + ?Sized>(
        reader: &R,
        options: &EncodeOptions,
        mut pairs: Vec<[f64; 2]>,
    ) -> Result<Self, EncodeSectionError> {
        let scale = micrometers_per_unit(reader, options, None)?;
        scale_all(pairs.as_flattened_mut(), scale);
        Ok(Self::Pairs(pairs))
    }
}

fn scale_all(values: &mut [f64], scale: f64) {
    // Not even the last bit of coordinates in micrometers changes.
    if scale != 1.0 {
        values.iter_mut().for_each(|value| *value *= scale);
    }
}

/// Returns what coordinates are multiplied by: what the format documents, or the size of a pixel that the user gave.
fn micrometers_per_unit<R: SectionReader + ?Sized>(
    reader: &R,
    options: &EncodeOptions,
    column: Option<&str>,
) -> Result<f64, EncodeSectionError> {
    let file = || reader.file_name();
    let unit = reader.length_unit(column);
    match (unit, options.pixel_size) {
        (_, Some(size)) if !(size.is_finite() && size > 0.0) => Err(EncodeSectionError::InvalidPixelSize { size }),
        (LengthUnit::Micrometers | LengthUnit::Unstated, None) => Ok(1.0),
        (LengthUnit::Millimeters, None) => Ok(1_000.0),
        (LengthUnit::Pixels, None) => Err(EncodeSectionError::PixelSizeMissing { file: file() }),
        (LengthUnit::Pixels | LengthUnit::Unstated, Some(size)) => Ok(size),
        (LengthUnit::Micrometers | LengthUnit::Millimeters, Some(_)) => Err(EncodeSectionError::NoPixels { file: file(), unit }),
    }
}

impl<'r, R: SectionReader + ?Sized> EncodedCells<'r, R> {
    /// Reads everything but the expression, and looks at the first cells to decide how to normalize.
    ///
    /// # Errors
    ///
    /// Returns an error if there are no cells, a column is missing, gene symbols collide or cannot be used, the sum to scale to is not a
    /// positive number, or the values are neither counts nor logarithms and [`Normalization::Auto`] has to decide.
    pub fn new(reader: &'r R, options: &EncodeOptions) -> Result<Self, EncodeSectionError> {
        let file = reader.file_name();
        if reader.n_cells() == 0 {
            return Err(EncodeSectionError::NoCells { file });
        }
        let vocabulary = Vocabulary::with_aliases(reader.genes(), &options.gene_aliases)
            .map_err(|source| EncodeSectionError::Genes { file: file.clone(), source })?;
        let table = CellTable::read(reader, options)?;
        let sample = reader.rows(0..reader.n_cells().min(SAMPLE_CELLS).min(reader.rows_per_block()))?;
        let scale = ValueScale::of_values(sample.values().iter().copied());
        let normalization = match (options.normalization, scale) {
            (Normalization::Log1p { target_sum, .. }, _) if !(target_sum.is_finite() && target_sum > 0.0) => {
                return Err(EncodeSectionError::InvalidTargetSum { target_sum });
            }
            (chosen @ (Normalization::None | Normalization::Log1p { .. }), _) => chosen,
            (Normalization::Auto, ValueScale::Counts) => Normalization::OF_COUNTS,
            (Normalization::Auto, ValueScale::Logarithms | ValueScale::Empty) => Normalization::None,
            // The first negative value is named with its cell and gene when its row is ranked.
            (Normalization::Auto, ValueScale::Centered) => Normalization::None,
            (Normalization::Auto, ValueScale::Linear) => {
                let largest = sample.values().iter().copied().fold(0.0, f32::max);
                return Err(EncodeSectionError::UnclearScale { file, largest });
            }
        };
        Ok(Self {
            reader,
            table,
            vocabulary,
            normalization,
            scale,
            max_genes: options.max_genes.unwrap_or(usize::MAX),
            tie_break: options.tie_break,
            seed: options.seed(),
            next_row: 0,
            batch: Vec::new().into_iter(),
            skipped: 0,
            failed: false,
        })
    }

    /// Returns the gene panel.
    pub fn vocabulary(&self) -> &Vocabulary {
        &self.vocabulary
    }

    /// Returns what the values of the matrix look like.
    pub fn value_scale(&self) -> ValueScale {
        self.scale
    }

    /// Returns how many of the cells so far had no expression and were left out.
    pub fn skipped(&self) -> usize {
        self.skipped
    }

    /// Returns the cells of the next blocks, or nothing after the last.
    fn next_blocks(&mut self) -> Result<Option<Vec<CellRecord>>, EncodeSectionError> {
        if self.next_row == self.reader.n_cells() {
            return Ok(None);
        }
        self.fill();
        let mut records = Vec::with_capacity(self.batch.len());
        for record in std::mem::take(&mut self.batch) {
            records.push(record?);
        }
        Ok(Some(records))
    }

    fn fill(&mut self) {
        let end = self.reader.n_cells();
        let step = self.reader.rows_per_block().max(1);
        let blocks: Vec<Range<usize>> =
            (self.next_row..end).step_by(step).take(BLOCKS_AT_ONCE).map(|start| start..(start + step).min(end)).collect();
        self.next_row = blocks.last().map_or(end, |block| block.end);

        let encoder = RankEncoder::new(&self.vocabulary).with_max_genes(self.max_genes).with_tie_break(self.tie_break).with_seed(self.seed);
        let encoded: Vec<Vec<Option<Result<CellRecord, EncodeSectionError>>>> =
            blocks.into_par_iter().map(|block| self.encode_block(&encoder, block)).collect();
        let mut batch = Vec::with_capacity(encoded.iter().map(Vec::len).sum());
        for record in encoded.into_iter().flatten() {
            match record {
                Some(record) => batch.push(record),
                None => self.skipped += 1,
            }
        }
        self.batch = batch.into_iter();
    }

    fn encode_block(&self, encoder: &RankEncoder<'_>, block: Range<usize>) -> Vec<Option<Result<CellRecord, EncodeSectionError>>> {
        match self.reader.rows(block.clone()) {
            Err(error) => vec![Some(Err(error.into()))],
            Ok(rows) => (0..rows.len())
                .into_par_iter()
                .map_init(Vec::new, |normalized, row| self.encode_cell(encoder, &rows, row, block.start + row, normalized).transpose())
                .collect(),
        }
    }

    /// Returns the record of a cell, or nothing if it has no expression.
    fn encode_cell(
        &self,
        encoder: &RankEncoder<'_>,
        rows: &SparseRows,
        row: usize,
        cell: usize,
        normalized: &mut Vec<f32>,
    ) -> Result<Option<CellRecord>, EncodeSectionError> {
        let file = || self.reader.file_name();
        let name = &self.table.names[cell];
        let (genes, values) = rows.row(row);
        let expression = |source| EncodeSectionError::Expression { file: file(), cell: name.clone(), source };
        if let Some((&gene, &value)) = genes.iter().zip(values).find(|(_, value)| !value.is_finite() || **value < 0.0) {
            let gene = self.reader.genes()[gene as usize].clone();
            return Err(expression(EncodeError::InvalidValue { gene, value }));
        }
        let values = self.normalization.apply(values, normalized);
        let ranking = encoder.encode_sparse(genes, values, name).map_err(expression)?;
        if ranking.is_empty() {
            return Ok(None);
        }
        let [x, y] = self.table.coordinates.get(cell);
        let position =
            Position::new(x, y).map_err(|source| EncodeSectionError::Coordinates { file: file(), cell: name.clone(), source })?;
        let section = self.table.section.get(cell).filter(|section| !section.is_empty());
        let section = section.ok_or_else(|| EncodeSectionError::NoSection { file: file(), cell: name.clone() })?;
        let mut metadata = Metadata::new();
        for (column, values) in &self.table.columns {
            if let Some(value) = values.get(cell) {
                metadata.insert(column, value).map_err(|source| EncodeSectionError::Metadata { file: file(), source })?;
            }
        }
        Ok(Some(CellRecord { cell_name: name.clone(), ranking, position, section: section.to_owned(), metadata }))
    }
}

impl<R: SectionReader + ?Sized> Iterator for EncodedCells<'_, R> {
    type Item = Result<CellRecord, EncodeSectionError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if self.failed {
                return None;
            }
            if let Some(record) = self.batch.next() {
                self.failed = record.is_err();
                return Some(record);
            }
            if self.next_row == self.reader.n_cells() {
                return None;
            }
            self.fill();
        }
    }
}

impl CellTable {
    fn read<R: SectionReader + ?Sized>(reader: &R, options: &EncodeOptions) -> Result<Self, EncodeSectionError> {
        let columns = reader.columns();
        let missing = |column: &str, role: ColumnRole| EncodeSectionError::MissingColumn {
            file: reader.file_name(),
            column: column.to_owned(),
            option: role.as_str(),
            suggestion: candidates(&columns, role).into_iter().map(|(name, _)| name).find(|name| name != column),
            columns: columns.clone(),
        };
        let has = |name: &str| columns.iter().any(|column| column == name);

        let section = options.section.as_deref().unwrap_or("section");
        if !has(section) {
            return Err(missing(section, ColumnRole::Section));
        }
        let coordinates = match &options.coordinates {
            None if has("x") && has("y") => Coordinates::of_columns(reader, options, "x", "y")?,
            None => match reader.coordinates()? {
                Some(pairs) => Coordinates::of_pairs(reader, options, pairs)?,
                None if has("x") => return Err(missing("y", ColumnRole::Y)),
                None => return Err(missing("x", ColumnRole::X)),
            },
            Some((x, _)) if !has(x) => return Err(missing(x, ColumnRole::X)),
            Some((_, y)) if !has(y) => return Err(missing(y, ColumnRole::Y)),
            Some((x, y)) => Coordinates::of_columns(reader, options, x, y)?,
        };
        let chosen = options
            .columns
            .iter()
            .map(|Column { name, column }| {
                if !has(column) {
                    let class = ColumnRole::Class.as_str();
                    let suggestion = candidates(&columns, ColumnRole::Class).into_iter().map(|(candidate, _)| candidate).next();
                    return Err(EncodeSectionError::MissingColumn {
                        file: reader.file_name(),
                        column: column.clone(),
                        option: "columns",
                        suggestion: suggestion.filter(|_| name == class).map(|candidate| format!("{class}={candidate}")),
                        columns: columns.clone(),
                    });
                }
                Ok((name.clone(), reader.text_column(column)?))
            })
            .collect::<Result<_, _>>()?;
        Ok(Self { names: reader.cell_names()?, coordinates, section: reader.text_column(section)?, columns: chosen })
    }
}

/// What [`encode_file`] wrote.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
#[non_exhaustive]
pub struct EncodeSummary {
    /// Cells that were written.
    pub cells: usize,
    /// Cells without any expression, which were left out.
    pub skipped: usize,
    /// Genes of the panel.
    pub genes: usize,
    /// Written cells of every section.
    pub sections: BTreeMap<String, usize>,
    /// What the values of the matrix look like.
    pub value_scale: ValueScale,
    /// Mean number of genes of a written cell.
    pub mean_genes: f64,
}

/// Encodes a section into a table of cells: an AnnData file or any other input of [`open_section`].
///
/// The table's metadata holds provenance ([`PROVENANCE_KEY`]) and the gene panel ([`PANEL_KEY`]).
///
/// # Errors
///
/// Returns an error if the input cannot be encoded or the output cannot be written; then there is no output.
pub fn encode_file(input: &Path, output: &Path, options: &EncodeOptions) -> Result<EncodeSummary, EncodeSectionError> {
    let section = open_section(input, options.layer.as_deref())?;
    let mut cells = EncodedCells::new(section.as_ref(), options)?;
    let mut provenance = options.provenance();
    if !options.gene_aliases.is_empty() {
        let renamed = |gene: &String| Some(format!("{gene}={}", options.gene_aliases.current(gene)?));
        provenance = provenance.with_option("gene_aliases", section.genes().iter().filter_map(renamed).collect::<Vec<_>>());
    }
    for path in section.inputs() {
        provenance = provenance.with_input(&path).map_err(|source| ReadError::Open { path, source })?;
    }
    let keys: Vec<String> = options.columns.iter().map(|column| column.name.trim().to_lowercase()).collect();
    let panel = serde_json::Value::from_iter(cells.vocabulary().iter());
    let mut writer = TableWriter::create_with_columns(output, &keys)?
        .with_metadata(PROVENANCE_KEY, &provenance.to_json())
        .with_metadata(PANEL_KEY, &panel.to_string());

    let (mut written, mut genes) = (0, 0);
    let mut sections: BTreeMap<String, usize> = BTreeMap::new();
    while let Some(records) = cells.next_blocks()? {
        writer.write_all(&records)?;
        written += records.len();
        genes += records.par_iter().map(|record| record.ranking.len()).sum::<usize>();
        for record in &records {
            match sections.get_mut(&record.section) {
                Some(count) => *count += 1,
                None => drop(sections.insert(record.section.clone(), 1)),
            }
        }
        // Letting go of a hundred thousand rankings takes time too.
        records.into_par_iter().for_each(drop);
    }
    if written == 0 {
        return Err(EncodeSectionError::NoExpression { file: section.file_name(), cells: cells.skipped() });
    }
    if cells.skipped() > 0 {
        tracing::warn!(skipped = cells.skipped(), "cells without any expression were left out");
    }
    writer.finish()?;
    Ok(EncodeSummary {
        cells: written,
        skipped: cells.skipped(),
        genes: cells.vocabulary().len(),
        sections,
        value_scale: cells.value_scale(),
        mean_genes: genes as f64 / written as f64,
    })
}
