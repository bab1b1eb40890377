//! What is measured: simulated sections as files.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use data_fixtures::{SimulatedTissue, SimulationConfig, write_tissue};
use tissuenarrator::io::TableReader;
use tissuenarrator::sentence::CellRecord;

/// The panel of the published MERFISH sections, and the share of it that a cell shows.
const GENES: usize = 1_122;
const DETECTED: f64 = 0.099;

/// Simulated sections in a folder. Each file is written once and read again by later runs.
pub(super) struct Inputs {
    folder: PathBuf,
}

impl Inputs {
    /// Keeps files in a folder.
    pub(super) fn new(folder: PathBuf) -> Self {
        Self { folder }
    }

    /// Returns the path of a file that is written.
    pub(super) fn output(&self, name: &str) -> Result<PathBuf> {
        std::fs::create_dir_all(&self.folder).with_context(|| format!("cannot make {}", self.folder.display()))?;
        Ok(self.folder.join(name))
    }

    /// Returns the counts of so many cells, as compressed sparse rows in an AnnData file.
    pub(super) fn section(&self, cells: usize) -> Result<PathBuf> {
        let path = self.output(&format!("section-{cells}.h5ad"))?;
        if !path.exists() {
            eprintln!("simulating {cells} cells to {}", path.display());
            let config = SimulationConfig { cells, genes: GENES, detected_fraction: DETECTED, ..SimulationConfig::default() };
            write_tissue(&SimulatedTissue::new(config)?, &path)?;
        }
        Ok(path)
    }

    /// Returns the cells of a section as a table.
    pub(super) fn cells(&self, cells: usize) -> Result<PathBuf> {
        let path = self.output(&format!("cells-{cells}.parquet"))?;
        if !path.exists() {
            super::cells::encode(&self.section(cells)?, &path)?;
        }
        Ok(path)
    }
}

/// Reads a table of cells.
pub(super) fn read_cells(path: &Path) -> Result<Vec<CellRecord>> {
    Ok(TableReader::open(path)?.read_all()?)
}
