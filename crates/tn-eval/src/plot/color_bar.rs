//! Values as colors, and the key of them.

use super::axis::Axis;
use super::palette::{Rgb, value_color};
use super::svg::{Anchor, MUTED, Svg, TextStyle};

/// Height of a color bar with its ticks and its name.
pub(super) const HEIGHT: f64 = 50.0;
/// Width of a color bar.
pub(super) const WIDTH: f64 = 240.0;

const THICKNESS: f64 = 12.0;
const STEPS: usize = 60;

/// A range of values, dark for the lowest and bright for the highest.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct ColorScale {
    low: f64,
    high: f64,
}

impl ColorScale {
    /// The scale of values from `low` to `high`. If these are equal it goes on above them, so that they are dark.
    pub(super) fn new((low, high): (f64, f64)) -> Self {
        let above = if low == 0.0 { 1.0 } else { low + low.abs() / 10.0 };
        if low < high { Self { low, high } } else { Self { low, high: above } }
    }

    /// Where a value lies, from 0 to 1; NaN for NaN.
    pub(super) fn fraction(&self, value: f64) -> f64 {
        // Halves, so that the whole range of floating-point numbers can be a scale.
        ((value / 2.0 - self.low / 2.0) / (self.high / 2.0 - self.low / 2.0)).clamp(0.0, 1.0)
    }

    pub(super) fn color(&self, value: f64) -> Rgb {
        value_color(self.fraction(value))
    }

    /// Draws a horizontal color bar around `middle`: ticks below it, and below them what the values are, in at most `room` pixels.
    pub(super) fn draw(&self, svg: &mut Svg, (middle, top): (f64, f64), room: f64, name: &str) {
        // Whole pixels have no seams.
        let (left, step) = ((middle - WIDTH / 2.0).round(), WIDTH / STEPS as f64);
        for index in 0..STEPS {
            let color = value_color((index as f64 + 0.5) / STEPS as f64);
            svg.rect(left + index as f64 * step, top.round(), step, THICKNESS, color);
        }
        let bottom = top.round() + THICKNESS;
        let style = TextStyle::new(12.0, Anchor::Middle).color(MUTED);
        let axis = Axis::new((self.low, self.high), (left, left + WIDTH));
        for (value, label) in axis.ticks_side_by_side(5, style) {
            let x = axis.pixel(value);
            svg.line((x, bottom), (x, bottom + 4.0), MUTED, 1.0);
            svg.text(x, bottom + 15.0, &label, style);
        }
        svg.text_within(middle, bottom + 33.0, name, TextStyle::new(13.0, Anchor::Middle), room);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ends_of_a_scale_are_the_ends_of_the_colors() {
        let scale = ColorScale::new((-2.0, 2.0));
        assert_eq!([-2.0, 0.0, 2.0].map(|value| scale.fraction(value)), [0.0, 0.5, 1.0]);
        assert_eq!(ColorScale::new((f64::MIN, f64::MAX)).fraction(0.0), 0.5);
        assert!(scale.fraction(f64::NAN).is_nan());
    }

    #[test]
    fn equal_values_are_dark() {
        for value in [0.0, -7.0, 1e300] {
            let scale = ColorScale::new((value, value));
            assert_eq!(scale.color(value), value_color(0.0));
            assert!(scale.high > scale.low);
        }
    }
}
