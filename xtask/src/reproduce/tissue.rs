//! What a run starts from: encoded cells, their panel, and what is known about them.

use std::collections::{BTreeSet, HashMap};

use anyhow::Result;
use data_fixtures::{PlantedEffect, TissueTruth};
use serde::Serialize;
use tissuenarrator::eval::baseline::ClassMeanTable;
use tissuenarrator::io::{PANEL_KEY, TableReader, TableWriter, TruthRecord};
use tissuenarrator::prelude::*;

use super::run_folder::RunFolder;

/// The cells of a run.
pub(super) struct Tissue {
    pub(super) cells: Vec<CellRecord>,
    pub(super) panel: Vocabulary,
    /// Mean measured expression over the cells of the training split.
    pub(super) class_means: ClassMeanTable,
    /// What only a simulation knows.
    pub(super) truth: Option<Truth>,
    /// Encodes the same cells with the ties between equally expressed genes broken by another seed.
    pub(super) redraw: Redraw,
}

/// Encodes cells again, with another seed for ties.
pub(super) type Redraw = Box<dyn Fn(u64) -> Result<Vec<CellRecord>>>;

/// What only a simulation knows.
pub(super) struct Truth {
    pub(super) tissue: TissueTruth,
    pub(super) cells: Vec<TruthRecord>,
}

impl Truth {
    /// Returns the classes of the proximity effect: the one that answers, the one that causes it, and its reach.
    pub(super) fn proximity(&self) -> Option<(&str, &str, f64)> {
        self.tissue.effects.iter().find_map(|effect| match effect {
            PlantedEffect::Proximity { focal, partner, radius_um, .. } => Some((focal.as_str(), partner.as_str(), *radius_um)),
            _ => None,
        })
    }
}

/// Sizes of a tissue, for the report.
#[derive(Clone, Debug, Serialize)]
pub(super) struct TissueSummary {
    pub(super) cells: usize,
    pub(super) genes: usize,
    pub(super) sections: usize,
    pub(super) classes: usize,
    pub(super) train: usize,
    pub(super) val: usize,
    pub(super) test: usize,
}

impl Tissue {
    /// Returns the cells of a split.
    pub(super) fn split(&self, split: &str) -> Vec<CellRecord> {
        of_split(&self.cells, split)
    }

    /// Returns the cells of a split as another seed for ties would have encoded them; draw 0 is [`Tissue::split`].
    ///
    /// Most genes of a cell are seen once, so their order among each other is chance: a model that meets several orders learns the
    /// distribution instead of one draw.
    pub(super) fn split_drawn_again(&self, split: &str, draw: u64, seed: u64) -> Result<Vec<CellRecord>> {
        match draw {
            0 => Ok(self.split(split)),
            _ => Ok(of_split(&(self.redraw)(tissuenarrator::sentence::draw(seed, draw))?, split)),
        }
    }

    /// Returns the classes in alphabetical order.
    pub(super) fn classes(&self) -> Vec<&str> {
        let classes: BTreeSet<&str> = self.cells.iter().filter_map(CellRecord::class).collect();
        classes.into_iter().collect()
    }

    /// Returns the cells by name.
    pub(super) fn by_name(&self) -> HashMap<&str, &CellRecord> {
        self.cells.iter().map(|cell| (cell.cell_name.as_str(), cell)).collect()
    }

    pub(super) fn summary(&self) -> TissueSummary {
        let sections: BTreeSet<&str> = self.cells.iter().map(|cell| cell.section.as_str()).collect();
        let of = |split| self.cells.iter().filter(|cell| cell.split() == Some(split)).count();
        TissueSummary {
            cells: self.cells.len(),
            genes: self.panel.len(),
            sections: sections.len(),
            classes: self.classes().len(),
            train: of("train"),
            val: of("val"),
            test: of("test"),
        }
    }
}

fn of_split(cells: &[CellRecord], split: &str) -> Vec<CellRecord> {
    cells.iter().filter(|cell| cell.split() == Some(split)).cloned().collect()
}

/// Reads the table of cells, or makes and writes it.
pub(super) fn cell_table(
    folder: &RunFolder,
    columns: &[&str],
    make: impl FnOnce() -> Result<(Vec<CellRecord>, Vocabulary)>,
) -> Result<(Vec<CellRecord>, Vocabulary)> {
    let path = folder.file("cells.parquet");
    if path.exists() {
        let reader = TableReader::open(&path)?;
        let metadata = reader.metadata();
        let panel: Vec<String> = serde_json::from_str(metadata.get(PANEL_KEY).map_or("[]", String::as_str))?;
        return Ok((reader.read_all()?, Vocabulary::new(panel)?));
    }
    let (cells, panel) = make()?;
    let symbols = serde_json::Value::from_iter(panel.iter());
    let mut writer = TableWriter::create_with_columns(&path, columns)?.with_metadata(PANEL_KEY, &symbols.to_string());
    writer.write_all(&cells)?;
    writer.finish()?;
    Ok((cells, panel))
}
