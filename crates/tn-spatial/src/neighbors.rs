//! Finding the cells near a place.

pub(crate) mod kd_tree;
pub(crate) mod linear;

use std::cmp::Ordering;

use tn_sentence::Position;

/// A cell that was found near a place.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Neighbor {
    /// The index of the cell among the positions that the index was built from.
    pub index: usize,
    /// Its distance to the place, in micrometers.
    pub distance: f64,
}

/// Finds the cells near a place.
///
/// Results are in ascending order of distance; cells at equal distance are in ascending order of index. A cell that
/// lies exactly at the place is found like any other, at distance 0: whoever asks for the neighbors of a cell that is
/// in the index leaves the cell itself out with [`NeighborIndex::k_nearest_where`]. An empty index finds nothing.
pub trait NeighborIndex {
    /// Returns the number of positions in the index.
    fn len(&self) -> usize;

    /// Returns the `k` nearest cells among those that `keep` accepts by index; fewer where there are fewer.
    fn k_nearest_where(&self, place: &Position, k: usize, keep: &dyn Fn(usize) -> bool) -> Vec<Neighbor>;

    /// Returns all cells at distance `radius` or less, in micrometers. A negative radius or NaN finds nothing.
    fn within_radius(&self, place: &Position, radius: f64) -> Vec<Neighbor>;

    /// Returns the `k` nearest cells; fewer where there are fewer.
    fn k_nearest(&self, place: &Position, k: usize) -> Vec<Neighbor> {
        self.k_nearest_where(place, k, &|_| true)
    }

    /// Returns whether the index has no position.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// A cell with the square of its distance, which orders cells more finely than the distance does.
#[derive(Clone, Copy, Debug)]
struct Candidate {
    distance_squared: f64,
    index: usize,
}

impl Candidate {
    fn into_neighbor(self) -> Neighbor {
        Neighbor { index: self.index, distance: self.distance_squared.sqrt() }
    }
}

impl Ord for Candidate {
    fn cmp(&self, other: &Self) -> Ordering {
        self.distance_squared.total_cmp(&other.distance_squared).then(self.index.cmp(&other.index))
    }
}

impl PartialOrd for Candidate {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Candidate {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Candidate {}
