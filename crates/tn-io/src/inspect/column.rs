//! What the columns of a file hold, and which of them could be what.

use serde::Serialize;

use crate::candidates::{ColumnRole, candidates};
use crate::section_reader::SectionReader;
use crate::{ColumnKind, ReadError};

/// Distinct values of a column that are shown.
const SHOWN_VALUES: usize = 5;
/// Sections that a column can have and still be one of sections.
const MOST_SECTIONS: usize = 1_000;

/// What a column holds.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct ColumnSummary {
    /// Its name.
    pub name: String,
    /// Its type, in words.
    pub kind: String,
    /// Number of distinct values of text; in tables counted up to 10,000.
    pub distinct: Option<usize>,
    /// The first few distinct values, or the smallest and the largest number.
    pub examples: Vec<String>,
}

/// A column that could be what a command needs.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Candidate {
    /// What it could be.
    pub role: ColumnRole,
    /// The column.
    pub column: String,
    /// Why.
    pub reason: String,
}

/// Summarizes a column of any kind.
pub(super) fn summarize_column<R: SectionReader>(section: &R, name: &str) -> Result<ColumnSummary, ReadError> {
    let kind = section.column_kind(name)?;
    let (distinct, examples) = match kind {
        ColumnKind::Number | ColumnKind::Integer => (None, number_range(&section.number_column(name)?)),
        ColumnKind::Text | ColumnKind::Category | ColumnKind::Flag => {
            let column = section.text_column(name)?;
            (Some(column.categories.len()), column.categories.into_iter().take(SHOWN_VALUES).collect())
        }
        ColumnKind::List | ColumnKind::NumberList | ColumnKind::Other => (None, Vec::new()),
    };
    Ok(ColumnSummary { name: name.to_owned(), kind: kind.to_string(), distinct, examples })
}

fn number_range(values: &[f64]) -> Vec<String> {
    let finite = || values.iter().copied().filter(|value| value.is_finite());
    match finite().next() {
        None => Vec::new(),
        Some(_) => vec![finite().fold(f64::INFINITY, f64::min).to_string(), finite().fold(f64::NEG_INFINITY, f64::max).to_string()],
    }
}

/// Finds the columns that fit a role by name and by what they hold.
pub(crate) fn find_candidates(columns: &[ColumnSummary]) -> Vec<Candidate> {
    let is_number =
        |column: &ColumnSummary| column.kind == ColumnKind::Number.to_string() || column.kind == ColumnKind::Integer.to_string();
    let fits = |column: &ColumnSummary, role| match role {
        ColumnRole::X | ColumnRole::Y => is_number(column),
        ColumnRole::Section => column.distinct.is_none_or(|distinct| distinct <= MOST_SECTIONS),
        ColumnRole::Class | ColumnRole::Split => column.distinct.is_none_or(|distinct| distinct > 0),
    };
    ColumnRole::ALL
        .into_iter()
        .flat_map(|role| {
            let names: Vec<&str> = columns.iter().filter(|column| fits(column, role)).map(|column| column.name.as_str()).collect();
            candidates(&names, role).into_iter().map(move |(column, reason)| Candidate { role, column, reason: reason.to_owned() })
        })
        .collect()
}

/// Returns the likeliest column of a role.
pub(crate) fn best(candidates: &[Candidate], role: ColumnRole) -> Option<&str> {
    candidates.iter().find(|candidate| candidate.role == role).map(|candidate| candidate.column.as_str())
}
