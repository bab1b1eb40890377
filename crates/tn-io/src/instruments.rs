//! Output folders of imaging instruments: Xenium, MERSCOPE and CosMx.

mod cell_table;
mod cosmx;
mod feature_matrix;
mod merscope;
mod wide_table;
mod xenium;

use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};

use self::cell_table::CellTable;
use self::feature_matrix::FeatureMatrix;
use self::wide_table::WideTable;
use crate::section_reader::{LengthUnit, SectionReader, SparseRows, TextColumn};
use crate::{ColumnKind, ReadError};

/// Name of the column that every folder has.
const SECTION: &str = "section";

const KNOWN_FOLDERS: &str = "Xenium (cell_feature_matrix.h5 and cells.parquet), MERSCOPE (cell_by_gene.csv and cell_metadata.csv), \
     CosMx (*_exprMat_file.csv and *_metadata_file.csv), or Zarr (zarr.json or .zgroup)";

/// The instrument that wrote a folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Instrument {
    /// 10x Genomics Xenium.
    Xenium,
    /// Vizgen MERSCOPE.
    Merscope,
    /// NanoString (Bruker) CosMx.
    CosMx,
}

impl fmt::Display for Instrument {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Xenium => "Xenium folder",
            Self::Merscope => "MERSCOPE folder",
            Self::CosMx => "CosMx folder",
        })
    }
}

/// The output folder of an instrument: one section.
///
/// | instrument | files | coordinates, unit | names of cells | left out |
/// |---|---|---|---|---|
/// | Xenium | `cell_feature_matrix.h5`, `cells.parquet` or `cells.csv.gz` | `x_centroid`, `y_centroid`, micrometers | `cell_id` | features that are no `Gene Expression` |
/// | MERSCOPE | `cell_by_gene.csv`, `cell_metadata.csv` | `center_x`, `center_y`, micrometers | first column | genes named `Blank…` |
/// | CosMx | `*_exprMat_file.csv`, `*_metadata_file.csv` | `CenterX_global_px`, `CenterY_global_px`, pixels | `fov_cell_ID` | genes named `NegPrb…`, `Negative…`, `SystemControl…`, `FalseCode…`; cell 0, which is what lies outside of cells |
///
/// Text files may be compressed by gzip. Columns are those of the table of cells, in its order, and `section`, the name of
/// the folder, unless the table has a column of this name. Cells come in the order of the table. Each cell must be in both
/// files once, and a plain text file must end with a line break: a folder that was cut short is an error, not a smaller
/// section.
///
/// MERSCOPE and CosMx keep counts as text, which is read once, when the first rows are asked for: the counts then lie in a
/// temporary file (in the folder that the environment variable `TMPDIR` names). Memory holds the names of the cells
/// while that happens, and a few blocks of counts.
///
/// # Examples
///
/// ```no_run
/// use tn_io::{InstrumentFolder, SectionReader};
///
/// let section = InstrumentFolder::open("output-XETG00001__0001234__Region_1")?;
/// println!("{}: {} cells of {} genes", section.instrument(), section.n_cells(), section.genes().len());
/// let places = section.coordinates()?;
/// # Ok::<(), tn_io::ReadError>(())
/// ```
pub struct InstrumentFolder {
    path: PathBuf,
    instrument: Instrument,
    /// The name of the folder, where the table has no column `section`.
    section: Option<String>,
    cells: CellTable,
    coordinates: [&'static str; 2],
    counts: Counts,
}

/// Where the counts are.
enum Counts {
    Features(FeatureMatrix),
    Wide(WideTable),
}

impl InstrumentFolder {
    /// Opens a folder; its files say which instrument wrote it.
    ///
    /// # Errors
    ///
    /// Returns an error if the folder is of no known instrument, if a file of it is missing, damaged or cut short, or if
    /// its files do not name the same cells.
    pub fn open<P: AsRef<Path>>(path: P) -> Result<Self, ReadError> {
        let path = path.as_ref();
        let files = file_names(path)?;
        if xenium::is_xenium(&files) {
            return xenium::open(path, &files);
        }
        if merscope::is_merscope(&files) {
            return merscope::open(path, &files);
        }
        if cosmx::is_cosmx(&files) {
            return cosmx::open(path, &files);
        }
        Err(ReadError::UnknownFolder { path: path.to_owned(), expected: KNOWN_FOLDERS })
    }

    /// Returns the instrument that wrote the folder.
    pub fn instrument(&self) -> Instrument {
        self.instrument
    }

