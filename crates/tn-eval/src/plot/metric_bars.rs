//! Scores of several predictors side by side.

use super::axis::{range, round_step};
use super::frame::Frame;
use super::group_names::GroupNames;
use super::header::Header;
use super::legend::{Entry, Legend, Swatch};
use super::number::Notation;
use super::palette::class_color;
use super::svg::{Anchor, INK, Svg, TextStyle};
use super::text::text_width;
use super::{MARGIN, PlotError, WIDTH, finite};
use crate::score::{Estimate, ScoreTable};

const PLOT_HEIGHT: f64 = 300.0;

/// The bars of one predictor: a name, and an estimate for each group.
#[derive(Clone, Debug, PartialEq)]
pub struct BarSeries {
    name: String,
    values: Vec<Estimate>,
}

impl BarSeries {
    /// Creates a series.
    #[must_use]
    pub fn new(name: impl Into<String>, values: Vec<Estimate>) -> Self {
        Self { name: name.into(), values }
    }

    /// Creates the series of a score table, with a value for each of the named metrics.
    ///
    /// # Errors
    ///
    /// Returns [`PlotError::UnknownMetric`] for a name that is no metric of the table.
    pub fn from_scores(name: impl Into<String>, scores: &ScoreTable, metrics: &[&str]) -> Result<Self, PlotError> {
        let name = name.into();
        let estimate = |metric: &&str| {
            let unknown = || PlotError::UnknownMetric { series: name.clone(), metric: metric.to_string() };
            scores.estimate(metric).ok_or_else(unknown)
        };
        let values = metrics.iter().map(estimate).collect::<Result<_, _>>()?;
        Ok(Self { name, values })
    }
}

/// Draws groups of bars, such as one group for each metric and in each one bar for each predictor, from 0 upwards (or
/// downwards, such as a negative correlation), with 95% intervals as whiskers where an estimate has one.
///
/// Colors follow the order of the series, and repeat after fifteen. The legend stands between the title and the bars and takes
/// as many rows as it needs. Bars wide enough carry their number.
///
/// # Errors
///
/// No group or no series, a series with another number of values than groups, and NaN or infinite values are errors.
///
/// ```
/// use tn_eval::Estimate;
/// use tn_eval::plot::{BarSeries, metric_bars};
///
/// let model = BarSeries::new("TissueNarrator", vec![Estimate::from_values([0.5, 0.7])]);
/// let nearest = BarSeries::new("Nearest neighbor", vec![Estimate::from_values([0.4, 0.5])]);
/// let svg = metric_bars("Conditioned", &["overlap@30"], &[model, nearest])?;
/// assert!(svg.contains("Nearest neighbor"));
/// # Ok::<(), tn_eval::plot::PlotError>(())
/// ```
pub fn metric_bars<G: AsRef<str>>(title: &str, groups: &[G], series: &[BarSeries]) -> Result<String, PlotError> {
    validate(title, groups, series)?;
    let header = Header::new(title, 0.0);
    let entries = series.iter().enumerate().map(|(index, series)| Entry::new(&series.name, class_color(index), Swatch::Area));
    let legend = Legend::new(entries, (MARGIN, WIDTH - MARGIN));
    let range = rounded_range(series);
    let frame = Frame::unnamed(header.bottom() + legend.height() + 22.0, PLOT_HEIGHT, range);
    let group_width = (frame.right - frame.left) / groups.len() as f64;
    let names = GroupNames::new(groups.iter().map(AsRef::as_ref).collect(), group_width);
    // The numbers of bars that hang from zero stand above the names.
    let names_top = frame.bottom + if range.0 < 0.0 { 10.0 } else { 0.0 };
    let mut svg = Svg::new(WIDTH, names_top + names.height() + 14.0, title);
    header.draw(&mut svg);
    legend.draw(&mut svg, header.bottom());
    frame.draw_y(&mut svg, "");

    let bar_width = (0.82 * group_width / series.len() as f64).min(64.0);
    let bars = Bars { frame: &frame, lowest: range.0, width: bar_width, notation: Notation::of_values(largest_mean(series)) };
    for index in 0..groups.len() {
        let middle = frame.left + (index as f64 + 0.5) * group_width;
        let left = middle - bar_width * series.len() as f64 / 2.0;
        for (position, series) in series.iter().enumerate() {
            bars.draw(&mut svg, left + position as f64 * bar_width, position, &series.values[index]);
        }
    }
    names.draw(&mut svg, frame.left, names_top);
    let zero = frame.y.pixel(0.0);
    svg.line((frame.left, zero), (frame.right, zero), INK, 1.0);
    Ok(svg.finish())
}

/// What all bars of a figure share.
struct Bars<'a> {
    frame: &'a Frame,
    lowest: f64,
    width: f64,
    notation: Notation,
}

