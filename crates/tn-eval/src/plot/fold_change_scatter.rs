//! Predicted against planted or observed log fold changes.

use super::axis::{Axis, range};
use super::palette::class_color;
use super::svg::{Anchor, GRID, INK, MUTED, Svg, TextStyle, text_width};
use super::{PlotError, WIDTH};
use crate::correlation::spearman;

const LEFT: f64 = 84.0;
const RIGHT: f64 = 24.0;
const TOP: f64 = 64.0;
const HEIGHT: f64 = 460.0;
const RADIUS: f64 = 4.0;
const LABEL: f64 = 12.0;
/// How many genes are labeled if there is room for all.
const LABELS: usize = 16;

/// One gene of a [`fold_change_scatter`].
#[derive(Clone, Debug, PartialEq)]
pub struct FoldChangePoint {
    /// The gene.
    pub gene: String,
    /// Its planted (or observed) log2 fold change.
    pub planted: f64,
    /// Its predicted log2 fold change.
    pub predicted: f64,
}

/// Draws predicted (upwards) against planted or observed (to the right) log2 fold changes.
///
/// The title ends in Spearman's correlation and the number of genes; where it is undefined, only in the number. Genes far
/// from no change carry their symbol, the farthest first, as long as there is room: a label covers neither a point nor
/// another label. Every point also has a tooltip. `x_name` and `y_name` label the axes.
///
/// # Errors
///
/// No gene at all, and NaN or infinite changes, are errors.
///
/// ```
/// use tn_eval::plot::{FoldChangePoint, fold_change_scatter};
///
/// let point = |gene: &str, planted, predicted| FoldChangePoint { gene: gene.to_string(), planted, predicted };
/// let genes = [point("SPP1", 1.5, 0.9), point("GFAP", 0.0, 0.1), point("AQP4", -1.0, -0.4)];
/// let svg = fold_change_scatter("Microglia near plaques", "planted", "predicted", &genes)?;
/// assert!(svg.contains("Spearman 1.00 (3 genes)"));
/// # Ok::<(), tn_eval::plot::PlotError>(())
/// ```
pub fn fold_change_scatter(title: &str, x_name: &str, y_name: &str, genes: &[FoldChangePoint]) -> Result<String, PlotError> {
    validate(title, genes)?;
    let (bottom, right) = (TOP + HEIGHT, WIDTH - RIGHT);
    let x_axis = Axis::new(padded(genes.iter().map(|gene| gene.planted)), (LEFT, right));
    let y_axis = Axis::new(padded(genes.iter().map(|gene| gene.predicted)), (bottom, TOP));
    let mut svg = Svg::new(WIDTH, bottom + 62.0, title);
    let style = TextStyle::new(18.0, Anchor::Start).bold();
    svg.text(20.0, 30.0, title, style);
    let style = TextStyle::new(14.0, Anchor::Start).color(MUTED);
    svg.text(20.0, 50.0, &summary(genes), style);

    draw_axes(&mut svg, &x_axis, &y_axis, x_name, y_name);
    let points: Vec<(f64, f64)> = genes.iter().map(|gene| (x_axis.pixel(gene.planted), y_axis.pixel(gene.predicted))).collect();
    let tooltips: Vec<String> =
        genes.iter().map(|gene| format!("{}: {x_name} {:.2}, {y_name} {:.2}", gene.gene, gene.planted, gene.predicted)).collect();
    let circles = points.iter().zip(&tooltips).map(|(&(x, y), tooltip)| (x, y, Some(tooltip.as_str())));
    svg.circles(circles, RADIUS, class_color(0), 0.7);
    for (index, label) in place_labels(genes, &points) {
        let style = TextStyle::new(LABEL, Anchor::Start);
        svg.text(label.left + 2.0, label.bottom - 3.0, &genes[index].gene, style);
    }
    Ok(svg.finish())
}

fn validate(title: &str, genes: &[FoldChangePoint]) -> Result<(), PlotError> {
    if genes.is_empty() {
        return Err(PlotError::Empty { title: title.to_string() });
    }
    for gene in genes {
        for value in [gene.planted, gene.predicted] {
            if !value.is_finite() {
                let label = format!("the change of {}", gene.gene);
                return Err(PlotError::NotFinite { label, value });
            }
        }
    }
    Ok(())
}

fn summary(genes: &[FoldChangePoint]) -> String {
    let planted: Vec<f64> = genes.iter().map(|gene| gene.planted).collect();
    let predicted: Vec<f64> = genes.iter().map(|gene| gene.predicted).collect();
    match spearman(&planted, &predicted) {
        Ok(correlation) => {
            let coefficient = format!("{:.2}", correlation.coefficient + 0.0).replace('-', "\u{2212}");
            format!("Spearman {coefficient} ({} genes)", genes.len())
        }
        Err(_) => format!("{} genes", genes.len()),
    }
}

/// The range of some changes and zero, with room around it.
fn padded(values: impl Iterator<Item = f64>) -> (f64, f64) {
    let (low, high) = range(values.chain(std::iter::once(0.0))).unwrap_or_default();
    let margin = (0.08 * (high - low)).max(0.1);
    (low - margin, high + margin)
}

