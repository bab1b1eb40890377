//! The output folder of a region of a MERSCOPE run (Vizgen, "MERSCOPE Instrument User Guide", output files).

use std::path::Path;

use super::cell_table::CellTable;
use super::wide_table::{WideFormat, WideTable};
use super::{Counts, Instrument, InstrumentFolder, find};
use crate::ReadError;
use crate::section_reader::LengthUnit;

const COUNTS: [&str; 2] = ["cell_by_gene.csv", "cell_by_gene.csv.gz"];
const CELLS: [&str; 2] = ["cell_metadata.csv", "cell_metadata.csv.gz"];

pub(super) fn is_merscope(files: &[String]) -> bool {
    files.iter().any(|file| COUNTS.iter().any(|name| file.ends_with(name)))
}

pub(super) fn open(path: &Path, files: &[String]) -> Result<InstrumentFolder, ReadError> {
    // The column of names has had several names, among them none.
    let cells = CellTable::open_by_first_column(&find(path, files, &CELLS)?)?;
    let format = WideFormat { keys: None, is_control: |gene| gene.starts_with("Blank"), is_background: |_| false };
    let counts = WideTable::open(&find(path, files, &COUNTS)?, format)?;
    InstrumentFolder::new(path, Instrument::Merscope, cells, ["center_x", "center_y"], Counts::Wide(counts))
}

/// The manual gives centers and extents in micrometers.
pub(super) fn length_unit(column: &str) -> LengthUnit {
    match column {
        "center_x" | "center_y" | "min_x" | "max_x" | "min_y" | "max_y" => LengthUnit::Micrometers,
        _ => LengthUnit::Unstated,
    }
}
