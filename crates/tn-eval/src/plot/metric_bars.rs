//! Scores of several predictors side by side.

use super::axis::{Axis, round_step};
use super::legend::{Legend, Swatch};
use super::palette::class_color;
use super::svg::{Anchor, GRID, INK, MUTED, Svg, TextStyle};
use super::{PlotError, WIDTH};
use crate::score::{Estimate, ScoreTable};

const LEFT: f64 = 64.0;
const RIGHT: f64 = 20.0;
const TITLE: f64 = 44.0;
const PLOT_HEIGHT: f64 = 300.0;
/// Bars narrower than this carry no number: it would touch its neighbors.
const NARROWEST_WITH_NUMBER: f64 = 25.0;

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

/// Draws groups of bars, such as one group for each metric and in each one bar for each predictor, from 0 upwards, with
/// 95% intervals as whiskers where an estimate has one.
///
/// Colors follow the order of the series. The legend stands between the title and the bars and takes as many rows as it
/// needs. Bars wide enough carry their number, two decimals.
///
/// # Errors
///
/// No group or no series, a series with another number of values than groups, and NaN, infinite or negative values are
/// errors.
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
    let highest = validate(title, groups, series)?;
    let entries = series.iter().enumerate().map(|(index, series)| (series.name.as_str(), class_color(index)));
    let legend = Legend::new(entries, Swatch::Square, (LEFT, WIDTH - RIGHT));
    let top = TITLE + legend.height() + 22.0;
    let bottom = top + PLOT_HEIGHT;
    let mut svg = Svg::new(WIDTH, bottom + 40.0, title);
    let style = TextStyle::new(18.0, Anchor::Start).bold();
    svg.text(20.0, 30.0, title, style);
    legend.draw(&mut svg, TITLE);

    let step = round_step(highest / 5.0);
    let axis = Axis::new((0.0, (highest / step).ceil() * step), (bottom, top));
    for (value, label) in axis.ticks(5) {
        let y = axis.pixel(value);
        svg.line((LEFT, y), (WIDTH - RIGHT, y), GRID, 1.0);
        let style = TextStyle::new(12.0, Anchor::End).color(MUTED);
        svg.text(LEFT - 8.0, y + 4.0, &label, style);
    }

    let group_width = (WIDTH - LEFT - RIGHT) / groups.len() as f64;
    let bar_width = (0.82 * group_width / series.len() as f64).min(64.0);
    for (index, group) in groups.iter().enumerate() {
        let middle = LEFT + (index as f64 + 0.5) * group_width;
        let left = middle - bar_width * series.len() as f64 / 2.0;
        for (position, series) in series.iter().enumerate() {
            let x = left + position as f64 * bar_width;
            let estimate = &series.values[index];
            let y = axis.pixel(estimate.mean);
            svg.rect(x + 1.0, y, bar_width - 2.0, bottom - y, class_color(position));
            let whisker = draw_interval(&mut svg, &axis, x + bar_width / 2.0, estimate);
            if bar_width >= NARROWEST_WITH_NUMBER {
                let style = TextStyle::new(11.0, Anchor::Middle);
                let number = format!("{:.2}", estimate.mean);
                svg.text(x + bar_width / 2.0, y.min(whisker) - 5.0, &number, style);
            }
        }
        let style = TextStyle::new(13.0, Anchor::Middle);
        svg.text(middle, bottom + 20.0, group.as_ref(), style);
    }
    svg.line((LEFT, bottom), (WIDTH - RIGHT, bottom), INK, 1.0);
    Ok(svg.finish())
}

/// Draws the interval and returns the pixel of its upper end.
fn draw_interval(svg: &mut Svg, axis: &Axis, x: f64, estimate: &Estimate) -> f64 {
    let (Some(low), Some(high)) = (estimate.low, estimate.high) else {
        return axis.pixel(estimate.mean);
    };
    let (low, high) = (axis.pixel(low.max(0.0)), axis.pixel(high));
    svg.line((x, low), (x, high), INK, 1.2);
    for y in [low, high] {
        svg.line((x - 3.5, y), (x + 3.5, y), INK, 1.2);
    }
    high
}

/// Returns the upper end of the highest bar or whisker.
fn validate<G: AsRef<str>>(title: &str, groups: &[G], series: &[BarSeries]) -> Result<f64, PlotError> {
    if groups.is_empty() || series.is_empty() {
        return Err(PlotError::Empty { title: title.to_string() });
    }
    let mut highest = 0.0_f64;
    for BarSeries { name, values } in series {
        if values.len() != groups.len() {
            return Err(PlotError::LengthMismatch { series: name.clone(), found: values.len(), expected: groups.len() });
        }
        for (group, estimate) in groups.iter().zip(values) {
            let ends = [Some(estimate.mean), estimate.low, estimate.high];
            if let Some(value) = ends.into_iter().flatten().find(|end| !end.is_finite()) {
                let label = format!("{} of {name}", group.as_ref());
                return Err(PlotError::NotFinite { label, value });
            }
            highest = highest.max(estimate.high.unwrap_or(0.0)).max(estimate.mean);
        }
    }
    // All zero: an axis all the same.
    Ok(if highest > 0.0 { highest } else { 1.0 })
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
