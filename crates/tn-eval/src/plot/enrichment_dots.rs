//! Gene sets as dots.

use super::axis::{Axis, padded, range};
use super::color_bar::{self, ColorScale};
use super::frame::{BELOW, draw_x_axis};
use super::header::Header;
use super::mark::Mark;
use super::number::short;
use super::svg::{Anchor, GRID, INK, MUTED, Svg, TextStyle};
use super::text::{text_width, wrapped};
use super::{MARGIN, PlotError, WIDTH, finite, within};

const ROW: f64 = 32.0;
const LARGEST: f64 = 12.0;
const WIDEST_TERM: f64 = 380.0;
const LINE: f64 = 14.0;

/// One gene set of [`enrichment_dots`].
#[derive(Clone, Debug, PartialEq)]
pub struct EnrichmentDot {
    /// The gene set.
    pub term: String,
    /// Its normalized enrichment score.
    pub nes: f64,
    /// Its false discovery rate, 0 to 1.
    pub fdr: f64,
    /// The share of its genes in the leading edge (GSEApy's `Tag %`), 0 to 1.
    pub gene_share: f64,
}

/// Draws one row for each gene set, in the order given: its normalized enrichment score to the right, the area of the dot the
/// share of its genes in the leading edge, and the color its false discovery rate, dark for the smallest.
///
/// Colors are linear in the false discovery rate, so that a rate of 0 needs no cap; they run from 0 to the largest. A term that is
/// wider than the margin takes two lines and is cut at the end of the second; the tooltip of a dot has all of it and the numbers.
///
/// # Errors
///
/// No gene set, scores that are NaN or infinite, and rates or shares outside of 0 to 1 are errors.
///
/// ```
/// use tn_eval::plot::{EnrichmentDot, enrichment_dots};
///
/// let dot = |term: &str, nes, fdr, gene_share| EnrichmentDot { term: term.to_string(), nes, fdr, gene_share };
/// let sets = [dot("Interferon gamma signaling", 2.1, 0.0, 0.6), dot("Axon guidance", -1.4, 0.04, 0.3)];
/// let svg = enrichment_dots("OEC beside transplanted neurons", &sets)?;
/// assert!(svg.contains("Axon guidance"));
/// # Ok::<(), tn_eval::plot::PlotError>(())
/// ```
pub fn enrichment_dots(title: &str, dots: &[EnrichmentDot]) -> Result<String, PlotError> {
    validate(title, dots)?;
    let terms: Vec<Vec<String>> = dots.iter().map(|dot| wrapped(&dot.term, term_style(), WIDEST_TERM, 2)).collect();
    let widest = terms.iter().flatten().map(|line| text_width(line, term_style())).fold(0.0, f64::max);
    let header = Header::new(title, 0.0);
    let (left, right) = (MARGIN + widest + 14.0, WIDTH - MARGIN);
    let (top, bottom) = (header.bottom() + 4.0, header.bottom() + 4.0 + ROW * dots.len() as f64);
    let scores = range(dots.iter().map(|dot| dot.nes)).unwrap_or_default();
    // Dots lie wholly inside, also at both ends.
    let axis = Axis::new(padded(scores, 0.05), (left + LARGEST, right - LARGEST));

    let mut svg = Svg::new(WIDTH, bottom + BELOW + color_bar::HEIGHT + 22.0, title);
    header.draw(&mut svg);
    draw_x_axis(&mut svg, &axis, (left, right), (top, bottom), "normalized enrichment score");
    if scores.0 < 0.0 && scores.1 > 0.0 {
        svg.line((axis.pixel(0.0), top), (axis.pixel(0.0), bottom), MUTED, 1.0);
    }
    let scales = Scales::new(dots);
    for (index, (dot, lines)) in dots.iter().zip(&terms).enumerate() {
        let y = top + ROW * (index as f64 + 0.5);
        svg.line((left, y), (right, y), GRID, 0.7);
        for (row, line) in lines.iter().enumerate() {
            let first = y + 4.5 - LINE / 2.0 * (lines.len() - 1) as f64;
            svg.text(left - 10.0, first + LINE * row as f64, line, term_style());
        }
        let tooltip = format!(
            "{}: score {}, false discovery rate {}, {:.0}% of the genes",
            dot.term,
            short(dot.nes),
            short(dot.fdr),
            100.0 * dot.gene_share
        );
        scales.draw(&mut svg, (axis.pixel(dot.nes), y), dot, Some(&tooltip));
    }
    scales.draw_keys(&mut svg, bottom + BELOW + 14.0);
    Ok(svg.finish())
}

