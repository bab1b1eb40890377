//! `tn merge`.

use std::path::PathBuf;

use clap::Args;
use serde_json::json;

use crate::error::CliError;
use crate::report::Report;
use crate::{cell_tables, gene_panel, model_folder};

/// Merge a LoRA adapter into its base model: one Hugging Face checkpoint that needs no adapter.
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
}

impl Merge {
    pub(super) fn run(&self) -> Result<Report, CliError> {
        cell_tables::check_is_no_input(&self.output, &[&self.base, &self.adapter])?;
        let loaded = model_folder::load(&self.base, Some(&self.adapter))?;
        loaded.model.save(&self.output, &loaded.tokenizer)?;
        let panel = self.adapter.join(gene_panel::FILE_NAME);
        if panel.exists() {
            let panel = gene_panel::read(&panel)?;
            if gene_panel::is_written_by(&loaded.tokenizer, &panel) {
                gene_panel::write(&panel, &self.output.join(gene_panel::FILE_NAME))?;
            }
        }
        Ok(Report::summary(json!({ "model": self.output, "parameters": loaded.model.config().parameter_count() })))
    }
}
