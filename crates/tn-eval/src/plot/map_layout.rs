//! Where the panels of a map lie, and the scale they share.

use tn_sentence::Position;

use super::axis::range;
use super::header::Header;
use super::in_situ_map::MapPanel;
use super::mark::Mark;
use super::palette::Rgb;
use super::scale_bar::ScaleBar;
use super::svg::{Anchor, MUTED, Svg, TextStyle};
use super::text::text_width;
use super::{MARGIN, PlotError, WIDTH, finite, thousands};

const PANEL_TITLE: f64 = 26.0;
const GAP: f64 = 20.0;
const INSET: f64 = 10.0;
const MAX_PANEL_HEIGHT: f64 = 640.0;
const MOST_IN_A_ROW: usize = 4;
const CONTEXT: Rgb = [0xE9, 0xE9, 0xE9];

/// The places of all panels, in rows of at most four.
#[derive(Debug)]
pub(super) struct MapLayout {
    header: Header,
    scale_bar: ScaleBar,
    center: (f64, f64),
    columns: usize,
    rows: usize,
    panel_width: f64,
    panel_height: f64,
    scale: f64,
    pub(super) radius: f64,
}

impl MapLayout {
    pub(super) fn new<T>(title: &str, panels: &[MapPanel<T>]) -> Result<Self, PlotError> {
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

        let columns = panels.len().min(MOST_IN_A_ROW);
        let panel_width = (WIDTH - 2.0 * MARGIN - (columns - 1) as f64 * GAP) / columns as f64;
        let scale = ((panel_width - 2.0 * INSET) / width).min((MAX_PANEL_HEIGHT - 2.0 * INSET) / height);
        finite(panel_width / scale, || format!("the extent of {title:?}"))?;
        let panel_height = (height * scale + 2.0 * INSET).max(120.0);
        let most = most_cells.max(panels.iter().map(|p| p.context.len()).max().unwrap_or(0));
        let radius = (0.42 * (width * scale * height * scale / most as f64).sqrt()).clamp(1.1, 6.0);
        let scale_bar = ScaleBar::new(panel_width, panel_width / scale);
        Ok(Self {
            header: Header::new(title, scale_bar.width()),
            scale_bar,
            center: (low_x + (high_x - low_x) / 2.0, low_y + (high_y - low_y) / 2.0),
            columns,
            rows: panels.len().div_ceil(columns),
            panel_width,
            panel_height,
            scale,
            radius,
        })
    }

    /// Starts a figure with room for something of this height below the panels.
    pub(super) fn start(&self, title: &str, below: f64) -> Svg {
        let mut svg = Svg::new(WIDTH, self.bottom() + 14.0 + below + 12.0, title);
        self.header.draw(&mut svg);
        self.scale_bar.draw(&mut svg);
        svg
    }

    /// The lower edge of the panels.
    pub(super) fn bottom(&self) -> f64 {
        self.top(self.rows - 1) + self.panel_height
    }

    fn top(&self, row: usize) -> f64 {
        self.header.bottom() + PANEL_TITLE + row as f64 * (self.panel_height + PANEL_TITLE + 8.0)
    }

    fn corner(&self, panel: usize) -> (f64, f64) {
        let left = MARGIN + (panel % self.columns) as f64 * (self.panel_width + GAP);
        (left, self.top(panel / self.columns))
    }

    /// Draws the frame of a panel, its title and its context.
    pub(super) fn draw_panel<T>(&self, svg: &mut Svg, index: usize, panel: &MapPanel<T>) {
        let (left, top) = self.corner(index);
        let count = format!("{} cells", thousands(panel.cells.len()));
        let style = TextStyle::new(12.0, Anchor::End).color(MUTED);
        svg.text(left + self.panel_width, top - 9.0, &count, style);
        let room = self.panel_width - text_width(&count, style) - 10.0;
        svg.text_within(left, top - 9.0, &panel.title, TextStyle::new(14.0, Anchor::Start).bold(), room);
        svg.frame(left, top, self.panel_width, self.panel_height);
        self.draw_cells(svg, index, panel.context.iter().copied(), Mark::Disc, CONTEXT);
    }

    /// Draws cells of one color.
    pub(super) fn draw_cells(&self, svg: &mut Svg, panel: usize, cells: impl Iterator<Item = Position>, mark: Mark, color: Rgb) {
        let mut cells = cells.peekable();
        if cells.peek().is_none() {
            return;
        }
        let (left, top) = self.corner(panel);
        let (middle_x, middle_y) = (left + self.panel_width / 2.0, top + self.panel_height / 2.0);
        let places = cells.map(|position| {
            let (dx, dy) = (position.x() - self.center.0, position.y() - self.center.1);
            (middle_x + dx * self.scale, middle_y - dy * self.scale, None)
        });
        svg.marks(mark, places, self.radius, color, 1.0);
    }
}
