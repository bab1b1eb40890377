//! The number format bf16: the upper half of a 32-bit floating-point number.

/// Returns the value of bf16 bits. Exact.
#[inline(always)]
pub(crate) fn widen(bits: u16) -> f32 {
    f32::from_bits(u32::from(bits) << 16)
}

/// Rounds to nearest, ties to even. NaN stays NaN: rounding could carry its payload into infinity.
#[inline(always)]
pub(crate) fn round(value: f32) -> u16 {
    let bits = value.to_bits();
    let rounded = bits.wrapping_add(0x7fff + (bits >> 16 & 1)) >> 16;
    let quiet = bits >> 16 | 0x40;
    (if value.is_nan() { quiet } else { rounded }) as u16
}

/// Rounds a value that is not negative to the next bf16 that is not smaller. NaN and infinity stay.
#[inline(always)]
pub(crate) fn round_up(value: f32) -> u16 {
    let bits = value.to_bits();
    let rounded = bits.wrapping_add(0xffff) >> 16;
    (if value.is_finite() { rounded } else { bits >> 16 | u32::from(value.is_nan()) << 6 }) as u16
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounding_goes_to_the_nearest_and_up() {
        for (value, nearest, up) in [
            (0.0, 0.0, 0.0),
            (1.0, 1.0, 1.0),
            (1.0 + 2f32.powi(-8), 1.0, 1.0 + 2f32.powi(-7)),
            (1.0 + 3.0 * 2f32.powi(-8), 1.0 + 2f32.powi(-6), 1.0 + 2f32.powi(-6)),
            (1.0 + 2f32.powi(-20), 1.0, 1.0 + 2f32.powi(-7)),
            (f32::INFINITY, f32::INFINITY, f32::INFINITY),
        ] {
            assert_eq!(widen(round(value)), nearest, "{value}");
            assert_eq!(widen(round_up(value)), up, "{value}");
        }
        assert_eq!(widen(round(-1.0 - 2f32.powi(-8))), -1.0);
        assert!(widen(round(f32::NAN)).is_nan() && widen(round_up(f32::NAN)).is_nan());
    }
}
