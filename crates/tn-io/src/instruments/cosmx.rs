//! The flat files of a slide of a CosMx run (NanoString, "CosMx SMI data file readme").

use std::path::Path;

use super::cell_table::CellTable;
use super::wide_table::{WideFormat, WideTable};
use super::{Counts, Instrument, InstrumentFolder, find};
use crate::ReadError;
use crate::section_reader::LengthUnit;

const COUNTS: [&str; 2] = ["_exprMat_file.csv", "_exprMat_file.csv.gz"];
const CELLS: [&str; 2] = ["_metadata_file.csv", "_metadata_file.csv.gz"];
/// Cells count from 1 in each field of view.
const KEYS: [&str; 2] = ["fov", "cell_ID"];
/// Beginnings of the names of probes that find nothing in tissue and of codes that no probe has.
const CONTROLS: [&str; 4] = ["NegPrb", "Negative", "SystemControl", "FalseCode"];

pub(super) fn is_cosmx(files: &[String]) -> bool {
    files.iter().any(|file| COUNTS.iter().any(|ending| file.ends_with(ending)))
}

pub(super) fn open(path: &Path, files: &[String]) -> Result<InstrumentFolder, ReadError> {
    let cells = CellTable::open(&find(path, files, &CELLS)?, &KEYS)?;
    let format = WideFormat {
        keys: Some(&KEYS),
        is_control: |gene| CONTROLS.iter().any(|control| gene.starts_with(control)),
        // Cell 0 of a field of view is what lies outside of its cells.
        is_background: |name| name.ends_with("_0"),
    };
    let counts = WideTable::open(&find(path, files, &COUNTS)?, format)?;
    InstrumentFolder::new(path, Instrument::CosMx, cells, ["CenterX_global_px", "CenterY_global_px"], Counts::Wide(counts))
}

/// Columns carry their unit in their names. The size of a pixel differs between instruments and is not in the flat files.
pub(super) fn length_unit(column: &str) -> LengthUnit {
    match column.rsplit_once('_').map(|(_, unit)| unit) {
        Some("px") => LengthUnit::Pixels,
        Some("mm") => LengthUnit::Millimeters,
        Some("um") => LengthUnit::Micrometers,
        _ => LengthUnit::Unstated,
    }
}
