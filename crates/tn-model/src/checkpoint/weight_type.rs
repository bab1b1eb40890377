//! The number formats of weights.

use crate::kernels::bf16;

/// The number format of weights in a file. All are little-endian.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum WeightType {
    /// 32-bit IEEE floating point.
    F32,
    /// 16-bit IEEE floating point: three more bits of precision than bf16, but nothing above 65,504.
    F16,
    /// The upper half of a 32-bit floating-point number.
    Bf16,
}

impl WeightType {
    /// Returns the name in a safetensors header.
    pub fn name(self) -> &'static str {
        match self {
            Self::F32 => "F32",
            Self::F16 => "F16",
            Self::Bf16 => "BF16",
        }
    }

    /// Returns the name in PyTorch and in `config.json`.
    pub fn torch_name(self) -> &'static str {
        match self {
            Self::F32 => "float32",
            Self::F16 => "float16",
            Self::Bf16 => "bfloat16",
        }
    }

    /// Returns the number of bytes of one value.
    pub fn size(self) -> usize {
        match self {
            Self::F32 => 4,
            Self::F16 | Self::Bf16 => 2,
        }
    }

    pub(super) fn from_name(name: &str) -> Option<Self> {
        [Self::F32, Self::F16, Self::Bf16].into_iter().find(|weight_type| weight_type.name() == name)
    }

    /// Converts stored bytes to values. Exact for all three formats.
    pub(super) fn decode(self, bytes: &[u8]) -> Vec<f32> {
        match self {
            Self::F32 => bytes.as_chunks().0.iter().map(|&four| f32::from_le_bytes(four)).collect(),
            Self::F16 => bytes.as_chunks().0.iter().map(|&two| f16_to_f32(u16::from_le_bytes(two))).collect(),
            Self::Bf16 => bytes.as_chunks().0.iter().map(|&two| bf16::widen(u16::from_le_bytes(two))).collect(),
        }
    }

    /// Returns whether a finite value would be stored as infinity.
    pub(super) fn overflows(self, value: f32) -> bool {
        value.is_finite()
            && match self {
                Self::F32 => false,
                Self::F16 => f16_to_f32(f32_to_f16(value)).is_infinite(),
                Self::Bf16 => bf16::widen(bf16::round(value)).is_infinite(),
            }
    }

    /// Appends a value to stored bytes, rounded to nearest, ties to even.
    pub(super) fn encode(self, value: f32, bytes: &mut Vec<u8>) {
        match self {
            Self::F32 => bytes.extend(value.to_le_bytes()),
            Self::F16 => bytes.extend(f32_to_f16(value).to_le_bytes()),
            Self::Bf16 => bytes.extend(bf16::round(value).to_le_bytes()),
        }
    }
}

fn f32_to_f16(value: f32) -> u16 {
    let sign = (value.to_bits() >> 16) as u16 & 0x8000;
    let magnitude = value.to_bits() & 0x7fff_ffff;
    let magnitude_16 = match magnitude {
        0x7f80_0001.. => 0x7e00,
        // From 2^16 on: infinity.
        0x4780_0000.. => 0x7c00,
        // From 2^-14 on: another bias of the exponent, and 13 bits of the fraction fewer. Rounding may carry into the exponent.
        0x3880_0000.. => {
            let rebased = magnitude - (112 << 23);
            ((rebased + 0xfff + (rebased >> 13 & 1)) >> 13) as u16
        }
        // Multiples of 2^-24; the product is exact.
        _ => (f32::from_bits(magnitude) * 2f32.powi(24)).round_ties_even() as u16,
    };
    sign | magnitude_16
}

