//! One cell and what is around it.

mod class_list;
mod window;

use std::collections::BTreeSet;

use tn_sentence::Position;

use self::class_list::ClassList;
use self::window::{SIDE, Window};
use super::axis::range;
use super::header::Header;
use super::number::length;
use super::point_labels::{Obstacle, PointLabels};
use super::scale_bar::ScaleBar;
use super::svg::Svg;
use super::{MARGIN, PlotError, WIDTH, finite, positive, thousands};

/// One cell of a [`Neighborhood`].
#[derive(Clone, Debug, PartialEq)]
pub struct CropCell {
    position: Position,
    class: String,
    genes: String,
}

impl CropCell {
    /// Creates a cell.
    #[must_use]
    pub fn new(position: Position, class: impl Into<String>) -> Self {
        Self { position, class: class.into(), genes: String::new() }
    }

    /// Labels the cell with genes, such as the first of its ranking.
    #[must_use]
    pub fn with_genes<G: AsRef<str>>(mut self, genes: &[G]) -> Self {
        self.genes = genes.iter().map(AsRef::as_ref).collect::<Vec<_>>().join(" ");
        self
    }

    fn tooltip(&self, place: &str) -> String {
        let genes = if self.genes.is_empty() { String::new() } else { format!(": {}", self.genes) };
        format!("{}, {place}{genes}", self.class)
    }
}

/// A target and the cells around it, as [`neighborhood_crop`] draws them.
#[derive(Clone, Debug, PartialEq)]
pub struct Neighborhood {
    target: CropCell,
    cells: Vec<CropCell>,
    classes: BTreeSet<String>,
    reach: Option<f64>,
}

impl Neighborhood {
    /// Creates a neighborhood from a target and other cells, the target not among them.
    #[must_use]
    pub fn new(target: CropCell, cells: Vec<CropCell>) -> Self {
        Self { target, cells, classes: BTreeSet::new(), reach: None }
    }

    /// Lets the window end so many micrometers to the left, to the right, above and below the target; cells beyond are left out.
    /// By default the window holds all cells.
    #[must_use]
    pub fn with_reach(mut self, micrometers: f64) -> Self {
        self.reach = Some(micrometers);
        self
    }

    /// Names all classes of the section, so that a class has the color that [`class_map`](super::class_map) gives it there.
    #[must_use]
    pub fn with_classes<C: Into<String>>(mut self, classes: impl IntoIterator<Item = C>) -> Self {
        self.classes.extend(classes.into_iter().map(Into::into));
        self
    }

    /// All classes that are named or shown, in order.
    fn all_classes<'a>(&'a self, cells: &[&'a CropCell]) -> Vec<&'a str> {
        let shown = cells.iter().copied().chain([&self.target]).map(|cell| cell.class.as_str());
        let all: BTreeSet<&str> = self.classes.iter().map(String::as_str).chain(shown).collect();
        all.into_iter().collect()
    }

    fn distances(&self, cell: &CropCell) -> (f64, f64) {
        (cell.position.x() - self.target.position.x(), cell.position.y() - self.target.position.y())
    }

    /// The reach given, or the farthest cell's.
    fn window_reach(&self) -> Result<f64, PlotError> {
        let label = || "the reach of the window".to_owned();
        if let Some(reach) = self.reach {
            positive(reach, label)?;
            return Ok(reach);
        }
        let farthest = self.cells.iter().map(|cell| self.distances(cell)).map(|(x, y)| x.abs().max(y.abs()));
        let (_, farthest) = range(farthest).unwrap_or_default();
        finite(farthest, label)?;
        // A target alone, or all cells in one place, still take a window.
        Ok(farthest.max(1.0))
    }
}

/// Draws a target in the middle of a square window and the cells around it, micrometers to the right and *upwards*.
///
/// The target is larger and has a dark outline. Dashed rings stand at round distances from it and say how far that is, where a
/// label covers no cell. Cells are colored by class as in [`class_map`](super::class_map). The genes of the target and of the
/// cells, nearest first, are written beside them as long as there is room; every cell has a tooltip with its class, its distance
/// and its genes. Beside the window stand the classes, nearest first, with their number of cells; where there are too many of
/// them, a legend stands below it.
///
/// # Errors
///
/// Returns [`PlotError::NotPositive`] for a reach that is not a positive number, and [`PlotError::NotFinite`] for cells that are
/// farther apart than a number can say. A target without any cell around it is drawn alone.
///
/// ```
/// use tn_eval::plot::{CropCell, Neighborhood, neighborhood_crop};
/// use tn_sentence::Position;
///
/// let target = CropCell::new(Position::new(500.0, 500.0)?, "Astro").with_genes(&["AQP4", "MLC1"]);
/// let near = CropCell::new(Position::new(512.0, 509.0)?, "Neuron").with_genes(&["GAD1", "SLC32A1"]);
/// let svg = neighborhood_crop("An astrocyte", &Neighborhood::new(target, vec![near]).with_reach(30.0))?;
/// assert!(svg.contains("Neuron, 15 µm: GAD1 SLC32A1"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn neighborhood_crop(title: &str, neighborhood: &Neighborhood) -> Result<String, PlotError> {
    let reach = neighborhood.window_reach()?;
    let is_inside = |cell: &&CropCell| {
        let (x, y) = neighborhood.distances(cell);
        x.abs() <= reach && y.abs() <= reach
    };
    let mut cells: Vec<&CropCell> = neighborhood.cells.iter().filter(is_inside).collect();
    cells.sort_by(|a, b| distance(&neighborhood.target, a).total_cmp(&distance(&neighborhood.target, b)));
    let all = neighborhood.all_classes(&cells);
    let index = |class: &str| all.binary_search(&class).unwrap_or_default();
    let with_distance = cells.iter().map(|cell| (cell.class.as_str(), distance(&neighborhood.target, cell)));
    let classes = ClassList::new(&neighborhood.target.class, with_distance, index);

