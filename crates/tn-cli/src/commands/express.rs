//! `tn express`: ranks to expression.

use std::collections::HashMap;
use std::path::PathBuf;

use clap::{Args, Subcommand};
use serde::{Deserialize, Serialize};
use serde_json::json;
use tissuenarrator::eval::{ExpressionFit, ExpressionFitter};
use tissuenarrator::io::{AnnDataRow, AnnDataWriter, Provenance};
use tissuenarrator::sentence::{CellSentence, GeneRanking, GeneratedRecord, Position, Vocabulary, clean_generated_genes, draw, gene_words};

use super::expression_options::ExpressionOptions;
use crate::cell_tables::{self, Table};
use crate::error::{CliError, TableKind};
use crate::gene_panel;
use crate::ranges;
use crate::report::Report;

/// The columns of a file of expression that was made from generated cells.
const COLUMNS: [&str; 9] = ["task", "sample", "section", "class", "generated_class", "split", "scenario", "condition", "pair_id"];

/// Turn ranks into expression.
#[derive(Debug, Subcommand)]
pub(crate) enum Express {
    /// Fit expression to rank, by the measured cells of a file
    Fit(Fit),
    /// Write generated cells as expression, to an .h5ad file that scanpy opens
    Apply(Apply),
}

/// Fit expression to rank: `expression = intercept + slope * log10(1 + rank)`, rank 0 being the highest gene of a cell.
///
/// Expression is `log10(1 + normalized count)`: counts are brought to that, logarithms are taken as they are.
#[derive(Args, Debug)]
pub(crate) struct Fit {
    #[command(flatten)]
    expression: ExpressionOptions,
    /// The fit, as JSON
    #[arg(short, long, value_name = "FIT.json")]
    output: PathBuf,
    /// Cells to fit to, drawn by the seed
    #[arg(long, value_name = "N", default_value_t = 10_000, value_parser = ranges::count())]
    cells: usize,
    /// Genes of a cell that count, the highest
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = ranges::count())]
    top: usize,
    /// Take only cells of these splits [default: all]
    #[arg(long, value_name = "SPLITS", value_delimiter = ',')]
    split: Option<Vec<String>>,
}

/// Write generated cells as expression: the genes of the panel, by their rank; all others are 0.
#[derive(Args, Debug)]
pub(crate) struct Apply {
    /// Generated cells
    generated: PathBuf,
    /// The fit, as `tn express fit` writes it
    #[arg(long, value_name = "FIT.json")]
    fit: PathBuf,
    /// Gene panel: one symbol a line, or an .h5ad file [default: that of the table]
    #[arg(long, value_name = "FILE")]
    panel: Option<PathBuf>,
    /// Expression of the cells
    #[arg(short, long, value_name = "OUT.h5ad")]
    output: PathBuf,
    /// Genes of a cell to keep, the first after clean-up
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = ranges::count())]
    top: usize,
}

/// A fit and where it comes from.
#[derive(Debug, Serialize, Deserialize)]
struct FitFile {
    #[serde(flatten)]
    fit: ExpressionFit,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    provenance: Option<serde_json::Value>,
}

impl Express {
    pub(super) fn run(&self, seed: u64) -> Result<Report, CliError> {
        match self {
            Self::Fit(fit) => fit.run(seed),
            Self::Apply(apply) => apply.run(seed),
        }
    }
}

impl Fit {
    fn run(&self, seed: u64) -> Result<Report, CliError> {
        let expression = self.expression.read()?;
        let mut fitter = ExpressionFitter::new().with_max_genes(self.top);
        let unusable = |source| CliError::ExpressionFit { path: self.expression.file.clone(), source };
        let mut cells = match &self.split {
            None => (0..expression.matrix.n_cells()).collect(),
            Some(splits) => self.of_splits(splits, &expression.labels("split", "--split")?)?,
        };
        cells.sort_by_cached_key(|&cell| (draw(seed, cell as u64), cell));
        cells.truncate(self.cells);
        for &cell in &cells {
            fitter.add(expression.matrix.cell(cell).1.iter().map(|&value| f64::from(value))).map_err(unusable)?;
        }
        let fit = fitter.fit().map_err(unusable)?;
        let provenance = self
            .expression
            .provenance("express fit", expression.section.as_ref())?
            .with_seed(seed)
            .with_option("cells", self.cells)
            .with_option("top", self.top)
            .with_option("split", &self.split);
        let file = FitFile { fit, provenance: serde_json::from_str(&provenance.to_json()).ok() };
        let text = serde_json::to_string_pretty(&file).map_err(CliError::Json)?;
        gene_panel::write_text(&(text + "\n"), &self.output)?;
        serde_json::to_value(fit).map(Report::summary).map_err(CliError::Json)
    }

    fn of_splits(&self, splits: &[String], labels: &[String]) -> Result<Vec<usize>, CliError> {
        let cells: Vec<usize> = (0..labels.len()).filter(|&cell| splits.contains(&labels[cell])).collect();
        match cells.is_empty() {
            false => Ok(cells),
            true => Err(CliError::UnknownSplit {
                path: self.expression.file.clone(),
                split: splits.to_vec(),
                splits: cell_tables::distinct(labels.iter().map(String::as_str)),
            }),
        }
    }
}

