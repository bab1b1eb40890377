//! `tn auroc`.

use std::collections::BTreeMap;
use std::path::PathBuf;

use clap::Args;
use serde_json::json;
use tissuenarrator::eval::{MarkerAuroc, marker_auroc};

use super::expression_options::ExpressionOptions;
use crate::error::CliError;
use crate::report::Report;

/// How well the markers of each cell type tell its cells from all others: 1 is perfect, one half is chance.
#[derive(Args, Debug)]
pub(crate) struct Auroc {
    #[command(flatten)]
    expression: ExpressionOptions,
    /// Markers by cell type, as JSON: {"monocyte": ["CD14", "LYZ"], ...}
    #[arg(long, value_name = "MARKERS.json")]
    markers: PathBuf,
    /// Column of cell types
    #[arg(long, value_name = "COLUMN", default_value = "class")]
    group_by: String,
}

impl Auroc {
    pub(super) fn run(&self) -> Result<Report, CliError> {
        let text = std::fs::read_to_string(&self.markers).map_err(|source| CliError::Open { path: self.markers.clone(), source })?;
        let markers: BTreeMap<String, Vec<String>> =
            serde_json::from_str(&text).map_err(|source| CliError::NoMarkers { path: self.markers.clone(), source })?;
        let expression = self.expression.read()?;
        let labels = expression.labels(&self.group_by, "--group-by")?;
        let scores = marker_auroc(&expression.matrix, &labels, &markers)
            .map_err(|source| CliError::Auroc { path: self.expression.file.clone(), source })?;
        let by_type: serde_json::Map<_, _> = scores.iter().map(|score| (score.cell_type.clone(), json!(score))).collect();
        Report::with_text(&by_type, text_of(&scores))
    }
}

/// A line for each type: its mean, its cells, and each marker.
fn text_of(scores: &[MarkerAuroc]) -> String {
    let width = scores.iter().map(|score| score.cell_type.chars().count()).max().unwrap_or(0);
    let line = |score: &MarkerAuroc| {
        let markers: Vec<String> = score.markers.iter().map(|(gene, value)| format!("{gene} {value:.3}")).collect();
        let unmeasured = match &score.unmeasured[..] {
            [] => String::new(),
            genes => format!("; not measured: {}", genes.join(", ")),
        };
        format!("{:<width$}  {:.3}  {} cells: {}{unmeasured}\n", score.cell_type, score.mean, score.cells, markers.join(", "))
    };
    scores.iter().map(line).collect()
}
