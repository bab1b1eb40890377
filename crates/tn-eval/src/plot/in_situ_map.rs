//! Cells drawn where they lie.

use std::collections::BTreeMap;

use tn_sentence::Position;

use super::axis::{range, round_step};
use super::legend::{Legend, Swatch};
use super::palette::{Rgb, class_color, value_color};
use super::svg::{Anchor, INK, MUTED, Svg, TextStyle};
use super::{PlotError, WIDTH, thousands};

const MARGIN: f64 = 20.0;
const TITLE: f64 = 44.0;
const PANEL_TITLE: f64 = 26.0;
const GAP: f64 = 20.0;
const MAX_PANEL_HEIGHT: f64 = 640.0;
const CONTEXT: Rgb = [0xE9, 0xE9, 0xE9];

/// One panel of a map: a title and the cells it shows, `T` being a class (`&str`) or a value (`f64`).
#[derive(Clone, Debug, PartialEq)]
pub struct MapPanel<T> {
    title: String,
    cells: Vec<(Position, T)>,
    context: Vec<Position>,
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

/// Draws cells colored by class, one panel beside the other, all on one scale: micrometers to the right and *upwards*.
///
/// Classes take their colors in order of their names over all panels, so that a class has one color in all; beyond fifteen
/// classes colors repeat. Cells of rarer classes are drawn above those of commoner ones. The legend stands below.
///
/// # Errors
///
/// Returns [`PlotError::Empty`] when there is no panel or no panel has cells.
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
    let colors: BTreeMap<&str, Rgb> = counts.keys().enumerate().map(|(index, class)| (*class, class_color(index))).collect();
    let legend = Legend::new(colors.iter().map(|(class, color)| (*class, *color)), Swatch::Dot, (MARGIN, WIDTH - MARGIN));
    let mut common_first: Vec<&str> = counts.keys().copied().collect();
    common_first.sort_by_key(|class| std::cmp::Reverse(counts[class]));

