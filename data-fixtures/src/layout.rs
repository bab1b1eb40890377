//! Where cells lie: sections, tiles, curved domains and splits.

use std::f64::consts::TAU;
use std::fmt;

use rand::RngExt;
use rand::seq::SliceRandom;
use serde::{Deserialize, Serialize};

use crate::SimulationConfig;
use crate::panel::classes::{ClassTemplate, DOMAINS, KNOCKOUT_SOURCE};
use crate::seed::{Purpose, generator};

/// Smallest side of a tile in micrometers, above any effect radius, so that adjacent tiles hold all neighbors.
const TILE_SIDE_UM: f64 = 100.0;
/// Side of the spatial blocks that make splits when there are too few sections.
const BLOCK_SIDE_UM: f64 = 250.0;
/// Empty margin that keeps coordinates positive.
const MARGIN_UM: f64 = 10.0;
/// Cells of one tile keep this distance in micrometers where there is room.
const MIN_DISTANCE_UM: f64 = 6.0;
/// Blocks (or sections) of ten: eight train, one validates, one tests.
const SPLIT_CYCLE: usize = 10;

/// Whether a cell is for training, validation or testing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Split {
    /// For training.
    Train,
    /// For choosing between trained models.
    Val,
    /// For the final score.
    Test,
}

impl Split {
    /// Returns `train`, `val` or `test`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Train => "train",
            Self::Val => "val",
            Self::Test => "test",
        }
    }
}

impl fmt::Display for Split {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A cell before it has counts.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Placed {
    /// Index within the section.
    pub(crate) index: usize,
    pub(crate) x: f64,
    pub(crate) y: f64,
    pub(crate) class: usize,
    pub(crate) domain: usize,
    pub(crate) knocked_out: bool,
}

impl Placed {
    fn is_within(&self, other: &Self, radius: f64) -> bool {
        (self.x - other.x).powi(2) + (self.y - other.y).powi(2) < radius * radius
    }
}

/// One section: a square of tissue, cut into square tiles that are filled independently of each other.
#[derive(Clone, Debug)]
pub(crate) struct SectionLayout {
    seed: u64,
    section: usize,
    cells: usize,
    side: f64,
    tiles_per_side: usize,
    /// Shift of the waves of the domain borders, slightly different in every section.
    phase: f64,
    /// Cumulative class probabilities of every domain.
    cumulative_abundance: Vec<Vec<f64>>,
    knockout_source: usize,
    knockout_fraction: f64,
    /// The split of the whole section; without one, blocks have splits.
    split: Option<Split>,
}

impl SectionLayout {
    pub(crate) fn new(config: &SimulationConfig, classes: &[ClassTemplate], section: usize) -> Self {
        let cells = config.cells / config.sections + usize::from(section < config.cells % config.sections);
        let side = (cells as f64 / config.cells_per_mm2 * 1e6).sqrt();
        let mut rng = generator(config.seed, Purpose::Layout, section as u64, 0);
        Self {
            seed: config.seed,
            section,
            cells,
            side,
            tiles_per_side: ((side / TILE_SIDE_UM) as usize).max(1),
            phase: rng.random_range(-0.05..0.05),
            cumulative_abundance: (0..DOMAINS.len()).map(|domain| cumulative(classes, domain)).collect(),
            knockout_source: classes.iter().position(|class| class.name == KNOCKOUT_SOURCE).unwrap_or(usize::MAX),
            knockout_fraction: config.knockout_fraction,
            split: section_split(config.sections, section),
        }
    }

    pub(crate) fn tiles(&self) -> usize {
        self.tiles_per_side * self.tiles_per_side
    }

    /// Returns where between the lowest (-0.5) and the highest (0.5) x of the section a place is.
    pub(crate) fn gradient_coordinate(&self, x: f64) -> f64 {
        (x - MARGIN_UM) / self.side - 0.5
    }

    /// Returns the cells of a tile.
    pub(crate) fn place(&self, tile: usize) -> Vec<Placed> {
        let first = self.first_index(tile);
        let mut rng = generator(self.seed, Purpose::Placement, self.section as u64, tile as u64);
        let tile_side = self.side / self.tiles_per_side as f64;
        let left = MARGIN_UM + (tile % self.tiles_per_side) as f64 * tile_side;
        let top = MARGIN_UM + (tile / self.tiles_per_side) as f64 * tile_side;

        let mut placed: Vec<Placed> = Vec::with_capacity(self.first_index(tile + 1) - first);
        for index in first..self.first_index(tile + 1) {
            let (mut x, mut y) = (0.0, 0.0);
            for _ in 0..8 {
                x = tenth(left + rng.random::<f64>() * tile_side);
                y = tenth(top + rng.random::<f64>() * tile_side);
                let is_free = |other: &Placed| (x - other.x).hypot(y - other.y) >= MIN_DISTANCE_UM;
                if placed.iter().all(is_free) {
                    break;
                }
            }
            let domain = self.domain(x, y);
            let draw: f64 = rng.random();
            let class = self.cumulative_abundance[domain].partition_point(|&sum| sum <= draw);
            let carries: f64 = rng.random();
            let knocked_out = class == self.knockout_source && carries < self.knockout_fraction;
            placed.push(Placed { index, x, y, class, domain, knocked_out });
        }
        placed
    }

