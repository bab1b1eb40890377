//! The gated activation over slices.

use pulp::Arch;
use rayon::prelude::*;

use crate::kernels::exponential::sigmoid;

/// Elements that one task handles.
const BLOCK: usize = 32 * 1024;

pub(super) fn forward(gate: &[f32], up: &[f32]) -> Vec<f32> {
    let mut a = vec![0.0; gate.len()];
    a.par_chunks_mut(BLOCK).zip(gate.par_chunks(BLOCK).zip(up.par_chunks(BLOCK))).for_each(|(a, (gate, up))| {
        Arch::new().dispatch(
            #[inline(always)]
            || {
                for ((a, &e), &u) in a.iter_mut().zip(gate).zip(up) {
                    *a = e * sigmoid(e) * u;
                }
            },
        );
    });
    a
}

pub(super) fn backward(gate: &[f32], up: &[f32], da: &[f32]) -> (Vec<f32>, Vec<f32>) {
    let (mut dgate, mut dup) = (vec![0.0; gate.len()], vec![0.0; gate.len()]);
    let inputs = gate.par_chunks(BLOCK).zip(up.par_chunks(BLOCK)).zip(da.par_chunks(BLOCK));
    dgate.par_chunks_mut(BLOCK).zip(dup.par_chunks_mut(BLOCK)).zip(inputs).for_each(|((dgate, dup), ((gate, up), da))| {
        Arch::new().dispatch(
            #[inline(always)]
            || {
                for ((((dgate, dup), &e), &u), &da) in dgate.iter_mut().zip(dup).zip(gate).zip(up).zip(da) {
                    let s = sigmoid(e);
                    *dup = da * e * s;
                    *dgate = da * u * s * (1.0 + e * (1.0 - s));
                }
            },
        );
    });
    (dgate, dup)
}
