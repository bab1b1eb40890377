//! The shapes of points.

use super::palette::CLASSES;

/// The shape of a point. All have about the area of the disc.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Mark {
    Disc,
    Square,
    Triangle,
    Diamond,
}

impl Mark {
    /// The shape of the class with this index: when the colors of the palette are used up, they return with the next shape.
    pub(super) fn of_class(index: usize) -> Self {
        [Self::Disc, Self::Square, Self::Triangle, Self::Diamond][index / CLASSES.len() % 4]
    }

    /// Corners around the center of a mark of radius 1; `None` for the disc.
    pub(super) fn corners(self) -> Option<&'static [(f64, f64)]> {
        match self {
            Self::Disc => None,
            Self::Square => Some(&[(-0.88, -0.88), (0.88, -0.88), (0.88, 0.88), (-0.88, 0.88)]),
            Self::Triangle => Some(&[(0.0, -1.3), (1.2, 0.9), (-1.2, 0.9)]),
            Self::Diamond => Some(&[(0.0, -1.25), (1.25, 0.0), (0.0, 1.25), (-1.25, 0.0)]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sixty_classes_differ_in_color_or_shape() {
        assert_eq!([0, 14, 15, 30, 59, 60].map(Mark::of_class), {
            use Mark::*;
            [Disc, Disc, Square, Triangle, Diamond, Disc]
        });
    }
}
