//! Where a cell is.

use thiserror::Error;

/// A place in a tissue section, in micrometers.
///
/// Both coordinates are finite, so that every distance is a number and every position can be written as text.
/// The default is the origin.
///
/// # Examples
///
/// ```
/// use tn_sentence::Position;
///
/// let astrocyte = Position::new(4768.2, 6093.0)?;
/// let neuron = Position::new(4771.2, 6097.0)?;
/// assert_eq!(astrocyte.distance(&neuron), 5.0);
/// assert!(Position::new(f64::NAN, 0.0).is_err());
/// # Ok::<(), tn_sentence::PositionError>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(try_from = "[f64; 2]", into = "[f64; 2]"))]
pub struct Position {
    x: f64,
    y: f64,
}

impl Position {
    /// Builds a position from coordinates in micrometers.
    ///
    /// # Errors
    ///
    /// Returns [`PositionError::NotFinite`] for a coordinate that is NaN or infinite.
    pub fn new(x: f64, y: f64) -> Result<Self, PositionError> {
        for (axis, value) in [(Axis::X, x), (Axis::Y, y)] {
            if !value.is_finite() {
                return Err(PositionError::NotFinite { axis, value });
            }
        }
        Ok(Self { x, y })
    }

    /// Returns the horizontal coordinate in micrometers.
    pub fn x(&self) -> f64 {
        self.x
    }

    /// Returns the vertical coordinate in micrometers.
    pub fn y(&self) -> f64 {
        self.y
    }

    /// Returns the Euclidean distance to `other` in micrometers.
    pub fn distance(&self, other: &Self) -> f64 {
        self.distance_squared(other).sqrt()
    }

    /// Returns the squared Euclidean distance to `other`, in square micrometers.
    ///
    /// Neighbor searches order cells by this value: it is cheaper than [`Position::distance`] and rounds less.
    pub fn distance_squared(&self, other: &Self) -> f64 {
        let (dx, dy) = (self.x - other.x, self.y - other.y);
        dx * dx + dy * dy
    }
}

impl TryFrom<[f64; 2]> for Position {
    type Error = PositionError;

    fn try_from([x, y]: [f64; 2]) -> Result<Self, Self::Error> {
        Self::new(x, y)
    }
}

impl From<Position> for [f64; 2] {
    fn from(position: Position) -> Self {
        [position.x, position.y]
    }
}

/// One of the two coordinate axes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Axis {
    /// The horizontal axis.
    X,
    /// The vertical axis.
    Y,
}

impl std::fmt::Display for Axis {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::X => "X",
            Self::Y => "Y",
        })
    }
}

/// A coordinate that is no place in a section.
#[derive(Clone, Debug, Error, PartialEq)]
#[non_exhaustive]
pub enum PositionError {
    /// A coordinate is NaN or infinite.
    #[error("coordinate {axis} is {value}, expected a finite number of micrometers")]
    NotFinite {
        /// The axis of the coordinate.
        axis: Axis,
        /// The value found.
        value: f64,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn coordinates_must_be_finite() {
        assert_eq!(Position::new(0.0, f64::INFINITY), Err(PositionError::NotFinite { axis: Axis::Y, value: f64::INFINITY }));
        let error = Position::new(f64::NAN, 0.0).unwrap_err();
        assert_eq!(error.to_string(), "coordinate X is NaN, expected a finite number of micrometers");
    }

    #[test]
    fn distance_to_itself_is_zero() {
        let position = Position::new(-3.5, 1e12).unwrap();
        assert_eq!(position.distance(&position), 0.0);
    }
}