impl Apply {
    fn run(&self, seed: u64) -> Result<Report, CliError> {
        if self.output.extension().is_none_or(|extension| !extension.eq_ignore_ascii_case("h5ad")) {
            return Err(CliError::NotH5ad { path: self.output.clone() });
        }
        let fit = self.read_fit()?;
        let Table { rows, metadata } = cell_tables::read::<GeneratedRecord>(&self.generated, TableKind::Generated)?;
        let panel = match &self.panel {
            Some(path) => gene_panel::read(path)?,
            None => gene_panel::of_metadata(&metadata).ok_or(CliError::NoPanel { looked_in: Vec::new() })?,
        };
        let provenance = self.provenance(seed)?;
        let symbols: Vec<&str> = panel.iter().collect();
        let mut writer = AnnDataWriter::create(&self.output, &symbols, &COLUMNS)?.with_text("provenance", &provenance.to_json());
        let names = names(&rows);
        let (mut unreadable, mut genes) = (0, 0);
        for (record, name) in rows.iter().zip(&names) {
            let (cell, _) = CellSentence::parse_lenient(&record.generated_block);
            unreadable += usize::from(cell.is_none());
            genes += self.write(&mut writer, record, name, cell.as_ref(), &panel, &fit)?;
        }
        writer.finish()?;
        Ok(Report::summary(json!({
            "cells": rows.len(),
            "unreadable": unreadable,
            "genes": panel.len(),
            "mean_genes": genes as f64 / rows.len() as f64,
        })))
    }

    /// Writes a cell, without expression if it could not be read, and returns how many genes it has.
    fn write(
        &self,
        writer: &mut AnnDataWriter,
        record: &GeneratedRecord,
        name: &str,
        cell: Option<&CellSentence>,
        panel: &Vocabulary,
        fit: &FitFile,
    ) -> Result<usize, CliError> {
        let ranking = match cell {
            Some(_) => clean_generated_genes(gene_words(&record.generated_block), panel, self.top),
            None => GeneRanking::default(),
        };
        let values = fit.fit.model.reconstruct(ranking.genes(), panel);
        let (genes, values): (Vec<u32>, Vec<f32>) = (0..).zip(values).filter(|(_, value)| *value != 0.0).unzip();
        let task = &record.task;
        let scenario = task.scenario.as_ref();
        let text = |value: Option<String>| value.unwrap_or_default();
        let columns: [String; COLUMNS.len()] = [
            task.cell_name.clone(),
            record.sample.to_string(),
            task.section.clone(),
            task.class.clone(),
            text(cell.and_then(CellSentence::class).map(str::to_owned)),
            task.split.clone(),
            text(scenario.map(|label| label.scenario.clone())),
            text(scenario.map(|label| label.condition.to_string())),
            text(scenario.map(|label| label.pair_id.to_string())),
        ];
        let columns: Vec<&str> = columns.iter().map(String::as_str).collect();
        let position = Position::new(task.x, task.y).map_err(|source| CliError::NoPlace {
            path: self.generated.clone(),
            cell: task.cell_name.clone(),
            source,
        })?;
        writer.push(&AnnDataRow { name, position, columns: &columns, genes: &genes, values: &values })?;
        Ok(genes.len())
    }

    fn read_fit(&self) -> Result<FitFile, CliError> {
        let text = std::fs::read_to_string(&self.fit).map_err(|source| CliError::Open { path: self.fit.clone(), source })?;
        serde_json::from_str(&text).map_err(|source| CliError::NoFit { path: self.fit.clone(), source })
    }

    fn provenance(&self, seed: u64) -> Result<Provenance, CliError> {
        let mut inputs = vec![self.generated.as_path(), self.fit.as_path()];
        inputs.extend(self.panel.as_deref());
        Ok(cell_tables::provenance("express apply", seed, &inputs)?.with_option("top", self.top))
    }
}

/// Returns a name of its own for every row: that of the cell, with what tells its rows apart where there are several.
fn names(rows: &[GeneratedRecord]) -> Vec<String> {
    let mut rows_of_cell: HashMap<&str, usize> = HashMap::new();
    rows.iter().for_each(|record| *rows_of_cell.entry(&record.task.cell_name).or_default() += 1);
    let mut taken: HashMap<String, usize> = HashMap::new();
    rows.iter()
        .map(|record| {
            let cell = &record.task.cell_name;
            if rows_of_cell[cell.as_str()] == 1 {
                return cell.clone();
            }
            let condition = record.task.scenario.as_ref().map(|label| format!("#{}", label.condition)).unwrap_or_default();
            let name = format!("{cell}{condition}#{}", record.sample);
            let count = taken.entry(name.clone()).and_modify(|count| *count += 1).or_insert(0);
            if *count == 0 { name } else { format!("{name}#{count}") }
        })
        .collect()
}
