//! Spatial sentences for training.

pub(crate) mod bins;
pub(crate) mod neighborhoods;

use rayon::prelude::*;
use tn_sentence::{CellRecord, CoordinateFormat, Metadata, SentenceRecord};

/// How cells become spatial sentences, whatever cells are put together.
///
/// Coordinates are written as whole micrometers, absolute in the frame of the section. Cells of different splits never
/// share a sentence, where the table has the column `split`.
///
/// | Option | Default |
/// |---|---|
/// | genes of each cell | the 50 highest |
/// | metadata of each cell | `class` |
/// | metadata of the sentence | none |
/// | cells of a sentence, at least | 5 |
/// | orders of the same cells | 2 |
/// | seed | 42 |
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct PatchOptions {
    truncate: usize,
    meta_keys: Vec<String>,
    sentence_meta_keys: Vec<String>,
    min_cells: usize,
    repeats: u32,
    seed: u64,
}

impl Default for PatchOptions {
    fn default() -> Self {
        Self { truncate: 50, meta_keys: vec!["class".to_owned()], sentence_meta_keys: Vec::new(), min_cells: 5, repeats: 2, seed: 42 }
    }
}

impl PatchOptions {
    /// Keeps only the `truncate` highest genes of each cell.
    pub fn with_truncate(mut self, truncate: usize) -> Self {
        self.truncate = truncate;
        self
    }

    /// Replaces the metadata that is written for each cell; without any, cells have no `<meta>` part.
    pub fn with_meta<S: Into<String>>(mut self, keys: impl IntoIterator<Item = S>) -> Self {
        self.meta_keys = keys.into_iter().map(S::into).collect();
        self
    }

    /// Replaces the metadata in the head of the sentence: the most common value among its cells, of equally common
    /// ones the first met.
    pub fn with_sentence_meta<S: Into<String>>(mut self, keys: impl IntoIterator<Item = S>) -> Self {
        self.sentence_meta_keys = keys.into_iter().map(S::into).collect();
        self
    }

    /// Leaves out sentences of fewer cells.
    pub fn with_min_cells(mut self, min_cells: usize) -> Self {
        self.min_cells = min_cells;
        self
    }

    /// Writes each group of cells in this many independent orders.
    pub fn with_repeats(mut self, repeats: u32) -> Self {
        self.repeats = repeats;
        self
    }

    /// Replaces the seed of the orders.
    pub fn with_seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }
}

/// The text of every cell of a table, written once.
struct CellTexts {
    sentences: Vec<String>,
    metadata: Vec<String>,
}

impl CellTexts {
    fn write(cells: &[CellRecord], options: &PatchOptions) -> Self {
        let (sentences, metadata) = cells
            .par_iter()
            .map(|cell| {
                let sentence = cell.sentence_text(&options.meta_keys, options.truncate, CoordinateFormat::Integer);
                (sentence, cell.metadata.select(&options.meta_keys).to_string())
            })
            .unzip();
        Self { sentences, metadata }
    }
}

/// Joins cells, given by their rows in reading order, to a sentence.
fn join_cells(cells: &[CellRecord], texts: &CellTexts, rows: &[usize], options: &PatchOptions) -> SentenceRecord {
    let head = sentence_metadata(cells, rows, &options.sentence_meta_keys).to_string();
    let len: usize = rows.iter().map(|&row| texts.sentences[row].len() + 1).sum();
    let mut sentence = String::with_capacity(head.len() + len);
    sentence.push_str(&head);
    for &row in rows {
        if !sentence.is_empty() {
            sentence.push(' ');
        }
        sentence.push_str(&texts.sentences[row]);
    }
    SentenceRecord {
        sentence,
        cell_names: rows.iter().map(|&row| cells[row].cell_name.clone()).collect(),
        cell_meta: rows.iter().map(|&row| texts.metadata[row].clone()).collect(),
        n_cells: u32::try_from(rows.len()).unwrap_or(u32::MAX),
        ..SentenceRecord::default()
    }
}

fn sentence_metadata(cells: &[CellRecord], rows: &[usize], keys: &[String]) -> Metadata {
    let mut common = Metadata::new();
    for key in keys {
        let mut counts: Vec<(&str, usize)> = Vec::new();
        // In the order of the table, so that the head does not depend on the order of reading.
        let mut rows = rows.to_vec();
        rows.sort_unstable();
        for value in rows.iter().filter_map(|&row| cells[row].metadata.get(key)) {
            match counts.iter_mut().find(|(other, _)| *other == value) {
                Some((_, count)) => *count += 1,
                None => counts.push((value, 1)),
            }
        }
        let most = counts.iter().rev().max_by_key(|(_, count)| *count);
        if let Some((value, _)) = most {
            // The key was read from metadata: it is valid.
            let _ = common.insert(key, value);
        }
    }
    common.select(keys)
}
