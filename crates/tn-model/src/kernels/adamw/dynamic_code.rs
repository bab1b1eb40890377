//! Numbers from -1 to 1 in eight bits, denser towards zero.
//!
//! Dynamic quantization (Dettmers, arXiv 1511.04561) in the variant of 8-bit optimizers (Dettmers et al., arXiv 2110.02861): for each of
//! seven powers of ten, from `1e-6` to `1`, evenly spaced values between a tenth of the power and the power, twice as many for each
//! larger power; besides these 0 and 1. A signed code has every value with both signs and half as many of them. The values are those of
//! bitsandbytes.

use std::sync::LazyLock;

/// The code of values of both signs.
pub(super) static SIGNED: LazyLock<DynamicCode> = LazyLock::new(|| DynamicCode::new(1));
/// The code of values of 0 and above.
pub(super) static UNSIGNED: LazyLock<DynamicCode> = LazyLock::new(|| DynamicCode::new(2));

const POWERS: i32 = 7;

/// The 256 values of a code, ascending, and the borders between them.
#[derive(Debug)]
pub(super) struct DynamicCode {
    values: [f32; 256],
    borders: [f32; 255],
}

impl DynamicCode {
    /// Builds the code with `smallest` values for the smallest power of ten: 1 leaves room for the negative ones.
    fn new(smallest: usize) -> Self {
        let mut values = vec![0.0, 1.0];
        for power in 0..POWERS {
            let count = smallest << power;
            for i in 0..count {
                let share = (i as f64 + 0.5) / count as f64;
                let value = ((0.1 + 0.9 * share) * 10f64.powi(power + 1 - POWERS)) as f32;
                values.push(value);
                if smallest == 1 {
                    values.push(-value);
                }
            }
        }
        values.sort_by(f32::total_cmp);
        let values: [f32; 256] = std::array::from_fn(|i| values[i]);
        Self { values, borders: std::array::from_fn(|i| 0.5 * (values[i] + values[i + 1])) }
    }

    /// Returns the code of the nearest value; of two at the same distance the lower one. NaN has the lowest code.
    pub(super) fn encode(&self, value: f32) -> u8 {
        self.borders.partition_point(|&border| border < value) as u8
    }

    pub(super) fn decode(&self, code: u8) -> f32 {
        self.values[usize::from(code)]
    }

    #[cfg(any(test, feature = "gpu"))]
    pub(super) fn values(&self) -> &[f32; 256] {
        &self.values
    }

    #[cfg(feature = "gpu")]
    pub(super) fn borders(&self) -> &[f32; 255] {
        &self.borders
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_survives() {
        for code in [&*SIGNED, &*UNSIGNED] {
            for number in 0..=u8::MAX {
                assert_eq!(code.encode(code.decode(number)), number);
            }
        }
        assert_eq!(SIGNED.decode(SIGNED.encode(0.0)), 0.0);
        assert_eq!(UNSIGNED.decode(0), 0.0);
    }

    #[test]
    fn values_ascend_and_the_nearest_one_is_found() {
        for code in [&*SIGNED, &*UNSIGNED] {
            assert!(code.values().is_sorted_by(|a, b| a < b));
            for i in -1000..=1000i32 {
                let value = (i as f32 / 1000.0).powi(3);
                let nearest = code.values().iter().map(|v| (v - value).abs()).fold(f32::INFINITY, f32::min);
                assert!((code.decode(code.encode(value)) - value).abs() <= nearest * 1.000_01, "{value}");
            }
        }
    }

    #[test]
    fn the_error_is_at_most_half_a_step() {
        // Steps are finest, relative to the value, near the top of each power of ten and coarsest near its bottom.
        for (code, coarsest) in [(&*SIGNED, 0.07), (&*UNSIGNED, 0.035)] {
            for i in 1..1000 {
                let value = 0.1 + 0.0009 * i as f32;
                assert!((code.decode(code.encode(value)) / value - 1.0).abs() <= coarsest, "{value}");
            }
        }
    }
}
