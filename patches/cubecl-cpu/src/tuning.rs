//! Tuning: programs run several kernels under a clock and keep the fastest. Here the clock says nothing, and every kernel costs a
//! compilation, so the first candidate that works is the only one: the others are refused before they are compiled.
//!
//! The device is not told what a measurement is for. A series of measurements ends where something is launched outside of one; within a
//! series, only the kernels of the first measurement that succeeded may run.

use std::collections::HashSet;

use cubecl_server::id::KernelId;

#[derive(Debug, Default)]
pub(crate) struct Tuning {
    /// Launched in the measurement that runs.
    launched: HashSet<KernelId>,
    /// The kernels of the first success of this series.
    chosen: Option<HashSet<KernelId>>,
}

impl Tuning {
    /// Whether a kernel may run.
    pub(crate) fn admits(&mut self, kernel: &KernelId, measured: bool) -> bool {
        if !measured {
            self.chosen = None;
            return true;
        }
        let admitted = self.chosen.as_ref().is_none_or(|chosen| chosen.contains(kernel));
        if admitted {
            self.launched.insert(kernel.clone());
        }
        admitted
    }

    pub(crate) fn start(&mut self) {
        self.launched.clear();
    }

    pub(crate) fn end(&mut self, succeeded: bool) {
        if succeeded && self.chosen.is_none() && !self.launched.is_empty() {
            self.chosen = Some(std::mem::take(&mut self.launched));
        }
    }
}
