//! The unit that coordinates seem to have.

use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;

use super::cells::Cells;

/// What the typical distance between cells says about the unit of their coordinates: in tissue, cells lie 5 to 50 micrometers apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum UnitGuess {
    /// Less than 0.2 units.
    Millimeters,
    /// 0.2 to 4 units.
    Unclear,
    /// 4 to 80 units.
    Micrometers,
    /// More than 80 units.
    PixelsOrNanometers,
}

impl fmt::Display for UnitGuess {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Millimeters => "millimeters",
            Self::Unclear => "unclear, too dense for micrometers",
            Self::Micrometers => "micrometers",
            Self::PixelsOrNanometers => "pixels or nanometers, too sparse for micrometers",
        })
    }
}

/// Guesses the unit. Returns it with the typical distance between cells, in that unit: the square root of the area for a cell, where the
/// area of a section is that of the box around it. Cells without a place do not count; cells of no area say nothing.
pub(super) fn guess_unit(cells: &Cells) -> Option<(UnitGuess, f64)> {
    let (area, count) = covered_area(cells);
    let spacing = (area / count as f64).sqrt();
    if !(spacing.is_finite() && spacing > 0.0) {
        return None;
    }
    let unit = match spacing {
        spacing if spacing < 0.2 => UnitGuess::Millimeters,
        spacing if spacing < 4.0 => UnitGuess::Unclear,
        spacing if spacing < 80.0 => UnitGuess::Micrometers,
        _ => UnitGuess::PixelsOrNanometers,
    };
    Some((unit, (spacing * 1e3).round() / 1e3))
}

/// Returns the area of the boxes around the cells of each section, and how many cells they hold.
fn covered_area(cells: &Cells) -> (f64, usize) {
    let mut boxes = BTreeMap::new();
    for (cell, place) in cells.located() {
        let (low, high, count) = boxes.entry(cells.section(cell)).or_insert(([f64::INFINITY; 2], [f64::NEG_INFINITY; 2], 0));
        for axis in 0..2 {
            low[axis] = low[axis].min(place[axis]);
            high[axis] = high[axis].max(place[axis]);
        }
        *count += 1;
    }
    boxes.values().fold((0.0, 0), |(area, cells), (low, high, count)| (area + (high[0] - low[0]) * (high[1] - low[1]), cells + count))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A hundred cells on a grid.
    fn check(spacing: f64, expected: UnitGuess) {
        let places = (0..100).map(|cell| [f64::from(cell % 10) * spacing, f64::from(cell / 10) * spacing]).collect();
        let cells = Cells { places: Some(places), ..Cells::default() };
        let (unit, found) = guess_unit(&cells).unwrap();
        assert_eq!(unit, expected, "a cell every {found} units");
        assert!((found - 0.9 * spacing).abs() <= 5e-4, "{found}");
    }

    #[test]
    fn the_distance_between_cells_tells_the_unit() {
        check(0.01, UnitGuess::Millimeters);
        check(1.0, UnitGuess::Unclear);
        check(10.0, UnitGuess::Micrometers);
        check(100.0, UnitGuess::PixelsOrNanometers);
        check(10_000.0, UnitGuess::PixelsOrNanometers);
    }

    #[test]
    fn cells_without_an_area_say_nothing() {
        let guess = |places: Option<Vec<[f64; 2]>>| guess_unit(&Cells { places, ..Cells::default() });
        assert_eq!(guess(None), None);
        assert_eq!(guess(Some(vec![[1.0, 2.0]; 5])), None);
        assert_eq!(guess(Some(vec![[f64::NAN, 2.0]])), None);
    }
}
