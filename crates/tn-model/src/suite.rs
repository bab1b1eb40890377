//! What a device is checked by and timed with, in a program that carries no tests: `cargo xtask gpu`.
//!
//! A [`Check`] runs kernels on a device and in host memory, on odd sizes, and says how far they are apart. The types of [`work`] are the
//! operations whose speed counts, on random values that are made where they are used.

mod attention;
mod decoder;
mod optimizer;
mod place;
mod products;
mod rowwise;
pub mod work;
pub mod writing;

pub use place::Place;

use place::values;

/// Kernels that are compared with their bodies for processors.
#[derive(Clone, Copy)]
pub struct Check {
    /// What is compared.
    pub name: &'static str,
    run: fn(&Place) -> Vec<Difference>,
}

impl Check {
    /// Runs the kernels in both places.
    ///
    /// # Panics
    /// Panics when the device fails.
    #[must_use]
    pub fn run(&self, place: &Place) -> Vec<Difference> {
        (self.run)(place)
    }
}

/// How far apart two results are.
#[derive(Clone, Debug, PartialEq)]
pub struct Difference {
    /// Which result, of which size.
    pub what: String,
    /// The largest difference, relative to the largest expected value; infinite where shapes differ or a value is not a number.
    pub found: f64,
    /// What rounding explains.
    pub allowed: f64,
}

impl Difference {
    /// Compares two tensors.
    fn of<const D: usize>(
        what: impl Into<String>,
        allowed: f32,
        found: &burn::tensor::Tensor<D>,
        expected: &burn::tensor::Tensor<D>,
    ) -> Self {
        let shapes_differ = found.dims() != expected.dims();
        let relative = if shapes_differ { f64::INFINITY } else { relative(&values(found), &values(expected)) };
        Self { what: what.into(), found: relative, allowed: f64::from(allowed) }
    }

    /// Compares values.
    fn of_each(what: impl Into<String>, allowed: f32, found: &[f32], expected: &[f32]) -> Self {
        let relative = if found.len() == expected.len() { relative(found, expected) } else { f64::INFINITY };
        Self { what: what.into(), found: relative, allowed: f64::from(allowed) }
    }

    /// Compares two numbers.
    fn of_numbers(what: impl Into<String>, allowed: f32, found: f64, expected: f64) -> Self {
        let difference = (found - expected).abs() / expected.abs().max(f64::MIN_POSITIVE);
        let found = if difference.is_nan() { f64::INFINITY } else { difference };
        Self { what: what.into(), found, allowed: f64::from(allowed) }
    }

    /// Says whether two things that have to be equal are.
    fn of_equals<T: PartialEq>(what: impl Into<String>, found: &T, expected: &T) -> Self {
        Self { what: what.into(), found: if found == expected { 0.0 } else { f64::INFINITY }, allowed: 0.0 }
    }

    /// Returns whether the difference is one of rounding.
    #[must_use]
    pub fn is_small(&self) -> bool {
        self.found <= self.allowed
    }
}

/// Returns all checks: each operation forward and backward, then a small decoder.
#[must_use]
pub fn checks() -> Vec<Check> {
    let kernels = [rowwise::CHECKS, products::CHECKS, attention::CHECKS, optimizer::CHECKS, decoder::CHECKS];
    kernels.concat()
}

/// The largest difference over the largest expected value.
fn relative(found: &[f32], expected: &[f32]) -> f64 {
    let largest = expected.iter().fold(f32::MIN_POSITIVE, |largest, value| largest.max(value.abs()));
    let worst = found
        .iter()
        .zip(expected)
        .map(|(a, b)| (a - b).abs())
        .fold(0.0, |worst: f32, d| if d.is_nan() { f32::INFINITY } else { worst.max(d) });
    f64::from(worst) / f64::from(largest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn differences_are_relative_to_the_largest_value_and_nan_is_never_small() {
        assert_eq!(relative(&[1.0, 3.0], &[1.0, 4.0]), 0.25);
        assert_eq!(relative(&[], &[]), 0.0);
        let unknown = Difference { what: String::new(), found: relative(&[f32::NAN], &[1.0]), allowed: 1.0 };
        assert!(!unknown.is_small());
        assert!(!Difference::of_numbers("", 1.0, f64::NAN, 1.0).is_small());
        assert!(!Difference::of_equals("", &1, &2).is_small());
    }

    #[test]
    fn the_processor_agrees_with_itself() {
        let place = Place::new(crate::Device::flex(), crate::Precision::F32);
        for check in checks() {
            let differences = check.run(&place);
            assert!(!differences.is_empty(), "{}", check.name);
            for Difference { what, found, allowed } in differences {
                assert!(found <= allowed, "{}, {what}: {found}", check.name);
            }
        }
    }
}
