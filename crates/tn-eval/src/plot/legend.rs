//! Color keys that wrap into as many rows as they need.

use super::mark::Mark;
use super::palette::{Rgb, class_color};
use super::svg::{Anchor, Svg, TextStyle};
use super::text::{fitted, text_width};

const SIZE: f64 = 13.0;
const ROW: f64 = 20.0;
const SWATCH: f64 = 11.0;
/// From the left of the swatch to the name.
const INDENT: f64 = SWATCH + 6.0;
const GAP: f64 = 13.0;
const WIDEST_NAME: f64 = 320.0;

/// The shape beside a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Swatch {
    Mark(Mark),
    /// A square as wide as the row allows, for what is drawn as an area.
    Area,
}

/// A name with its color and shape.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Entry<'a> {
    pub(super) name: &'a str,
    pub(super) color: Rgb,
    pub(super) swatch: Swatch,
}

impl<'a> Entry<'a> {
    pub(super) fn new(name: &'a str, color: Rgb, swatch: Swatch) -> Self {
        Self { name, color, swatch }
    }

    /// The entry of the class with this index.
    pub(super) fn of_class(name: &'a str, index: usize) -> Self {
        Self::new(name, class_color(index), Swatch::Mark(Mark::of_class(index)))
    }
}

/// Names and their colors, laid out in rows between two horizontal bounds.
#[derive(Debug)]
pub(super) struct Legend<'a> {
    entries: Vec<(f64, usize, Entry<'a>)>,
    rows: usize,
    widest: f64,
}

impl<'a> Legend<'a> {
    /// Lays out the entries. A name that is too wide is cut.
    pub(super) fn new(entries: impl Iterator<Item = Entry<'a>>, (left, right): (f64, f64)) -> Self {
        let widest = WIDEST_NAME.min(right - left - INDENT);
        let (mut x, mut row) = (left, 0);
        let mut placed = Vec::new();
        for entry in entries {
            let width = INDENT + text_width(&fitted(entry.name, style(), widest), style());
            if x > left && x + width > right {
                (x, row) = (left, row + 1);
            }
            placed.push((x, row, entry));
            x += width + GAP;
        }
        let rows = if placed.is_empty() { 0 } else { row + 1 };
        Self { entries: placed, rows, widest }
    }

    pub(super) fn height(&self) -> f64 {
        self.rows as f64 * ROW
    }

    /// Draws the legend with its upper edge at `top`.
    pub(super) fn draw(&self, svg: &mut Svg, top: f64) {
        for (x, row, entry) in &self.entries {
            let middle = top + *row as f64 * ROW + ROW / 2.0;
            match entry.swatch {
                Swatch::Mark(mark) => {
                    let center = std::iter::once((x + SWATCH / 2.0, middle, None));
                    svg.marks(mark, center, SWATCH / 2.0, entry.color, 1.0);
                }
                Swatch::Area => svg.rect(*x, middle - SWATCH / 2.0, SWATCH, SWATCH, entry.color),
            }
            svg.text_within(x + INDENT, middle + SIZE * 0.36, entry.name, style(), self.widest);
        }
    }
}

fn style() -> TextStyle {
    TextStyle::new(SIZE, Anchor::Start)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_legend_wraps_within_its_bounds() {
        let names: Vec<String> = (0..15).map(|index| format!("OB-STR-CTX Inh IMN {index}")).collect();
        let entries = names.iter().enumerate().map(|(index, name)| Entry::of_class(name, index));
        let legend = Legend::new(entries, (20.0, 880.0));
        assert!(legend.rows > 1);
        for (x, _, entry) in &legend.entries {
            assert!(x + INDENT + text_width(entry.name, style()) <= 880.0);
        }
    }

    #[test]
    fn no_entry_takes_no_room() {
        assert_eq!(Legend::new(std::iter::empty(), (0.0, 100.0)).height(), 0.0);
    }
}
