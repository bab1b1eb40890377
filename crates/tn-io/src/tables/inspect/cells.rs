//! The cells of a table that is inspected: where they are, and as text.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use tn_sentence::CellRecord;

use crate::ColumnRole;
use crate::inspect::{Candidate, Cells, best, cell_text};
use crate::section_reader::TextColumn;
use crate::tables::column::{Batch, Values};
use crate::tables::source::Source;
use crate::tables::{ColumnSpec, TableError, TableReader};

/// The column of the names of cells.
const NAME: &str = "cell_name";

/// The columns that say which cells there are and where.
pub(super) struct CellColumns {
    x: ColumnSpec,
    y: ColumnSpec,
    section: Option<ColumnSpec>,
    name: Option<ColumnSpec>,
}

impl CellColumns {
    /// Finds them among the columns that can be read; nothing if there are no coordinates.
    pub(super) fn of(specs: &[ColumnSpec], candidates: &[Candidate]) -> Option<Self> {
        let spec = |name: &str| specs.iter().find(|spec| spec.name == name).cloned();
        let likeliest = |role| best(candidates, role).and_then(spec);
        let (x, y) = (likeliest(ColumnRole::X)?, likeliest(ColumnRole::Y)?);
        Some(Self { x, y, section: likeliest(ColumnRole::Section), name: spec(NAME) })
    }
}

/// Reads the names, places and sections of all cells.
pub(super) fn read_cells(path: &Path, columns: &CellColumns) -> Result<Cells, TableError> {
    let CellColumns { x, y, section, name } = columns;
    let specs: Vec<ColumnSpec> = [Some(x), Some(y), section.as_ref(), name.as_ref()].into_iter().flatten().cloned().collect();
    let mut source = Source::open(path, &specs, false)?;
    let (mut names, mut places, mut sections) = (Vec::new(), Vec::new(), Vec::new());
    while let Some(batch) = source.next_batch()? {
        places.extend(numbers(&batch, x).into_iter().zip(numbers(&batch, y)).map(|(x, y)| [x, y]));
        sections.extend(section.iter().flat_map(|column| texts(&batch, column)));
        names.extend(name.iter().flat_map(|column| texts(&batch, column)).map(Option::unwrap_or_default));
    }
    let sections = section.as_ref().map(|_| TextColumn::from_values(sections));
    Ok(Cells { names, places: Some(places), micrometers_per_unit: Some(1.0), sections })
}

/// Returns the texts of cells, given by their rows, in ascending order.
pub(super) fn write_cells(path: &Path, rows: &[usize], has_classes: bool) -> Result<BTreeMap<usize, String>, TableError> {
    let wanted: BTreeSet<usize> = rows.iter().copied().collect();
    let end = rows.last().map_or(0, |last| last + 1);
    let mut texts = BTreeMap::new();
    for (row, cell) in TableReader::<CellRecord>::open(path)?.enumerate().take(end) {
        let cell = cell?;
        if wanted.contains(&row) && !cell.ranking.is_empty() {
            texts.insert(row, cell_text(&cell, has_classes));
        }
    }
    Ok(texts)
}

/// Returns numbers, whatever they are stored as; what is missing or is no number is NaN.
fn numbers(batch: &Batch, column: &ColumnSpec) -> Vec<f64> {
    match values(batch, column) {
        Some(Values::Number(values)) => values.iter().map(|value| value.unwrap_or(f64::NAN)).collect(),
        Some(Values::Integer(values)) => values.iter().map(|value| value.map_or(f64::NAN, |value| value as f64)).collect(),
        Some(Values::Text(values)) => values.iter().map(|value| value.and_then(|text| text.parse().ok()).unwrap_or(f64::NAN)).collect(),
        _ => vec![f64::NAN; batch.rows],
    }
}

/// Returns texts, whatever they are stored as.
fn texts(batch: &Batch, column: &ColumnSpec) -> Vec<Option<String>> {
    match values(batch, column) {
        Some(Values::Text(values)) => values.iter().map(|value| value.map(str::to_owned)).collect(),
        Some(Values::Integer(values)) => values.iter().map(|value| value.map(|value| value.to_string())).collect(),
        Some(Values::Number(values)) => values.iter().map(|value| value.map(|value| value.to_string())).collect(),
        Some(Values::Flag(values)) => values.iter().map(|value| value.map(|value| value.to_string())).collect(),
        _ => vec![None; batch.rows],
    }
}

fn values<'b>(batch: &'b Batch, column: &ColumnSpec) -> Option<&'b Values> {
    batch.columns.iter().find(|(name, _)| *name == column.name).map(|(_, values)| values)
}
