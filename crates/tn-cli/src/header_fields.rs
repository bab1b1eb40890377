//! The header fields of the cells that a model has learned from, as a file beside it.

use std::io::ErrorKind;
use std::path::Path;

use serde::{Deserialize, Serialize};
use tissuenarrator::model::generation::HeaderField;
use tissuenarrator::sentence::SpatialSentence;

use crate::error::CliError;
use crate::gene_panel;

/// Name of the fields in a model or adapter folder.
pub(crate) const FILE_NAME: &str = "header.json";

/// A field with more values than this is free text.
const MAX_VALUES: usize = 1_000;

/// Tokens of a free text at most.
const MAX_TOKENS: usize = 32;

/// A field as it is stored.
#[derive(Serialize, Deserialize)]
struct StoredField {
    key: String,
    /// Nothing for free text.
    values: Option<Vec<String>>,
}

/// Writes the fields of the cells of some sentences into folders; none where the cells have not all the same ones.
pub(crate) fn write(sentences: &[String], folders: &[&Path]) -> Result<(), CliError> {
    let cells = sentences.iter().flat_map(|sentence| SpatialSentence::parse_lenient(sentence).0.into_cells());
    let Some(fields) = HeaderField::of_cells(cells.map(|cell| cell.metadata().clone())) else {
        return folders.iter().try_for_each(|folder| remove(folder));
    };
    let few = |values: &&[String]| (1..=MAX_VALUES).contains(&values.len());
    let stored =
        |field: &HeaderField| StoredField { key: field.key().to_owned(), values: field.values().filter(few).map(<[String]>::to_vec) };
    let text = serde_json::to_string_pretty(&fields.iter().map(stored).collect::<Vec<_>>()).map_err(CliError::Json)?;
    folders.iter().try_for_each(|folder| gene_panel::write_text(&format!("{text}\n"), &folder.join(FILE_NAME)))
}

/// Reads the fields in a folder, if there are any.
pub(crate) fn read(folder: &Path) -> Result<Option<Vec<HeaderField>>, CliError> {
    let path = folder.join(FILE_NAME);
    if !path.exists() {
        return Ok(None);
    }
    let text = std::fs::read_to_string(&path).map_err(|source| CliError::Open { path: path.clone(), source })?;
    let stored: Vec<StoredField> = serde_json::from_str(&text).map_err(|source| CliError::HeaderFields { path, source })?;
    let field = |StoredField { key, values }: StoredField| match values {
        Some(values) => HeaderField::one_of(&key, values),
        None => HeaderField::text(&key, MAX_TOKENS),
    };
    Ok(Some(stored.into_iter().map(field).collect()))
}

/// Copies the fields from one folder to another, which is left without if there are none.
pub(crate) fn copy(from: &Path, to: &Path) -> Result<(), CliError> {
    let from = from.join(FILE_NAME);
    match std::fs::read_to_string(&from) {
        Ok(text) => gene_panel::write_text(&text, &to.join(FILE_NAME)),
        Err(source) if source.kind() == ErrorKind::NotFound => remove(to),
        Err(source) => Err(CliError::Open { path: from, source }),
    }
}

/// Removes the fields that an earlier model has left in a folder, if there are any.
pub(crate) fn remove(folder: &Path) -> Result<(), CliError> {
    let path = folder.join(FILE_NAME);
    match std::fs::remove_file(&path) {
        Err(source) if source.kind() != ErrorKind::NotFound => Err(CliError::Write { path, source }),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_that_is_used_again_keeps_no_older_fields() {
        let folders = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
        let (trained, merged) = (folders[0].path(), folders[1].path());
        for (metadata, is_kept) in [(" <meta> class: Astro", true), ("", false)] {
            write(&[format!("<pos> X: 1, Y: 2{metadata} <cs> GFAP </cs>")], &[trained]).unwrap();
            copy(trained, merged).unwrap();
            assert_eq!([trained, merged].map(|folder| read(folder).unwrap().is_some()), [is_kept; 2]);
        }
    }
}