    /// Returns the cells of a tile and of the tiles around it.
    pub(crate) fn place_around(&self, tile: usize) -> Vec<Placed> {
        let n = self.tiles_per_side;
        let (column, row) = (tile % n, tile / n);
        let near = |center: usize| center.saturating_sub(1)..=(center + 1).min(n - 1);
        near(row).flat_map(|r| near(column).map(move |c| r * n + c)).flat_map(|t| self.place(t)).collect()
    }

    /// Returns the domain at a place: five bands along x with wavy borders.
    fn domain(&self, x: f64, y: f64) -> usize {
        let along = (x - MARGIN_UM) / self.side;
        let wave = 0.07 * (TAU * (0.9 * along + self.phase)).sin() + 0.02 * (TAU * (2.3 * along + self.phase)).sin();
        let depth = (y - MARGIN_UM) / self.side + wave;
        ((depth.max(0.0) * DOMAINS.len() as f64) as usize).min(DOMAINS.len() - 1)
    }

    /// Returns the split of a place.
    pub(crate) fn split(&self, x: f64, y: f64) -> Split {
        if let Some(split) = self.split {
            return split;
        }
        let blocks_per_side = ((self.side / BLOCK_SIDE_UM) as usize).max(4);
        let block = |value: f64| {
            let share = (value - MARGIN_UM) / self.side;
            ((share * blocks_per_side as f64) as usize).min(blocks_per_side - 1)
        };
        let number = block(y) * blocks_per_side + block(x);
        let mut rng = generator(self.seed, Purpose::Splits, self.section as u64, (number / SPLIT_CYCLE) as u64);
        let mut cycle: [usize; SPLIT_CYCLE] = std::array::from_fn(|i| i);
        cycle.shuffle(&mut rng);
        match cycle[number % SPLIT_CYCLE] {
            0 => Split::Test,
            1 => Split::Val,
            _ => Split::Train,
        }
    }

    /// Returns the index of the first cell of a tile: cells are spread evenly over tiles.
    fn first_index(&self, tile: usize) -> usize {
        (tile as u128 * self.cells as u128 / self.tiles() as u128) as usize
    }
}

/// Returns whether any of `around` that satisfies `is_cause` lies within `radius` of `cell`.
pub(crate) fn has_neighbor(cell: &Placed, around: &[Placed], radius: f64, is_cause: impl Fn(&Placed) -> bool) -> bool {
    around.iter().any(|other| other.index != cell.index && is_cause(other) && cell.is_within(other, radius))
}

/// Returns the split of a whole section: the last tenth (at least one) tests, the tenth before validates.
fn section_split(sections: usize, section: usize) -> Option<Split> {
    if sections < 3 {
        return None;
    }
    let held_out = ((sections + SPLIT_CYCLE / 2) / SPLIT_CYCLE).max(1);
    Some(match sections - 1 - section {
        back if back < held_out => Split::Test,
        back if back < 2 * held_out => Split::Val,
        _ => Split::Train,
    })
}

fn cumulative(classes: &[ClassTemplate], domain: usize) -> Vec<f64> {
    let total: f64 = classes.iter().map(|class| class.abundance[domain]).sum();
    let mut sum = 0.0;
    let mut sums: Vec<f64> = classes
        .iter()
        .map(|class| {
            sum += class.abundance[domain] / total;
            sum
        })
        .collect();
    // The last sum is one but for rounding, and no draw may fall beyond it.
    if let Some(last) = sums.last_mut() {
        *last = f64::INFINITY;
    }
    sums
}

fn tenth(value: f64) -> f64 {
    (value * 10.0).round() / 10.0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_splits(sections: usize, expected: &[usize; 3]) {
        let mut found = [0; 3];
        for section in 0..sections {
            found[section_split(sections, section).unwrap() as usize] += 1;
        }
        assert_eq!(&found, expected, "{sections} sections");
    }

    #[test]
    fn sections_are_split_8_to_1_to_1_with_at_least_one_each() {
        check_splits(3, &[1, 1, 1]);
        check_splits(5, &[3, 1, 1]);
        check_splits(10, &[8, 1, 1]);
        check_splits(40, &[32, 4, 4]);
        assert_eq!(section_split(2, 0), None);
    }
}
