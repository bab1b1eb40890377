//! Who is a neighbor of whom, for all positions at once.

use std::ops::Range;

use rayon::prelude::*;
use thiserror::Error;
use tn_sentence::Position;

/// How much higher a strip is than the radius, so that rounding never puts two neighbors two strips apart.
const STRIP_MARGIN: f64 = 1.001;

/// All pairs of positions at a distance of at most a radius, as compressed sparse rows.
///
/// The rim is included, as in SciPy's `cKDTree`; positions at the same place are neighbors at distance 0, and none is its own
/// neighbor. The neighbors of a position come by ascending index.
///
/// Positions are cut into strips a radius high and sorted along them, so that a window slides over three strips:
/// O(n log n + pairs), however far apart the positions are. For the neighbors of a few positions take a
/// [`KdTree`](crate::KdTree).
///
/// # Examples
///
/// ```
/// use tn_sentence::Position;
/// use tn_spatial::RadiusGraph;
///
/// let row = (0..4).map(|i| Position::new(f64::from(i) * 10.0, 0.0)).collect::<Result<Vec<_>, _>>()?;
/// let graph = RadiusGraph::new(&row, 10.0)?;
/// assert_eq!(graph.neighbors(1), [0, 2]);
/// assert_eq!(graph.distances(3), [10.0]);
/// assert_eq!(graph.edges(), 6);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct RadiusGraph {
    offsets: Vec<usize>,
    neighbors: Vec<u32>,
    distances: Vec<f64>,
}

impl RadiusGraph {
    /// Finds all neighbors within `radius` micrometers.
    ///
    /// # Errors
    ///
    /// Returns an error for a radius that is negative or not finite, and for more positions than a `u32` counts.
    pub fn new(positions: &[Position], radius: f64) -> Result<Self, RadiusGraphError> {
        if !(radius.is_finite() && radius >= 0.0) {
            return Err(RadiusGraphError::InvalidRadius { radius });
        }
        if u32::try_from(positions.len()).is_err() {
            return Err(RadiusGraphError::TooManyPositions { positions: positions.len() });
        }
        let strips = Strips::cut(positions, radius);
        let found: Vec<Found> = (0..strips.rows.len()).into_par_iter().map(|strip| strips.neighbors(strip, radius)).collect();
        Ok(Self::of_strips(positions.len(), &strips, &found))
    }

    /// Brings what was found in strips into the order of the positions.
    fn of_strips(positions: usize, strips: &Strips, found: &[Found]) -> Self {
        let mut places = vec![(0, 0..0); positions];
        for (strip, (row, found)) in strips.rows.iter().zip(found).enumerate() {
            let mut start = 0;
            for (point, &end) in strips.points[row.range.clone()].iter().zip(&found.ends) {
                places[point.index as usize] = (strip, start..end);
                start = end;
            }
        }
        let mut offsets = Vec::with_capacity(positions + 1);
        offsets.push(0);
        let edges = found.iter().map(|found| found.pairs.len()).sum();
        let (mut neighbors, mut distances) = (Vec::with_capacity(edges), Vec::with_capacity(edges));
        for (strip, range) in places {
            let pairs = &found[strip].pairs[range];
            neighbors.extend(pairs.iter().map(|(index, _)| *index));
            distances.extend(pairs.iter().map(|(_, distance)| *distance));
            offsets.push(neighbors.len());
        }
        Self { offsets, neighbors, distances }
    }

    /// Returns the number of positions.
    pub fn len(&self) -> usize {
        self.offsets.len() - 1
    }

    /// Returns whether there are no positions.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns the number of pairs, each counted from both sides.
    pub fn edges(&self) -> usize {
        self.neighbors.len()
    }

    /// Returns the indices of the neighbors of a position, ascending.
    ///
    /// # Panics
    ///
    /// Panics when `index` is not less than [`RadiusGraph::len`].
    pub fn neighbors(&self, index: usize) -> &[u32] {
        &self.neighbors[self.offsets[index]..self.offsets[index + 1]]
    }

    /// Returns the distances in micrometers of [`RadiusGraph::neighbors`].
    ///
    /// # Panics
    ///
    /// Panics when `index` is not less than [`RadiusGraph::len`].
    pub fn distances(&self, index: usize) -> &[f64] {
        &self.distances[self.offsets[index]..self.offsets[index + 1]]
    }
}

/// Positions by strip, and in a strip from left to right.
struct Strips {
    points: Vec<Point>,
    rows: Vec<Row>,
}

#[derive(Clone, Copy)]
struct Point {
    strip: i64,
    place: Position,
    index: u32,
}

impl Point {
    fn x(&self) -> f64 {
        self.place.x()
    }
}

struct Row {
    strip: i64,
    range: Range<usize>,
}

/// The neighbors of the points of a strip, in their order.
struct Found {
    pairs: Vec<(u32, f64)>,
    ends: Vec<usize>,
}

impl Strips {
    fn cut(positions: &[Position], radius: f64) -> Self {
        // With a radius of 0 only equal positions are neighbors; any strip will do.
        let height = if radius > 0.0 { radius * STRIP_MARGIN } else { 1.0 };
        let point = |(index, position): (u32, &Position)| {
            // A quotient beyond the range of integers ends in the outermost strip.
            Point { strip: (position.y() / height).floor() as i64, place: *position, index }
        };
        let mut points: Vec<Point> = (0..).zip(positions).map(point).collect();
        points.par_sort_unstable_by(|a, b| a.strip.cmp(&b.strip).then(a.x().total_cmp(&b.x())).then(a.index.cmp(&b.index)));
        let mut start = 0;
        let rows = points
            .chunk_by(|a, b| a.strip == b.strip)
            .map(|row| {
                let range = start..start + row.len();
                start = range.end;
                Row { strip: row[0].strip, range }
            })
            .collect();
        Self { points, rows }
    }

