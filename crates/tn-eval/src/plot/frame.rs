//! The plotting area of a figure with two numeric axes, or with one and groups along the other.

use super::axis::Axis;
use super::svg::{Anchor, GRID, INK, MUTED, Svg, TextStyle};
use super::text::text_width;
use super::{MARGIN, WIDTH};

const TICK: f64 = 12.0;
const NAME: f64 = 14.0;
/// What the axis to the right takes below the area, with its name.
pub(super) const BELOW: f64 = 56.0;

/// The vertical axis of a figure and the area to its right.
#[derive(Clone, Debug)]
pub(super) struct Frame {
    pub(super) left: f64,
    pub(super) right: f64,
    pub(super) top: f64,
    pub(super) bottom: f64,
    pub(super) y: Axis,
    ticks: Vec<(f64, String)>,
}

impl Frame {
    /// Lays out an area below `top`; its left edge leaves room for the labels of the ticks and a name.
    pub(super) fn new(top: f64, height: f64, y_range: (f64, f64)) -> Self {
        let unnamed = Self::unnamed(top, height, y_range);
        Self { left: unnamed.left + NAME + 14.0, ..unnamed }
    }

    /// Lays out an area whose vertical axis has no name.
    pub(super) fn unnamed(top: f64, height: f64, y_range: (f64, f64)) -> Self {
        let y = Axis::new(y_range, (top + height, top));
        let ticks = y.ticks((height / 60.0) as usize);
        let widest = ticks.iter().map(|(_, label)| text_width(label, tick_style(Anchor::End))).fold(0.0, f64::max);
        Self { left: MARGIN + widest + 8.0, right: WIDTH - MARGIN, top, bottom: top + height, y, ticks }
    }

    /// A horizontal axis over the whole width.
    pub(super) fn x_axis(&self, range: (f64, f64)) -> Axis {
        Axis::new(range, (self.left, self.right))
    }

    /// Draws the vertical axis: lines across the area, their labels, and a name.
    pub(super) fn draw_y(&self, svg: &mut Svg, name: &str) {
        for (value, label) in &self.ticks {
            let y = self.y.pixel(*value);
            svg.line((self.left, y), (self.right, y), GRID, 0.7);
            svg.text(self.left - 8.0, y + 4.0, label, tick_style(Anchor::End));
        }
        let middle = (self.top + self.bottom) / 2.0;
        svg.text_upwards(MARGIN + NAME * 0.8, middle, name, name_style(), self.bottom - self.top);
    }

    /// Draws a horizontal axis below the area, with its name.
    pub(super) fn draw_x(&self, svg: &mut Svg, axis: &Axis, name: &str) {
        draw_x_axis(svg, axis, (self.left, self.right), (self.top, self.bottom), name);
    }
}

/// Draws a horizontal axis: lines through the area, their labels below it, and a name.
pub(super) fn draw_x_axis(svg: &mut Svg, axis: &Axis, (left, right): (f64, f64), (top, bottom): (f64, f64), name: &str) {
    let style = tick_style(Anchor::Middle);
    for (value, label) in axis.ticks_side_by_side(8, style) {
        let x = axis.pixel(value);
        svg.line((x, top), (x, bottom), GRID, 0.7);
        // A label at the end of the axis stays on the canvas.
        let half = text_width(&label, style) / 2.0;
        svg.text(x.min(WIDTH - 2.0 - half), bottom + 17.0, &label, style);
    }
    svg.text_within((left + right) / 2.0, bottom + 42.0, name, name_style(), right - left);
}

fn tick_style(anchor: Anchor) -> TextStyle {
    TextStyle::new(TICK, anchor).color(MUTED)
}

fn name_style() -> TextStyle {
    TextStyle::new(NAME, Anchor::Middle).color(INK)
}
