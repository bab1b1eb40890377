//! What the libraries that decode files did not foresee.

use std::panic::{AssertUnwindSafe, catch_unwind};

/// Runs a call of such a library on bytes that may be damaged in any way: the message of a panic becomes an error. What the call
/// worked on is not to be used after one.
pub(crate) fn catch<T>(call: impl FnOnce() -> T) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(call)).map_err(|payload| {
        let text = payload.downcast_ref::<String>().cloned();
        text.or_else(|| payload.downcast_ref::<&str>().map(|text| (*text).to_owned())).unwrap_or_default()
    })
}
