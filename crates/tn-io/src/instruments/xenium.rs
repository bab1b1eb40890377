//! The output folder of a Xenium run (10x Genomics, "Understanding Xenium outputs").

use std::path::Path;

use super::cell_table::CellTable;
use super::feature_matrix::FeatureMatrix;
use super::{Counts, Instrument, InstrumentFolder, find};
use crate::ReadError;
use crate::section_reader::LengthUnit;

const MATRIX: &str = "cell_feature_matrix.h5";
const CELLS: [&str; 3] = ["cells.parquet", "cells.csv.gz", "cells.csv"];

pub(super) fn is_xenium(files: &[String]) -> bool {
    files.iter().any(|file| file == MATRIX)
}

pub(super) fn open(path: &Path, files: &[String]) -> Result<InstrumentFolder, ReadError> {
    let cells = CellTable::open(&find(path, files, &CELLS)?, &["cell_id"])?;
    let matrix = FeatureMatrix::open(&path.join(MATRIX), &cells)?;
    InstrumentFolder::new(path, Instrument::Xenium, cells, ["x_centroid", "y_centroid"], Counts::Features(matrix))
}

/// The manual gives centroids in micrometers.
pub(super) fn length_unit(column: &str) -> LengthUnit {
    if matches!(column, "x_centroid" | "y_centroid") { LengthUnit::Micrometers } else { LengthUnit::Unstated }
}
