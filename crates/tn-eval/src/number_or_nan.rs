//! Numbers that JSON may lack.

use serde::{Deserialize, Deserializer};

/// Reads a number, and NaN from the `null` that JSON has instead of it.
pub(crate) fn number_or_nan<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or(f64::NAN))
}
