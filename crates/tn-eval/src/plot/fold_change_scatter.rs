//! Predicted against planted or observed log fold changes.

use super::axis::{padded, range};
use super::frame::{BELOW, Frame};
use super::header::Header;
use super::mark::Mark;
use super::number::{Notation, short};
use super::palette::class_color;
use super::point_labels::{Bounds, Obstacle, PointLabels};
use super::svg::{MUTED, Svg};
use super::{PlotError, WIDTH, finite, thousands};
use crate::correlation::spearman;

const HEIGHT: f64 = 460.0;
const RADIUS: f64 = 4.0;
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
    let header = Header::new(title, 0.0).with_subtitle(summary(genes));
    let frame = Frame::new(header.bottom() + 8.0, HEIGHT, with_zero(genes.iter().map(|gene| gene.predicted)));
    let x_axis = frame.x_axis(with_zero(genes.iter().map(|gene| gene.planted)));
    let mut svg = Svg::new(WIDTH, frame.bottom + BELOW, title);
    header.draw(&mut svg);
    let unit = "log\u{2082} fold change";
    frame.draw_y(&mut svg, &format!("{y_name} {unit}"));
    frame.draw_x(&mut svg, &x_axis, &format!("{x_name} {unit}"));
    let zero = (x_axis.pixel(0.0), frame.y.pixel(0.0));
    svg.line((zero.0, frame.top), (zero.0, frame.bottom), MUTED, 1.0);
    svg.line((frame.left, zero.1), (frame.right, zero.1), MUTED, 1.0);

    let points: Vec<(f64, f64)> = genes.iter().map(|gene| (x_axis.pixel(gene.planted), frame.y.pixel(gene.predicted))).collect();
    let tooltip = |gene: &FoldChangePoint| format!("{}: {x_name} {}, {y_name} {}", gene.gene, short(gene.planted), short(gene.predicted));
    let tooltips: Vec<String> = genes.iter().map(tooltip).collect();
    let places = points.iter().zip(&tooltips).map(|(&(x, y), tooltip)| (x, y, Some(tooltip.as_str())));
    svg.marks(Mark::Disc, places, RADIUS, class_color(0), 0.7);
    let area = Bounds { left: frame.left, right: frame.right, top: frame.top, bottom: frame.bottom };
    let obstacles: Vec<Obstacle> = points.iter().map(|&point| (point, RADIUS)).collect();
    let mut labels = PointLabels::new(area, &obstacles);
    for index in farthest_first(genes).into_iter().take(LABELS) {
        labels.place(index, &genes[index].gene);
    }
    labels.draw(&mut svg);
    Ok(svg.finish())
}

fn validate(title: &str, genes: &[FoldChangePoint]) -> Result<(), PlotError> {
    if genes.is_empty() {
        return Err(PlotError::Empty { title: title.to_string() });
    }
    for gene in genes {
        for value in [gene.planted, gene.predicted] {
            finite(value, || format!("the change of {}", gene.gene))?;
        }
    }
    Ok(())
}

fn summary(genes: &[FoldChangePoint]) -> String {
    let planted: Vec<f64> = genes.iter().map(|gene| gene.planted).collect();
    let predicted: Vec<f64> = genes.iter().map(|gene| gene.predicted).collect();
    let count = if genes.len() == 1 { "1 gene".to_owned() } else { format!("{} genes", thousands(genes.len())) };
    match spearman(&planted, &predicted) {
        Ok(correlation) => format!("Spearman {} ({count})", Notation::Decimal(2).format(correlation.coefficient)),
        Err(_) => count,
    }
}

/// The range of some changes and zero, with room around it.
fn with_zero(values: impl Iterator<Item = f64>) -> (f64, f64) {
    let (low, high) = range(values.chain(std::iter::once(0.0))).unwrap_or_default();
    if low == high { (-0.1, 0.1) } else { padded((low, high), 0.08) }
}

/// The genes by their distance from no change, either change in units of the largest.
fn farthest_first(genes: &[FoldChangePoint]) -> Vec<usize> {
    let largest = |value: fn(&FoldChangePoint) -> f64| genes.iter().map(|gene| value(gene).abs()).fold(f64::MIN_POSITIVE, f64::max);
    let (planted, predicted) = (largest(|gene| gene.planted), largest(|gene| gene.predicted));
    let distances: Vec<f64> = genes.iter().map(|gene| (gene.planted / planted).abs() + (gene.predicted / predicted).abs()).collect();
    let mut order: Vec<usize> = (0..genes.len()).collect();
    order.sort_by(|&a, &b| distances[b].total_cmp(&distances[a]));
    order
}

#[cfg(test)]
mod tests {
    use super::*;

    fn point(gene: &str, planted: f64, predicted: f64) -> FoldChangePoint {
        FoldChangePoint { gene: gene.to_string(), planted, predicted }
    }

    #[test]
    fn genes_far_from_no_change_are_labeled_first() {
        let genes = [point("GFAP", 0.1, 0.0), point("SPP1", -2.0, 0.5), point("AQP4", 0.5, 0.4)];
        assert_eq!(farthest_first(&genes), [1, 2, 0]);
    }

    #[test]
    fn an_undefined_correlation_is_not_printed() {
        let svg = fold_change_scatter("Title", "planted", "predicted", &[point("A", 0.0, 1.0)]).unwrap();
        assert!(svg.contains(">1 gene<") && !svg.contains("Spearman"));
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
