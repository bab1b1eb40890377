//! In which order the cells of a bin are read.

use std::{fmt, str::FromStr};

use rand::{Rng, RngExt};
use thiserror::Error;
use tn_sentence::{Position, weighted_order};

/// An order of the cells of a bin, drawn at random.
///
/// | Name | Cells are drawn without replacement, by weight |
/// |---|---|
/// | `nearest-first` | `1 / (d + 1e-6)^tau`, d the distance to an anchor: one of the four corners of the bounding box, or the mean of the cells, each with probability 1/5 |
/// | `corner-nearest-first` | the same with the four corners only |
/// | `inward-outward` | `exp(-d)`, d the distance to the mean of the cells |
/// | `outward-inward` | `exp(d)`, d the distance to the mean of the cells |
/// | `random` | equal |
///
/// Exponential keys make this O(n log n): see [`weighted_order`]. No cells give an empty order.
///
/// # Examples
///
/// ```
/// use rand::SeedableRng;
/// use rand_chacha::ChaCha8Rng;
/// use tn_sentence::Position;
/// use tn_spatial::Traversal;
///
/// let row = (0..5).map(|i| Position::new(f64::from(i) * 40.0, 0.0)).collect::<Result<Vec<_>, _>>()?;
/// let mut rng = ChaCha8Rng::seed_from_u64(7);
/// let order = Traversal::nearest_first().with_tau(20.0).order(&row, &mut rng);
/// // A large tau leaves little to chance: from one end to the other, or from the middle.
/// assert!([[0, 1, 2, 3, 4], [4, 3, 2, 1, 0]].contains(&[order[0], order[1], order[2], order[3], order[4]]) || order[0] == 2);
/// # Ok::<(), tn_sentence::PositionError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Traversal {
    kind: Kind,
    tau: f64,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Kind {
    NearestFirst,
    CornerNearestFirst,
    InwardOutward,
    OutwardInward,
    Random,
}

impl Kind {
    const ALL: [Self; 5] = [Self::NearestFirst, Self::CornerNearestFirst, Self::InwardOutward, Self::OutwardInward, Self::Random];

    fn name(self) -> &'static str {
        match self {
            Self::NearestFirst => "nearest-first",
            Self::CornerNearestFirst => "corner-nearest-first",
            Self::InwardOutward => "inward-outward",
            Self::OutwardInward => "outward-inward",
            Self::Random => "random",
        }
    }
}

impl Traversal {
    /// Reads cells from an anchor outward: a corner or the middle.
    pub fn nearest_first() -> Self {
        Self::of_kind(Kind::NearestFirst)
    }

    /// Reads cells from a corner outward.
    pub fn corner_nearest_first() -> Self {
        Self::of_kind(Kind::CornerNearestFirst)
    }

    /// Reads cells from the middle outward.
    pub fn inward_outward() -> Self {
        Self::of_kind(Kind::InwardOutward)
    }

    /// Reads cells from the border inward.
    pub fn outward_inward() -> Self {
        Self::of_kind(Kind::OutwardInward)
    }

    /// Reads cells in any order.
    pub fn random() -> Self {
        Self::of_kind(Kind::Random)
    }

    fn of_kind(kind: Kind) -> Self {
        Self { kind, tau: 1.0 }
    }

    /// Replaces how strongly distance counts in the nearest-first orders, 1 by default; 0 is a random order.
    pub fn with_tau(mut self, tau: f64) -> Self {
        self.tau = tau;
        self
    }