    /// Returns the points of the strip `by` strips further, if there are any.
    fn beside(&self, row: usize, by: isize) -> &[Point] {
        let strip = self.rows[row].strip.checked_add(by as i64);
        let other = row.checked_add_signed(by).and_then(|other| self.rows.get(other));
        other.filter(|other| Some(other.strip) == strip).map_or(&[], |other| &self.points[other.range.clone()])
    }

    fn neighbors(&self, row: usize, radius: f64) -> Found {
        let points = &self.points[self.rows[row].range.clone()];
        // Squares are compared, as in the other searches, so that all agree on the rim to the last bit.
        let limit = radius * radius;
        let mut windows = [-1, 0, 1].map(|by| (self.beside(row, by), 0));
        let (mut pairs, mut ends) = (Vec::new(), Vec::with_capacity(points.len()));
        for point in points {
            let first = pairs.len();
            for (others, start) in &mut windows {
                let is_beyond = |dx: f64| dx > 0.0 && dx * dx > limit;
                *start += others[*start..].iter().take_while(|other| is_beyond(point.x() - other.x())).count();
                let window = others[*start..].iter().take_while(|other| !is_beyond(other.x() - point.x()));
                for other in window.filter(|other| other.index != point.index) {
                    let squared = point.place.distance_squared(&other.place);
                    if squared <= limit {
                        pairs.push((other.index, squared.sqrt()));
                    }
                }
            }
            pairs[first..].sort_unstable_by_key(|(index, _)| *index);
            ends.push(pairs.len());
        }
        Found { pairs, ends }
    }
}

/// A graph that cannot be built.
#[derive(Clone, Debug, Error, PartialEq)]
#[non_exhaustive]
pub enum RadiusGraphError {
    /// The radius is no distance.
    #[error("radius is {radius}, expected a number of micrometers that is not negative")]
    InvalidRadius {
        /// The radius found.
        radius: f64,
    },
    /// There are too many positions.
    #[error("{positions} positions are more than a graph can hold, {}", u32::MAX)]
    TooManyPositions {
        /// The number of positions.
        positions: usize,
    },
}

#[cfg(test)]
mod tests {
    use std::iter;

    use super::*;

    fn positions(places: &[(f64, f64)]) -> Vec<Position> {
        places.iter().map(|&(x, y)| Position::new(x, y).unwrap()).collect()
    }

    #[track_caller]
    fn check(places: &[(f64, f64)], radius: f64) {
        let positions = positions(places);
        let graph = RadiusGraph::new(&positions, radius).unwrap();
        for (index, position) in positions.iter().enumerate() {
            let others = (0u32..).zip(&positions).filter(|(other, _)| *other as usize != index);
            let near = others.map(|(other, place)| (other, position.distance_squared(place)));
            let near: Vec<(u32, f64)> =
                near.filter(|(_, squared)| *squared <= radius * radius).map(|(other, squared)| (other, squared.sqrt())).collect();
            let found: Vec<(u32, f64)> = iter::zip(graph.neighbors(index), graph.distances(index)).map(|(&i, &d)| (i, d)).collect();
            assert_eq!(found, near, "neighbors of {index} within {radius}");
        }
    }

    #[test]
    fn lattices_duplicates_and_rims_agree_with_a_scan() {
        let lattice: Vec<(f64, f64)> = (0..400).map(|i| (f64::from(i % 20) * 10.0, f64::from(i / 20) * 10.0)).collect();
        for radius in [0.0, 9.99, 10.0, 14.2, 20.0, 25.0, 1e4] {
            check(&lattice, radius);
        }
        // 0.1 has no exact representation: sums of it lie on rims and borders of strips up to rounding.
        let tenths: Vec<(f64, f64)> = (0..300).map(|i| (0.1 * f64::from(i % 3), 0.1 * f64::from(i))).collect();
        for radius in [0.1, 0.2, 0.3] {
            check(&tenths, radius);
        }
        check(&[(1.0, 1.0), (1.0, 1.0), (1.0, 2.0)], 0.0);
    }

    #[test]
    fn far_and_negative_positions_agree_with_a_scan() {
        check(&[(-1e300, 1e300), (-1e300, 1e300), (1e300, -1e300), (0.0, 0.0), (-3.0, -4.0), (1e9, 5.0), (1e9, 9.0)], 5.0);
        check(&[(1e300, 0.0), (-1e300, 0.0)], 1e299);
    }

    #[test]
    fn no_positions_give_no_pairs() {
        let graph = RadiusGraph::new(&[], 1.0).unwrap();
        assert!(graph.is_empty() && graph.edges() == 0);
    }

    #[test]
    fn the_radius_must_be_a_distance() {
        for radius in [-1.0, f64::INFINITY] {
            assert_eq!(RadiusGraph::new(&[], radius), Err(RadiusGraphError::InvalidRadius { radius }));
        }
        assert!(RadiusGraph::new(&[], f64::NAN).is_err());
    }
}
