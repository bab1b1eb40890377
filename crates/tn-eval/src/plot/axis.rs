//! Linear axes with round ticks.

use super::number::Notation;
use super::svg::TextStyle;
use super::text::text_width;

/// A linear map from data to pixels.
#[derive(Clone, Copy, Debug)]
pub(super) struct Axis {
    low: f64,
    high: f64,
    from: f64,
    to: f64,
}

impl Axis {
    /// Maps `low..=high` onto the pixels `from..=to`. An empty range is widened to have a middle.
    pub(super) fn new((low, high): (f64, f64), (from, to): (f64, f64)) -> Self {
        let (low, high) = if low < high {
            (low, high)
        } else {
            let half = if low == 0.0 || (1.0..10.0).contains(&low.abs()) { 0.5 } else { low.abs() / 20.0 };
            (low - half, low + half)
        };
        Self { low, high, from, to }
    }

    pub(super) fn pixel(&self, value: f64) -> f64 {
        // Halves, so that the whole range of floating-point numbers can be an axis.
        self.from + (value / 2.0 - self.low / 2.0) / (self.high / 2.0 - self.low / 2.0) * (self.to - self.from)
    }

    /// About `count` ticks at multiples of 1, 2 or 5 times a power of ten, with their labels.
    pub(super) fn ticks(&self, count: usize) -> Vec<(f64, String)> {
        let step = round_step((self.high / 2.0 - self.low / 2.0) / count.max(1) as f64 * 2.0);
        let notation = Notation::of_step(step, self.low.abs().max(self.high.abs()));
        let first = (self.low / step - 1e-9).ceil() as i64;
        let last = (self.high / step + 1e-9).floor() as i64;
        (first..=last)
            .take(2 * count + 2)
            .map(|multiple| {
                let value = multiple as f64 * step;
                (value, notation.format(value))
            })
            .collect()
    }

    /// The most ticks, at most about `count`, whose labels stand beside each other on a horizontal axis.
    pub(super) fn ticks_side_by_side(&self, count: usize, style: TextStyle) -> Vec<(f64, String)> {
        let fits = |ticks: &Vec<(f64, String)>| {
            let widest = ticks.iter().map(|(_, label)| text_width(label, style)).fold(0.0, f64::max);
            ticks.windows(2).all(|pair| (self.pixel(pair[1].0) - self.pixel(pair[0].0)).abs() >= widest + style.size)
        };
        (1..=count).rev().map(|count| self.ticks(count)).find(fits).unwrap_or_default()
    }
}

/// The largest step: floating-point numbers end soon after.
const MOST_STEP: f64 = 1e308;

/// The smallest of 1, 2, 5 times a power of ten that is at least `step`.
pub(super) fn round_step(step: f64) -> f64 {
    let power = 10_f64.powf(step.log10().floor());
    let factor = [1.0, 2.0, 5.0, 10.0].into_iter().find(|factor| factor * power >= step * (1.0 - 1e-9));
    (factor.unwrap_or(10.0) * power).min(MOST_STEP)
}

/// The smallest and the largest of some finite values; `None` when there are none.
pub(super) fn range(values: impl Iterator<Item = f64>) -> Option<(f64, f64)> {
    values.fold(None, |range, value| match range {
        None => Some((value, value)),
        Some((low, high)) => Some((low.min(value), high.max(value))),
    })
}

/// Widens a range on both sides by a share of it.
pub(super) fn padded((low, high): (f64, f64), share: f64) -> (f64, f64) {
    let margin = share * (high / 2.0 - low / 2.0) * 2.0;
    ((low - margin).max(f64::MIN), (high + margin).min(f64::MAX))
}

#[cfg(test)]
mod tests {
    use super::super::svg::Anchor;
    use super::*;

    #[track_caller]
    fn check(low: f64, high: f64, count: usize, expected: &[&str]) {
        let ticks = Axis::new((low, high), (0.0, 1.0)).ticks(count);
        let labels: Vec<&str> = ticks.iter().map(|(_, label)| label.as_str()).collect();
        assert_eq!(labels, expected);
    }

    #[test]
    fn ticks_are_round() {
        check(0.0, 1.0, 5, &["0.0", "0.2", "0.4", "0.6", "0.8", "1.0"]);
        check(-3.2, 4.1, 4, &["−2", "0", "2", "4"]);
        check(0.0, 0.62, 6, &["0.0", "0.2", "0.4", "0.6"]);
        check(7.0, 7.0, 2, &["6.5", "7.0", "7.5"]);
    }

    #[test]
    fn values_of_any_size_have_ticks() {
        check(0.0, 3e-9, 3, &["0", "1e−9", "2e−9", "3e−9"]);
        check(-2e7, 2e7, 2, &["−2e7", "0", "2e7"]);
        check(5e12, 5e12, 4, &["4.8e12", "5.0e12", "5.2e12"]);
        check(f64::MIN, f64::MAX, 2, &["−1e308", "0", "1e308"]);
        let axis = Axis::new((f64::MIN, f64::MAX), (0.0, 100.0));
        assert_eq!((axis.pixel(0.0), axis.pixel(f64::MAX)), (50.0, 100.0));
    }

    #[test]
    fn labels_side_by_side_do_not_touch() {
        let style = TextStyle::new(12.0, Anchor::Middle);
        let axis = Axis::new((1_000.0, 1_000.05), (0.0, 200.0));
        assert!(axis.ticks(8).len() > axis.ticks_side_by_side(8, style).len());
        assert!(axis.ticks_side_by_side(8, style).len() >= 2);
    }

    #[test]
    fn a_step_is_rounded_up() {
        assert_eq!(round_step(120.0), 200.0);
        assert_eq!(round_step(100.0), 100.0);
        assert_eq!(round_step(0.7), 1.0);
    }
}
