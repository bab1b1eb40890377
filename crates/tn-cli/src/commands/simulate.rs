//! `tn simulate`.

use std::path::PathBuf;

use clap::Args;
use clap::builder::RangedU64ValueParser;
use data_fixtures::{SimulatedTissue, SimulationConfig, write_tissue, write_truth};
use serde_json::json;

use crate::cell_tables;
use crate::error::CliError;
use crate::report::Report;

/// Simulate a small mouse cortex whose truth is known.
///
/// Astrocytes close to microglia, oligodendrocytes close to knocked-out cells, and a quarter of the panel along x differ by
/// known factors. With three sections or more, whole sections are split into train, val and test.
#[derive(Args, Debug)]
pub(crate) struct Simulate {
    /// Counts, places, classes and splits of the cells (.h5ad)
    #[arg(short, long, value_name = "SECTIONS.h5ad")]
    output: PathBuf,
    /// Cells over all sections
    #[arg(long, value_name = "N", default_value_t = 20_000, value_parser = RangedU64ValueParser::<usize>::new().range(1..=100_000_000))]
    cells: usize,
    /// Genes of the panel, 40 or more
    #[arg(long, value_name = "N", default_value_t = 300)]
    genes: usize,
    /// Sections
    #[arg(long, value_name = "N", default_value_t = 10)]
    sections: usize,
    /// Cell classes, 8 to 15
    #[arg(long, value_name = "N", default_value_t = 12)]
    classes: usize,
    /// Table of what is true about every cell: genes by true mean, a second draw, planted effects in reach
    #[arg(long, value_name = "TRUTH.parquet")]
    truth: Option<PathBuf>,
}

impl Simulate {
    pub(super) fn run(&self, seed: u64) -> Result<Report, CliError> {
        if !self.output.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("h5ad")) {
            return Err(CliError::NotH5ad { path: self.output.clone() });
        }
        let &Self { cells, genes, sections, classes, .. } = self;
        let tissue = SimulatedTissue::new(SimulationConfig { cells, genes, sections, classes, seed, ..SimulationConfig::default() })?;
        if let Some(truth) = &self.truth {
            cell_tables::check_output(truth)?;
        }
        write_tissue(&tissue, &self.output)?;
        if let Some(truth) = &self.truth {
            write_truth(&tissue, truth).inspect_err(|_| {
                // Cells without their truth would look like a complete result.
                let _ = std::fs::remove_file(&self.output);
            })?;
        }
        Ok(Report::summary(json!({ "cells": cells, "genes": genes, "sections": sections, "classes": tissue.classes() })))
    }
}
