//! From sentences to training sequences, as `tn train` and `tn tokenize` make them.

use std::path::Path;

use clap::Args;
use clap::builder::RangedU64ValueParser;
use tissuenarrator::model::{Chunker, Chunks, SentenceTokenizer};
use tissuenarrator::sentence::{Coordinates, SentenceRecord};

use crate::cell_tables::{self, Table};
use crate::error::CliError;
use crate::ranges;

/// How sentences become sequences of tokens.
#[derive(Args, Debug)]
pub(super) struct SequenceOptions {
    /// Tokens of a sequence, at most; longer sentences are cut between cells
    #[arg(long, value_name = "N", default_value_t = 2_048, value_parser = RangedU64ValueParser::<usize>::new().range(16..))]
    pub(super) max_tokens: usize,
    /// How often the last cell of a sentence counts in the loss, a cell before it once. For neighborhoods (`tn patch --neighbors` or
    /// --radius), whose last cell is the only one with its neighbors before it; 8 helps to learn what neighbors do to a cell
    #[arg(long, value_name = "WEIGHT", default_value_t = 1.0, value_parser = ranges::weight, allow_negative_numbers = true)]
    pub(super) target_weight: f64,
    /// Learn from text that does not say where cells are; give the same option when the model writes
    #[arg(long)]
    pub(super) without_coordinates: bool,
}

impl SequenceOptions {
    /// Whole sentences where they fit; no end token, because a cell is closed by its own tag.
    pub(super) fn tokenize(&self, tokenizer: &SentenceTokenizer, sentences: &[String]) -> Result<Chunks, CliError> {
        let chunker = Chunker::new(tokenizer, self.max_tokens).with_min_tokens(0).with_target_weight(self.target_weight as f32);
        if !self.without_coordinates {
            return Ok(chunker.chunk_all(sentences)?);
        }
        let hidden: Vec<String> = sentences.iter().map(|sentence| Coordinates::Hidden.apply(sentence.clone())).collect();
        Ok(chunker.chunk_all(&hidden)?)
    }
}

/// Sentences by what is done with them.
#[derive(Default)]
pub(super) struct Corpus {
    pub(super) train: Vec<String>,
    pub(super) validation: Vec<String>,
}

impl Corpus {
    /// Divides sentences by their split; where none has one, all are learned.
    pub(super) fn of(path: &Path, table: Table<SentenceRecord>) -> Result<Self, CliError> {
        let splits = cell_tables::distinct(table.rows.iter().map(|record| record.split.as_str()).filter(|split| !split.is_empty()));
        let mut corpus = Self::default();
        for record in table.rows {
            match record.split.to_lowercase().as_str() {
                "train" => corpus.train.push(record.sentence),
                "val" | "valid" | "validation" => corpus.validation.push(record.sentence),
                "" if splits.is_empty() => corpus.train.push(record.sentence),
                _ => {}
            }
        }
        if corpus.train.is_empty() {
            return Err(CliError::UnknownSplit { path: path.to_owned(), split: vec!["train".to_owned()], splits });
        }
        Ok(corpus)
    }
}
