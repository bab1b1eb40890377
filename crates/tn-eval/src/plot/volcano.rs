//! How much genes change against how sure that is.

use super::axis::{padded, range};
use super::frame::{BELOW, Frame};
use super::header::Header;
use super::legend::{Entry, Legend, Swatch};
use super::mark::Mark;
use super::number::short;
use super::palette::Rgb;
use super::point_labels::{Bounds, Obstacle, PointLabels};
use super::svg::{MUTED, Svg};
use super::{MARGIN, PlotError, WIDTH, finite, positive, thousands, within};

const HEIGHT: f64 = 460.0;
const RADIUS: f64 = 3.2;
/// How many genes are labeled if there is room for all.
const LABELS: usize = 24;
/// The vertical axis goes up to this negative logarithm at least, and a false discovery rate of 0 is drawn there at least.
const LOWEST_TOP: f64 = 1.0;

const UP: Rgb = [0xD5, 0x5E, 0x00];
const DOWN: Rgb = [0x00, 0x72, 0xB2];
const NEITHER: Rgb = [0xB8, 0xB8, 0xB8];

/// One gene of a [`volcano`].
#[derive(Clone, Debug, PartialEq)]
pub struct VolcanoPoint {
    /// The gene.
    pub gene: String,
    /// Its log2 fold change.
    pub log_fold_change: f64,
    /// Its false discovery rate, 0 to 1.
    pub fdr: f64,
}

/// What counts as a change in a [`volcano`]. The default is a log2 fold change of at least 0.5 either way at a false discovery
/// rate of at most 0.001.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct VolcanoThresholds {
    /// The smallest absolute log2 fold change.
    pub log_fold_change: f64,
    /// The largest false discovery rate.
    pub fdr: f64,
}

impl Default for VolcanoThresholds {
    fn default() -> Self {
        Self { log_fold_change: 0.5, fdr: 0.001 }
    }
}

/// Draws the log2 fold change of genes (to the right) against the negative decimal logarithm of their false discovery rate
/// (upwards), with the thresholds as dashed lines.
///
/// Genes beyond both thresholds, ends included, are colored and counted, up apart from down. Of these, the ones with the largest
/// π-value `|log fold change| · −log10(FDR)` carry their symbol as long as there is room: a label covers neither a point nor
/// another label. Colored points also have a tooltip. Xiao et al., Bioinformatics 30, 801 (2014).
///
/// A false discovery rate of 0, of which there is no logarithm, is drawn as a triangle a twentieth above the highest other point
/// (and above the threshold), and the legend says so.
///
/// # Errors
///
/// No gene at all, fold changes that are NaN or infinite, and false discovery rates outside of 0 to 1 (also NaN: leave such genes
/// out) are errors; so are a threshold of the fold change that is negative or not finite, and one of the rate that is not positive
/// or above 1.
///
/// ```
/// use tn_eval::plot::{VolcanoPoint, VolcanoThresholds, volcano};
///
/// let point = |gene: &str, log_fold_change, fdr| VolcanoPoint { gene: gene.to_string(), log_fold_change, fdr };
/// let genes = [point("CXCL13", 2.4, 1e-40), point("CCR7", -1.1, 1e-9), point("ACTB", 0.1, 0.7), point("GZMB", 0.9, 0.02)];
/// let svg = volcano("T cells in the tumor", &genes, VolcanoThresholds::default())?;
/// assert!(svg.contains(">CXCL13<") && svg.contains(">up (1)<") && svg.contains(">down (1)<"));
/// assert!(!svg.contains(">GZMB<")); // large, but not sure
/// # Ok::<(), tn_eval::plot::PlotError>(())
/// ```
pub fn volcano(title: &str, genes: &[VolcanoPoint], thresholds: VolcanoThresholds) -> Result<String, PlotError> {
    validate(title, genes, thresholds)?;
    let cap = cap(genes, thresholds);
    let heights: Vec<f64> = genes.iter().map(|gene| if gene.fdr == 0.0 { cap } else { surprise(gene.fdr) }).collect();
    let header = Header::new(title, 0.0);
    let groups = Groups::new(genes, thresholds);
    let names = groups.names();
    let legend = Legend::new(groups.entries(&names), (MARGIN, WIDTH - MARGIN));
    let top = heights.iter().copied().chain([surprise(thresholds.fdr)]).fold(LOWEST_TOP, f64::max);
    let frame = Frame::new(header.bottom() + legend.height() + 10.0, HEIGHT, (0.0, 1.06 * top));
    let ends = genes.iter().map(|gene| gene.log_fold_change).chain([-thresholds.log_fold_change, thresholds.log_fold_change]);
    let x_axis = frame.x_axis(padded(range(ends).unwrap_or_default(), 0.06));

    let mut svg = Svg::new(WIDTH, frame.bottom + BELOW, title);
    header.draw(&mut svg);
    legend.draw(&mut svg, header.bottom());
    frame.draw_y(&mut svg, "−log₁₀ false discovery rate");
    frame.draw_x(&mut svg, &x_axis, "log₂ fold change");
    for change in [-thresholds.log_fold_change, thresholds.log_fold_change] {
        let x = x_axis.pixel(change);
        svg.dashed_line((x, frame.top), (x, frame.bottom), MUTED);
    }
    let y = frame.y.pixel(surprise(thresholds.fdr));
    svg.dashed_line((frame.left, y), (frame.right, y), MUTED);

    let points: Vec<(f64, f64)> =
        genes.iter().zip(&heights).map(|(gene, &height)| (x_axis.pixel(gene.log_fold_change), frame.y.pixel(height))).collect();
    groups.draw(&mut svg, genes, &points);
    let area = Bounds { left: frame.left, right: frame.right, top: frame.top, bottom: frame.bottom };
    let obstacles: Vec<Obstacle> = points.iter().map(|&point| (point, RADIUS)).collect();
    let mut labels = PointLabels::new(area, &obstacles);
    for index in groups.by_pi_value(genes, &heights).into_iter().take(LABELS) {
        labels.place(index, &genes[index].gene);
    }
    labels.draw(&mut svg);
    Ok(svg.finish())
}

