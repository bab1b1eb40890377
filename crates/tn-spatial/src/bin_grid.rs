//! Square bins over a section.

use std::{collections::BTreeMap, fmt};

use thiserror::Error;
use tn_sentence::Position;

/// A grid of square bins with a corner at the origin, or at the offset `(a, b)` of [`BinGrid::with_offset`].
///
/// A cell at `(x, y)` lies in bin `(floor((x - a) / width), floor((y - b) / width))`: a cell on a border belongs to the
/// bin above or to the right of it.
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
    offset: (f64, f64),
}

impl BinGrid {
    /// Builds a grid of bins of the given width in micrometers.
    ///
    /// # Errors
    ///
    /// Returns an error for a width that is not a positive, finite number.
    pub fn new(width: f64) -> Result<Self, BinGridError> {
        let is_valid = width.is_finite() && width > 0.0;
        if is_valid { Ok(Self { width, offset: (0.0, 0.0) }) } else { Err(BinGridError::InvalidWidth { width }) }
    }

    /// Moves the grid, so that bin `0_0` begins at `(x, y)`, in micrometers, in every section.
    ///
    /// An offset of half a width cuts neighborhoods that the grid at the origin keeps whole, and the other way around.
    /// Names of bins count from the offset: the same name stands for another place on a grid that was moved.
    ///
    /// # Errors
    ///
    /// Returns an error for an offset that is not finite.
    ///
    /// # Examples
    ///
    /// ```
    /// use tn_sentence::Position;
    /// use tn_spatial::BinGrid;
    ///
    /// let cell = Position::new(150.0, 20.0)?;
    /// let grid = BinGrid::new(200.0)?;
    /// assert_eq!(grid.bin_of(&cell).to_string(), "0_0");
    /// assert_eq!(grid.with_offset(100.0, 100.0)?.bin_of(&cell).to_string(), "0_-1");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn with_offset(mut self, x: f64, y: f64) -> Result<Self, BinGridError> {
        if !(x.is_finite() && y.is_finite()) {
            return Err(BinGridError::InvalidOffset { x, y });
        }
        self.offset = (x, y);
        Ok(self)
    }

    /// Returns the width of the bins in micrometers.
    pub fn width(&self) -> f64 {
        self.width
    }

    /// Returns the place where bin `0_0` begins, in micrometers.
    pub fn offset(&self) -> (f64, f64) {
        self.offset
    }

    /// Returns the bin of a position.
    pub fn bin_of(&self, position: &Position) -> Bin {
        // A quotient beyond the range of integers ends in the outermost bin.
        let index = |coordinate: f64, offset: f64| ((coordinate - offset) / self.width).floor() as i64;
        Bin { i: index(position.x(), self.offset.0), j: index(position.y(), self.offset.1) }
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

/// One bin of a grid: its column and row, counted from the offset of the grid.
///
/// [`Display`](fmt::Display) writes `{i}_{j}`, the end of a bin's name.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Bin {
    /// The column: `floor((x - a) / width)`, a the offset.
    pub i: i64,
    /// The row: `floor((y - b) / width)`, b the offset.
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
    /// The offset is not finite.
    #[error("bins begin at ({x}, {y}), expected finite micrometers")]
    InvalidOffset {
        /// The horizontal offset found.
        x: f64,
        /// The vertical offset found.
        y: f64,
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
    fn a_moved_grid_moves_its_borders() {
        let grid = BinGrid::new(10.0).unwrap().with_offset(3.0, -4.0).unwrap();
        let bin = |x, y| grid.bin_of(&Position::new(x, y).unwrap());
        assert_eq!(bin(3.0, -4.0), Bin { i: 0, j: 0 });
        assert_eq!(bin(2.999, 6.0), Bin { i: -1, j: 1 });
        assert_eq!(bin(f64::MAX, f64::MIN), Bin { i: i64::MAX, j: i64::MIN });
        // The distance to a far offset exceeds what a number can hold.
        let far = BinGrid::new(10.0).unwrap().with_offset(f64::MAX, f64::MIN).unwrap();
        assert_eq!(far.bin_of(&Position::new(f64::MIN, f64::MAX).unwrap()), Bin { i: i64::MIN, j: i64::MAX });
    }

    #[test]
    fn the_offset_must_be_finite() {
        let grid = BinGrid::new(10.0).unwrap();
        assert_eq!(grid.with_offset(0.0, f64::INFINITY), Err(BinGridError::InvalidOffset { x: 0.0, y: f64::INFINITY }));
        assert!(grid.with_offset(f64::NAN, 0.0).is_err());
        assert_eq!(grid.offset(), (0.0, 0.0));
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
