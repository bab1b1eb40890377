//! `tn score`.

use std::path::PathBuf;

use clap::Args;
use serde_json::{Map, Value};
use tissuenarrator::eval::{ScoreTable, score_generated};
use tissuenarrator::sentence::GeneratedRecord;

use crate::cell_tables;
use crate::error::{CliError, TableKind};
use crate::report::Report;

/// Score generated cells against the observed ones: the share of right genes among the first k, and NDCG.
///
/// `overlap` is a share of the genes that were written, `recall` of those to be found, so that a short list scores less.
/// `ndcg` is the standard definition; `ndcg_published` does not punish missing genes and gives about 0.43 to random lists.
#[derive(Args, Debug)]
pub(crate) struct Score {
    /// Tables of generated cells
    #[arg(required = true)]
    generated: Vec<PathBuf>,
    /// Numbers of first genes to look at
    #[arg(long, value_name = "K", value_delimiter = ',', default_value = "10,30,50")]
    k: Vec<usize>,
    /// Show the scores of every class, too
    #[arg(long)]
    by_class: bool,
}

impl Score {
    pub(super) fn run(&self) -> Result<Report, CliError> {
        let mut tables: Vec<(String, ScoreTable)> = Vec::new();
        for path in &self.generated {
            let generated = cell_tables::read::<GeneratedRecord>(path, TableKind::Generated)?.rows;
            let scores = score_generated(&generated, &self.k).map_err(|source| CliError::Score { path: path.clone(), source })?;
            tables.push((path.display().to_string(), scores));
        }
        let shown: Vec<String> = ["overlap", "recall", "ndcg", "ndcg_published"]
            .iter()
            .flat_map(|metric| self.k.iter().map(move |k| format!("{metric}@{k}")))
            .collect();
        let shown: Vec<&str> = shown.iter().map(String::as_str).collect();
        let named: Vec<(&str, &ScoreTable)> = tables.iter().map(|(name, scores)| (name.as_str(), scores)).collect();
        let mut text = ScoreTable::comparison_text(&named, &shown);
        if self.by_class {
            text.extend(named.iter().map(|(name, scores)| format!("\n{name}\n{}", scores.class_text(&shown))));
        }
        let mut json = Map::new();
        for (name, scores) in &tables {
            json.insert(name.clone(), serde_json::to_value(scores).map_err(CliError::Json)?);
        }
        Report::with_text(&Value::Object(json), text)
    }
}