    fn new(
        path: &Path,
        instrument: Instrument,
        cells: CellTable,
        coordinates: [&'static str; 2],
        counts: Counts,
    ) -> Result<Self, ReadError> {
        coordinates.iter().try_for_each(|column| cells.check_column(column))?;
        let has_section = cells.columns().iter().any(|(name, _)| name == SECTION);
        let section = if has_section { None } else { Some(folder_name(path)?) };
        Ok(Self { path: path.to_owned(), instrument, section, cells, coordinates, counts })
    }
}

impl fmt::Debug for InstrumentFolder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InstrumentFolder").field("path", &self.path).field("instrument", &self.instrument).finish_non_exhaustive()
    }
}

impl SectionReader for InstrumentFolder {
    fn file_name(&self) -> String {
        self.path.display().to_string()
    }

    fn inputs(&self) -> Vec<PathBuf> {
        let counts = match &self.counts {
            Counts::Features(matrix) => matrix.path(),
            Counts::Wide(table) => table.path(),
        };
        vec![counts.to_owned(), self.cells.path().to_owned()]
    }

    fn n_cells(&self) -> usize {
        self.cells.n_cells()
    }

    fn genes(&self) -> &[String] {
        match &self.counts {
            Counts::Features(matrix) => matrix.genes(),
            Counts::Wide(table) => table.genes(),
        }
    }

    fn columns(&self) -> Vec<String> {
        let section = self.section.iter().map(|_| SECTION.to_owned());
        section.chain(self.cells.columns().iter().map(|(name, _)| name.clone())).collect()
    }

    fn cell_names(&self) -> Result<Vec<String>, ReadError> {
        self.cells.names()
    }

    fn text_column(&self, name: &str) -> Result<TextColumn, ReadError> {
        match &self.section {
            Some(section) if name == SECTION => Ok(TextColumn { categories: vec![section.clone()], codes: vec![0; self.n_cells()] }),
            _ => self.cells.text(name),
        }
    }

    fn number_column(&self, name: &str) -> Result<Vec<f64>, ReadError> {
        if self.section.is_some() && name == SECTION {
            return Err(ReadError::NotNumbers { path: self.path.clone(), column: name.to_owned(), found: "text".to_owned() });
        }
        self.cells.numbers(name)
    }

    fn column_kind(&self, name: &str) -> Result<ColumnKind, ReadError> {
        if self.section.is_some() && name == SECTION { Ok(ColumnKind::Category) } else { self.cells.kind(name) }
    }

    fn coordinates(&self) -> Result<Option<Vec<[f64; 2]>>, ReadError> {
        let [x, y] = self.coordinates;
        let (x, y) = (self.cells.numbers(x)?, self.cells.numbers(y)?);
        Ok(Some(x.into_iter().zip(y).map(|(x, y)| [x, y]).collect()))
    }

    fn length_unit(&self, column: Option<&str>) -> LengthUnit {
        let column = column.unwrap_or(self.coordinates[0]);
        match self.instrument {
            Instrument::Xenium => xenium::length_unit(column),
            Instrument::Merscope => merscope::length_unit(column),
            Instrument::CosMx => cosmx::length_unit(column),
        }
    }

    fn rows(&self, range: Range<usize>) -> Result<SparseRows, ReadError> {
        assert!(range.start <= range.end && range.end <= self.n_cells(), "rows {range:?} of {} cells", self.n_cells());
        match &self.counts {
            Counts::Features(matrix) => matrix.rows(range),
            Counts::Wide(table) => table.rows(range, &self.cells),
        }
    }

    fn rows_per_block(&self) -> usize {
        match &self.counts {
            Counts::Features(matrix) => matrix.rows_per_block(),
            Counts::Wide(table) => table.rows_per_block(),
        }
    }
}

/// Returns the names of the files of a folder, sorted.
fn file_names(path: &Path) -> Result<Vec<String>, ReadError> {
    let open_error = |source| ReadError::Open { path: path.to_owned(), source };
    let mut names = Vec::new();
    for entry in std::fs::read_dir(path).map_err(open_error)? {
        names.push(entry.map_err(open_error)?.file_name().to_string_lossy().into_owned());
    }
    names.sort_unstable();
    Ok(names)
}

/// Returns the name of a folder, also where it is given as `.`.
fn folder_name(path: &Path) -> Result<String, ReadError> {
    let full = path.canonicalize().map_err(|source| ReadError::Open { path: path.to_owned(), source })?;
    Ok(full.file_name().unwrap_or(full.as_os_str()).to_string_lossy().into_owned())
}

/// Returns the path of the one file whose name ends with one of these endings, the first that fits.
fn find(path: &Path, files: &[String], endings: &[&str]) -> Result<PathBuf, ReadError> {
    let found = endings.iter().find_map(|ending| files.iter().find(|file| file.ends_with(ending)));
    found.map(|file| path.join(file)).ok_or_else(|| ReadError::MissingObject {
        path: path.to_owned(),
        object: endings.join(" or "),
        found: files.to_vec(),
    })
}
