//! The normalisation over slices, one block of rows a task.

use pulp::Arch;
use rayon::prelude::*;

use crate::kernels::lanes::{dot, sum};

/// Rows that one task handles: fixed, so that sums over blocks do not depend on the number of threads.
const BLOCK: usize = 128;

pub(super) fn forward(x: &[f32], weight: &[f32], eps: f32) -> Vec<f32> {
    let n = weight.len();
    let mut y = vec![0.0; x.len()];
    y.par_chunks_mut(BLOCK * n).zip(x.par_chunks(BLOCK * n)).for_each(|(y, x)| {
        Arch::new().dispatch(
            #[inline(always)]
            || {
                for (y, x) in y.chunks_exact_mut(n).zip(x.chunks_exact(n)) {
                    normalize(x, weight, eps, y);
                }
            },
        );
    });
    y
}

/// Returns the sums `x + delta` and the normalised sums.
pub(super) fn add_forward(x: &[f32], delta: &[f32], weight: &[f32], eps: f32) -> (Vec<f32>, Vec<f32>) {
    let n = weight.len();
    let (mut sum, mut y) = (vec![0.0; x.len()], vec![0.0; x.len()]);
    let inputs = x.par_chunks(BLOCK * n).zip(delta.par_chunks(BLOCK * n));
    sum.par_chunks_mut(BLOCK * n).zip(y.par_chunks_mut(BLOCK * n)).zip(inputs).for_each(|((sum, y), (x, delta))| {
        Arch::new().dispatch(
            #[inline(always)]
            || {
                sum.iter_mut().zip(x).zip(delta).for_each(|((sum, x), delta)| *sum = x + delta);
                for (y, sum) in y.chunks_exact_mut(n).zip(sum.chunks_exact(n)) {
                    normalize(sum, weight, eps, y);
                }
            },
        );
    });
    (sum, y)
}

/// Normalises one row and returns the reciprocal of its root mean square.
#[inline(always)]
pub(crate) fn normalize(x: &[f32], weight: &[f32], eps: f32, y: &mut [f32]) -> f32 {
    let scale = 1.0 / (dot(x, x) / x.len() as f32 + eps).sqrt();
    for ((y, x), w) in y.iter_mut().zip(x).zip(weight) {
        *y = x * scale * w;
    }
    scale
}

pub(super) fn backward(x: &[f32], weight: &[f32], eps: f32, dy: &[f32]) -> (Vec<f32>, Vec<f32>) {
    let n = weight.len();
    let mut dx = vec![0.0; x.len()];
    let partial: Vec<Vec<f32>> = dx
        .par_chunks_mut(BLOCK * n)
        .zip(x.par_chunks(BLOCK * n).zip(dy.par_chunks(BLOCK * n)))
        .map(|(dx, (x, dy))| {
            let mut dweight = vec![0.0; n];
            Arch::new().dispatch(
                #[inline(always)]
                || {
                    for ((dx, x), dy) in dx.chunks_exact_mut(n).zip(x.chunks_exact(n)).zip(dy.chunks_exact(n)) {
                        differentiate(x, weight, eps, dy, dx, &mut dweight);
                    }
                },
            );
            dweight
        })
        .collect();
    let mut dweight = vec![0.0; n];
    for block in partial {
        dweight.iter_mut().zip(block).for_each(|(total, part)| *total += part);
    }
    (dx, dweight)
}

/// As [`backward`], with `residual` added to the gradient of the rows.
pub(super) fn add_backward(x: &[f32], weight: &[f32], eps: f32, dy: &[f32], residual: &[f32]) -> (Vec<f32>, Vec<f32>) {
    let (mut dx, dweight) = backward(x, weight, eps, dy);
    dx.par_chunks_mut(BLOCK * weight.len()).zip(residual.par_chunks(BLOCK * weight.len())).for_each(|(dx, residual)| {
        dx.iter_mut().zip(residual).for_each(|(dx, residual)| *dx += residual);
    });
    (dx, dweight)
}

/// Writes the gradient of one row to `dx` and adds its share to `dweight`; `dx` serves as scratch space first.
#[inline(always)]
pub(crate) fn differentiate(x: &[f32], weight: &[f32], eps: f32, dy: &[f32], dx: &mut [f32], dweight: &mut [f32]) {
    let n = x.len() as f32;
    let scale = 1.0 / (dot(x, x) / n + eps).sqrt();
    for (((dx, x), dy), w) in dx.iter_mut().zip(x).zip(dy).zip(weight) {
        *dx = x * dy * w;
    }
    let projection = sum(dx) * scale * scale / n;
    for ((((dx, x), dy), w), dw) in dx.iter_mut().zip(x).zip(dy).zip(weight).zip(dweight) {
        *dx = scale * (dy * w - x * projection);
        *dw += x * scale * dy;
    }
}
