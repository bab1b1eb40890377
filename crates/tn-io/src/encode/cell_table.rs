//! Everything about the cells of an expression file but their expression.

use tn_sentence::{CellRecord, GeneRanking, Metadata, Position};

use super::options::Column;
use super::{EncodeOptions, EncodeSectionError};
use crate::candidates::{ColumnRole, candidates};
use crate::section_reader::{LengthUnit, SectionReader, TextColumn};

/// The cells of an expression file with their places, sections and metadata, but without their expression.
///
/// [`EncodeOptions`] say which columns those are. Memory holds the name and the place of every cell, and an index for each column.
///
/// ```no_run
/// use tn_io::{AnnData, CellTable, EncodeOptions};
///
/// let section = AnnData::open("section.h5ad")?;
/// let cells = CellTable::read(&section, &EncodeOptions::new().with_columns(["class"]))?;
/// for cell in cells.records()? {
///     println!("{} at {:?}: {:?}", cell.cell_name, cell.position, cell.class());
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct CellTable {
    file: String,
    names: Vec<String>,
    coordinates: Coordinates,
    section: TextColumn,
    /// Metadata keys, as they are written, and their values.
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

impl CellTable {
    /// Reads the columns that the options name.
    ///
    /// # Errors
    ///
    /// Returns an error if a column is missing or cannot be read, a name cannot be a metadata key, or coordinates are in a unit that
    /// the options do not say.
    pub fn read<R: SectionReader + ?Sized>(reader: &R, options: &EncodeOptions) -> Result<Self, EncodeSectionError> {
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
                let checked = Metadata::from_pairs([(name, "")]);
                checked.map_err(|source| EncodeSectionError::Metadata { file: reader.file_name(), source })?;
                Ok((name.trim().to_lowercase(), reader.text_column(column)?))
            })
            .collect::<Result<_, _>>()?;
        Ok(Self {
            file: reader.file_name(),
            names: reader.cell_names()?,
            coordinates,
            section: reader.text_column(section)?,
            columns: chosen,
        })
    }

    /// Returns the records of all cells, with empty rankings.
    ///
    /// # Errors
    ///
    /// Returns an error that names the cell if one has no section or no finite coordinates.
    pub fn records(&self) -> Result<Vec<CellRecord>, EncodeSectionError> {
        (0..self.names.len()).map(|cell| Ok(self.record(cell, self.position(cell)?, GeneRanking::default()))).collect()
    }

    pub(super) fn record(&self, cell: usize, position: Position, ranking: GeneRanking) -> CellRecord {
        CellRecord {
            cell_name: self.names[cell].clone(),
            ranking,
            position,
            section: self.section(cell).to_owned(),
            metadata: Metadata::from_pairs(self.metadata(cell)).expect("the keys were checked when the columns were read"),
        }
    }

    pub(super) fn name(&self, cell: usize) -> &str {
        &self.names[cell]
    }

    /// Returns the place of a cell that has a section, too.
    pub(super) fn position(&self, cell: usize) -> Result<Position, EncodeSectionError> {
        let (file, name) = (|| self.file.clone(), || self.names[cell].clone());
        let [x, y] = self.coordinates.get(cell);
        let position = Position::new(x, y).map_err(|source| EncodeSectionError::Coordinates { file: file(), cell: name(), source })?;
        match self.section(cell) {
            "" => Err(EncodeSectionError::NoSection { file: file(), cell: name() }),
            _ => Ok(position),
        }
    }

    /// Returns the section of a cell, which is empty where it is missing.
    pub(super) fn section(&self, cell: usize) -> &str {
        self.section.get(cell).unwrap_or_default()
    }

    /// Returns the columns that are copied and the values of a cell there, without the missing ones.
    pub(super) fn metadata(&self, cell: usize) -> impl Iterator<Item = (&str, &str)> {
        self.columns.iter().filter_map(move |(name, values)| Some((name.as_str(), values.get(cell)?.trim())))
    }
}