impl Bars<'_> {
    fn draw(&self, svg: &mut Svg, left: f64, series: usize, estimate: &Estimate) {
        let (zero, end, middle) = (self.frame.y.pixel(0.0), self.frame.y.pixel(estimate.mean), left + self.width / 2.0);
        let gap = (self.width / 10.0).min(1.0);
        svg.rect(left + gap, zero.min(end), self.width - 2.0 * gap, (zero - end).abs(), class_color(series));
        let (high, low) = match (estimate.low, estimate.high) {
            (Some(low), Some(high)) => (self.frame.y.pixel(high), self.frame.y.pixel(low.max(self.lowest))),
            _ => (end, end),
        };
        if high < low {
            let thickness = (self.width / 8.0).clamp(0.3, 1.2);
            svg.line((middle, low), (middle, high), INK, thickness);
            let half = 3.5_f64.min(self.width / 4.0);
            for y in [low, high] {
                svg.line((middle - half, y), (middle + half, y), INK, thickness);
            }
        }
        let number = self.notation.format(estimate.mean);
        let style = TextStyle::new(11.0, Anchor::Middle);
        if text_width(&number, style) <= self.width {
            let y = if estimate.mean < 0.0 { low.max(end) + 13.0 } else { high.min(end) - 5.0 };
            svg.text(middle, y, &number, style);
        }
    }
}

/// The range of all bars and whiskers, from 0 and to round numbers.
fn rounded_range(series: &[BarSeries]) -> (f64, f64) {
    let values = series.iter().flat_map(|series| &series.values);
    let ends = values.flat_map(|estimate| [Some(0.0), Some(estimate.mean), estimate.low, estimate.high]).flatten();
    let (low, high) = range(ends).unwrap_or_default();
    // The whisker of a mean above 0 may end below it, where there is nothing to see.
    let low = if series.iter().flat_map(|series| &series.values).all(|estimate| estimate.mean >= 0.0) { 0.0 } else { low };
    if low == high {
        return (0.0, 1.0);
    }
    let step = round_step((high / 5.0 - low / 5.0).max(f64::MIN_POSITIVE));
    (((low / step).floor() * step).max(f64::MIN), ((high / step).ceil() * step).min(f64::MAX))
}

fn largest_mean(series: &[BarSeries]) -> f64 {
    series.iter().flat_map(|series| &series.values).map(|estimate| estimate.mean.abs()).fold(0.0, f64::max)
}

fn validate<G: AsRef<str>>(title: &str, groups: &[G], series: &[BarSeries]) -> Result<(), PlotError> {
    if groups.is_empty() || series.is_empty() {
        return Err(PlotError::Empty { title: title.to_string() });
    }
    for BarSeries { name, values } in series {
        if values.len() != groups.len() {
            return Err(PlotError::LengthMismatch { series: name.clone(), found: values.len(), expected: groups.len() });
        }
        for (group, estimate) in groups.iter().zip(values) {
            for end in [Some(estimate.mean), estimate.low, estimate.high].into_iter().flatten() {
                finite(end, || format!("{} of {name}", group.as_ref()))?;
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bad_input_is_an_error_with_its_values() {
        let check = |groups: &[&str], series: &[BarSeries], expected: &str| {
            let error = metric_bars("Scores", groups, series).unwrap_err();
            assert_eq!(error.to_string(), expected);
        };
        check(&["a"], &[], "the figure \"Scores\" has nothing to show");
        let short = BarSeries::new("model", vec![]);
        check(&["a"], &[short], "series \"model\" has 0 values for 1 groups");
        let nan = BarSeries::new("model", vec![Estimate::from_values([f64::NAN])]);
        check(&["a"], &[nan], "a of model is NaN, which has no place on an axis");
    }

    #[test]
    fn a_series_of_scores_has_the_metrics_asked_for() {
        let overlap = Estimate::from_values([0.5]);
        let metrics = vec![crate::MetricScore { metric: crate::Metric::Overlap(30), estimate: overlap }];
        let scores = ScoreTable { rows: 1, samples: 1, unreadable: 0, metrics, class_accuracy: None, by_class: vec![] };
        assert_eq!(BarSeries::from_scores("model", &scores, &["overlap@30"]), Ok(BarSeries::new("model", vec![overlap])));
        let error = BarSeries::from_scores("model", &scores, &["overlap@5"]).unwrap_err();
        assert_eq!(error.to_string(), "series \"model\" has no metric \"overlap@5\"");
    }

    #[test]
    fn zeros_are_drawn() {
        let zero = BarSeries::new("random", vec![Estimate::from_values([0.0, 0.0])]);
        assert!(metric_bars("Scores", &["overlap@10"], &[zero]).is_ok());
    }

    #[test]
    fn negative_bars_hang_from_zero() {
        let series = BarSeries::new("model", vec![Estimate { mean: -0.4, low: Some(-0.5), high: Some(-0.3) }]);
        assert_eq!(rounded_range(std::slice::from_ref(&series)), (-0.5, 0.0));
        let svg = metric_bars("Spearman", &["MYD88"], &[series]).unwrap();
        assert!(svg.contains(">−0.40<"));
    }

    #[test]
    fn bars_start_below_the_legend() {
        let series: Vec<BarSeries> = (0..14)
            .map(|index| BarSeries::new(format!("A predictor with a long name {index}"), vec![Estimate::from_values([1.0])]))
            .collect();
        let svg = metric_bars("Scores", &["overlap@10"], &series).unwrap();
        let y_of = |needle: &str| -> f64 {
            let line = svg.lines().rfind(|line| line.contains(needle)).unwrap();
            let rest = line.split(" y=\"").nth(1).unwrap();
            rest.split('"').next().unwrap().parse().unwrap()
        };
        assert!(y_of("long name 13") + 10.0 < y_of(">1.00<"));
    }
}