    /// Returns the name of the traversal, as in the column `traversal`.
    pub fn name(&self) -> &'static str {
        self.kind.name()
    }

    /// Draws an order of the cells at the given positions: a permutation of their indices.
    pub fn order(&self, positions: &[Position], rng: &mut impl Rng) -> Vec<usize> {
        if positions.is_empty() {
            return Vec::new();
        }
        let distances_to = |(x, y): (f64, f64)| positions.iter().map(move |p| (p.x() - x).hypot(p.y() - y));
        let log_weights: Vec<f64> = match self.kind {
            Kind::NearestFirst | Kind::CornerNearestFirst => {
                let anchor = self.draw_anchor(positions, rng);
                distances_to(anchor).map(|d| -self.tau * (d + 1e-6).ln()).collect()
            }
            Kind::InwardOutward => distances_to(mean(positions)).map(|d| -d).collect(),
            Kind::OutwardInward => distances_to(mean(positions)).collect(),
            Kind::Random => vec![0.0; positions.len()],
        };
        let draws: Vec<u64> = positions.iter().map(|_| rng.next_u64()).collect();
        weighted_order(&log_weights, &draws)
    }

    fn draw_anchor(&self, positions: &[Position], rng: &mut impl Rng) -> (f64, f64) {
        let corners = corners(positions);
        let anchors = if self.kind == Kind::CornerNearestFirst { 4 } else { 5 };
        let drawn: usize = rng.random_range(0..anchors);
        corners.get(drawn).copied().unwrap_or_else(|| mean(positions))
    }
}

/// Returns the corners of the bounding box.
fn corners(positions: &[Position]) -> [(f64, f64); 4] {
    let bounds = |coordinate: fn(&Position) -> f64| {
        positions.iter().map(coordinate).fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| (low.min(value), high.max(value)))
    };
    let ((left, right), (bottom, top)) = (bounds(Position::x), bounds(Position::y));
    [(left, bottom), (left, top), (right, bottom), (right, top)]
}

fn mean(positions: &[Position]) -> (f64, f64) {
    let n = positions.len() as f64;
    let mean = |coordinate: fn(&Position) -> f64| positions.iter().map(|p| coordinate(p) / n).sum::<f64>();
    (mean(Position::x), mean(Position::y))
}

impl fmt::Display for Traversal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Traversal {
    type Err = UnknownTraversal;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        Kind::ALL.into_iter().find(|kind| kind.name() == name).map(Self::of_kind).ok_or_else(|| UnknownTraversal { found: name.to_owned() })
    }
}

/// A name that no traversal has.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
#[error("unknown traversal {found:?}, expected nearest-first, corner-nearest-first, inward-outward, outward-inward or random")]
pub struct UnknownTraversal {
    /// The name found.
    pub found: String,
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    use super::*;

    fn row() -> Vec<Position> {
        (0..9).map(|i| Position::new(f64::from(i) * 100.0, 0.0).unwrap()).collect()
    }

    fn orders(traversal: Traversal) -> Vec<Vec<usize>> {
        (0..200).map(|seed| traversal.order(&row(), &mut ChaCha8Rng::seed_from_u64(seed))).collect()
    }

    #[test]
    fn the_same_seed_gives_the_same_order() {
        let traversal = Traversal::nearest_first();
        assert_eq!(orders(traversal), orders(traversal));
    }

    #[test]
    fn radial_orders_begin_in_the_middle_or_at_the_border() {
        assert!(orders(Traversal::inward_outward()).iter().all(|order| order[0] == 4));
        assert!(orders(Traversal::outward_inward()).iter().all(|order| [0, 8].contains(&order[0])));
    }

    #[test]
    fn corners_never_begin_in_the_middle_when_distance_decides() {
        let orders = orders(Traversal::corner_nearest_first().with_tau(50.0));
        assert!(orders.iter().all(|order| [0, 8].contains(&order[0])));
    }

    #[test]
    fn one_cell_and_no_cell_have_an_order() {
        let mut rng = ChaCha8Rng::seed_from_u64(0);
        for kind in Kind::ALL {
            let traversal = Traversal::of_kind(kind);
            assert_eq!(traversal.order(&row()[..1], &mut rng), [0]);
            assert!(traversal.order(&[], &mut rng).is_empty());
        }
    }

    #[test]
    fn names_parse_as_they_print() {
        for kind in Kind::ALL {
            let traversal = Traversal::of_kind(kind);
            assert_eq!(traversal.to_string().parse(), Ok(traversal));
        }
        assert!("zigzag".parse::<Traversal>().is_err());
    }
}
