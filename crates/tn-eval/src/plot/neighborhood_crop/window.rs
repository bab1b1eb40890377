//! The window of a crop: where cells are drawn, and how large.

use super::super::MARGIN;
use super::super::axis::round_step;
use super::super::mark::Mark;
use super::super::number::length;
use super::super::palette::{Rgb, class_color};
use super::super::point_labels::{Bounds, Obstacle, PointLabels};
use super::super::svg::{INK, MUTED, Svg};

/// Width and height of the window, in pixels.
pub(super) const SIDE: f64 = 600.0;
/// About how many rings stand around the target.
const RINGS: f64 = 3.0;
const RING: Rgb = [0x9A, 0x9A, 0x9A];

#[derive(Debug)]
pub(super) struct Window {
    pub(super) top: f64,
    reach: f64,
    radius: f64,
}

impl Window {
    /// A window that shows `reach` micrometers to every side of the target, with so many cells in it.
    pub(super) fn new(reach: f64, cells: usize) -> Self {
        // Neighbors on a lattice that fills the window would have gaps as wide as half of a cell.
        let radius = (0.3 * SIDE / ((cells + 1) as f64).sqrt()).clamp(2.5, 9.0);
        Self { top: 0.0, reach, radius }
    }

    /// Moves the upper edge.
    pub(super) fn with_top(self, top: f64) -> Self {
        Self { top, ..self }
    }

    pub(super) fn bottom(&self) -> f64 {
        self.top + SIDE
    }

    pub(super) fn bounds(&self) -> Bounds {
        Bounds { left: MARGIN, right: MARGIN + SIDE, top: self.top, bottom: self.bottom() }
    }

    /// Pixels of a micrometer; a cell at the very edge of the window still lies inside as a whole.
    pub(super) fn scale(&self) -> f64 {
        (SIDE / 2.0 - 1.3 * self.radius - 2.0) / self.reach
    }

    fn center(&self) -> (f64, f64) {
        (MARGIN + SIDE / 2.0, self.top + SIDE / 2.0)
    }

    /// Where a cell at these distances from the target is drawn.
    pub(super) fn cell(&self, (dx, dy): (f64, f64)) -> Obstacle {
        let (x, y) = self.center();
        ((x + dx * self.scale(), y - dy * self.scale()), self.radius * 1.2)
    }

    /// Where the target is drawn, with its outline.
    pub(super) fn target(&self) -> Obstacle {
        (self.center(), 1.3 * self.radius + 5.0)
    }

    /// Draws the rings and writes on each how far it is from the target: above it if there is room, else around the clock.
    pub(super) fn draw_rings(&self, svg: &mut Svg, labels: &mut PointLabels<'_>) {
        let (x, y) = self.center();
        let step = round_step(self.reach / (RINGS + 0.5));
        for ring in (1..).map(f64::from).map(|k| k * step).take_while(|ring| *ring <= self.reach) {
            let radius = ring * self.scale();
            svg.ring((x, y), radius, RING, 1.0, 4.0);
            let clock = (0..24).map(|hour| f64::from(hour) / 24.0 * std::f64::consts::TAU);
            labels.place_at_any(&length(ring), MUTED, clock.map(|angle| (x + radius * angle.sin(), y - radius * angle.cos())));
        }
    }

    pub(super) fn draw_cell(&self, svg: &mut Svg, place: (f64, f64), class: usize, tooltip: &str) {
        svg.marks(Mark::of_class(class), std::iter::once((place.0, place.1, Some(tooltip))), self.radius, class_color(class), 0.9);
    }

    pub(super) fn draw_target(&self, svg: &mut Svg, class: usize, tooltip: &str) {
        let ((x, y), outside) = self.target();
        svg.marks(Mark::of_class(class), std::iter::once((x, y, Some(tooltip))), 1.3 * self.radius, class_color(class), 1.0);
        svg.ring((x, y), outside - 1.2, INK, 2.4, 0.0);
    }
}
