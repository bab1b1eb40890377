//! Sentences of the cells of square bins.

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;
use tn_sentence::{CellRecord, Position, SentenceRecord, request_seed};

use super::{CellTexts, PatchOptions, join_cells};
use crate::{BinGrid, Section, Traversal};

/// Writes the cells of each bin as a spatial sentence, in as many random orders as there are repeats.
///
/// Bins are named `{section}__{i}_{j}` and come in the order of sections in the table, then by column and row; the
/// repeats of a bin follow each other. Bins of fewer than `min_cells` cells are left out. A bin that cells of several
/// splits share gives one sentence for each split with enough cells. An empty table gives no sentence. A grid that was
/// moved ([`BinGrid::with_offset`]) counts its bins from its offset.
///
/// Each bin and repeat has a generator of its own, seeded by [`request_seed`] of the seed, the bin and the repeat: the
/// published program seeds all bins alike, so that only two of the five anchors ever occur.
///
/// # Examples
///
/// See the [front page](crate) of this crate.
pub fn patch_bins(cells: &[CellRecord], grid: &BinGrid, traversal: Traversal, options: &PatchOptions) -> Vec<SentenceRecord> {
    let texts = CellTexts::write(cells, options);
    let bins: Vec<FilledBin<'_>> = Section::of_table_by_split(cells)
        .iter()
        .flat_map(|section| filled_bins(section, grid))
        .filter(|bin| bin.rows.len() >= options.min_cells)
        .collect();
    bins.par_iter()
        .flat_map_iter(|bin| (0..options.repeats).map(|repeat| write_bin(cells, &texts, bin, repeat, traversal, options)))
        .collect()
}

/// The cells of one section and split in one bin.
struct FilledBin<'a> {
    id: String,
    section: &'a str,
    split: &'a str,
    rows: Vec<usize>,
}

fn filled_bins<'a>(section: &Section<'a>, grid: &BinGrid) -> Vec<FilledBin<'a>> {
    let name = section.name();
    grid.assign(&section.positions())
        .into_iter()
        .map(|(bin, members)| FilledBin {
            id: format!("{name}__{bin}"),
            section: name,
            split: section.split().unwrap_or_default(),
            rows: members.iter().map(|&member| section.rows()[member]).collect(),
        })
        .collect()
}

fn write_bin(
    cells: &[CellRecord],
    texts: &CellTexts,
    bin: &FilledBin<'_>,
    repeat: u32,
    traversal: Traversal,
    options: &PatchOptions,
) -> SentenceRecord {
    let positions: Vec<Position> = bin.rows.iter().map(|&row| cells[row].position).collect();
    let seed = request_seed(options.seed, &format!("{} {}", bin.id, bin.split), repeat);
    let order = traversal.order(&positions, &mut ChaCha8Rng::seed_from_u64(seed));
    let rows: Vec<usize> = order.into_iter().map(|index| bin.rows[index]).collect();
    SentenceRecord {
        spatial_bin_id: bin.id.clone(),
        section: bin.section.to_owned(),
        traversal: traversal.name().to_owned(),
        repeat_idx: repeat,
        split: bin.split.to_owned(),
        ..join_cells(cells, texts, &rows, options)
    }
}
