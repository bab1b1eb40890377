//! A k-d tree over cell positions.

use std::collections::BinaryHeap;

use tn_sentence::Position;

use super::{Candidate, Neighbor, NeighborIndex};

/// Cells under which a subtree is searched one by one.
const LEAF: usize = 8;

/// A neighbor index that takes logarithmic time for a few neighbors.
///
/// The positions are sorted once into an implicit balanced tree, in O(n log n): of each range, the middle one divides
/// the others by x, one level below by y, and so on. Duplicates and lattices of equal coordinates are handled like
/// anything else; the order of ties is that of [`NeighborIndex`].
///
/// # Examples
///
/// ```
/// use tn_sentence::Position;
/// use tn_spatial::{KdTree, NeighborIndex};
///
/// let places = [(0.0, 0.0), (10.0, 0.0), (0.0, 10.0), (10.0, 10.0), (5.0, 5.0)];
/// let positions = places.map(|(x, y)| Position::new(x, y)).into_iter().collect::<Result<Vec<_>, _>>()?;
/// let tree = KdTree::build(&positions);
///
/// let nearest = tree.k_nearest(&positions[4], 3);
/// // The cell itself, then two of the four corners at equal distance: those of the lowest index.
/// assert_eq!(nearest.iter().map(|neighbor| neighbor.index).collect::<Vec<_>>(), [4, 0, 1]);
/// assert_eq!(tree.within_radius(&positions[0], 10.0).len(), 4);
/// # Ok::<(), tn_sentence::PositionError>(())
/// ```
#[derive(Clone, Debug)]
pub struct KdTree {
    points: Vec<Point>,
}

#[derive(Clone, Copy, Debug)]
struct Point {
    position: Position,
    index: usize,
}

impl KdTree {
    /// Builds a tree over positions.
    pub fn build(positions: &[Position]) -> Self {
        let mut points: Vec<Point> = positions.iter().zip(0..).map(|(&position, index)| Point { position, index }).collect();
        sort_into_tree(&mut points, 0);
        Self { points }
    }
}

impl NeighborIndex for KdTree {
    fn len(&self) -> usize {
        self.points.len()
    }

    fn k_nearest_where(&self, place: &Position, k: usize, keep: &dyn Fn(usize) -> bool) -> Vec<Neighbor> {
        if k == 0 {
            return Vec::new();
        }
        let mut nearest = Nearest { k, keep, found: BinaryHeap::new() };
        search(&self.points, 0, place, &mut nearest);
        nearest.found.into_sorted_vec().into_iter().map(Candidate::into_neighbor).collect()
    }

    fn within_radius(&self, place: &Position, radius: f64) -> Vec<Neighbor> {
        if radius.is_nan() || radius < 0.0 {
            return Vec::new();
        }
        let mut within = Within { radius_squared: radius * radius, found: Vec::new() };
        search(&self.points, 0, place, &mut within);
        within.found.sort_unstable();
        within.found.into_iter().map(Candidate::into_neighbor).collect()
    }
}

fn sort_into_tree(points: &mut [Point], depth: usize) {
    if points.len() <= LEAF {
        return;
    }
    let middle = points.len() / 2;
    points.select_nth_unstable_by(middle, |a, b| {
        coordinate(&a.position, depth).total_cmp(&coordinate(&b.position, depth)).then(a.index.cmp(&b.index))
    });
    let (before, after) = points.split_at_mut(middle);
    sort_into_tree(before, depth + 1);
    sort_into_tree(&mut after[1..], depth + 1);
}

fn coordinate(position: &Position, depth: usize) -> f64 {
    if depth.is_multiple_of(2) { position.x() } else { position.y() }
}

/// What a search is for.
trait Query {
    /// Returns the square of the distance beyond which no cell is wanted.
    fn reach_squared(&self) -> f64;

    fn visit(&mut self, candidate: Candidate);
}

