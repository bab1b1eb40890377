//! Simulated sections, whose truth is known.

use anyhow::Result;
use data_fixtures::{SimulatedTissue, SimulationConfig, write_tissue, write_truth};
use tissuenarrator::io::{AnnData, EncodeOptions, EncodedCells, TRUTH_KEY, TableReader, TruthRecord};
use tissuenarrator::prelude::*;

use super::class_means::class_means;
use super::run_folder::RunFolder;
use super::tissue::{Tissue, Truth, cell_table};

/// Columns of a simulated section that become metadata of its cells.
const COLUMNS: [&str; 3] = ["class", "spatial_domain", "split"];

/// Simulates sections into `sections.h5ad` and `truth.parquet`, and encodes them as anyone's file would be.
pub(super) fn tissue(folder: &mut RunFolder, config: &SimulationConfig, seed: u64) -> Result<Tissue> {
    let (sections, truth) = (folder.file("sections.h5ad"), folder.file("truth.parquet"));
    folder.stage("simulate", |_| {
        let tissue = SimulatedTissue::new(config.clone())?;
        if !sections.exists() {
            write_tissue(&tissue, &sections)?;
        }
        if !truth.exists() {
            write_truth(&tissue, &truth)?;
        }
        Ok(())
    })?;
    folder.stage("encode", |folder| {
        let file = AnnData::open(&sections)?;
        let (cells, panel) = cell_table(folder, &COLUMNS, || encode(&file, seed))?;
        let class_means = class_means(&file, &cells, &panel)?;
        let truth = TableReader::<TruthRecord>::open(&truth)?;
        let tissue = serde_json::from_str(truth.metadata().get(TRUTH_KEY).map_or("", String::as_str))?;
        let truth = Truth { tissue, cells: truth.read_all()? };
        let redraw = Box::new(move |seed| Ok(encode(&file, seed)?.0));
        Ok(Tissue { cells, panel, class_means, truth: Some(truth), redraw })
    })
}

fn encode(file: &AnnData, seed: u64) -> Result<(Vec<CellRecord>, Vocabulary)> {
    let options = EncodeOptions::new().with_columns(COLUMNS).with_seed(seed);
    let mut encoded = EncodedCells::new(file, &options)?;
    let cells = encoded.by_ref().collect::<Result<_, _>>()?;
    Ok((cells, encoded.vocabulary().clone()))
}
