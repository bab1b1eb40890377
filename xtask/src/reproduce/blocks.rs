//! Splitting cells by square blocks of tissue, for files that come without a split.

use std::collections::BTreeMap;

use anyhow::Result;
use tissuenarrator::prelude::*;
use tissuenarrator::sentence::request_seed;

/// Side of a block in micrometers, where the tissue is large enough.
const SIDE_UM: f64 = 250.0;
/// Blocks wanted at least: with fewer, a tenth of them is no fair sample.
const BLOCKS: f64 = 40.0;

/// Gives each cell a split: of ten blocks, drawn by seed, eight train, one validates, one tests. Cells of a block share
/// their split, so that a held-out cell usually has held-out neighbors.
pub(super) fn split_by_blocks(cells: &mut [CellRecord], seed: u64) -> Result<()> {
    let side = side(cells);
    let block = |cell: &CellRecord| {
        let (i, j) = ((cell.position.x() / side).floor(), (cell.position.y() / side).floor());
        format!("{}__{i}_{j}", cell.section)
    };
    let mut blocks: BTreeMap<String, u64> = BTreeMap::new();
    for cell in cells.iter() {
        let name = block(cell);
        let ticket = request_seed(seed, &name, 0);
        blocks.insert(name, ticket);
    }
    let mut drawn: Vec<(u64, &str)> = blocks.iter().map(|(name, ticket)| (*ticket, name.as_str())).collect();
    drawn.sort_unstable();
    let names = ["test", "val", "train", "train", "train", "train", "train", "train", "train", "train"];
    let splits: BTreeMap<String, &str> =
        drawn.iter().zip(names.iter().cycle()).map(|((_, block), split)| ((*block).to_owned(), *split)).collect();
    for cell in cells {
        let split = splits[&block(cell)];
        cell.metadata.insert("split", split)?;
    }
    Ok(())
}

fn side(cells: &[CellRecord]) -> f64 {
    let mut boxes: BTreeMap<&str, [f64; 4]> = BTreeMap::new();
    for cell in cells {
        let (x, y) = (cell.position.x(), cell.position.y());
        let bounds = boxes.entry(&cell.section).or_insert([x, x, y, y]);
        *bounds = [bounds[0].min(x), bounds[1].max(x), bounds[2].min(y), bounds[3].max(y)];
    }
    let area: f64 = boxes.values().map(|[left, right, bottom, top]| (right - left) * (top - bottom)).sum();
    SIDE_UM.min((area / BLOCKS).sqrt()).max(f64::MIN_POSITIVE)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lattice(spacing: f64) -> Vec<CellRecord> {
        let cell = |i: usize| CellRecord {
            cell_name: format!("cell-{i}"),
            ranking: GeneRanking::default(),
            position: Position::new((i % 40) as f64 * spacing, (i / 40) as f64 * spacing).unwrap(),
            section: "S1".to_owned(),
            metadata: Metadata::new(),
        };
        (0..1_600).map(cell).collect()
    }

    #[test]
    fn every_split_has_cells_and_train_has_most() {
        for spacing in [1.0, 60.0] {
            let mut cells = lattice(spacing);
            split_by_blocks(&mut cells, 42).unwrap();
            let count = |split| cells.iter().filter(|cell| cell.split() == Some(split)).count();
            assert_eq!(count("train") + count("val") + count("test"), 1_600);
            assert!(count("train") > 1_000 && count("val") > 50 && count("test") > 50, "{spacing}");
        }
    }

    #[test]
    fn cells_without_extent_are_one_block() {
        let mut cells = lattice(0.0);
        split_by_blocks(&mut cells, 42).unwrap();
        assert!(cells.iter().all(|cell| cell.split() == Some("test")));
    }
}
