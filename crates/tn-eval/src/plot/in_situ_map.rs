//! Cells drawn where they lie.

use std::collections::BTreeMap;

use tn_sentence::Position;

use super::axis::range;
use super::color_bar::{self, ColorScale};
use super::legend::{Entry, Legend};
use super::map_layout::MapLayout;
use super::mark::Mark;
use super::palette::{class_color, value_color};
use super::{MARGIN, PlotError, WIDTH};

/// One panel of a map: a title and the cells it shows, `T` being a class (`&str`) or a value (`f64`).
#[derive(Clone, Debug, PartialEq)]
pub struct MapPanel<T> {
    pub(super) title: String,
    pub(super) cells: Vec<(Position, T)>,
    pub(super) context: Vec<Position>,
}

impl<T> MapPanel<T> {
    /// Creates a panel from cells.
    #[must_use]
    pub fn new(title: impl Into<String>, cells: Vec<(Position, T)>) -> Self {
        Self { title: title.into(), cells, context: Vec::new() }
    }

    /// Adds cells that are drawn in pale grey below the others, such as the measured cells around generated ones.
    #[must_use]
    pub fn with_context(mut self, context: Vec<Position>) -> Self {
        self.context = context;
        self
    }
}

/// Draws cells colored by class, panels beside each other in rows of at most four, all on one scale: micrometers to the right
/// and *upwards*.
///
/// Classes take their colors in order of their names over all panels, so that a class has one color in all; beyond fifteen
/// classes colors return with other shapes, beyond sixty they repeat. Cells of rarer classes are drawn above those of commoner
/// ones. The legend stands below.
///
/// # Errors
///
/// Returns [`PlotError::Empty`] when there is no panel or no panel has cells, and [`PlotError::NotFinite`] when the cells are
/// farther apart than a number can say.
///
/// ```
/// use tn_eval::plot::{MapPanel, class_map};
/// use tn_sentence::Position;
///
/// let truth = MapPanel::new("Measured", vec![(Position::new(0.0, 0.0)?, "OEC"), (Position::new(40.0, 9.0)?, "Astro")]);
/// let written = MapPanel::new("Generated", vec![(Position::new(0.0, 0.0)?, "OEC"), (Position::new(40.0, 9.0)?, "OEC")]);
/// let svg = class_map("Olfactory bulb", &[truth, written])?;
/// assert!(svg.starts_with("<svg") && svg.contains("Generated"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn class_map<C: AsRef<str>>(title: &str, panels: &[MapPanel<C>]) -> Result<String, PlotError> {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for (_, class) in panels.iter().flat_map(|panel| &panel.cells) {
        *counts.entry(class.as_ref()).or_default() += 1;
    }
    let indices: BTreeMap<&str, usize> = counts.keys().enumerate().map(|(index, class)| (*class, index)).collect();
    let legend = Legend::new(indices.iter().map(|(class, index)| Entry::of_class(class, *index)), (MARGIN, WIDTH - MARGIN));
    let mut common_first: Vec<&str> = counts.keys().copied().collect();
    common_first.sort_by_key(|class| std::cmp::Reverse(counts[class]));

    let layout = MapLayout::new(title, panels)?;
    let mut svg = layout.start(title, legend.height());
    for (index, panel) in panels.iter().enumerate() {
        layout.draw_panel(&mut svg, index, panel);
        for class in &common_first {
            let cells = panel.cells.iter().filter(|(_, c)| c.as_ref() == *class);
            let class = indices[class];
            layout.draw_cells(&mut svg, index, cells.map(|(p, _)| *p), Mark::of_class(class), class_color(class));
        }
    }
    legend.draw(&mut svg, layout.bottom() + 14.0);
    Ok(svg.finish())
}

