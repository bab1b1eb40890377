//! Bars of a round length.

use super::axis::round_step;
use super::number::length;
use super::svg::{Anchor, INK, Svg, TextStyle};
use super::text::text_width;
use super::{MARGIN, WIDTH};

/// A bar beside the title of a figure, with its length.
#[derive(Debug)]
pub(super) struct ScaleBar {
    pixels: f64,
    label: String,
}

impl ScaleBar {
    /// A bar of about an eighth of `width` pixels, which show `micrometers`.
    pub(super) fn new(width: f64, micrometers: f64) -> Self {
        let bar = round_step(micrometers / 8.0);
        Self { pixels: bar / micrometers * width, label: length(bar) }
    }

    /// What the bar takes at the right of the title.
    pub(super) fn width(&self) -> f64 {
        self.pixels + text_width(&self.label, style()) + 24.0
    }

    pub(super) fn draw(&self, svg: &mut Svg) {
        let (right, y) = (WIDTH - MARGIN, 26.0);
        svg.line((right - self.pixels, y), (right, y), INK, 3.0);
        svg.text(right - self.pixels - 7.0, y + 4.0, &self.label, style());
    }
}

fn style() -> TextStyle {
    TextStyle::new(12.0, Anchor::End)
}