fn draw_axes(svg: &mut Svg, x_axis: &Axis, y_axis: &Axis, x_name: &str, y_name: &str) {
    let (bottom, right) = (TOP + HEIGHT, WIDTH - RIGHT);
    let tick = TextStyle::new(12.0, Anchor::Middle).color(MUTED);
    for (value, label) in x_axis.ticks(8) {
        let x = x_axis.pixel(value);
        svg.line((x, TOP), (x, bottom), GRID, 0.7);
        svg.text(x, bottom + 17.0, &label, tick);
    }
    let tick = TextStyle::new(12.0, Anchor::End).color(MUTED);
    for (value, label) in y_axis.ticks(7) {
        let y = y_axis.pixel(value);
        svg.line((LEFT, y), (right, y), GRID, 0.7);
        svg.text(LEFT - 8.0, y + 4.0, &label, tick);
    }
    let (zero_x, zero_y) = (x_axis.pixel(0.0), y_axis.pixel(0.0));
    svg.line((zero_x, TOP), (zero_x, bottom), MUTED, 1.0);
    svg.line((LEFT, zero_y), (right, zero_y), MUTED, 1.0);
    let name = TextStyle::new(14.0, Anchor::Middle).color(INK);
    let unit = "log\u{2082} fold change";
    svg.text((LEFT + right) / 2.0, bottom + 44.0, &format!("{x_name} {unit}"), name);
    svg.text_upwards(30.0, (TOP + bottom) / 2.0, &format!("{y_name} {unit}"), name);
}

#[derive(Clone, Copy, Debug, PartialEq)]
struct LabelBox {
    left: f64,
    right: f64,
    top: f64,
    bottom: f64,
}

impl LabelBox {
    fn overlaps(&self, other: &Self) -> bool {
        self.left < other.right && other.left < self.right && self.top < other.bottom && other.top < self.bottom
    }

    fn covers(&self, (x, y): (f64, f64)) -> bool {
        let margin = RADIUS - 1.0;
        x > self.left - margin && x < self.right + margin && y > self.top - margin && y < self.bottom + margin
    }

    fn is_inside_the_plot(&self) -> bool {
        self.left > LEFT && self.right < WIDTH - RIGHT && self.top > TOP && self.bottom < TOP + HEIGHT
    }
}

/// Finds room for the labels of the genes farthest from no change: to the right of the point, to its left, above, below.
fn place_labels(genes: &[FoldChangePoint], points: &[(f64, f64)]) -> Vec<(usize, LabelBox)> {
    let mut farthest: Vec<usize> = (0..genes.len()).collect();
    let distance = |index: usize| {
        let spread = |value: fn(&FoldChangePoint) -> f64| genes.iter().map(|gene| value(gene).abs()).fold(1e-9, f64::max);
        (genes[index].planted / spread(|gene| gene.planted)).abs() + (genes[index].predicted / spread(|gene| gene.predicted)).abs()
    };
    let distances: Vec<f64> = (0..genes.len()).map(distance).collect();
    farthest.sort_by(|&a, &b| distances[b].total_cmp(&distances[a]));

    let mut placed: Vec<(usize, LabelBox)> = Vec::new();
    for index in farthest.into_iter().take(LABELS) {
        let free = candidates(&genes[index].gene, points[index]).into_iter().find(|candidate| {
            candidate.is_inside_the_plot()
                && !points.iter().any(|&point| candidate.covers(point))
                && !placed.iter().any(|(_, label)| label.overlaps(candidate))
        });
        if let Some(free) = free {
            placed.push((index, free));
        }
    }
    placed
}

fn candidates(gene: &str, (x, y): (f64, f64)) -> [LabelBox; 4] {
    let width = text_width(gene, LABEL) + 4.0;
    let height = LABEL + 2.0;
    let gap = RADIUS + 1.0;
    let at = |left: f64, top: f64| LabelBox { left, right: left + width, top, bottom: top + height };
    [
        at(x + gap, y - height / 2.0),
        at(x - gap - width, y - height / 2.0),
        at(x - width / 2.0, y - gap - height),
        at(x - width / 2.0, y + gap),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn point(gene: &str, planted: f64, predicted: f64) -> FoldChangePoint {
        FoldChangePoint { gene: gene.to_string(), planted, predicted }
    }

    #[test]
    fn labels_cover_neither_points_nor_each_other() {
        let genes: Vec<FoldChangePoint> = (0..60)
            .map(|index| {
                let angle = f64::from(index) * 2.4;
                let radius = f64::from(index % 7) / 3.0;
                point(&format!("GENE{index}"), radius * angle.cos(), radius * angle.sin())
            })
            .collect();
        let points: Vec<(f64, f64)> = genes.iter().map(|gene| (450.0 + gene.planted * 150.0, 300.0 - gene.predicted * 90.0)).collect();
        let labels = place_labels(&genes, &points);
        assert!(labels.len() >= 8);
        for (rank, (_, label)) in labels.iter().enumerate() {
            assert!(!points.iter().any(|&point| label.covers(point)));
            assert!(!labels[..rank].iter().any(|(_, other)| other.overlaps(label)));
        }
    }

    #[test]
    fn an_undefined_correlation_is_not_printed() {
        let svg = fold_change_scatter("Title", "planted", "predicted", &[point("A", 0.0, 1.0)]).unwrap();
        assert!(svg.contains(">1 genes<") && !svg.contains("Spearman"));
    }

    #[test]
    fn bad_input_is_an_error_with_its_values() {
        let check = |genes: &[FoldChangePoint], expected: &str| {
            let error = fold_change_scatter("Title", "planted", "predicted", genes).unwrap_err();
            assert_eq!(error.to_string(), expected);
        };
        check(&[], "the figure \"Title\" has nothing to show");
        check(&[point("GFAP", 1.0, f64::INFINITY)], "the change of GFAP is inf, which has no place on an axis");
    }
}
