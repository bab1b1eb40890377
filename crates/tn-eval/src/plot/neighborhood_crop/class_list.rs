//! The classes of a crop, with how many cells each has and how near they come.

use std::collections::BTreeMap;

use super::super::legend::{Entry, Legend, Swatch};
use super::super::number::length;
use super::super::svg::{Anchor, INK, MUTED, Svg, TextStyle};
use super::super::{MARGIN, WIDTH, thousands};
use super::window::SIDE;

const LEFT: f64 = MARGIN + SIDE + 26.0;
const INDENT: f64 = 20.0;
const ROW: f64 = 42.0;
const SWATCH: f64 = 6.0;

/// A list beside the window or, for more classes than find room there, a legend below it.
#[derive(Debug)]
pub(super) struct ClassList<'a> {
    target: &'a str,
    /// Class, its place among all classes, how many cells it has and the distance of the nearest; nearest class first.
    classes: Vec<(&'a str, usize, usize, f64)>,
}

impl<'a> ClassList<'a> {
    /// Counts the classes of cells, given with their distances; `index` tells the place of a class among all.
    pub(super) fn new(target: &'a str, cells: impl Iterator<Item = (&'a str, f64)>, index: impl Fn(&str) -> usize) -> Self {
        let mut counts: BTreeMap<&str, (usize, f64)> = BTreeMap::new();
        for (class, distance) in cells {
            let (count, nearest) = counts.entry(class).or_insert((0, f64::INFINITY));
            *count += 1;
            *nearest = nearest.min(distance);
        }
        let mut classes: Vec<_> = counts.into_iter().map(|(class, (count, nearest))| (class, index(class), count, nearest)).collect();
        classes.sort_by(|a, b| a.3.total_cmp(&b.3));
        Self { target, classes }
    }

    fn is_beside(&self) -> bool {
        (self.classes.len() + 1) as f64 * ROW <= SIDE
    }

    /// Room below the window.
    pub(super) fn height_below(&self) -> f64 {
        if self.is_beside() { 0.0 } else { 12.0 + self.legend().height() }
    }

    fn legend(&self) -> Legend<'a> {
        let mut by_name: Vec<(&str, usize)> = self.classes.iter().map(|&(class, index, ..)| (class, index)).collect();
        by_name.sort_unstable();
        Legend::new(by_name.into_iter().map(|(class, index)| Entry::of_class(class, index)), (MARGIN, WIDTH - MARGIN))
    }

    /// Draws the list beside the window, or the legend from its lower edge on.
    pub(super) fn draw(&self, svg: &mut Svg, (top, bottom): (f64, f64)) {
        svg.ring((LEFT + SWATCH, top + 9.0), SWATCH, INK, 2.4, 0.0);
        draw_lines(svg, top, "Target", self.target);
        if !self.is_beside() {
            self.legend().draw(svg, bottom + 12.0);
            return;
        }
        for (row, &(class, index, count, nearest)) in self.classes.iter().enumerate() {
            let top = top + (row + 1) as f64 * ROW;
            let entry = Entry::of_class(class, index);
            if let Swatch::Mark(mark) = entry.swatch {
                svg.marks(mark, std::iter::once((LEFT + SWATCH, top + 9.0, None)), SWATCH, entry.color, 1.0);
            }
            let distance = length((nearest * 10.0).round() / 10.0);
            let numbers =
                if count == 1 { format!("1 cell, at {distance}") } else { format!("{} cells, nearest at {distance}", thousands(count)) };
            draw_lines(svg, top, class, &numbers);
        }
    }
}

fn draw_lines(svg: &mut Svg, top: f64, first: &str, second: &str) {
    let room = WIDTH - MARGIN - LEFT - INDENT;
    svg.text_within(LEFT + INDENT, top + 13.5, first, TextStyle::new(13.0, Anchor::Start), room);
    svg.text_within(LEFT + INDENT, top + 29.0, second, TextStyle::new(12.0, Anchor::Start).color(MUTED), room);
}
