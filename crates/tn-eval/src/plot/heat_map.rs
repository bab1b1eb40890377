//! Tables of values as colors.

use super::axis::range;
use super::color_bar::{self, ColorScale};
use super::group_names::GroupNames;
use super::header::Header;
use super::number::Notation;
use super::palette::{Rgb, luminance};
use super::svg::{Anchor, INK, Svg, TextStyle};
use super::text::{fitted, text_width};
use super::{MARGIN, PlotError, WIDTH};

const WIDEST_ROW_NAME: f64 = 240.0;
const WIDEST_CELL: f64 = 96.0;
/// Cells are flatter than they are wide where the table would otherwise be taller than this.
const TALLEST: f64 = 640.0;
const MISSING: Rgb = [0xE4, 0xE4, 0xE4];
const PAPER: Rgb = [0xFF; 3];

/// A table of values with a name for each row and column, such as how strongly each group of cells signals to each other group.
#[derive(Clone, Debug, PartialEq)]
pub struct HeatMap {
    rows: Vec<String>,
    columns: Vec<String>,
    values: Vec<f64>,
    row_axis: String,
    column_axis: String,
    value_name: String,
}

impl HeatMap {
    /// Creates a table from the values of the first row, then those of the second, and so on.
    ///
    /// # Errors
    ///
    /// Returns [`PlotError::Shape`] when there are not as many values as rows times columns, and [`PlotError::NotFinite`], with
    /// the row and the column, for an infinite value. NaN is a missing value.
    pub fn new<R, C>(rows: impl IntoIterator<Item = R>, columns: impl IntoIterator<Item = C>, values: Vec<f64>) -> Result<Self, PlotError>
    where
        R: Into<String>,
        C: Into<String>,
    {
        let rows: Vec<String> = rows.into_iter().map(Into::into).collect();
        let columns: Vec<String> = columns.into_iter().map(Into::into).collect();
        if values.len() != rows.len() * columns.len() {
            return Err(PlotError::Shape { found: values.len(), rows: rows.len(), columns: columns.len() });
        }
        if let Some(index) = values.iter().position(|value| value.is_infinite()) {
            let label = format!("the value of {:?} and {:?}", rows[index / columns.len()], columns[index % columns.len()]);
            return Err(PlotError::NotFinite { label, value: values[index] });
        }
        Ok(Self { rows, columns, values, row_axis: String::new(), column_axis: String::new(), value_name: String::new() })
    }

    /// Names the rows and the columns as a whole, such as `"sender"` and `"receiver"`.
    #[must_use]
    pub fn with_axes(mut self, rows: impl Into<String>, columns: impl Into<String>) -> Self {
        self.row_axis = rows.into();
        self.column_axis = columns.into();
        self
    }

    /// Names the values, beside the color bar.
    #[must_use]
    pub fn with_value_name(mut self, name: impl Into<String>) -> Self {
        self.value_name = name.into();
        self
    }
}

/// Draws a table as colors: the first row at the top, dark for the smallest value and bright for the largest.
///
/// Cells have their value where it fits, all with the same decimals; a missing one (NaN) is grey. Equal values take the darkest
/// color. Every cell has a tooltip with its row, its column and its value.
///
/// # Errors
///
/// Returns [`PlotError::Empty`] when there is no value that is not missing.
///
/// ```
/// use tn_eval::plot::{HeatMap, heat_map};
///
/// let groups = ["Astro", "Microglia"];
/// let table = HeatMap::new(groups, groups, vec![0.02, 0.31, 0.12, 0.05])?
///     .with_axes("sender", "receiver")
///     .with_value_name("communication probability");
/// let svg = heat_map("SPP1 signaling", &table)?;
/// assert!(svg.contains("<title>Astro, Microglia: 0.31</title>"));
/// # Ok::<(), tn_eval::plot::PlotError>(())
/// ```
pub fn heat_map(title: &str, table: &HeatMap) -> Result<String, PlotError> {
    let known = table.values.iter().copied().filter(|value| !value.is_nan());
    let (low, high) = range(known).ok_or_else(|| PlotError::Empty { title: title.to_string() })?;
    let grid = Grid::new(title, table);
    let names = GroupNames::new(table.columns.iter().map(String::as_str).collect(), grid.cell.0);
    let below_names = grid.bottom + names.height();
    let below = below_names + if table.column_axis.is_empty() { 0.0 } else { 24.0 };
    let mut svg = Svg::new(WIDTH, below + 16.0 + color_bar::HEIGHT + 10.0, title);
    grid.header.draw(&mut svg);
    names.draw(&mut svg, grid.left, grid.bottom);
    grid.draw_row_names(&mut svg, table, below_names);

    let scale = ColorScale::new((low, high));
    let notation = Notation::of_values(low.abs().max(high.abs()));
    for (index, &value) in table.values.iter().enumerate() {
        let (row, column) = (index / table.columns.len(), index % table.columns.len());
        let (color, number) = if value.is_nan() { (MISSING, String::new()) } else { (scale.color(value), notation.format(value)) };
        let named = if number.is_empty() { "missing" } else { &number };
        let tooltip = format!("{}, {}: {named}", table.rows[row], table.columns[column]);
        grid.draw_cell(&mut svg, (row, column), color, &number, &tooltip);
    }
    // Both stand in the middle of the cells, as far as the bar has room there.
    let half = color_bar::WIDTH / 2.0;
    let middle = ((grid.left + grid.right) / 2.0).clamp(MARGIN + half, WIDTH - MARGIN - half);
    let room = 2.0 * (middle - MARGIN).min(WIDTH - MARGIN - middle);
    svg.text_within(middle, below - 2.0, &table.column_axis, axis_style(Anchor::Middle), room);
    scale.draw(&mut svg, (middle, below + 16.0), room, &table.value_name);
    Ok(svg.finish())
}

