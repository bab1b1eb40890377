//! `tn split`.

use std::collections::{BTreeMap, HashSet};
use std::path::PathBuf;

use clap::Args;
use serde_json::json;
use tissuenarrator::io::{TableError, TableReader};
use tissuenarrator::sentence::CellRecord;
use tissuenarrator::spatial::{BinGrid, ExistingSplits, InvalidSplitRatio, Split, SplitPlan, SplitRatio, Splitter};

use crate::cell_tables;
use crate::error::{CliError, TableKind};
use crate::progress::Console;
use crate::ranges;
use crate::report::Report;

/// Divide cells into train, val and test: by whole sections, or by square blocks of them where sections are few.
///
/// Each section or block goes to one split; which one is drawn by the seed and its name. The table is read twice, and only names of
/// sections are held.
#[derive(Args, Debug)]
pub(crate) struct SplitCells {
    /// Table of cells
    cells: PathBuf,
    /// Table of the same cells with the column `split`
    #[arg(short, long, value_name = "CELLS.parquet")]
    output: PathBuf,
    /// Cells of train, val and test, in proportion; a share of 0 leaves a split out
    #[arg(long, value_name = "TRAIN:VAL:TEST", default_value = "8:1:1", value_parser = parse_ratio)]
    ratio: SplitRatio,
    /// Divide by square blocks of this width in micrometers within each section, in place of whole sections
    #[arg(long, value_name = "UM", value_parser = ranges::positive, allow_negative_numbers = true)]
    block: Option<f64>,
    /// Replace the splits that the table has
    #[arg(long)]
    replace: bool,
}

fn parse_ratio(text: &str) -> Result<SplitRatio, InvalidSplitRatio> {
    text.parse()
}

impl SplitCells {
    pub(super) fn run(&self, seed: u64, console: &Console) -> Result<Report, CliError> {
        cell_tables::check_is_no_input(&self.output, &[&self.cells])?;
        cell_tables::check_output(&self.output)?;
        let (plan, columns) = self.plan(seed)?;
        let provenance = cell_tables::provenance("split", seed, &[&self.cells])?
            .with_option("ratio", self.ratio.shares())
            .with_option("block", self.block)
            .with_option("replace", self.replace);
        let reader = TableReader::<CellRecord>::open(&self.cells)?;
        let mut writer = cell_tables::create_with_columns(&self.output, &provenance, &reader.metadata(), &columns)?;
        let task = console.task("split", "cells", Split::ALL.iter().map(|&split| plan.cells(split) as u64).sum());
        for cell in reader {
            let mut cell = cell?;
            plan.assign(&mut cell)?;
            writer.write(&cell)?;
            task.advance(1);
        }
        writer.finish()?;
        let by_split = |count: fn(&SplitPlan, Split) -> usize| -> BTreeMap<&str, usize> {
            Split::ALL.into_iter().map(|split| (split.name(), count(&plan, split))).collect()
        };
        let units = if self.block.is_some() { "blocks" } else { "sections" };
        Ok(Report::summary(json!({ "cells": by_split(SplitPlan::cells), units: by_split(SplitPlan::units) })))
    }

    /// Decides about all sections or blocks, and returns the metadata columns of the table to be written.
    fn plan(&self, seed: u64) -> Result<(SplitPlan, Vec<String>), CliError> {
        let named = |source| cell_tables::of_kind(source, TableKind::Cells);
        let reader = TableReader::<CellRecord>::open(&self.cells).map_err(named)?;
        let mut columns = Columns::default();
        let mut failed: Option<TableError> = None;
        let mut empty = true;
        let cells = reader.map_while(|cell| cell.map_err(|error| failed = Some(error)).ok()).inspect(|cell| {
            empty = false;
            columns.add(cell);
        });
        let plan = self.splitter(seed)?.plan(cells);
        match failed {
            Some(error) => Err(named(error)),
            None if empty => Err(CliError::EmptyTable { path: self.cells.clone() }),
            None => Ok((plan?, columns.with_split())),
        }
    }

    fn splitter(&self, seed: u64) -> Result<Splitter, CliError> {
        let splitter = match self.block {
            Some(width) => Splitter::by_block(BinGrid::new(width)?),
            None => Splitter::by_section(),
        };
        let existing = if self.replace { ExistingSplits::Replace } else { ExistingSplits::Refuse };
        Ok(splitter.with_ratio(self.ratio).with_existing(existing).with_seed(seed))
    }
}

/// The metadata columns of a table, in the order in which cells have them.
#[derive(Default)]
struct Columns {
    names: Vec<String>,
    known: HashSet<String>,
}

impl Columns {
    fn add(&mut self, cell: &CellRecord) {
        for (key, _) in cell.metadata.iter() {
            if !self.known.contains(key) {
                self.known.insert(key.to_owned());
                self.names.push(key.to_owned());
            }
        }
    }

    fn with_split(mut self) -> Vec<String> {
        if !self.known.contains("split") {
            self.names.push("split".to_owned());
        }
        self.names
    }
}
