//! Putting cells from elsewhere next to a target.

use std::collections::HashSet;

use rand::{RngExt, SeedableRng, seq::index};
use rand_chacha::ChaCha8Rng;
use tn_sentence::{CellRecord, Position, request_seed};

use super::ScenarioError;
use crate::Change;

/// The cells that can be put elsewhere.
pub(super) struct Donors<'a> {
    class: &'a str,
    cells: Vec<&'a CellRecord>,
}

impl<'a> Donors<'a> {
    pub(super) fn find(cells: &'a [CellRecord], class: &'a str, split: Option<&str>) -> Self {
        let is_donor = |cell: &&CellRecord| cell.class() == Some(class) && split.is_none_or(|split| cell.split() == Some(split));
        Self { class, cells: cells.iter().filter(is_donor).collect() }
    }

    /// Returns the neighbors with `count` donors among them, far to near, and what was inserted.
    pub(super) fn insert(
        &self,
        target: &CellRecord,
        neighbors: &[&CellRecord],
        distance_um: f64,
        count: usize,
        seed: u64,
    ) -> Result<(Vec<CellRecord>, Vec<Change>), ScenarioError> {
        let mut rng = ChaCha8Rng::seed_from_u64(request_seed(seed, &target.cell_name, 0));
        let mut edited: Vec<CellRecord> = neighbors.iter().map(|&cell| cell.clone()).collect();
        let mut changes = Vec::new();
        for donor in self.draw(target, neighbors, count, &mut rng)? {
            let angle = rng.random_range(0.0..std::f64::consts::TAU);
            let (x, y) = (target.position.x() + distance_um * angle.cos(), target.position.y() + distance_um * angle.sin());
            let inserted = CellRecord { position: Position::new(x, y)?, section: target.section.clone(), ..donor.clone() };
            changes.push(Change::Inserted { cell_name: inserted.cell_name.clone(), x, y });
            // The neighbors are far to near: behind all that are farther.
            let place = edited.partition_point(|cell| target.position.distance(&cell.position) >= distance_um);
            edited.insert(place, inserted);
        }
        Ok((edited, changes))
    }

    /// Draws donors without replacement, leaving out the target and what its control shows.
    fn draw(
        &self,
        target: &CellRecord,
        neighbors: &[&CellRecord],
        count: usize,
        rng: &mut ChaCha8Rng,
    ) -> Result<Vec<&'a CellRecord>, ScenarioError> {
        let taken: HashSet<&str> = neighbors.iter().chain([&target]).map(|cell| cell.cell_name.as_str()).collect();
        let is_free = |cell: &&CellRecord| !taken.contains(cell.cell_name.as_str());
        // At most `taken` of the drawn cells are not free, so that this finds enough wherever there are enough.
        let tries = self.cells.len().min(count + taken.len());
        let drawn = index::sample(rng, self.cells.len(), tries).into_iter().map(|donor| self.cells[donor]);
        let free: Vec<&CellRecord> = drawn.filter(is_free).take(count).collect();
        if free.len() < count {
            return Err(ScenarioError::NotEnoughDonors {
                class: self.class.to_owned(),
                target: target.cell_name.clone(),
                wanted: count,
                found: free.len(),
            });
        }
        Ok(free)
    }
}