fn validate(title: &str, genes: &[VolcanoPoint], thresholds: VolcanoThresholds) -> Result<(), PlotError> {
    if genes.is_empty() {
        return Err(PlotError::Empty { title: title.to_string() });
    }
    let (change, rate) = (|| "the threshold of the fold change".to_owned(), || "the threshold of the false discovery rate".to_owned());
    finite(thresholds.log_fold_change, change)?;
    within((0.0, f64::INFINITY), thresholds.log_fold_change, change)?;
    positive(thresholds.fdr, rate)?;
    within((0.0, 1.0), thresholds.fdr, rate)?;
    for VolcanoPoint { gene, log_fold_change, fdr } in genes {
        finite(*log_fold_change, || format!("the change of {gene}"))?;
        within((0.0, 1.0), *fdr, || format!("the false discovery rate of {gene}"))?;
    }
    Ok(())
}

fn surprise(fdr: f64) -> f64 {
    // Adding 0.0 turns -0.0 into 0.0.
    -fdr.log10() + 0.0
}

/// The height of a false discovery rate of 0.
fn cap(genes: &[VolcanoPoint], thresholds: VolcanoThresholds) -> f64 {
    let highest = genes.iter().filter(|gene| gene.fdr > 0.0).map(|gene| surprise(gene.fdr)).fold(surprise(thresholds.fdr), f64::max);
    (1.05 * highest).max(LOWEST_TOP)
}

/// Which genes go up, which down, and which neither.
struct Groups {
    up: Vec<usize>,
    down: Vec<usize>,
    neither: Vec<usize>,
    zeros: usize,
}

impl Groups {
    fn new(genes: &[VolcanoPoint], thresholds: VolcanoThresholds) -> Self {
        let mut groups = Self { up: vec![], down: vec![], neither: vec![], zeros: genes.iter().filter(|gene| gene.fdr == 0.0).count() };
        for (index, gene) in genes.iter().enumerate() {
            let is_sure = gene.fdr <= thresholds.fdr;
            if is_sure && gene.log_fold_change >= thresholds.log_fold_change && gene.log_fold_change > 0.0 {
                groups.up.push(index);
            } else if is_sure && gene.log_fold_change <= -thresholds.log_fold_change && gene.log_fold_change < 0.0 {
                groups.down.push(index);
            } else {
                groups.neither.push(index);
            }
        }
        groups
    }

    fn names(&self) -> [String; 4] {
        [("up", self.up.len()), ("down", self.down.len()), ("neither", self.neither.len()), ("false discovery rate 0, capped", self.zeros)]
            .map(|(name, count)| format!("{name} ({})", thousands(count)))
    }

