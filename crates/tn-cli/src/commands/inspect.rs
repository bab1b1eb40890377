//! `tn inspect`.

use std::path::PathBuf;

use clap::Args;
use tissuenarrator::io::inspect_file;

use crate::error::CliError;
use crate::report::Report;

/// Show what is in a file or folder of expression or a table, and which columns could be what.
#[derive(Args, Debug)]
pub(crate) struct Inspect {
    /// Expression (.h5ad, or a folder: Xenium, MERSCOPE, CosMx) or table (.parquet, .csv, .tsv)
    file: PathBuf,
}

impl Inspect {
    pub(super) fn run(&self) -> Result<Report, CliError> {
        let summary = inspect_file(&self.file)?;
        Report::with_text(&summary, summary.to_string())
    }
}