/// Where the cells of a table lie.
struct Grid {
    header: Header,
    left: f64,
    right: f64,
    top: f64,
    bottom: f64,
    cell: (f64, f64),
}

impl Grid {
    fn new(title: &str, table: &HeatMap) -> Self {
        let header = Header::new(title, 0.0);
        let names = table.rows.iter().map(|name| text_width(&fitted(name, row_style(), WIDEST_ROW_NAME), row_style()));
        let axis = if table.row_axis.is_empty() { 0.0 } else { 26.0 };
        let left = MARGIN + axis + names.fold(0.0, f64::max) + 10.0;
        let width = ((WIDTH - MARGIN - left) / table.columns.len() as f64).min(WIDEST_CELL);
        let height = (0.6 * width).min(TALLEST / table.rows.len() as f64).clamp(15.0, 40.0);
        let top = header.bottom() + 4.0;
        let right = left + width * table.columns.len() as f64;
        Self { header, left, right, top, bottom: top + height * table.rows.len() as f64, cell: (width, height) }
    }

    /// Draws the names of the rows, and what they are; this may reach down to `lowest` where there are few rows.
    fn draw_row_names(&self, svg: &mut Svg, table: &HeatMap, lowest: f64) {
        for (index, name) in table.rows.iter().enumerate() {
            let middle = self.top + (index as f64 + 0.5) * self.cell.1;
            svg.text_within(self.left - 8.0, middle + 4.5, name, row_style(), WIDEST_ROW_NAME);
        }
        let height = self.bottom - self.top;
        if text_width(&table.row_axis, axis_style(Anchor::Middle)) <= height {
            svg.text_upwards(MARGIN + 12.0, self.top + height / 2.0, &table.row_axis, axis_style(Anchor::Middle), height);
        } else {
            svg.text_upwards(MARGIN + 12.0, self.top, &table.row_axis, axis_style(Anchor::End), lowest - self.top);
        }
    }

    fn draw_cell(&self, svg: &mut Svg, (row, column): (usize, usize), color: Rgb, number: &str, tooltip: &str) {
        let (width, height) = self.cell;
        let (left, top) = (self.left + column as f64 * width, self.top + row as f64 * height);
        // A hairline of paper between cells, as long as they are large.
        let gap = if width > 20.0 { 1.0 } else { 0.0 };
        svg.rect_with_tooltip((left, top), (width - gap, height - gap), color, tooltip);
        let ink = if luminance(color) > 0.3 { INK } else { PAPER };
        let style = TextStyle::new(12.0, Anchor::Middle).color(ink);
        if text_width(number, style) <= width - 4.0 {
            svg.text(left + width / 2.0, top + height / 2.0 + 4.0, number, style);
        }
    }
}

fn axis_style(anchor: Anchor) -> TextStyle {
    TextStyle::new(14.0, anchor)
}

fn row_style() -> TextStyle {
    TextStyle::new(13.0, Anchor::End)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_stand_in_rows_from_the_top() {
        let table = HeatMap::new(["A", "B"], ["x", "y", "z"], vec![0.0, 1.0, 2.0, 3.0, 4.0, f64::NAN]).unwrap();
        let svg = heat_map("Title", &table).unwrap();
        assert!(svg.contains("<title>B, x: 3.0</title>") && svg.contains("<title>B, z: missing</title>"));
        assert!(svg.contains("#440154") && svg.contains("#FDE725") && svg.contains("#E4E4E4"));
    }

    #[test]
    fn equal_values_are_drawn() {
        let table = HeatMap::new(["A"], ["x"], vec![f64::MAX]).unwrap();
        assert!(heat_map("Title", &table).unwrap().contains("#440154"));
    }

    #[test]
    fn bad_input_is_an_error_with_its_values() {
        let check = |table: Result<HeatMap, PlotError>, expected: &str| {
            let error = table.and_then(|table| heat_map("Title", &table)).unwrap_err();
            assert_eq!(error.to_string(), expected);
        };
        check(HeatMap::new(["A"], ["x", "y"], vec![1.0]), "1 values do not fill 1 rows and 2 columns");
        let infinite = HeatMap::new(["A"], ["x", "y"], vec![1.0, f64::INFINITY]);
        check(infinite, "the value of \"A\" and \"y\" is inf, which has no place on an axis");
        check(HeatMap::new(["A"], ["x"], vec![f64::NAN]), "the figure \"Title\" has nothing to show");
        check(HeatMap::new([""; 0], [""; 0], vec![]), "the figure \"Title\" has nothing to show");
    }
}
