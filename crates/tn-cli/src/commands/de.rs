//! `tn de`.

use std::borrow::Cow;
use std::collections::HashMap;
use std::path::PathBuf;

use clap::{Args, ValueEnum};
use serde_json::{Map, Value, json};
use tissuenarrator::eval::{DifferentialExpression, DifferentialExpressionError, DifferentialTable, ExpressionMatrix};
use tissuenarrator::io::{PROVENANCE_KEY, Provenance, TableReader, TableWriter};
use tissuenarrator::sentence::LogarithmBase;

use super::expression_options::{Expression, ExpressionOptions};
use crate::cell_tables;
use crate::error::CliError;
use crate::report::Report;
use crate::statistic_tables::{DifferentialRow, GroupRow};

/// Genes that the summary names.
const SHOWN_GENES: usize = 5;

/// Differential expression: which genes are higher or lower in a group of cells than in another.
///
/// Wilcoxon's rank-sum test or Welch's t-test as scanpy computes them, with columns of its names, sorted by score. Groups are the
/// values of a column of the file, or those of a table as `tn proximity` writes it.
#[derive(Args, Debug)]
pub(crate) struct De {
    #[command(flatten)]
    expression: ExpressionOptions,
    /// Table of the genes
    #[arg(short, long, value_name = "DE.csv")]
    output: PathBuf,
    /// Column whose values are the groups
    #[arg(long, value_name = "COLUMN", required_unless_present = "groups")]
    group_by: Option<String>,
    /// Table of cells and their groups, as `tn proximity` writes it; other cells take no part
    #[arg(long, value_name = "GROUPS.csv", conflicts_with = "group_by")]
    groups: Option<PathBuf>,
    /// Group to compare [default: every group, with a column `group` in the table]
    #[arg(long, value_name = "GROUP")]
    group: Option<String>,
    /// Group to compare with [default: all other cells]
    #[arg(long, value_name = "GROUP")]
    reference: Option<String>,
    /// How groups are compared
    #[arg(long, value_enum, default_value_t = Test::Wilcoxon)]
    test: Test,
    /// Correct the rank-sum test for ties, of which zeros are the largest
    #[arg(long)]
    tie_correct: bool,
    /// Base of the logarithms that the fold changes assume; e gives scanpy's number whatever the data are [default: that of the data where
    /// it can be told, or else e]
    #[arg(long, value_enum, value_name = "BASE")]
    log_base: Option<Base>,
    /// Leave out genes that fewer cells of both groups show
    #[arg(long, value_name = "N", default_value_t = 0)]
    min_cells: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, ValueEnum)]
enum Test {
    /// Wilcoxon's rank-sum test
    Wilcoxon,
    /// Welch's t-test
    TTest,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Base {
    #[value(name = "e")]
    E,
    #[value(name = "10")]
    Ten,
    #[value(name = "2")]
    Two,
}

impl De {
    pub(super) fn run(&self) -> Result<Report, CliError> {
        cell_tables::check_is_no_input(&self.output, &[&self.expression.file])?;
        if self.tie_correct && self.test == Test::TTest {
            return Err(CliError::MissingOption { what: "--tie-correct".to_owned(), option: "--test wilcoxon" });
        }
        let expression = self.expression.read()?;
        let (cells, labels) = self.grouped(&expression)?;
        let base = self.base(&expression);
        let tables = self.compare(base, &cells, &labels).map_err(|source| CliError::De { path: self.expression.file.clone(), source })?;

        let group_column: &[&str] = if self.group.is_some() { &[] } else { &["group"] };
        let provenance = self.provenance(&expression, base)?;
        let mut writer = TableWriter::<DifferentialRow>::create_with_columns(&self.output, group_column)?
            .with_metadata(PROVENANCE_KEY, &provenance.to_json());
        for table in &tables {
            for gene in table.genes() {
                writer.write(&DifferentialRow { group: table.group().to_owned(), gene: gene.clone() })?;
            }
        }
        writer.finish()?;
        let groups: Map<String, Value> = tables.iter().map(|table| (table.group().to_owned(), summary(table))).collect();
        Report::with_text(&json!({ "log_base": base.to_string(), "groups": groups }), text(base, &tables))
    }

