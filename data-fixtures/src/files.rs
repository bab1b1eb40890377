//! Writing a simulated tissue to files.

use std::path::Path;

use thiserror::Error;
use tn_io::{AnnDataRow, AnnDataWriter, Provenance, TRUTH_KEY, TableError, TableWriter, TruthRecord, WriteError};
use tn_sentence::{EncodeError, GeneRanking, GeneRankingError, Position, PositionError, RankEncoder, Vocabulary, VocabularyError};

use crate::{SimulatedTissue, SparseCounts};

/// Genes of a cell's true ranking that a truth table holds.
pub const TRUTH_RANKS: usize = 100;

/// Text columns of a simulated AnnData file.
const COLUMNS: [&str; 5] = ["section", "class", "spatial_domain", "split", "perturbation"];

/// Writes the cells of a tissue as an AnnData file: counts in `X`, columns `x`, `y`, `section`, `class`,
/// `spatial_domain`, `split` and `perturbation`, and the truth as JSON in `uns/tissuenarrator/truth`.
///
/// # Errors
///
/// Returns an error if the file cannot be written; then there is none.
pub fn write_tissue(tissue: &SimulatedTissue, path: &Path) -> Result<(), SimulateError> {
    let mut writer = AnnDataWriter::create(path, tissue.panel(), &COLUMNS)?
        .with_text("truth", &truth_json(tissue))
        .with_text("provenance", &provenance(tissue).to_json());
    for cell in tissue.cells() {
        writer.push(&AnnDataRow {
            name: &cell.name,
            position: Position::new(cell.x, cell.y)?,
            columns: &[&cell.section, cell.class, cell.spatial_domain, cell.split.as_str(), cell.perturbation_label()],
            genes: &cell.counts.genes,
            values: &cell.counts.to_f32(),
        })?;
    }
    Ok(writer.finish()?)
}

/// Writes what is true about every cell: genes by true mean ([`TRUTH_RANKS`] of them), a replicate, and whether it is in
/// reach of a planted effect. The table's metadata holds the truth about the tissue as JSON.
///
/// # Errors
///
/// Returns an error if the file cannot be written; then there is none.
pub fn write_truth(tissue: &SimulatedTissue, path: &Path) -> Result<(), SimulateError> {
    let panel = Vocabulary::new(tissue.panel())?;
    let encoder = RankEncoder::new(&panel).with_seed(tissue.config().seed);
    let rank = |counts: &SparseCounts, name: &str| encoder.encode_sparse(&counts.genes, &counts.to_f32(), name);
    let mut writer = TableWriter::create(path)?
        .with_metadata(TRUTH_KEY, &truth_json(tissue))
        .with_metadata(tn_io::PROVENANCE_KEY, &provenance(tissue).to_json());
    for cell in tissue.cells() {
        writer.write(&TruthRecord {
            oracle: GeneRanking::new(tissue.true_ranking(&cell, TRUTH_RANKS))?,
            replicate: rank(&tissue.replicate(&cell), &cell.name)?,
            class: cell.class.to_owned(),
            split: cell.split.to_string(),
            proximal: cell.proximal,
            knockout_neighbor: cell.knockout_neighbor,
            cell_name: cell.name,
        })?;
    }
    Ok(writer.finish()?)
}

fn truth_json(tissue: &SimulatedTissue) -> String {
    // The truth holds text and finite numbers, which JSON can express.
    serde_json::to_string(&tissue.truth()).unwrap_or_default()
}

fn provenance(tissue: &SimulatedTissue) -> Provenance {
    Provenance::new("simulate").with_seed(tissue.config().seed).with_option("config", tissue.config())
}

/// Why a simulated tissue could not be written.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum SimulateError {
    /// The AnnData file cannot be written.
    #[error(transparent)]
    AnnData(#[from] WriteError),
    /// The table cannot be written.
    #[error(transparent)]
    Table(#[from] TableError),
    /// The panel is unusable.
    #[error(transparent)]
    Panel(#[from] VocabularyError),
    /// A cell has an unusable place.
    #[error(transparent)]
    Position(#[from] PositionError),
    /// A ranking repeats a gene.
    #[error(transparent)]
    Ranking(#[from] GeneRankingError),
    /// Counts do not fit the panel.
    #[error(transparent)]
    Encode(#[from] EncodeError),
}
