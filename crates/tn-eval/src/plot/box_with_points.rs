//! Distributions as boxes, with the values themselves.

use super::axis::{padded, range};
use super::box_statistics::BoxStatistics;
use super::frame::Frame;
use super::group_names::GroupNames;
use super::header::Header;
use super::mark::Mark;
use super::number::short;
use super::palette::class_color;
use super::svg::{INK, Svg};
use super::{PlotError, WIDTH, finite, thousands};

const HEIGHT: f64 = 360.0;
const RADIUS: f64 = 2.5;
/// A group shows at most so many of its values as points.
const MOST_POINTS: usize = 1_000;
/// How many intervals of the axis the density of the values is counted in.
const INTERVALS: usize = 24;

/// The values of one group.
#[derive(Clone, Debug, PartialEq)]
pub struct BoxGroup {
    name: String,
    values: Vec<f64>,
}

impl BoxGroup {
    /// Creates a group.
    #[must_use]
    pub fn new(name: impl Into<String>, values: Vec<f64>) -> Self {
        Self { name: name.into(), values }
    }
}

/// Draws one box for each group, in the order given, and the values behind it as points. `value_name` labels the vertical axis.
///
/// A box spans the quartiles and is divided at the median; a quantile lies at the place `q (n - 1)` of the sorted values, between
/// two values in proportion (type 7 of Hyndman and Fan, The American Statistician 50, 361 (1996)). Whiskers end at the farthest
/// values within 1.5 times the interquartile range of the box (Tukey, "Exploratory Data Analysis", 1977). This is what matplotlib
/// draws. Equal values give a box without height.
///
/// Points spread sideways as far as values are dense around them, at the places of van der Corput's sequence, so that the picture
/// shows the shape of the distribution and depends on no random number. Of a group with more than 1,000 values so many are drawn,
/// evenly chosen from the sorted ones, with both ends; the box is that of all values. The tooltip of a box has its numbers.
///
/// # Errors
///
/// No group, a group without values, and NaN or infinite values are errors.
///
/// ```
/// use tn_eval::plot::{BoxGroup, box_with_points};
///
/// let near = BoxGroup::new("T cells near MYD88 knock-outs", vec![0.2, 0.4, 0.5, 0.9]);
/// let control = BoxGroup::new("T cells near controls", vec![0.6, 0.8, 0.9, 1.4]);
/// let svg = box_with_points("NFKBIA", "log expression", &[near, control])?;
/// assert!(svg.contains("median 0.45"));
/// # Ok::<(), tn_eval::plot::PlotError>(())
/// ```
pub fn box_with_points(title: &str, value_name: &str, groups: &[BoxGroup]) -> Result<String, PlotError> {
    validate(title, groups)?;
    let header = Header::new(title, 0.0);
    let ends = range(groups.iter().flat_map(|group| &group.values).copied()).unwrap_or_default();
    let frame = Frame::new(header.bottom() + 6.0, HEIGHT, padded(ends, 0.05));
    let band = (frame.right - frame.left) / groups.len() as f64;
    let names = GroupNames::new(groups.iter().map(|group| group.name.as_str()).collect(), band);
    let mut svg = Svg::new(WIDTH, frame.bottom + names.height() + 14.0, title);
    header.draw(&mut svg);
    frame.draw_y(&mut svg, value_name);
    svg.line((frame.left, frame.bottom), (frame.right, frame.bottom), INK, 1.0);
    for (index, group) in groups.iter().enumerate() {
        let middle = frame.left + (index as f64 + 0.5) * band;
        draw_group(&mut svg, &frame, group, middle, (0.7 * band).min(130.0), index);
    }
    names.draw(&mut svg, frame.left, frame.bottom);
    Ok(svg.finish())
}

fn validate(title: &str, groups: &[BoxGroup]) -> Result<(), PlotError> {
    if groups.is_empty() {
        return Err(PlotError::Empty { title: title.to_string() });
    }
    for BoxGroup { name, values } in groups {
        if values.is_empty() {
            return Err(PlotError::Empty { title: name.clone() });
        }
        for &value in values {
            finite(value, || format!("a value of {name}"))?;
        }
    }
    Ok(())
}