/// Draws cells colored by a value, such as the expression of one gene, all panels on one scale of place and of color.
///
/// `value_name` labels the color bar below the panels. The color runs from the smallest to the largest finite value; NaN is
/// grey, infinities take the color of their end. Cells of higher value are drawn above those of lower.
///
/// # Errors
///
/// Returns [`PlotError::Empty`] when there is no panel or no panel has cells with a finite value, and [`PlotError::NotFinite`]
/// when the cells are farther apart than a number can say.
///
/// ```
/// use tn_eval::plot::{MapPanel, value_map};
/// use tn_sentence::Position;
///
/// let measured = MapPanel::new("Measured", vec![(Position::new(0.0, 0.0)?, 1.5), (Position::new(40.0, 9.0)?, 0.0)]);
/// let svg = value_map("GFAP", "log10(1 + count)", &[measured])?;
/// assert!(svg.contains("#FDE725") && svg.contains("#440154")); // the ends of viridis
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn value_map(title: &str, value_name: &str, panels: &[MapPanel<f64>]) -> Result<String, PlotError> {
    const COLORS: usize = 48;
    let values = || panels.iter().flat_map(|panel| &panel.cells).map(|(_, value)| *value);
    let (low, high) = range(values().filter(|value| value.is_finite())).ok_or_else(|| PlotError::Empty { title: title.to_string() })?;
    let scale = ColorScale::new((low, high));
    // Cells that share a color are written as one group.
    let bucket = |value: f64| (!value.is_nan()).then(|| (scale.fraction(value) * (COLORS - 1) as f64) as usize);

    let layout = MapLayout::new(title, panels)?;
    let mut svg = layout.start(title, color_bar::HEIGHT);
    for (index, panel) in panels.iter().enumerate() {
        layout.draw_panel(&mut svg, index, panel);
        for step in std::iter::once(None).chain((0..COLORS).map(Some)) {
            let cells = panel.cells.iter().filter(|(_, value)| bucket(*value) == step);
            let color = value_color(step.map_or(f64::NAN, |step| step as f64 / (COLORS - 1) as f64));
            layout.draw_cells(&mut svg, index, cells.map(|(p, _)| *p), Mark::Disc, color);
        }
    }
    scale.draw(&mut svg, (WIDTH / 2.0, layout.bottom() + 16.0), WIDTH - 2.0 * MARGIN, value_name);
    Ok(svg.finish())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn position(x: f64, y: f64) -> Position {
        Position::new(x, y).unwrap()
    }

    #[test]
    fn a_class_has_one_color_in_all_panels() {
        let truth = MapPanel::new("Measured", vec![(position(0.0, 0.0), "B")]);
        let written = MapPanel::new("Generated", vec![(position(0.0, 0.0), "A"), (position(1.0, 1.0), "B")]);
        let svg = class_map("Map", &[truth, written]).unwrap();
        // The second name in order has the second color: once in either panel and in the legend.
        assert_eq!(svg.matches("#E69F00").count(), 3);
        assert_eq!(svg.matches("#0072B2").count(), 2);
    }

    #[test]
    fn y_grows_upwards_and_both_axes_share_a_scale() {
        let panel = MapPanel::new("", vec![(position(0.0, 0.0), "A"), (position(100.0, 50.0), "A")]);
        let layout = MapLayout::new("", std::slice::from_ref(&panel)).unwrap();
        let svg = class_map("", &[panel]).unwrap();
        let circles: Vec<(f64, f64)> = svg
            .lines()
            .filter(|line| line.contains(&format!("r=\"{}\"", layout.radius)))
            .map(|line| {
                let attribute = |name: &str| -> f64 {
                    let rest = line.split(&format!("{name}=\"")).nth(1).unwrap();
                    rest.split('"').next().unwrap().parse().unwrap()
                };
                (attribute("cx"), attribute("cy"))
            })
            .collect();
        assert_eq!(circles.len(), 2);
        let (dx, dy) = (circles[1].0 - circles[0].0, circles[1].1 - circles[0].1);
        assert!(dx > 0.0 && dy < 0.0);
        assert!((dx + 2.0 * dy).abs() < 0.1);
    }

    #[test]
    fn nothing_to_show_is_an_error() {
        let none: [MapPanel<&str>; 0] = [];
        let error = class_map("Map", &none).unwrap_err();
        assert_eq!(error.to_string(), "the figure \"Map\" has nothing to show");
        let unknown = MapPanel::new("", vec![(position(0.0, 0.0), f64::NAN)]);
        assert!(value_map("Map", "GFAP", &[unknown]).is_err());
        let apart = MapPanel::new("", vec![(position(-1e308, 0.0), "A"), (position(1e308, 0.0), "A")]);
        let error = class_map("Map", &[apart]).unwrap_err();
        assert_eq!(error.to_string(), "the extent of \"Map\" is inf, which has no place on an axis");
    }
}
