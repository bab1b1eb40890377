//! Linear axes with round ticks.

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
        let (low, high) = if low < high { (low, high) } else { (low - 0.5, low + 0.5) };
        Self { low, high, from, to }
    }

    pub(super) fn pixel(&self, value: f64) -> f64 {
        self.from + (value - self.low) / (self.high - self.low) * (self.to - self.from)
    }

    /// About `count` ticks at multiples of 1, 2 or 5 times a power of ten, with their labels.
    pub(super) fn ticks(&self, count: usize) -> Vec<(f64, String)> {
        let step = round_step((self.high - self.low) / count.max(1) as f64);
        let decimals = (-step.log10().floor()).max(0.0) as usize;
        let first = (self.low / step - 1e-9).ceil() as i64;
        let last = (self.high / step + 1e-9).floor() as i64;
        (first..=last)
            .map(|multiple| {
                let value = multiple as f64 * step;
                (value, format!("{value:.decimals$}").replace('-', "\u{2212}"))
            })
            .collect()
    }
}

/// The smallest of 1, 2, 5 times a power of ten that is at least `step`.
pub(super) fn round_step(step: f64) -> f64 {
    let power = 10_f64.powf(step.log10().floor());
    let factor = [1.0, 2.0, 5.0, 10.0].into_iter().find(|factor| factor * power >= step * (1.0 - 1e-9));
    factor.unwrap_or(10.0) * power
}

/// The smallest and the largest of some finite values; `None` when there are none.
pub(super) fn range(values: impl Iterator<Item = f64>) -> Option<(f64, f64)> {
    values.fold(None, |range, value| match range {
        None => Some((value, value)),
        Some((low, high)) => Some((low.min(value), high.max(value))),
    })
}

#[cfg(test)]
mod tests {
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
    fn a_step_is_rounded_up() {
        assert_eq!(round_step(120.0), 200.0);
        assert_eq!(round_step(100.0), 100.0);
        assert_eq!(round_step(0.7), 1.0);
    }
}
