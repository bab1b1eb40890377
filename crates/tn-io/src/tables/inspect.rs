//! What is in a table.

mod cells;

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
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
/// Bytes of a value that is kept whole; of a longer one, such as a sentence, its beginning and a hash.
const KEPT_BYTES: usize = 256;
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

fn hash(text: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    hasher.finish()
}

#[derive(Default)]
struct Tally {
    rows: usize,
    columns: BTreeMap<String, ColumnTally>,
}

/// What was seen of a column, in memory that does not grow with its length.
#[derive(Default)]
struct ColumnTally {
    /// How often every text occurred, up to [`MOST_DISTINCT`] of them. No two long ones are the same but by an accident of hashing.
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
        let shown = || value.chars().take(SHOWN_CHARACTERS).collect::<String>();
        let kept = if value.len() <= KEPT_BYTES { value.to_owned() } else { format!("{} {:016x}", shown(), hash(value)) };
        if let Some(count) = self.texts.get_mut(&kept) {
            *count += 1;
        } else if self.texts.len() < MOST_DISTINCT {
            if self.first.len() < SHOWN_VALUES {
                self.first.push(shown());
            }
            self.texts.insert(kept, 1);
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_with_the_same_beginning_are_told_apart() {
        let mut column = ColumnTally::default();
        let texts = |length: usize| ["a", "b", "a"].map(|end| "x".repeat(length) + end);
        for text in texts(50).iter().chain(&texts(5_000)) {
            column.add_text(text);
        }
        let summary = column.summary("sentence".to_owned(), ColumnKind::Text);
        assert_eq!(summary.distinct, Some(4));
        assert_eq!(summary.examples, vec!["x".repeat(SHOWN_CHARACTERS); 4]);
        assert!(column.texts.keys().all(|text| text.len() <= KEPT_BYTES));
        assert_eq!(column.texts.get(&texts(50)[0]), Some(&2));
    }
}