    let layout = Layout::new(title, panels)?;
    let mut svg = layout.start(title, legend.height());
    for (index, panel) in panels.iter().enumerate() {
        layout.draw_panel(&mut svg, index, panel);
        for class in &common_first {
            let cells = panel.cells.iter().filter(|(_, c)| c.as_ref() == *class);
            layout.draw_cells(&mut svg, index, cells.map(|(p, _)| *p), colors[class]);
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
/// Returns [`PlotError::Empty`] when there is no panel or no panel has cells with a finite value.
pub fn value_map(title: &str, value_name: &str, panels: &[MapPanel<f64>]) -> Result<String, PlotError> {
    const COLORS: usize = 48;
    let values = || panels.iter().flat_map(|panel| &panel.cells).map(|(_, value)| *value);
    let (low, high) = range(values().filter(|value| value.is_finite())).ok_or_else(|| PlotError::Empty { title: title.to_string() })?;
    let span = if high > low { high - low } else { 1.0 };
    // Cells that share a color are written as one group.
    let bucket = |value: f64| {
        let fraction = (value - low) / span;
        (!fraction.is_nan()).then(|| (fraction.clamp(0.0, 1.0) * (COLORS - 1) as f64) as usize)
    };

    let layout = Layout::new(title, panels)?;
    let mut svg = layout.start(title, 40.0);
    for (index, panel) in panels.iter().enumerate() {
        layout.draw_panel(&mut svg, index, panel);
        for step in std::iter::once(None).chain((0..COLORS).map(Some)) {
            let cells = panel.cells.iter().filter(|(_, value)| bucket(*value) == step);
            let color = value_color(step.map_or(f64::NAN, |step| step as f64 / (COLORS - 1) as f64));
            layout.draw_cells(&mut svg, index, cells.map(|(p, _)| *p), color);
        }
    }
    draw_color_bar(&mut svg, layout.bottom() + 16.0, value_name, (low, high));
    Ok(svg.finish())
}

fn draw_color_bar(svg: &mut Svg, top: f64, name: &str, (low, high): (f64, f64)) {
    const BAR: f64 = 240.0;
    const STEPS: usize = 60;
    let left = (WIDTH - BAR) / 2.0;
    let step = BAR / STEPS as f64;
    for index in 0..STEPS {
        let color = value_color((index as f64 + 0.5) / STEPS as f64);
        // Half a pixel of overlap hides the seams.
        svg.rect(left + index as f64 * step, top, step + 0.5, 12.0, color);
    }
    let style = TextStyle::new(13.0, Anchor::End);
    svg.text(left - 8.0, top + 10.5, &short(low), style);
    let style = TextStyle::new(13.0, Anchor::Start);
    svg.text(left + BAR + 8.0, top + 10.5, &short(high), style);
    let style = TextStyle::new(13.0, Anchor::Middle);
    svg.text(WIDTH / 2.0, top + 28.0, name, style);
}

fn short(value: f64) -> String {
    let decimals = if value.abs() >= 100.0 { 0 } else { 2 };
    format!("{value:.decimals$}").replace('-', "\u{2212}")
}

/// Where the panels of a map lie, and the scale they share.
struct Layout {
    low: (f64, f64),
    high: (f64, f64),
    panels: usize,
    panel_width: f64,
    panel_height: f64,
    scale: f64,
    radius: f64,
}

impl Layout {
    fn new<T>(title: &str, panels: &[MapPanel<T>]) -> Result<Self, PlotError> {
        let most_cells = panels.iter().map(|panel| panel.cells.len()).max();
        let most_cells = most_cells.filter(|&n| n > 0).ok_or_else(|| PlotError::Empty { title: title.to_string() })?;
        let positions = || {
            panels.iter().flat_map(|panel| {
                let cells = panel.cells.iter().map(|(position, _)| position);
                cells.chain(&panel.context)
            })
        };
        let (low_x, high_x) = range(positions().map(Position::x)).unwrap_or_default();
        let (low_y, high_y) = range(positions().map(Position::y)).unwrap_or_default();
        // A single cell, or cells on a line, still take a panel.
        let (width, height) = ((high_x - low_x).max(1.0), (high_y - low_y).max(1.0));

        let count = panels.len();
        let panel_width = (WIDTH - 2.0 * MARGIN - (count - 1) as f64 * GAP) / count as f64;
        let inset = 10.0;
        let scale = ((panel_width - 2.0 * inset) / width).min((MAX_PANEL_HEIGHT - 2.0 * inset) / height);
        let panel_height = (height * scale + 2.0 * inset).max(120.0);
        let most = most_cells.max(panels.iter().map(|p| p.context.len()).max().unwrap_or(0));
        let radius = (0.42 * (width * height * scale * scale / most as f64).sqrt()).clamp(1.1, 6.0);
        Ok(Self { low: (low_x, low_y), high: (low_x + width, low_y + height), panels: count, panel_width, panel_height, scale, radius })
    }

    fn start(&self, title: &str, below: f64) -> Svg {
        let mut svg = Svg::new(WIDTH, self.bottom() + 14.0 + below + 12.0, title);
        let style = TextStyle::new(18.0, Anchor::Start).bold();
        svg.text(MARGIN, 30.0, title, style);
        let bar = round_step(self.panel_width / self.scale / 8.0);
        let (right, y) = (WIDTH - MARGIN, 28.0);
        let length = bar * self.scale;
        svg.line((right - length, y), (right, y), INK, 3.0);
        let label = if bar >= 1000.0 { format!("{} mm", bar / 1000.0) } else { format!("{bar} µm") };
        let style = TextStyle::new(12.0, Anchor::End);
        svg.text(right - length - 7.0, y + 4.0, &label, style);
        svg
    }

    fn top(&self) -> f64 {
        TITLE + PANEL_TITLE
    }

    fn bottom(&self) -> f64 {
        self.top() + self.panel_height
    }

    fn left(&self, panel: usize) -> f64 {
        debug_assert!(panel < self.panels);
        MARGIN + panel as f64 * (self.panel_width + GAP)
    }

    fn draw_panel<T>(&self, svg: &mut Svg, index: usize, panel: &MapPanel<T>) {
        let left = self.left(index);
        let style = TextStyle::new(14.0, Anchor::Start).bold();
        svg.text(left, TITLE + 17.0, &panel.title, style);
        let count = format!("{} cells", thousands(panel.cells.len()));
        let style = TextStyle::new(12.0, Anchor::End).color(MUTED);
        svg.text(left + self.panel_width, TITLE + 17.0, &count, style);
        svg.frame(left, self.top(), self.panel_width, self.panel_height);
        self.draw_cells(svg, index, panel.context.iter().copied(), CONTEXT);
    }

    fn draw_cells(&self, svg: &mut Svg, panel: usize, cells: impl Iterator<Item = Position>, color: Rgb) {
        let mut cells = cells.peekable();
        if cells.peek().is_none() {
            return;
        }
        let middle_x = self.left(panel) + self.panel_width / 2.0;
        let middle_y = self.top() + self.panel_height / 2.0;
        let center = ((self.low.0 + self.high.0) / 2.0, (self.low.1 + self.high.1) / 2.0);
        let circles = cells
            .map(|position| (middle_x + (position.x() - center.0) * self.scale, middle_y - (position.y() - center.1) * self.scale, None));
        svg.circles(circles, self.radius, color, 1.0);
    }
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
        let layout = Layout::new("", std::slice::from_ref(&panel)).unwrap();
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
    }
}
