//! `tn merge`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use serde_json::json;
use tissuenarrator::model::{
    AdapterReader, CheckpointReader, CheckpointWriter, SentenceTokenizer, WeightType, merge_adapter, unmerge_adapter,
};

use crate::error::CliError;
use crate::report::Report;
use crate::{cell_tables, gene_panel, header_fields, model_folder};

/// Merge a LoRA adapter into its base model: one Hugging Face checkpoint that needs no adapter.
///
/// Tensors are read, changed and written one by one, so that models larger than memory can be merged. Files of the
/// tokenizer are copied.
#[derive(Args, Debug)]
pub(crate) struct Merge {
    /// Base model (config.json, safetensors, tokenizer.json)
    #[arg(long, value_name = "DIR")]
    base: PathBuf,
    /// Adapter (adapter_config.json, adapter_model.safetensors)
    #[arg(long, value_name = "DIR")]
    adapter: PathBuf,
    /// Merged model
    #[arg(short, long, value_name = "DIR")]
    output: PathBuf,
    /// Number format of the merged weights
    #[arg(long, value_enum, value_name = "TYPE", default_value_t = Format::AsBase)]
    dtype: Format,
    /// Bytes of weights in a file, at most; more are spread over shards
    #[arg(long, value_name = "BYTES", default_value_t = CheckpointWriter::MAX_SHARD_BYTES, value_parser = clap::value_parser!(u64).range(1..))]
    max_shard_bytes: u64,
    /// Take the adapter out of a merged model (--base) instead: the base up to rounding
    #[arg(long)]
    undo: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// That of the base, or f32 where it has several
    AsBase,
    /// 32 bits
    F32,
    /// The upper 16 of 32 bits
    Bf16,
    /// IEEE half precision
    F16,
}

impl Merge {
    pub(super) fn run(&self) -> Result<Report, CliError> {
        cell_tables::check_is_no_input(&self.output, &[&self.base, &self.adapter])?;
        let (base, tokenizer) = model_folder::open(&self.base)?;
        let adapter = AdapterReader::open(&self.adapter, base.config())?;
        let writer = CheckpointWriter::new(&self.output)
            .with_weight_type(self.weight_type(&base))
            .with_max_shard_bytes(self.max_shard_bytes)
            .with_tokenizer_files_of(&self.base);
        let merge = if self.undo { unmerge_adapter } else { merge_adapter };
        merge(&base, &adapter, &writer)?;
        // The base is not restricted to what the adapter has learned.
        match self.undo {
            true => header_fields::remove(&self.output)?,
            false => self.copy_what_was_learned(&tokenizer)?,
        }
        Ok(Report::summary(json!({ "model": self.output, "parameters": base.config().parameter_count() })))
    }

    /// Copies the panel and the header fields of the adapter.
    fn copy_what_was_learned(&self, tokenizer: &SentenceTokenizer) -> Result<(), CliError> {
        let panel = self.adapter.join(gene_panel::FILE_NAME);
        if panel.exists() {
            let panel = gene_panel::read(&panel)?;
            if gene_panel::is_written_by(tokenizer, &panel) {
                gene_panel::write(&panel, &self.output.join(gene_panel::FILE_NAME))?;
            }
        }
        header_fields::copy(&self.adapter, &self.output)
    }

    fn weight_type(&self, base: &CheckpointReader) -> WeightType {
        match self.dtype {
            Format::AsBase => base.weight_type(),
            Format::F32 => WeightType::F32,
            Format::Bf16 => WeightType::Bf16,
            Format::F16 => WeightType::F16,
        }
    }
}
