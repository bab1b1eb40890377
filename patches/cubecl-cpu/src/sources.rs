//! The CUDA C++ of the kernels that were launched.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

/// A kernel as CubeCL wrote it, before anything was changed for the host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// The kernel's full name with its types.
    pub name: String,
    /// The name of its `__global__` function.
    pub entry: String,
    /// The text, for NVRTC.
    pub text: Arc<str>,
}

static SOURCES: Mutex<BTreeMap<(String, Arc<str>), Source>> = Mutex::new(BTreeMap::new());

/// Takes the texts of all kernels that were launched since the last call, each text once, sorted by name.
///
/// Launches may be on their way: read a result before.
#[must_use]
pub fn sources() -> Vec<Source> {
    let mut sources = SOURCES.lock().unwrap_or_else(PoisonError::into_inner);
    std::mem::take(&mut *sources).into_values().collect()
}

pub(crate) fn record(source: &Source) {
    let mut sources = SOURCES.lock().unwrap_or_else(PoisonError::into_inner);
    let key = (source.name.clone(), source.text.clone());
    sources.entry(key).or_insert_with(|| source.clone());
}
