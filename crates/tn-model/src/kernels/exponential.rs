//! The exponential function in a form that compilers turn into vector instructions.

/// Returns `e^x` for `x <= 88`, with a relative error below 2e-7; 0 for `x < -87`.
///
/// Cody-Waite range reduction `x = n ln 2 + r`, `|r| <= ln 2 / 2`, and a polynomial of degree 6 for `e^r`
/// (coefficients of the Cephes library's `expf`). No branch and no table, so a loop over it vectorises.
/// NaN stays NaN.
#[inline(always)]
#[allow(clippy::excessive_precision, reason = "the published coefficients, digit for digit")]
pub(crate) fn exp(x: f32) -> f32 {
    // Adding 1.5 * 2^23 rounds to the nearest integer and leaves it in the low bits.
    const MAGIC: f32 = 12_582_912.0;
    let clamped = if x < -87.0 { -87.0 } else { x };
    let shifted = clamped * std::f32::consts::LOG2_E + MAGIC;
    let n = shifted - MAGIC;
    let r = (clamped - n * 0.693_359_375) - n * -2.121_944_4e-4;
    let polynomial =
        ((((1.987_569_15e-4 * r + 1.398_199_950_7e-3) * r + 8.333_451_907_3e-3) * r + 4.166_579_589_4e-2) * r + 1.666_666_545_9e-1) * r
            + 5.000_000_120_1e-1;
    let mantissa = polynomial * r * r + r + 1.0;
    let power = f32::from_bits(shifted.to_bits().wrapping_sub(MAGIC.to_bits()).wrapping_add(127) << 23);
    let value = mantissa * power;
    if x < -87.0 { 0.0 } else { value }
}

/// Rounds to the nearest integer, ties to even, for magnitudes below 2^22. NaN gives some integer.
#[inline(always)]
pub(crate) fn nearest(x: f32) -> i32 {
    const MAGIC: f32 = 12_582_912.0;
    (x + MAGIC).to_bits().wrapping_sub(MAGIC.to_bits()).cast_signed()
}

/// Returns the logistic function `1 / (1 + e^-x)`.
#[inline(always)]
pub(crate) fn sigmoid(x: f32) -> f32 {
    let bounded = if x < -87.0 { -87.0 } else { x };
    1.0 / (1.0 + exp(-bounded))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn agrees_with_the_standard_library() {
        let mut worst = 0.0f64;
        for step in 0..200_000 {
            let x = -86.0 + step as f32 * 8.7e-4;
            let expected = f64::from(x).exp();
            worst = worst.max((f64::from(exp(x)) - expected).abs() / expected);
        }
        assert!(worst < 2e-7, "relative error {worst}");
    }

    #[test]
    fn rounds_to_the_nearest_integer() {
        for (x, expected) in [(0.0, 0), (0.5, 0), (1.5, 2), (-0.5, 0), (-1.5, -2), (126.6, 127), (-127.0, -127)] {
            assert_eq!(nearest(x), expected, "{x}");
        }
    }

    #[test]
    fn handles_the_edges() {
        assert_eq!(exp(0.0), 1.0);
        assert_eq!(exp(f32::NEG_INFINITY), 0.0);
        assert_eq!(exp(-1000.0), 0.0);
        assert!(exp(f32::NAN).is_nan());
        assert_eq!(sigmoid(0.0), 0.5);
        assert_eq!(sigmoid(-1000.0), sigmoid(-87.0));
    }
}
