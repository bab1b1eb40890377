//! Neighbor search by looking at every cell.

use tn_sentence::Position;

use super::{Candidate, Neighbor, NeighborIndex};

/// A neighbor index that looks at every cell: slow, obvious, and the reference for [`KdTree`](crate::KdTree).
///
/// # Examples
///
/// ```
/// use tn_sentence::Position;
/// use tn_spatial::{LinearScan, NeighborIndex};
///
/// let index = LinearScan::build(&[Position::new(0.0, 0.0)?, Position::new(3.0, 4.0)?]);
/// let nearest = index.k_nearest(&Position::new(3.0, 3.0)?, 1);
/// assert_eq!((nearest[0].index, nearest[0].distance), (1, 1.0));
/// # Ok::<(), tn_sentence::PositionError>(())
/// ```
#[derive(Clone, Debug)]
pub struct LinearScan {
    positions: Vec<Position>,
}

impl LinearScan {
    /// Builds an index over positions.
    pub fn build(positions: &[Position]) -> Self {
        Self { positions: positions.to_vec() }
    }

    fn sorted(&self, place: &Position, keep: impl Fn(&Candidate) -> bool) -> Vec<Candidate> {
        let candidates = self.positions.iter().enumerate();
        let mut found: Vec<Candidate> = candidates
            .map(|(index, position)| Candidate { distance_squared: place.distance_squared(position), index })
            .filter(keep)
            .collect();
        found.sort_unstable();
        found
    }
}

impl NeighborIndex for LinearScan {
    fn len(&self) -> usize {
        self.positions.len()
    }

    fn k_nearest_where(&self, place: &Position, k: usize, keep: &dyn Fn(usize) -> bool) -> Vec<Neighbor> {
        let found = self.sorted(place, |candidate| keep(candidate.index));
        found.into_iter().take(k).map(Candidate::into_neighbor).collect()
    }

    fn within_radius(&self, place: &Position, radius: f64) -> Vec<Neighbor> {
        if radius.is_nan() || radius < 0.0 {
            return Vec::new();
        }
        let found = self.sorted(place, |candidate| candidate.distance_squared <= radius * radius);
        found.into_iter().map(Candidate::into_neighbor).collect()
    }
}
