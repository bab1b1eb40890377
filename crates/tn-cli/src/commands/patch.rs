//! `tn patch`.

use std::collections::BTreeMap;
use std::path::PathBuf;

use clap::Args;
use serde_json::json;
use tissuenarrator::io::Provenance;
use tissuenarrator::sentence::{CellRecord, SentenceRecord};
use tissuenarrator::spatial::{BinGrid, Neighborhood, Neighborhoods, PatchOptions, Traversal, UnknownTraversal, patch_bins};

use crate::cell_tables::{self, Table};
use crate::error::CliError;
use crate::progress::Console;
use crate::ranges;
use crate::report::Report;

/// Cells whose neighborhoods are written at once.
const CHUNK: usize = 2_048;

/// Turn cells into spatial sentences for training: those of square bins, or each cell with its neighbors.
///
/// Cells of different splits never share a sentence.
#[derive(Args, Debug)]
pub(crate) struct Patch {
    /// Table of cells
    cells: PathBuf,
    /// Table of sentences
    #[arg(short, long, value_name = "SENTENCES.parquet")]
    output: PathBuf,
    /// Edge of a bin in micrometers
    #[arg(long, value_name = "UM", default_value_t = 200.0, conflicts_with_all = ["radius", "neighbors"], value_parser = ranges::positive, allow_negative_numbers = true)]
    bin_width: f64,
    /// Where bin 0_0 begins, in micrometers
    #[arg(long, value_name = "X,Y", default_value = "0,0", conflicts_with_all = ["radius", "neighbors"], value_parser = ranges::place, allow_hyphen_values = true)]
    bin_offset: (f64, f64),
    /// Neighborhoods instead of bins: each cell after its neighbors within R micrometers
    #[arg(long, value_name = "R", value_parser = ranges::positive, allow_negative_numbers = true)]
    radius: Option<f64>,
    /// Neighborhoods instead of bins: each cell after its K nearest neighbors, 0 for each cell alone [default with --radius: 30]
    #[arg(long, value_name = "K")]
    neighbors: Option<usize>,
    /// Genes of each cell, the highest
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = ranges::count())]
    truncate: usize,
    /// Random orders in which the same cells are written [default: 2 for bins, 1 for neighborhoods]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    repeats: Option<u32>,
    /// Order of the cells of a bin: nearest-first, corner-nearest-first, inward-outward, outward-inward or random
    #[arg(long, value_name = "NAME", default_value = "nearest-first", value_parser = parse_traversal)]
    traversal: Traversal,
    /// How strongly distance counts in the order; 0 is a random order
    #[arg(long, value_name = "TAU", default_value_t = 1.0, value_parser = ranges::not_negative, allow_negative_numbers = true)]
    tau: f64,
    /// Cells of a sentence, at least [default: 5 for bins, 2 for neighborhoods, 1 for cells alone]
    #[arg(long, value_name = "N")]
    min_cells: Option<usize>,
    /// Metadata of each cell, --meta "" for none [default: class, and spatial_domain where the table has it]
    #[arg(long, value_name = "KEYS", value_delimiter = ',')]
    meta: Option<Vec<String>>,
    /// Metadata at the head of each sentence, the most common value of its cells [default: none]
    #[arg(long, value_name = "KEYS", value_delimiter = ',')]
    sentence_meta: Option<Vec<String>>,
    /// Take only cells of these splits [default: all]
    #[arg(long, value_name = "SPLITS", value_delimiter = ',')]
    split: Option<Vec<String>>,
}

fn parse_traversal(name: &str) -> Result<Traversal, UnknownTraversal> {
    name.parse()
}