fn f16_to_f32(bits: u16) -> f32 {
    let sign = if bits >> 15 == 1 { -1.0 } else { 1.0 };
    let exponent = i32::from(bits >> 10 & 0x1f);
    let fraction = f32::from(bits & 0x3ff);
    // Every half-precision number is a 32-bit one, so these products are exact.
    match exponent {
        0 => sign * fraction * 2f32.powi(-24),
        31 if fraction == 0.0 => sign * f32::INFINITY,
        31 => f32::NAN,
        _ => sign * (1024.0 + fraction) * 2f32.powi(exponent - 25),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_precision_is_read_exactly() {
        for (bits, expected) in [
            (0x0000, 0.0),
            (0x0001, 5.960_464_5e-8),
            (0x03ff, 6.097_555e-5),
            (0x0400, 6.103_515_6e-5),
            (0x3555, 0.333_251_95),
            (0x3c00, 1.0),
            (0xc000, -2.0),
            (0x7bff, 65_504.0),
            (0x7c00, f32::INFINITY),
            (0xfc00, f32::NEG_INFINITY),
        ] {
            assert_eq!(f16_to_f32(bits), expected, "{bits:#06x}");
        }
        assert!(f16_to_f32(0x8000).is_sign_negative());
        assert!(f16_to_f32(0x7e00).is_nan());
    }

    #[test]
    fn values_are_rounded_to_the_nearest_bf16_ties_to_even() {
        for (value, expected) in [
            (1.0, 1.0),
            (1.003_907, 1.007_812_5),       // just above the middle
            (1.0 + 1.0 / 256.0, 1.0),       // the middle, down to even
            (1.0 + 3.0 / 256.0, 1.015_625), // the middle, up to even
            (-0.1, -0.100_097_656),
            (3.4e38, f32::INFINITY),
            (f32::NEG_INFINITY, f32::NEG_INFINITY),
        ] {
            assert_eq!(bf16::widen(bf16::round(value)), expected, "{value}");
        }
        assert!(bf16::widen(bf16::round(f32::from_bits(0x7fff_ffff))).is_nan());
    }

    #[test]
    fn values_are_rounded_to_the_nearest_f16_ties_to_even() {
        for (value, expected) in [
            (1.0 + 1.0 / 2048.0, 1.0),         // the middle, down to even
            (1.0 + 3.0 / 2048.0, 1.001_953_1), // the middle, up to even
            (65_519.0, 65_504.0),
            (65_520.0, f32::INFINITY),
            (1e10, f32::INFINITY),
            (f32::NEG_INFINITY, f32::NEG_INFINITY),
            (2f32.powi(-25), 0.0),                      // the middle, down to even
            (3.0 * 2f32.powi(-25), 2f32.powi(-23)),     // the middle, up to even
            (1023.75 * 2f32.powi(-24), 2f32.powi(-14)), // from the subnormal to the normal numbers
            (-1.5 * 2f32.powi(-24), -2f32.powi(-23)),
        ] {
            assert_eq!(f16_to_f32(f32_to_f16(value)), expected, "{value}");
        }
        assert!(f16_to_f32(f32_to_f16(f32::NAN)).is_nan());
        assert!(f16_to_f32(f32_to_f16(-0.0)).is_sign_negative());
    }

    #[test]
    fn every_f16_survives() {
        for bits in 0..=u16::MAX {
            let value = f16_to_f32(bits);
            assert!(value.is_nan() || f32_to_f16(value) == bits, "{bits:#06x}");
        }
    }

    #[test]
    fn only_finite_values_that_become_infinite_overflow() {
        assert!(WeightType::F16.overflows(-65_520.0) && !WeightType::F16.overflows(65_519.0));
        assert!(WeightType::Bf16.overflows(f32::MAX) && !WeightType::Bf16.overflows(1e38));
        assert!(!WeightType::F32.overflows(f32::MAX));
        assert!(!WeightType::F16.overflows(f32::INFINITY) && !WeightType::F16.overflows(f32::NAN));
    }

    #[test]
    fn every_bf16_survives() {
        for bits in 0..=u16::MAX {
            let value = bf16::widen(bits);
            assert!(value.is_nan() || bf16::round(value) == bits);
        }
    }
}
