//! A section from a file.

use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use tissuenarrator::io::{AnnData, ColumnRole, EncodeOptions, EncodedCells, FileSummary, SectionReader, inspect_file};
use tissuenarrator::prelude::*;

use super::blocks::split_by_blocks;
use super::class_means::class_means;
use super::run_folder::RunFolder;
use super::tissue::{Tissue, cell_table};
use crate::flags::ReproduceFlags;

/// Encodes a file. Its columns are those that the flags name, else those that `tn inspect` would guess.
pub(super) fn tissue(folder: &mut RunFolder, path: &Path, flags: &ReproduceFlags) -> Result<Tissue> {
    folder.stage("encode", |folder| {
        let columns = Columns::choose(&inspect_file(path)?, flags).with_context(|| format!("in {}", path.display()))?;
        eprintln!("  columns: {columns:?}");
        let file = AnnData::open(path)?;
        let split_seed = flags.seed;
        let (cells, panel) = cell_table(folder, &["class", "split"], || encode(&file, &columns, flags.seed, split_seed))?;
        let class_means = class_means(&file, &cells, &panel)?;
        let redraw = Box::new(move |seed| Ok(encode(&file, &columns, seed, split_seed)?.0));
        let tissue = Tissue { class_means, cells, panel, truth: None, redraw };
        let sizes = tissue.summary();
        ensure!(
            sizes.train > 0 && sizes.test > 0,
            "{} has {} training and {} test cells, both are needed",
            path.display(),
            sizes.train,
            sizes.test
        );
        Ok(tissue)
    })
}

/// Which column is what.
#[derive(Debug)]
struct Columns {
    class: String,
    section: Option<String>,
    coordinates: Option<(String, String)>,
    split: Option<String>,
}

impl Columns {
    fn choose(summary: &FileSummary, flags: &ReproduceFlags) -> Result<Self> {
        let names: Vec<&str> = summary.columns.iter().map(|column| column.name.as_str()).collect();
        let choose = |named: &Option<String>, role: ColumnRole| {
            let guess = summary.candidates.iter().find(|candidate| candidate.role == role).map(|candidate| candidate.column.clone());
            match named {
                Some(name) if !names.contains(&name.as_str()) => {
                    let hint = guess.map_or_else(String::new, |guess| format!("; did you mean --{} {guess}?", role.as_str()));
                    bail!("there is no column {name:?}; columns are {}{hint}", names.join(", "))
                }
                Some(name) => Ok(Some(name.clone())),
                None => Ok(guess),
            }
        };
        Ok(Self {
            class: choose(&flags.class, ColumnRole::Class)?
                .with_context(|| format!("no column looks like a cell class; columns are {}; name one with --class", names.join(", ")))?,
            section: choose(&flags.section, ColumnRole::Section)?,
            coordinates: choose(&flags.x, ColumnRole::X)?.zip(choose(&flags.y, ColumnRole::Y)?),
            split: choose(&flags.split, ColumnRole::Split)?,
        })
    }
}

/// Encodes the cells, with their columns under the names `class` and `split`.
fn encode(file: &AnnData, columns: &Columns, seed: u64, split_seed: u64) -> Result<(Vec<CellRecord>, Vocabulary)> {
    let mut options = EncodeOptions::new().with_seed(seed).with_columns([&columns.class].into_iter().chain(&columns.split));
    if let Some(section) = &columns.section {
        options = options.with_section(section);
    }
    if let Some((x, y)) = &columns.coordinates {
        options = options.with_coordinates(x, y);
    }
    let mut encoded = EncodedCells::new(file, &options)?;
    let mut cells: Vec<CellRecord> = encoded.by_ref().collect::<Result<_, _>>()?;
    for cell in &mut cells {
        let class = cell.metadata.get(&columns.class).unwrap_or_default().to_owned();
        let split = columns.split.as_deref().and_then(|column| cell.metadata.get(column)).map(split_name);
        let mut metadata = Metadata::from_pairs([("class", class)])?;
        if let Some(split) = split {
            metadata.insert("split", &split)?;
        }
        cell.metadata = metadata;
    }
    if columns.split.is_none() {
        split_by_blocks(&mut cells, split_seed)?;
    }
    ensure!(!cells.is_empty(), "{} has no cell with expression", file.file_name());
    Ok((cells, encoded.vocabulary().clone()))
}

/// Spells the usual names of splits in one way.
fn split_name(found: &str) -> String {
    match found.trim().to_lowercase().as_str() {
        "train" | "training" => "train".to_owned(),
        "val" | "valid" | "validation" | "dev" => "val".to_owned(),
        "test" | "testing" | "holdout" | "held-out" => "test".to_owned(),
        other => other.to_owned(),
    }
}
