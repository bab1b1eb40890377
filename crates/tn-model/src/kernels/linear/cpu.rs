//! The products over slices, blocks of the result's rows in parallel.

use rayon::prelude::*;

use crate::kernels::matmul::{View, Write, product};

/// Rows of activations that one task handles.
const ROWS: usize = 256;

/// Rows of a weight gradient that one task handles.
const OUTPUTS: usize = 128;

/// Shapes are `[rows, inputs, outputs]` in all three functions.
pub(super) fn forward(x: &[f32], weight: &[f32], [rows, inputs, outputs]: [usize; 3]) -> Vec<f32> {
    let mut y = vec![0.0; rows * outputs];
    y.par_chunks_mut(ROWS * outputs).zip(x.par_chunks(ROWS * inputs)).for_each(|(y, x)| {
        let shape = [y.len() / outputs, outputs, inputs];
        product(shape, View::rows(x, inputs), View::rows(weight, inputs).transposed(), 1.0, Write::Replace, y, outputs);
    });
    y
}

pub(super) fn input_gradient(dy: &[f32], weight: &[f32], [rows, inputs, outputs]: [usize; 3]) -> Vec<f32> {
    let mut dx = vec![0.0; rows * inputs];
    dx.par_chunks_mut(ROWS * inputs).zip(dy.par_chunks(ROWS * outputs)).for_each(|(dx, dy)| {
        let shape = [dx.len() / inputs, inputs, outputs];
        product(shape, View::rows(dy, outputs), View::rows(weight, inputs), 1.0, Write::Replace, dx, inputs);
    });
    dx
}

pub(super) fn weight_gradient(dy: &[f32], x: &[f32], [rows, inputs, outputs]: [usize; 3]) -> Vec<f32> {
    let mut dw = vec![0.0; outputs * inputs];
    dw.par_chunks_mut(OUTPUTS * inputs).enumerate().for_each(|(block, dw)| {
        let shape = [dw.len() / inputs, inputs, rows];
        let columns = &dy[(block * OUTPUTS).min(dy.len())..];
        product(shape, View::rows(columns, outputs).transposed(), View::rows(x, inputs), 1.0, Write::Replace, dw, inputs);
    });
    dw
}