    let window = Window::new(reach, cells.len());
    let width = SIDE / window.scale();
    positive(width, || "the width of the window".to_owned())?;
    let scale_bar = ScaleBar::new(SIDE, width);
    let header = Header::new(title, scale_bar.width()).with_subtitle(format!(
        "{} {} within {} of the target to every side",
        thousands(cells.len()),
        if cells.len() == 1 { "cell" } else { "cells" },
        length(reach)
    ));
    let window = window.with_top(header.bottom() + 2.0);
    let mut svg = Svg::new(WIDTH, window.bottom() + classes.height_below() + MARGIN, title);
    header.draw(&mut svg);
    scale_bar.draw(&mut svg);
    classes.draw(&mut svg, (window.top, window.bottom()));
    svg.frame(MARGIN, window.top, SIDE, SIDE);

    let places: Vec<Obstacle> =
        std::iter::once(window.target()).chain(cells.iter().map(|cell| window.cell(neighborhood.distances(cell)))).collect();
    let mut labels = PointLabels::new(window.bounds(), &places);
    window.draw_rings(&mut svg, &mut labels);
    for (cell, &(place, _)) in cells.iter().zip(&places[1..]).rev() {
        let away = length((distance(&neighborhood.target, cell) * 10.0).round() / 10.0);
        window.draw_cell(&mut svg, place, index(&cell.class), &cell.tooltip(&away));
    }
    window.draw_target(&mut svg, index(&neighborhood.target.class), &neighborhood.target.tooltip("target"));
    for (place, cell) in std::iter::once(&&neighborhood.target).chain(&cells).enumerate() {
        if !cell.genes.is_empty() {
            labels.place(place, &cell.genes);
        }
    }
    labels.draw(&mut svg);
    Ok(svg.finish())
}

fn distance(target: &CropCell, cell: &CropCell) -> f64 {
    target.position.distance(&cell.position)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cell(x: f64, y: f64, class: &str) -> CropCell {
        CropCell::new(Position::new(x, y).unwrap(), class)
    }

    #[test]
    fn cells_beyond_the_window_are_left_out() {
        let cells = vec![cell(10.0, 0.0, "B"), cell(0.0, 20.0, "C"), cell(-10.1, 0.0, "D")];
        let svg = neighborhood_crop("Title", &Neighborhood::new(cell(0.0, 0.0, "A"), cells.clone()).with_reach(10.0)).unwrap();
        assert!(svg.contains("1 cell within 10 µm of the target to every side"));
        assert!(svg.contains(">B<") && !svg.contains(">C<") && !svg.contains(">D<"));
        let all = neighborhood_crop("Title", &Neighborhood::new(cell(0.0, 0.0, "A"), cells)).unwrap();
        assert!(all.contains("3 cells within 20 µm"));
    }

    #[test]
    fn a_class_keeps_the_color_of_the_section() {
        let neighborhood = Neighborhood::new(cell(0.0, 0.0, "B"), vec![]);
        assert!(neighborhood_crop("Title", &neighborhood).unwrap().contains("#0072B2"));
        let svg = neighborhood_crop("Title", &neighborhood.with_classes(["A", "B", "C"])).unwrap();
        assert!(svg.contains("#E69F00") && !svg.contains("#0072B2") && !svg.contains(">C<"));
    }

    #[test]
    fn rings_say_how_far_they_are() {
        let svg = neighborhood_crop("Title", &Neighborhood::new(cell(0.0, 0.0, "A"), vec![]).with_reach(50.0)).unwrap();
        assert_eq!(svg.matches("stroke-dasharray").count(), 2);
        assert!(svg.contains(">20 µm<") && svg.contains(">40 µm<"));
    }

    #[test]
    fn bad_input_is_an_error_with_its_values() {
        let check = |neighborhood: Neighborhood, expected: &str| {
            assert_eq!(neighborhood_crop("Title", &neighborhood).unwrap_err().to_string(), expected);
        };
        let alone = Neighborhood::new(cell(0.0, 0.0, "A"), vec![]);
        check(alone.clone().with_reach(0.0), "the reach of the window is 0, not a positive number");
        check(alone.clone().with_reach(f64::NAN), "the reach of the window is NaN, not a positive number");
        check(alone.clone().with_reach(1e-320), "the width of the window is 0, not a positive number");
        check(alone.clone().with_reach(f64::MAX), "the width of the window is inf, not a positive number");
        let apart = Neighborhood::new(cell(-1e308, 0.0, "A"), vec![cell(1e308, 0.0, "A")]);
        check(apart, "the reach of the window is inf, which has no place on an axis");
    }
}
