//! Color keys that wrap into as many rows as they need.

use super::palette::Rgb;
use super::svg::{Anchor, Svg, TextStyle, text_width};

const SIZE: f64 = 13.0;
const ROW: f64 = 20.0;
const SWATCH: f64 = 11.0;
const GAP: f64 = 18.0;
const LONGEST: usize = 40;

/// The shape beside a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Swatch {
    Dot,
    Square,
}

/// Names and their colors, laid out in rows between two horizontal bounds.
#[derive(Debug)]
pub(super) struct Legend {
    swatch: Swatch,
    entries: Vec<(f64, usize, String, Rgb)>,
    rows: usize,
}

impl Legend {
    /// Lays out the entries. A name of more than 40 characters is cut.
    pub(super) fn new<'a>(entries: impl Iterator<Item = (&'a str, Rgb)>, swatch: Swatch, (left, right): (f64, f64)) -> Self {
        let (mut x, mut row) = (left, 0);
        let mut placed = Vec::new();
        for (name, color) in entries {
            let name = shortened(name);
            let width = SWATCH + 6.0 + text_width(&name, SIZE);
            if x > left && x + width > right {
                (x, row) = (left, row + 1);
            }
            placed.push((x, row, name, color));
            x += width + GAP;
        }
        let rows = if placed.is_empty() { 0 } else { row + 1 };
        Self { swatch, entries: placed, rows }
    }

    pub(super) fn height(&self) -> f64 {
        self.rows as f64 * ROW
    }

    /// Draws the legend with its upper edge at `top`.
    pub(super) fn draw(&self, svg: &mut Svg, top: f64) {
        for (x, row, name, color) in &self.entries {
            let middle = top + *row as f64 * ROW + ROW / 2.0;
            match self.swatch {
                Swatch::Dot => svg.circles(std::iter::once((x + SWATCH / 2.0, middle, None)), SWATCH / 2.0, *color, 1.0),
                Swatch::Square => svg.rect(*x, middle - SWATCH / 2.0, SWATCH, SWATCH, *color),
            }
            let style = TextStyle::new(SIZE, Anchor::Start);
            svg.text(x + SWATCH + 6.0, middle + SIZE * 0.36, name, style);
        }
    }
}

fn shortened(name: &str) -> String {
    if name.chars().count() <= LONGEST {
        return name.to_string();
    }
    name.chars().take(LONGEST - 1).chain(std::iter::once('…')).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_legend_wraps_within_its_bounds() {
        let names: Vec<String> = (0..15).map(|index| format!("OB-STR-CTX Inh IMN {index}")).collect();
        let legend = Legend::new(names.iter().map(|name| (name.as_str(), [0; 3])), Swatch::Dot, (20.0, 880.0));
        assert!(legend.rows > 1);
        for (x, _, name, _) in &legend.entries {
            assert!(x + SWATCH + 6.0 + text_width(name, SIZE) <= 880.0);
        }
    }

    #[test]
    fn no_entry_takes_no_room() {
        assert_eq!(Legend::new(std::iter::empty(), Swatch::Dot, (0.0, 100.0)).height(), 0.0);
    }
}