    fn entries<'a>(&self, names: &'a [String; 4]) -> impl Iterator<Item = Entry<'a>> + use<'a> {
        let colors = [(UP, Mark::Disc), (DOWN, Mark::Disc), (NEITHER, Mark::Disc), (MUTED, Mark::Triangle)];
        let shown = if self.zeros > 0 { 4 } else { 3 };
        names.iter().zip(colors).map(|(name, (color, mark))| Entry::new(name, color, Swatch::Mark(mark))).take(shown)
    }

    /// Draws the points, those of genes that change above the others.
    fn draw(&self, svg: &mut Svg, genes: &[VolcanoPoint], points: &[(f64, f64)]) {
        for (group, color) in [(&self.neither, NEITHER), (&self.down, DOWN), (&self.up, UP)] {
            for mark in [Mark::Disc, Mark::Triangle] {
                let of_mark = |index: &&usize| (genes[**index].fdr == 0.0) == (mark == Mark::Triangle);
                let shown: Vec<usize> = group.iter().filter(of_mark).copied().collect();
                if shown.is_empty() {
                    continue;
                }
                let tooltip = |index: usize| {
                    let VolcanoPoint { gene, log_fold_change, fdr } = &genes[index];
                    format!("{gene}: log fold change {}, false discovery rate {fdr:.1e}", short(*log_fold_change))
                };
                let tooltips: Vec<Option<String>> = shown.iter().map(|&index| (color != NEITHER).then(|| tooltip(index))).collect();
                let places = shown.iter().zip(&tooltips).map(|(&index, tooltip)| (points[index].0, points[index].1, tooltip.as_deref()));
                svg.marks(mark, places, RADIUS, color, 0.75);
            }
        }
    }

    /// The genes that change, the largest π-value first; of equals the first gene.
    fn by_pi_value(&self, genes: &[VolcanoPoint], heights: &[f64]) -> Vec<usize> {
        let mut order: Vec<usize> = self.up.iter().chain(&self.down).copied().collect();
        order.sort_unstable();
        let pi_value = |index: usize| genes[index].log_fold_change.abs() * heights[index];
        order.sort_by(|&a, &b| pi_value(b).total_cmp(&pi_value(a)));
        order
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn point(gene: &str, log_fold_change: f64, fdr: f64) -> VolcanoPoint {
        VolcanoPoint { gene: gene.to_string(), log_fold_change, fdr }
    }

    #[test]
    fn thresholds_belong_to_the_change() {
        let genes = [point("A", 0.5, 0.001), point("B", -0.5, 0.001), point("C", 0.49, 0.001), point("D", 0.5, 0.0011)];
        let groups = Groups::new(&genes, VolcanoThresholds::default());
        assert_eq!((groups.up, groups.down, groups.neither), (vec![0], vec![1], vec![2, 3]));
        let unchanged = Groups::new(&[point("A", 0.0, 0.0)], VolcanoThresholds { log_fold_change: 0.0, fdr: 1.0 });
        assert_eq!(unchanged.neither, [0]);
    }

    #[test]
    fn a_rate_of_zero_stands_above_all_others() {
        let genes = [point("A", 1.0, 1e-20), point("B", 1.0, 0.0)];
        assert!((cap(&genes, VolcanoThresholds::default()) - 21.0).abs() < 1e-9);
        let svg = volcano("Title", &genes, VolcanoThresholds::default()).unwrap();
        assert!(svg.contains(">false discovery rate 0, capped (1)<"));
        assert_eq!(svg.matches("<polygon").count(), 2); // the point and its key
        assert!(!volcano("Title", &genes[..1], VolcanoThresholds::default()).unwrap().contains("polygon"));
        assert_eq!(cap(&[point("A", 0.0, 0.0)], VolcanoThresholds { log_fold_change: 0.0, fdr: 1.0 }), LOWEST_TOP);
    }

    #[test]
    fn bad_input_is_an_error_with_its_values() {
        let check = |genes: &[VolcanoPoint], fdr: f64, expected: &str| {
            let error = volcano("Title", genes, VolcanoThresholds { log_fold_change: 0.5, fdr }).unwrap_err();
            assert_eq!(error.to_string(), expected);
        };
        check(&[], 0.05, "the figure \"Title\" has nothing to show");
        check(&[point("GFAP", f64::NAN, 0.1)], 0.05, "the change of GFAP is NaN, which has no place on an axis");
        check(&[point("GFAP", 1.0, f64::NAN)], 0.05, "the false discovery rate of GFAP is NaN, outside of 0 to 1");
        check(&[point("GFAP", 1.0, 1.5)], 0.05, "the false discovery rate of GFAP is 1.5, outside of 0 to 1");
        check(&[point("GFAP", 1.0, 0.1)], 0.0, "the threshold of the false discovery rate is 0, not a positive number");
        check(&[point("GFAP", 1.0, 0.1)], 2.0, "the threshold of the false discovery rate is 2, outside of 0 to 1");
        for change in [-1.0, f64::NAN, f64::INFINITY] {
            let thresholds = VolcanoThresholds { log_fold_change: change, fdr: 0.05 };
            assert!(volcano("Title", &[point("GFAP", 1.0, 0.1)], thresholds).is_err(), "{change}");
        }
    }
}