fn search(points: &[Point], depth: usize, place: &Position, query: &mut impl Query) {
    let visit = |point: &Point, query: &mut _| {
        let candidate = Candidate { distance_squared: place.distance_squared(&point.position), index: point.index };
        Query::visit(query, candidate);
    };
    if points.len() <= LEAF {
        points.iter().for_each(|point| visit(point, query));
        return;
    }
    let middle = points.len() / 2;
    let (before, after) = (&points[..middle], &points[middle + 1..]);
    let offset = coordinate(place, depth) - coordinate(&points[middle].position, depth);
    let (near, far) = if offset < 0.0 { (before, after) } else { (after, before) };
    search(near, depth + 1, place, query);
    visit(&points[middle], query);
    // Not `<`: a cell on the edge of the reach may tie with one that was found, and have the lower index.
    if offset * offset <= query.reach_squared() {
        search(far, depth + 1, place, query);
    }
}

/// The nearest cells so far, the farthest of them on top.
struct Nearest<'a> {
    k: usize,
    keep: &'a dyn Fn(usize) -> bool,
    found: BinaryHeap<Candidate>,
}

impl Query for Nearest<'_> {
    fn reach_squared(&self) -> f64 {
        match self.found.peek() {
            Some(farthest) if self.found.len() == self.k => farthest.distance_squared,
            _ => f64::INFINITY,
        }
    }

    fn visit(&mut self, candidate: Candidate) {
        let is_nearer = self.found.len() < self.k || self.found.peek().is_some_and(|farthest| candidate < *farthest);
        if is_nearer && (self.keep)(candidate.index) {
            if self.found.len() == self.k {
                self.found.pop();
            }
            self.found.push(candidate);
        }
    }
}

/// All cells within a radius.
struct Within {
    radius_squared: f64,
    found: Vec<Candidate>,
}

impl Query for Within {
    fn reach_squared(&self) -> f64 {
        self.radius_squared
    }

    fn visit(&mut self, candidate: Candidate) {
        if candidate.distance_squared <= self.radius_squared {
            self.found.push(candidate);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(places: &[(f64, f64)]) -> KdTree {
        let positions: Vec<Position> = places.iter().map(|&(x, y)| Position::new(x, y).unwrap()).collect();
        KdTree::build(&positions)
    }

    fn check(places: &[(f64, f64)], k: usize, expected: &[usize]) {
        let origin = Position::new(0.0, 0.0).unwrap();
        let found: Vec<usize> = tree(places).k_nearest(&origin, k).iter().map(|neighbor| neighbor.index).collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn an_empty_tree_finds_nothing() {
        check(&[], 3, &[]);
    }

    #[test]
    fn asking_for_more_than_there_are_returns_all() {
        check(&[(2.0, 0.0), (1.0, 0.0)], 5, &[1, 0]);
    }

    #[test]
    fn asking_for_none_returns_none() {
        check(&[(2.0, 0.0)], 0, &[]);
    }

    #[test]
    fn duplicates_come_in_the_order_of_their_indices() {
        check(&[(1.0, 1.0); 40], 5, &[0, 1, 2, 3, 4]);
    }

    #[test]
    fn ties_come_in_the_order_of_their_indices() {
        let ring: Vec<(f64, f64)> = [(3.0, 4.0), (-5.0, 0.0), (4.0, -3.0), (0.0, 5.0)].repeat(10);
        check(&ring, 6, &[0, 1, 2, 3, 4, 5]);
    }

    #[test]
    fn cells_can_be_left_out() {
        let tree = tree(&[(0.0, 0.0), (1.0, 0.0), (2.0, 0.0)]);
        let origin = Position::new(0.0, 0.0).unwrap();
        let found = tree.k_nearest_where(&origin, 1, &|index| index != 0);
        assert_eq!(found, [Neighbor { index: 1, distance: 1.0 }]);
    }

    #[test]
    fn the_radius_is_inclusive() {
        let tree = tree(&[(18.0, 24.0), (-30.0001, 0.0), (0.0, 30.0)]);
        let origin = Position::new(0.0, 0.0).unwrap();
        let found: Vec<usize> = tree.within_radius(&origin, 30.0).iter().map(|neighbor| neighbor.index).collect();
        assert_eq!(found, [0, 2]);
    }

    #[test]
    fn a_radius_that_is_none_finds_nothing() {
        let tree = tree(&[(0.0, 0.0)]);
        let origin = Position::new(0.0, 0.0).unwrap();
        for radius in [-1.0, f64::NAN] {
            assert!(tree.within_radius(&origin, radius).is_empty());
        }
        assert_eq!(tree.within_radius(&origin, 0.0).len(), 1);
        assert_eq!(tree.within_radius(&origin, f64::INFINITY).len(), 1);
    }
}