    fn compare(
        &self,
        base: LogarithmBase,
        cells: &ExpressionMatrix,
        labels: &[String],
    ) -> Result<Vec<DifferentialTable>, DifferentialExpressionError> {
        let test = match (self.test, self.tie_correct) {
            (Test::Wilcoxon, true) => DifferentialExpression::wilcoxon(),
            (Test::Wilcoxon, false) => DifferentialExpression::wilcoxon_uncorrected(),
            (Test::TTest, _) => DifferentialExpression::welch(),
        };
        let mut test = test.with_log_base(base).with_min_cells(self.min_cells);
        if let Some(reference) = &self.reference {
            test = test.with_reference(reference.as_str());
        }
        match &self.group {
            Some(group) => Ok(vec![test.compare(cells, labels, group)?]),
            None => test.compare_all(cells, labels),
        }
    }

    /// Returns the cells that have a group, and the groups.
    fn grouped<'e>(&self, expression: &'e Expression) -> Result<(Cow<'e, ExpressionMatrix>, Vec<String>), CliError> {
        let labels = match (&self.groups, &self.group_by) {
            (Some(path), _) => {
                let rows = TableReader::<GroupRow>::open(path)?.read_all()?;
                let groups: HashMap<String, String> = rows.into_iter().map(|row| (row.cell_name, row.group)).collect();
                let names = expression.section.cell_names()?;
                let labels: Vec<String> = names.iter().map(|name| groups.get(name).cloned().unwrap_or_default()).collect();
                if labels.iter().filter(|label| !label.is_empty()).count() < groups.len() {
                    return Err(CliError::OtherCells { path: path.clone(), file: expression.section.file_name() });
                }
                labels
            }
            (None, column) => expression.labels(column.as_deref().unwrap_or("class"), "--group-by")?,
        };
        let kept: Vec<usize> = (0..labels.len()).filter(|&cell| !labels[cell].is_empty()).collect();
        match kept.len() == labels.len() {
            true => Ok((Cow::Borrowed(&expression.matrix), labels)),
            false => Ok((Cow::Owned(expression.matrix.select(&kept)), kept.into_iter().map(|cell| labels[cell].clone()).collect())),
        }
    }

    fn base(&self, expression: &Expression) -> LogarithmBase {
        match (self.log_base, expression.base) {
            (Some(Base::E), _) => LogarithmBase::E,
            (Some(Base::Ten), _) => LogarithmBase::Ten,
            (Some(Base::Two), _) => LogarithmBase::Two,
            (None, Some(base)) => base,
            (None, None) => {
                tracing::warn!("the base of the logarithms cannot be told; fold changes assume e: give another with --log-base");
                LogarithmBase::E
            }
        }
    }

    fn provenance(&self, expression: &Expression, base: LogarithmBase) -> Result<Provenance, CliError> {
        let mut provenance = self.expression.provenance("de", expression.section.as_ref())?;
        if let Some(path) = &self.groups {
            provenance = provenance.with_input(path).map_err(|source| CliError::Open { path: path.clone(), source })?;
        }
        Ok(provenance
            .with_option("group_by", &self.group_by)
            .with_option("group", &self.group)
            .with_option("reference", &self.reference)
            .with_option("test", format!("{:?}", self.test))
            .with_option("tie_correct", self.tie_correct)
            .with_option("log_base", base.to_string())
            .with_option("min_cells", self.min_cells))
    }
}

/// Says how many cells and genes were compared, and which genes stand out.
fn summary(table: &DifferentialTable) -> Value {
    let significant = table.significant(0.0, 0.05).count();
    let first: Vec<&str> = table.genes().iter().take(SHOWN_GENES).map(|row| row.gene.as_str()).collect();
    let last: Vec<&str> = table.genes().iter().rev().take(SHOWN_GENES).map(|row| row.gene.as_str()).collect();
    json!({
        "cells": table.n_group(),
        "reference_cells": table.n_reference(),
        "genes": table.genes().len(),
        "fdr_below_0.05": significant,
        "highest": first,
        "lowest": last,
    })
}

/// A line for each group: how many cells and genes were compared, and which genes stand out.
fn text(base: LogarithmBase, tables: &[DifferentialTable]) -> String {
    let width = tables.iter().map(|table| table.group().chars().count()).max().unwrap_or(0);
    let line = |table: &DifferentialTable| {
        let first: Vec<&str> = table.genes().iter().take(SHOWN_GENES).map(|row| row.gene.as_str()).collect();
        let (group, significant) = (table.group(), table.significant(0.0, 0.05).count());
        let sizes = format!("{} cells against {}", table.n_group(), table.n_reference());
        format!("{group:<width$}  {sizes}, {significant} of {} genes below an FDR of 0.05: {}\n", table.genes().len(), first.join(", "))
    };
    let head = format!("fold changes assume logarithms of base {base}\n");
    head + &tables.iter().map(line).collect::<String>()
}
