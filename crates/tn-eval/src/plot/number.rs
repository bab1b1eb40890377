//! Numbers as figures print them.

/// One way of printing all numbers of an axis, a color bar or a table, so that they can be compared at a glance.
///
/// Numbers between about 0.0001 and a million are decimals, others have an exponent. The minus sign is U+2212, as wide as a digit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Notation {
    /// With so many decimals.
    Decimal(usize),
    /// With an exponent, precise to this power of ten.
    Scientific(i32),
}

impl Notation {
    /// The notation of multiples of `step` that are not larger than `largest`.
    pub(super) fn of_step(step: f64, largest: f64) -> Self {
        let power = exponent(step);
        if (-5..=5).contains(&power) && largest.abs() < 1e6 {
            return Self::Decimal((-power).max(0) as usize);
        }
        Self::Scientific(power)
    }

    /// The notation of values that are not larger than `largest`: two or three digits of the largest.
    pub(super) fn of_values(largest: f64) -> Self {
        let largest = largest.abs();
        if largest == 0.0 || !largest.is_finite() {
            return Self::Decimal(0);
        }
        // A value of 1 is still one of a share: 0.25 beside 1.00.
        let above = exponent(largest) + i32::from(largest > 10_f64.powi(exponent(largest)) * (1.0 + 1e-9));
        Self::of_step(10_f64.powi(above - 2), largest)
    }

    pub(super) fn format(self, value: f64) -> String {
        let text = match self {
            Self::Decimal(decimals) => format!("{value:.decimals$}"),
            Self::Scientific(_) if value == 0.0 => "0".to_owned(),
            Self::Scientific(power) => {
                let digits = (exponent(value) - power).clamp(0, 15) as usize;
                format!("{value:.digits$e}")
            }
        };
        let is_zero = !text.contains(|c: char| c.is_ascii_digit() && c != '0');
        let text = if is_zero { text.trim_start_matches('-') } else { &text };
        text.replace('-', "\u{2212}")
    }
}

/// Prints a value that stands alone, with two or three digits.
pub(super) fn short(value: f64) -> String {
    Notation::of_values(value).format(value)
}

/// The power of ten of the first digit of a value.
fn exponent(value: f64) -> i32 {
    (value.abs().log10() + 1e-9).floor() as i32
}

/// Returns a length of some micrometers in micrometers or millimeters.
pub(super) fn length(micrometers: f64) -> String {
    let (value, unit) = if micrometers >= 1000.0 { (micrometers / 1000.0, "mm") } else { (micrometers, "µm") };
    let number = if (1e-3..1e5).contains(&value) {
        // Round lengths have few decimals; rounding hides the last bits of the division.
        format!("{}", (value * 1e4).round() / 1e4)
    } else {
        Notation::of_step(value, value).format(value)
    };
    format!("{number} {unit}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_of_any_size_are_short() {
        let check = |values: &[f64], expected: &[&str]| {
            let largest = values.iter().fold(0.0_f64, |largest, value| largest.max(value.abs()));
            let printed: Vec<String> = values.iter().map(|&value| Notation::of_values(largest).format(value)).collect();
            assert_eq!(printed, expected);
        };
        check(&[0.25, 1.0], &["0.25", "1.00"]);
        check(&[0.031, -0.0004], &["0.031", "0.000"]);
        check(&[120.0, 7.0], &["120", "7"]);
        check(&[0.0], &["0"]);
        check(&[2.5e-9, 1e-10, 0.0], &["2.5e−9", "1e−10", "0"]);
        check(&[-3e300, 1e299], &["−3.0e300", "1e299"]);
    }

    #[test]
    fn lengths_have_their_unit() {
        assert_eq!([0.5, 20.0, 999.0, 2500.0].map(length), ["0.5 µm", "20 µm", "999 µm", "2.5 mm"]);
        assert_eq!([2e-7, 5e12].map(length), ["2e−7 µm", "5e9 mm"]);
    }
}