fn draw_group(svg: &mut Svg, frame: &Frame, group: &BoxGroup, middle: f64, width: f64, index: usize) {
    let mut sorted = group.values.clone();
    sorted.sort_by(f64::total_cmp);
    let heights: Vec<f64> = evenly_chosen(&sorted).map(|value| frame.y.pixel(value)).collect();
    let offsets = offsets(&heights, (frame.top, frame.bottom));
    // Within the width of the box, whole points included.
    let reach = (width / 2.0 - RADIUS).max(0.0);
    let places = heights.iter().zip(offsets).map(|(&y, offset)| (middle + offset * reach, y, None));
    let opacity = if heights.len() > 200 { 0.35 } else { 0.55 };
    svg.marks(Mark::Disc, places, RADIUS.min(0.3 * width), class_color(index), opacity);

    let statistics = BoxStatistics::of_sorted(&sorted);
    let [low, first, median, third, high] =
        [statistics.lower_whisker, statistics.first_quartile, statistics.median, statistics.third_quartile, statistics.upper_whisker]
            .map(|value| frame.y.pixel(value));
    let thickness = (width / 8.0).clamp(0.3, 1.2);
    for (from, to) in [(low, first), (third, high)] {
        svg.line((middle, from), (middle, to), INK, thickness);
    }
    for end in [low, high] {
        svg.line((middle - width / 6.0, end), (middle + width / 6.0, end), INK, thickness);
    }
    let tooltip = format!(
        "{}: {} values, median {}, quartiles {} and {}",
        group.name,
        thousands(sorted.len()),
        short(statistics.median),
        short(statistics.first_quartile),
        short(statistics.third_quartile)
    );
    svg.outline((middle - width / 2.0, third), (width, first - third), INK, thickness, &tooltip);
    svg.line((middle - width / 2.0, median), (middle + width / 2.0, median), INK, 2.0 * thickness);
}

/// All values, or so many of them as are drawn, the smallest and the largest among them.
fn evenly_chosen(sorted: &[f64]) -> impl Iterator<Item = f64> {
    let count = sorted.len().min(MOST_POINTS);
    (0..count).map(move |index| sorted[if count == sorted.len() { index } else { index * (sorted.len() - 1) / (count - 1) }])
}

/// How far points go sideways, from -1 to 1, by the density of the heights around them.
fn offsets(heights: &[f64], (top, bottom): (f64, f64)) -> Vec<f64> {
    let interval = |height: f64| (((height - top) / (bottom - top)).clamp(0.0, 1.0) * (INTERVALS - 1) as f64).round() as usize;
    let mut counts = [0_usize; INTERVALS];
    for &height in heights {
        counts[interval(height)] += 1;
    }
    // A point more in every interval keeps a few values from spreading as a crowd does.
    let most = counts.iter().max().copied().unwrap_or(0).max(4) as f64;
    let spread = |height: f64| counts[interval(height)].saturating_sub(1) as f64 / (most - 1.0);
    heights.iter().enumerate().map(|(index, &height)| spread(height) * (2.0 * van_der_corput(index + 1) - 1.0)).collect()
}

/// The digits of an index in base 2, mirrored at the point: numbers between 0 and 1 that keep away from those before them.
fn van_der_corput(index: usize) -> f64 {
    (index as u64).reverse_bits() as f64 / 2_f64.powi(64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn points_spread_where_values_are_dense() {
        let mut heights = vec![50.0; 40];
        heights.push(90.0);
        let offsets = offsets(&heights, (0.0, 100.0));
        assert_eq!(offsets[40], 0.0);
        assert!(offsets[..40].iter().any(|offset| *offset > 0.8) && offsets[..40].iter().any(|offset| *offset < -0.8));
        assert!(offsets.iter().all(|offset| offset.abs() <= 1.0));
        assert_eq!([1, 2, 3, 4].map(van_der_corput), [0.5, 0.25, 0.75, 0.125]);
    }

    #[test]
    fn a_large_group_keeps_its_ends() {
        let sorted: Vec<f64> = (0..12_345).map(f64::from).collect();
        let chosen: Vec<f64> = evenly_chosen(&sorted).collect();
        assert_eq!((chosen.len(), chosen[0], chosen[999]), (1_000, 0.0, 12_344.0));
        assert_eq!(evenly_chosen(&sorted[..7]).collect::<Vec<_>>(), &sorted[..7]);
    }

    #[test]
    fn bad_input_is_an_error_with_its_values() {
        let check = |groups: &[BoxGroup], expected: &str| {
            assert_eq!(box_with_points("Title", "value", groups).unwrap_err().to_string(), expected);
        };
        check(&[], "the figure \"Title\" has nothing to show");
        check(&[BoxGroup::new("near", vec![])], "the figure \"near\" has nothing to show");
        check(&[BoxGroup::new("near", vec![1.0, f64::NAN])], "a value of near is NaN, which has no place on an axis");
    }
}
