//! Panics that are caught are no finding.

use std::backtrace::Backtrace;
use std::panic::{AssertUnwindSafe, catch_unwind, set_hook};
use std::sync::{Mutex, PoisonError};

static LAST: Mutex<String> = Mutex::new(String::new());

/// Lets panics unwind, where libFuzzer's hook would end the process: `tn-io` catches those of the libraries that decode HDF5
/// and Parquet.
pub fn let_unwind() {
    set_hook(Box::new(|panic| *LAST.lock().unwrap_or_else(PoisonError::into_inner) = format!("{panic}\n{}", Backtrace::capture())));
}

/// Runs a check and, if it panics after all, says where before the process ends.
pub fn report(check: impl FnOnce()) {
    if catch_unwind(AssertUnwindSafe(check)).is_err() {
        eprintln!("{}", LAST.lock().unwrap_or_else(PoisonError::into_inner));
        std::process::abort();
    }
}
