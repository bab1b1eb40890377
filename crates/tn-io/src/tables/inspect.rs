//! What is in a table.

mod cells;

use std::collections::BTreeMap;
use std::path::Path;

use self::cells::{CellColumns, read_cells, write_cells};
use super::column::Values;
use super::source::{self, Source};
use super::{ColumnSpec, TableError, TableFormat};
use crate::inspect::{CLASS, ColumnSummary, CountTokens, FileSummary, InspectWarning, best, describe_unit, find_candidates};
use crate::{ColumnKind, ColumnRole, PROVENANCE_KEY, Provenance};

/// Distinct values beyond this are not counted.
const MOST_DISTINCT: usize = 10_000;
/// Characters of a value that are shown.
const SHOWN_CHARACTERS: usize = 40;
/// Distinct values that are shown.
const SHOWN_VALUES: usize = 5;
/// A column of tasks, whose rows are not the cells of a section.
const PROMPT: &str = "prompt";

/// Summarizes a table: in one pass over all columns, and another over those that say where cells are.
pub(crate) fn inspect(path: &Path, format: TableFormat, count: Option<CountTokens<'_>>) -> Result<FileSummary, TableError> {
    let columns = source::columns(path)?;
    let specs: Vec<ColumnSpec> =
        columns.iter().filter(|(_, kind)| *kind != ColumnKind::Other).map(|(name, kind)| ColumnSpec::required(name, *kind)).collect();
    let mut source = Source::open(path, &specs, false)?;
    let metadata = source.metadata();
    let tally = Tally::of_batches(|| source.next_batch())?;
    let summaries: Vec<ColumnSummary> = columns
        .iter()
        .map(|(name, kind)| match tally.columns.get(name) {
            Some(column) => column.summary(name.clone(), *kind),
            None => ColumnSummary { name: name.clone(), kind: kind.to_string(), distinct: None, examples: Vec::new() },
        })
        .collect();
    let candidates = find_candidates(&summaries);
    let sections = best(&candidates, ColumnRole::Section).and_then(|column| tally.columns.get(column));
    let cells = match CellColumns::of(&specs, &candidates) {
        Some(columns) => Some(read_cells(path, &columns)?),
        None => None,
    };
    let summary = FileSummary {
        file: path.display().to_string(),
        format: match format {
            TableFormat::Parquet => "Parquet table",
            TableFormat::Csv => "table with commas",
            TableFormat::Tsv => "table with tabs",
        }
        .to_owned(),
        rows: tally.rows,
        columns: summaries,
        unit: cells.as_ref().and_then(describe_unit),
        sections: sections.map(|column| column.texts.clone()).unwrap_or_default(),
        provenance: metadata.get(PROVENANCE_KEY).and_then(|json| Provenance::from_json(json)),
        candidates,
        ..FileSummary::default()
    };
    let has = |column: &str| columns.iter().any(|(name, _)| name == column);
    Ok(match cells.filter(|_| !has(PROMPT)) {
        Some(cells) => {
            let summary = summary.with_cells(&cells, false);
            summary.with_tokens(&cells, count, |sample| {
                write_cells(path, sample, has(CLASS)).map_err(|error| InspectWarning::not_encodable(&error))
            })
        }
        None => summary,
    })
}

#[derive(Default)]
struct Tally {
    rows: usize,
    columns: BTreeMap<String, ColumnTally>,
}

/// What was seen of a column, in memory that does not grow with its length.
#[derive(Default)]
struct ColumnTally {
    /// How often every text occurred, long ones by their beginning, up to [`MOST_DISTINCT`] of them.
    texts: BTreeMap<String, usize>,
    first: Vec<String>,
    /// Smallest and largest number, also of text that looks like numbers.
    range: Option<(f64, f64)>,
    has_words: bool,
}

impl Tally {
    fn of_batches(mut next: impl FnMut() -> Result<Option<super::column::Batch>, TableError>) -> Result<Self, TableError> {
        let mut tally = Self::default();
        while let Some(batch) = next()? {
            tally.rows += batch.rows;
            for (name, values) in &batch.columns {
                tally.columns.entry(name.clone()).or_default().add(values);
            }
        }
        Ok(tally)
    }
}

impl ColumnTally {
    fn add(&mut self, values: &Values) {
        match values {
            Values::Text(values) => values.iter().flatten().for_each(|value| self.add_text(value)),
            Values::Flag(values) => values.iter().flatten().for_each(|value| self.add_text(&value.to_string())),
            Values::Number(values) => values.iter().flatten().for_each(|value| self.add_number(*value)),
            Values::Integer(values) => values.iter().flatten().for_each(|value| self.add_number(*value as f64)),
            Values::List(_) | Values::NumberList(_) => self.has_words = true,
        }
    }

    fn add_number(&mut self, value: f64) {
        if value.is_finite() {
            let (low, high) = self.range.unwrap_or((value, value));
            self.range = Some((low.min(value), high.max(value)));
        }
    }

    fn add_text(&mut self, value: &str) {
        // A text file does not say what its columns hold.
        match value.parse() {
            Ok(number) if !self.has_words => self.add_number(number),
            Ok(_) => {}
            Err(_) => self.has_words = true,
        }
        let shown: String = value.chars().take(SHOWN_CHARACTERS).collect();
        if let Some(count) = self.texts.get_mut(&shown) {
            *count += 1;
        } else if self.texts.len() < MOST_DISTINCT {
            if self.first.len() < SHOWN_VALUES {
                self.first.push(shown.clone());
            }
            self.texts.insert(shown, 1);
        }
    }

    fn summary(&self, name: String, kind: ColumnKind) -> ColumnSummary {
        match self.range {
            Some((low, high)) if !self.has_words => {
                let kind = if kind == ColumnKind::Integer { kind } else { ColumnKind::Number };
                ColumnSummary { name, kind: kind.to_string(), distinct: None, examples: vec![low.to_string(), high.to_string()] }
            }
            _ => {
                let distinct = (!matches!(kind, ColumnKind::List | ColumnKind::NumberList)).then_some(self.texts.len());
                ColumnSummary { name, kind: kind.to_string(), distinct, examples: self.first.clone() }
            }
        }
    }
}
