//! Ranges of numbers on the command line: a value outside is wrong usage, named with its option.

use clap::builder::RangedU64ValueParser;

/// Parses a count of 1 or more.
pub(crate) fn count() -> RangedU64ValueParser<usize> {
    RangedU64ValueParser::new().range(1..)
}

/// Parses a finite number above 0.
pub(crate) fn positive(text: &str) -> Result<f64, String> {
    number(text, "above 0", |number| number > 0.0)
}

/// Parses a finite number of 0 or more.
pub(crate) fn not_negative(text: &str) -> Result<f64, String> {
    number(text, "of 0 or more", |number| number >= 0.0)
}

/// Parses a weight that is far from what 32 bits can hold.
pub(crate) fn weight(text: &str) -> Result<f64, String> {
    number(text, "from 1e-6 to 1e6", |number| (1e-6..=1e6).contains(&number))
}

/// Parses a place `X,Y` in micrometers.
pub(crate) fn place(text: &str) -> Result<(f64, f64), String> {
    let (x, y) = text.split_once(',').ok_or("expected two numbers X,Y")?;
    let coordinate = |text: &str| number(text.trim(), "on either side of the comma", |_| true);
    Ok((coordinate(x)?, coordinate(y)?))
}

fn number(text: &str, range: &str, is_in_range: fn(f64) -> bool) -> Result<f64, String> {
    match text.parse() {
        Ok(number) if f64::is_finite(number) && is_in_range(number) => Ok(number),
        _ => Err(format!("expected a finite number {range}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_outside_their_range_are_refused() {
        for text in ["nan", "inf", "-inf", "-1", "1e999", "", "x"] {
            assert!(positive(text).is_err() && not_negative(text).is_err(), "{text}");
        }
        assert_eq!(positive("0"), Err("expected a finite number above 0".to_owned()));
        assert_eq!(not_negative("0"), Ok(0.0));
        assert_eq!(positive("1e-3"), Ok(1e-3));
        assert_eq!(place("-50, 20.5"), Ok((-50.0, 20.5)));
        assert!(["50", "1,2,3", "1,", "x,1", "0,inf", "nan,0"].iter().all(|text| place(text).is_err()));
        assert_eq!(weight("8"), Ok(8.0));
        assert!(["0", "1e-46", "1e38", "nan"].iter().all(|text| weight(text).is_err()));
    }
}
