//! `tn inspect`.

use std::path::PathBuf;

use clap::Args;
use tissuenarrator::io::{inspect_file, inspect_file_with_tokens};
use tissuenarrator::model::SentenceTokenizer;

use crate::error::CliError;
use crate::report::Report;

/// Show what is in a file or folder of expression or a table, which columns could be what, and what could go wrong.
///
/// Where the file says where its cells are, also how full bins of 200 micrometers are, by section.
#[derive(Args, Debug)]
pub(crate) struct Inspect {
    /// Expression (.h5ad, or a folder: Xenium, MERSCOPE, CosMx) or table (.parquet, .csv, .tsv)
    file: PathBuf,
    /// Checkpoint whose tokenizer.json counts the tokens of spatial sentences, in expression files and tables of cells [default: tokens
    /// are not counted]
    #[arg(long, value_name = "DIR")]
    tokenizer: Option<PathBuf>,
}

impl Inspect {
    pub(super) fn run(&self) -> Result<Report, CliError> {
        let summary = match &self.tokenizer {
            Some(folder) => {
                let tokenizer = SentenceTokenizer::load(folder)?;
                inspect_file_with_tokens(&self.file, &|text| tokenizer.encode_ids(text).len())?
            }
            None => inspect_file(&self.file)?,
        };
        Report::with_text(&summary, summary.to_string())
    }
}