fn validate(title: &str, dots: &[EnrichmentDot]) -> Result<(), PlotError> {
    if dots.is_empty() {
        return Err(PlotError::Empty { title: title.to_string() });
    }
    for EnrichmentDot { term, nes, fdr, gene_share } in dots {
        finite(*nes, || format!("the score of {term:?}"))?;
        within((0.0, 1.0), *fdr, || format!("the false discovery rate of {term:?}"))?;
        within((0.0, 1.0), *gene_share, || format!("the share of genes of {term:?}"))?;
    }
    Ok(())
}

/// What colors and areas mean.
struct Scales {
    fdr: ColorScale,
    largest_share: f64,
}

impl Scales {
    fn new(dots: &[EnrichmentDot]) -> Self {
        let largest_fdr = dots.iter().map(|dot| dot.fdr).fold(0.0, f64::max);
        let largest_share = dots.iter().map(|dot| dot.gene_share).fold(0.0, f64::max);
        Self { fdr: ColorScale::new((0.0, largest_fdr)), largest_share: if largest_share > 0.0 { largest_share } else { 1.0 } }
    }

    fn radius(&self, share: f64) -> f64 {
        (LARGEST * (share / self.largest_share).sqrt()).max(1.5)
    }

    fn draw(&self, svg: &mut Svg, (x, y): (f64, f64), dot: &EnrichmentDot, tooltip: Option<&str>) {
        let radius = self.radius(dot.gene_share);
        svg.marks(Mark::Disc, std::iter::once((x, y, tooltip)), radius, self.fdr.color(dot.fdr), 1.0);
        // The brightest colors would be lost on white.
        svg.ring((x, y), radius, INK, 0.6, 0.0);
    }

    /// Draws the key of the areas in the left half of the figure and that of the colors in the right half.
    fn draw_keys(&self, svg: &mut Svg, top: f64) {
        let (middle, step) = (WIDTH / 4.0, 80.0);
        let ticks = Axis::new((0.0, self.largest_share), (0.0, 1.0)).ticks(4);
        let shares: Vec<f64> = ticks.into_iter().map(|(share, _)| share).filter(|share| *share > 0.0).collect();
        for (index, &share) in shares.iter().enumerate() {
            let x = middle + step * (index as f64 - (shares.len() - 1) as f64 / 2.0);
            let radius = self.radius(share);
            svg.ring((x - radius - 3.0, top + 8.0), radius, INK, 1.0, 0.0);
            svg.text(x + 3.0, top + 12.0, &format!("{}%", short(100.0 * share)), TextStyle::new(12.0, Anchor::Start).color(MUTED));
        }
        let name = TextStyle::new(13.0, Anchor::Middle);
        svg.text(middle, top + 45.0, "genes in the leading edge", name);
        self.fdr.draw(svg, (0.75 * WIDTH, top), WIDTH / 2.0 - 2.0 * MARGIN, "false discovery rate");
    }
}

fn term_style() -> TextStyle {
    TextStyle::new(13.0, Anchor::End)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dot(term: &str, nes: f64, fdr: f64, gene_share: f64) -> EnrichmentDot {
        EnrichmentDot { term: term.to_string(), nes, fdr, gene_share }
    }

    #[test]
    fn the_area_is_the_share() {
        let scales = Scales::new(&[dot("A", 1.0, 0.2, 0.8), dot("B", 1.0, 0.1, 0.2)]);
        assert_eq!((scales.radius(0.8), scales.radius(0.2)), (LARGEST, LARGEST / 2.0));
        assert_eq!(Scales::new(&[dot("A", 1.0, 0.0, 0.0)]).radius(0.0), 1.5);
    }

    #[test]
    fn rows_keep_their_order() {
        let svg = enrichment_dots("Title", &[dot("Zeta", 1.0, 0.1, 0.5), dot("Alpha", 2.0, 0.1, 0.5)]).unwrap();
        assert!(svg.find(">Zeta<").unwrap() < svg.find(">Alpha<").unwrap());
    }

    #[test]
    fn bad_input_is_an_error_with_its_values() {
        let check = |dots: &[EnrichmentDot], expected: &str| {
            assert_eq!(enrichment_dots("Title", dots).unwrap_err().to_string(), expected);
        };
        check(&[], "the figure \"Title\" has nothing to show");
        check(&[dot("Axon", f64::INFINITY, 0.1, 0.5)], "the score of \"Axon\" is inf, which has no place on an axis");
        check(&[dot("Axon", 1.0, -0.1, 0.5)], "the false discovery rate of \"Axon\" is -0.1, outside of 0 to 1");
        check(&[dot("Axon", 1.0, 0.1, f64::NAN)], "the share of genes of \"Axon\" is NaN, outside of 0 to 1");
    }
}
