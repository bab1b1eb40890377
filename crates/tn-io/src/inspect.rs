//! What is in a file: a summary for people who have just been given one.

mod bins;
mod cells;
mod column;
mod matrix;
mod print;
mod section;
mod tokens;
mod unit;
mod warning;

use std::collections::BTreeMap;
use std::path::Path;

use serde::Serialize;

pub use self::bins::BinOccupancy;
pub use self::column::{Candidate, ColumnSummary};
pub use self::matrix::{MatrixSummary, ValueSummary};
pub use self::tokens::TokenSummary;
pub use self::unit::UnitGuess;
pub use self::warning::InspectWarning;

pub(crate) use self::cells::Cells;
pub(crate) use self::column::{best, find_candidates};
pub(crate) use self::tokens::{CLASS, CountTokens, cell_text};

use self::bins::FilledBins;
use self::section::{inspect_anndata, inspect_folder};
use self::tokens::TokenSample;
use self::unit::guess_unit;
use self::warning::warn_of_cells;
use crate::open::is_instrument_folder;
use crate::tables::{TableError, TableFormat};
use crate::{Provenance, ReadError};

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
    /// How full bins of 200 micrometers are, by section, if the file says where its cells are.
    pub bins: Vec<BinOccupancy>,
    /// How many tokens spatial sentences will have, if there is a tokenizer and cells can be written.
    pub tokens: Option<TokenSummary>,
    /// What could go wrong.
    pub warnings: Vec<InspectWarning>,
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
/// A matrix that cannot be read is listed with the reason; everything else is still summarized. Expression is looked at in a sample of
/// cells; of every cell, its name, place and section are read. Of tables whose rows are tasks or sentences, not cells, neither bins nor
/// warnings are given.
///
/// # Errors
///
/// Returns an error if the file cannot be opened or is damaged.
pub fn inspect_file(path: &Path) -> Result<FileSummary, InspectError> {
    inspect(path, None)
}

/// Summarizes like [`inspect_file`], and says how many tokens spatial sentences will have: see [`TokenSummary`].
///
/// The cells of a sample are written as text, whose tokens `count_tokens` counts. Where no cell can be written, a warning says why.
///
/// # Errors
///
/// Returns an error if the file cannot be opened or is damaged.
///
/// # Examples
///
/// ```no_run
/// use std::path::Path;
///
/// // A tokenizer, such as that of `tn-model`, takes the place of counting words.
/// let count = |text: &str| text.split_whitespace().count();
/// let summary = tn_io::inspect_file_with_tokens(Path::new("section.h5ad"), &count)?;
/// if let Some(tokens) = summary.tokens {
///     println!("{:.0} tokens in a sentence, {:.0} at most", tokens.mean, tokens.max);
/// }
/// # Ok::<(), tn_io::InspectError>(())
/// ```
pub fn inspect_file_with_tokens(path: &Path, count_tokens: &dyn Fn(&str) -> usize) -> Result<FileSummary, InspectError> {
    inspect(path, Some(count_tokens))
}

fn inspect(path: &Path, count: Option<CountTokens<'_>>) -> Result<FileSummary, InspectError> {
    if is_instrument_folder(path) {
        return Ok(inspect_folder(path, count)?);
    }
    match TableFormat::of_path(path) {
        Ok(format) => Ok(crate::tables::inspect(path, format, count)?),
        Err(_) => Ok(inspect_anndata(path, count)?),
    }
}

impl FileSummary {
    /// Adds what follows from the places, sections and names of the cells.
    pub(crate) fn with_cells(mut self, cells: &Cells, unit_is_documented: bool) -> Self {
        let bins = FilledBins::of(cells);
        self.bins = bins.occupancy();
        self.warnings.extend(warn_of_cells(cells, &bins, unit_is_documented));
        self
    }

    /// Adds how many tokens sentences will have. `write` returns the texts of the cells that it is given, in ascending order.
    pub(crate) fn with_tokens<W>(mut self, cells: &Cells, count: Option<CountTokens<'_>>, write: W) -> Self
    where
        W: FnOnce(&[usize]) -> Result<BTreeMap<usize, String>, InspectWarning>,
    {
        let Some((count, sample)) = count.zip(TokenSample::of(&FilledBins::of(cells))) else { return self };
        match write(&sample.cells()) {
            Ok(texts) => self.tokens = Some(sample.count(&texts, count)),
            Err(warning) => self.warnings.push(warning),
        }
        self
    }
}

/// Says in words which unit coordinates seem to have.
pub(crate) fn describe_unit(cells: &Cells) -> Option<String> {
    guess_unit(cells).map(|(unit, spacing)| format!("{unit}, it seems (a cell every {spacing} units)"))
}
