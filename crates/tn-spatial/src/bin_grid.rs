//! Square bins over a section.

use std::{collections::BTreeMap, fmt};

use thiserror::Error;
use tn_sentence::Position;

/// A grid of square bins with a corner at the origin.
///
/// A cell at `(x, y)` lies in bin `(floor(x / width), floor(y / width))`: a cell on a border belongs to the bin above
/// or to the right of it.
///
/// # Examples
///
/// ```
/// use tn_sentence::Position;
/// use tn_spatial::BinGrid;
///
/// let grid = BinGrid::new(200.0)?;
/// let bin = grid.bin_of(&Position::new(-30.5, 200.0)?);
/// assert_eq!((bin.i, bin.j), (-1, 1));
/// assert_eq!(bin.to_string(), "-1_1");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BinGrid {
    width: f64,
}

impl BinGrid {
    /// Builds a grid of bins of the given width in micrometers.
    ///
    /// # Errors
    ///
    /// Returns an error for a width that is not a positive, finite number.
    pub fn new(width: f64) -> Result<Self, BinGridError> {
        if width.is_finite() && width > 0.0 { Ok(Self { width }) } else { Err(BinGridError::InvalidWidth { width }) }
    }

    /// Returns the width of the bins in micrometers.
    pub fn width(&self) -> f64 {
        self.width
    }

    /// Returns the bin of a position.
    pub fn bin_of(&self, position: &Position) -> Bin {
        // A quotient beyond the range of integers ends in the outermost bin.
        let index = |coordinate: f64| (coordinate / self.width).floor() as i64;
        Bin { i: index(position.x()), j: index(position.y()) }
    }

    /// Returns the bins that hold a position, ascending, with the indices of their positions, ascending.
    pub fn assign(&self, positions: &[Position]) -> BTreeMap<Bin, Vec<usize>> {
        let mut bins: BTreeMap<Bin, Vec<usize>> = BTreeMap::new();
        for (index, position) in positions.iter().enumerate() {
            bins.entry(self.bin_of(position)).or_default().push(index);
        }
        bins
    }
}

/// One bin of a grid: its column and row, counted from the origin.
///
/// [`Display`](fmt::Display) writes `{i}_{j}`, the end of a bin's name.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Bin {
    /// The column: `floor(x / width)`.
    pub i: i64,
    /// The row: `floor(y / width)`.
    pub j: i64,
}

impl fmt::Display for Bin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}_{}", self.i, self.j)
    }
}

/// A grid that cannot exist.
#[derive(Clone, Debug, Error, PartialEq)]
#[non_exhaustive]
pub enum BinGridError {
    /// The width is not a positive, finite number.
    #[error("bin width is {width}, expected a positive number of micrometers")]
    InvalidWidth {
        /// The width found.
        width: f64,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_on_a_border_belongs_to_the_higher_bin() {
        let grid = BinGrid::new(10.0).unwrap();
        let bin = |x, y| grid.bin_of(&Position::new(x, y).unwrap());
        assert_eq!(bin(10.0, -0.0), Bin { i: 1, j: 0 });
        assert_eq!(bin(9.999, -1e-9), Bin { i: 0, j: -1 });
    }

    #[test]
    fn far_positions_end_in_the_outermost_bin() {
        let grid = BinGrid::new(1e-9).unwrap();
        let bin = grid.bin_of(&Position::new(1e300, -1e300).unwrap());
        assert_eq!(bin, Bin { i: i64::MAX, j: i64::MIN });
    }

    #[test]
    fn the_width_must_be_positive() {
        for width in [0.0, -1.0, f64::INFINITY] {
            assert_eq!(BinGrid::new(width), Err(BinGridError::InvalidWidth { width }));
        }
        assert!(BinGrid::new(f64::NAN).is_err());
    }

    #[test]
    fn no_positions_give_no_bins() {
        assert!(BinGrid::new(1.0).unwrap().assign(&[]).is_empty());
    }
}