impl Patch {
    pub(super) fn run(&self, seed: u64, console: &Console) -> Result<Report, CliError> {
        cell_tables::check_is_no_input(&self.output, &[&self.cells])?;
        let (x, y) = self.bin_offset;
        let grid = BinGrid::new(self.bin_width)?.with_offset(x, y)?;
        let Table { rows, metadata } = cell_tables::read_cells(&self.cells, self.truncate)?;
        let cells = self.of_splits(rows)?;
        let keys = cell_tables::metadata_keys(&self.cells, &cells, "--meta", self.meta.as_deref())?;
        let head_keys = self.sentence_meta.as_deref().unwrap_or_default();
        let head_keys = cell_tables::metadata_keys(&self.cells, &cells, "--sentence-meta", Some(head_keys))?;
        let provenance = self.provenance(seed, &keys, &head_keys)?;
        let options = PatchOptions::default()
            .with_truncate(self.truncate)
            .with_meta(keys)
            .with_sentence_meta(head_keys)
            .with_min_cells(self.min_cells())
            .with_repeats(self.repeats())
            .with_seed(seed);

        let mut writer = cell_tables::create::<SentenceRecord>(&self.output, &provenance, &metadata)?;
        let mut counts = Counts::default();
        if self.is_of_neighborhoods() {
            let neighborhoods = Neighborhoods::new(&cells, self.neighborhood(), &options);
            let task = console.task("patch", "cells", cells.len() as u64);
            for (chunk, sentences) in cells.chunks(CHUNK).zip(neighborhoods.chunks(CHUNK)) {
                writer.write_all(&sentences)?;
                counts.add(&sentences);
                task.advance(chunk.len() as u64);
            }
        } else {
            let sentences = patch_bins(&cells, &grid, self.traversal.with_tau(self.tau), &options);
            writer.write_all(&sentences)?;
            counts.add(&sentences);
        }
        if counts.sentences == 0 {
            return Err(CliError::NoSentences { path: self.cells.clone(), cells: cells.len(), min_cells: self.min_cells() });
        }
        writer.finish()?;
        Ok(Report::summary(json!({
            "cells": cells.len(),
            "sentences": counts.sentences,
            "by_split": counts.by_split,
            "mean_cells": counts.cells as f64 / counts.sentences as f64,
        })))
    }

    fn is_of_neighborhoods(&self) -> bool {
        self.radius.is_some() || self.neighbors.is_some()
    }

    fn repeats(&self) -> u32 {
        self.repeats.unwrap_or(if self.is_of_neighborhoods() { 1 } else { 2 })
    }

    fn min_cells(&self) -> usize {
        self.min_cells.unwrap_or(match (self.neighbors, self.radius) {
            (Some(0), _) => 1,
            (None, None) => 5,
            _ => 2,
        })
    }

    fn neighborhood(&self) -> Neighborhood {
        let mut neighborhood = Neighborhood::default().with_tau(self.tau);
        if let Some(radius) = self.radius {
            neighborhood = neighborhood.with_radius(radius);
        }
        if let Some(neighbors) = self.neighbors {
            neighborhood = neighborhood.with_max_cells(neighbors);
        }
        neighborhood
    }

    fn of_splits(&self, cells: Vec<CellRecord>) -> Result<Vec<CellRecord>, CliError> {
        let Some(wanted) = &self.split else { return Ok(cells) };
        let splits = cell_tables::distinct(cells.iter().filter_map(CellRecord::split));
        let is_wanted = |cell: &CellRecord| cell.split().is_some_and(|split| wanted.iter().any(|other| other == split));
        let cells: Vec<CellRecord> = cells.into_iter().filter(is_wanted).collect();
        if cells.is_empty() {
            return Err(CliError::UnknownSplit { path: self.cells.clone(), split: wanted.clone(), splits });
        }
        Ok(cells)
    }

    fn provenance(&self, seed: u64, keys: &[String], head_keys: &[String]) -> Result<Provenance, CliError> {
        let provenance = cell_tables::provenance("patch", seed, &[&self.cells])?
            .with_option("truncate", self.truncate)
            .with_option("repeats", self.repeats())
            .with_option("tau", self.tau)
            .with_option("min_cells", self.min_cells())
            .with_option("meta", keys)
            .with_option("sentence_meta", head_keys)
            .with_option("split", &self.split);
        Ok(if self.is_of_neighborhoods() {
            provenance.with_option("radius", self.radius).with_option("neighbors", self.neighbors)
        } else {
            provenance
                .with_option("bin_width", self.bin_width)
                .with_option("bin_offset", self.bin_offset)
                .with_option("traversal", self.traversal.name())
        })
    }
}

/// What was written.
#[derive(Default)]
struct Counts {
    sentences: usize,
    cells: u64,
    by_split: BTreeMap<String, usize>,
}

impl Counts {
    fn add(&mut self, sentences: &[SentenceRecord]) {
        self.sentences += sentences.len();
        for sentence in sentences {
            self.cells += u64::from(sentence.n_cells);
            let split = if sentence.split.is_empty() { "none" } else { &sentence.split };
            *self.by_split.entry(split.to_owned()).or_default() += 1;
        }
    }
}
