//! The title of a figure and the line below it.

use super::svg::{Anchor, MUTED, Svg, TextStyle};
use super::text::wrapped;
use super::{MARGIN, WIDTH};

const FIRST_BASELINE: f64 = 30.0;
const LINE: f64 = 23.0;

/// A title of at most two lines, and perhaps a smaller line below it.
#[derive(Debug)]
pub(super) struct Header {
    lines: Vec<String>,
    subtitle: String,
    width: f64,
}

impl Header {
    /// Lays out a title that leaves `reserved` pixels at its right.
    pub(super) fn new(title: &str, reserved: f64) -> Self {
        let width = WIDTH - 2.0 * MARGIN - reserved;
        Self { lines: wrapped(title, title_style(), width, 2), subtitle: String::new(), width }
    }

    pub(super) fn with_subtitle(self, subtitle: impl Into<String>) -> Self {
        Self { subtitle: subtitle.into(), ..self }
    }

    /// Where what follows may begin.
    pub(super) fn bottom(&self) -> f64 {
        let subtitle = if self.subtitle.is_empty() { 0.0 } else { 20.0 };
        FIRST_BASELINE + LINE * self.lines.len().saturating_sub(1) as f64 + subtitle + 14.0
    }

    pub(super) fn draw(&self, svg: &mut Svg) {
        for (index, line) in self.lines.iter().enumerate() {
            svg.text(MARGIN, FIRST_BASELINE + LINE * index as f64, line, title_style());
        }
        let style = TextStyle::new(14.0, Anchor::Start).color(MUTED);
        svg.text_within(MARGIN, self.bottom() - 14.0, &self.subtitle, style, self.width);
    }
}

fn title_style() -> TextStyle {
    TextStyle::new(18.0, Anchor::Start).bold()
}
