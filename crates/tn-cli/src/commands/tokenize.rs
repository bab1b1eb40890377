//! `tn tokenize`.

use std::fs::File;
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use serde_json::json;
use tissuenarrator::io::{PROVENANCE_KEY, Provenance, TOKENIZER_KEY, TokenRow, TokenTableReader, TokenTableWriter, content_hash};
use tissuenarrator::model::training::visiting_order;
use tissuenarrator::model::{Chunks, SentenceTokenizer, TokenSequence};
use tissuenarrator::sentence::SentenceRecord;

use super::training_data::{Corpus, SequenceOptions};
use crate::cell_tables;
use crate::error::{CliError, TableKind};
use crate::report::Report;

/// Key of the table's metadata that holds what was reported.
const REPORT_KEY: &str = "tn.report";

/// Write the tokens that `tn train --base` learns from, for training by another program.
///
/// A Parquet file with the lists `input_ids`, `labels` (the same tokens, -100 where there is no loss) and `weights`, which Hugging Face
/// datasets read; docs/scale-out.md has a program that trains an adapter on it. Options are those of `tn train`: the same ones give the
/// same sequences. A table that these options wrote from the same files is left as it is.
#[derive(Args, Debug)]
pub(crate) struct Tokenize {
    /// Table of sentences
    sentences: PathBuf,
    /// Table of tokens
    #[arg(short, long, value_name = "TOKENS.parquet")]
    output: PathBuf,
    /// Checkpoint to be trained: the folder of its tokenizer.json
    #[arg(long, value_name = "DIR")]
    base: PathBuf,
    /// Sentences to write
    #[arg(long, value_enum, value_name = "SPLIT", default_value_t = Split::Train)]
    split: Split,
    /// Write the sequences in the order in which `tn train --epochs N` with this seed reads them, all N times [default: once, in the order
    /// of the sentences]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    epochs: Option<u32>,
    #[command(flatten)]
    sequences: SequenceOptions,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Split {
    /// What is learned
    Train,
    /// What the validation loss is computed of
    Val,
}

impl Tokenize {
    pub(super) fn run(&self, seed: u64) -> Result<Report, CliError> {
        cell_tables::check_is_no_input(&self.output, &[&self.sentences])?;
        cell_tables::check_output(&self.output)?;
        let tokenizer_file = self.base.join("tokenizer.json");
        let provenance = self.provenance(seed, &tokenizer_file)?;
        let tokenizer_hash = hash_of(&tokenizer_file)?;
        if let Some(report) = self.unchanged(&provenance, &tokenizer_hash) {
            tracing::info!("{} was written by the same options from the same files: nothing to do", self.output.display());
            return Ok(report);
        }
        let tokenizer = SentenceTokenizer::load(&self.base)?;
        let table = cell_tables::read::<SentenceRecord>(&self.sentences, TableKind::Sentences)?;
        let corpus = Corpus::of(&self.sentences, table)?;
        let sentences = if self.split == Split::Train { &corpus.train } else { &corpus.validation };
        let Chunks { sequences, report } = self.sequences.tokenize(&tokenizer, sentences)?;
        let order = match self.epochs {
            Some(epochs) => visiting_order(&sequences, seed, epochs),
            None => (0..sequences.len()).collect(),
        };

        let report = json!({
            "sequences": sequences.len(),
            "rows": order.len(),
            "tokens": report.tokens,
            "labelled_tokens": report.labelled_tokens,
            "dropped_sequences": report.dropped_chunks,
            "cut_cells": report.cut_cells.len(),
            "vocabulary": tokenizer.vocab_size(),
        });
        let mut writer = TokenTableWriter::create(&self.output)?
            .with_metadata(PROVENANCE_KEY, &provenance.to_json())
            .with_metadata(TOKENIZER_KEY, &tokenizer_hash)
            .with_metadata(REPORT_KEY, &report.to_string());
        for &place in &order {
            writer.write(&row(&sequences[place]))?;
        }
        writer.finish()?;
        Ok(Report::summary(report))
    }

    /// Returns the report of the table that is there, if this command would write the same one again.
    fn unchanged(&self, provenance: &Provenance, tokenizer_hash: &str) -> Option<Report> {
        // A table that cannot be read is written again.
        let table = TokenTableReader::open(&self.output).ok()?;
        let holds = |key: &str, value: &str| table.metadata().get(key).is_some_and(|found| found == value);
        let is_same = holds(PROVENANCE_KEY, &provenance.to_json()) && holds(TOKENIZER_KEY, tokenizer_hash);
        let report = table.metadata().get(REPORT_KEY).filter(|_| is_same)?;
        Some(Report::summary(serde_json::from_str(report).ok()?))
    }

    fn provenance(&self, seed: u64, tokenizer: &Path) -> Result<Provenance, CliError> {
        let split = if self.split == Split::Train { "train" } else { "val" };
        Ok(cell_tables::provenance("tokenize", seed, &[&self.sentences, tokenizer])?
            .with_option("split", split)
            .with_option("epochs", self.epochs)
            .with_option("max_tokens", self.sequences.max_tokens)
            .with_option("target_weight", self.sequences.target_weight)
            .with_option("without_coordinates", self.sequences.without_coordinates))
    }
}

fn row(sequence: &TokenSequence) -> TokenRow {
    TokenRow {
        input_ids: sequence.ids.iter().map(|&id| id as i32).collect(),
        labels: sequence.labels.clone(),
        weights: sequence.weights.clone(),
    }
}

fn hash_of(path: &Path) -> Result<String, CliError> {
    let hash = File::open(path).and_then(content_hash).map_err(|source| CliError::Open { path: path.to_owned(), source })?;
    Ok(format!("{:016x}", hash.0))
}
