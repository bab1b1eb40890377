//! The normalisation on a GPU, one cube a row.

use burn_cubecl::tensor::CubeTensor;
use cubecl::ir::ElemType;
use cubecl::prelude::*;

use crate::kernels::gpu::{self, UNITS, cube_sum};

#[cube(launch, address_type = "dynamic")]
fn normalize<F: Float, W: Float, N: Size>(
    x: &[Vector<F, N>],
    weight: &[Vector<W, N>],
    y: &mut [Vector<F, N>],
    eps: f32,
    rows: u32,
    #[comptime] vectors: usize,
    #[comptime] units: u32,
    #[define(F, W)] _types: [ElemType; 2],
) {
    let row = CUBE_POS;
    if row >= rows as usize {
        terminate!();
    }
    let mut shared = Shared::<[f32]>::new_slice(comptime![units as usize]);
    let start = row * vectors;
    let mut squares = Vector::<f32, N>::new(0.0);
    for at in range_stepped(UNIT_POS as usize, vectors, units as usize) {
        let values = Vector::<f32, N>::cast_from(x[start + at]);
        squares += values * values;
    }
    let total = cube_sum(squares.vector_sum(), shared.as_mut_slice(), units);
    let features = comptime![vectors] * N::value();
    let scale = Vector::<f32, N>::new(f32::inverse_sqrt(total / features as f32 + eps));
    for at in range_stepped(UNIT_POS as usize, vectors, units as usize) {
        let values = Vector::<f32, N>::cast_from(x[start + at]);
        y[start + at] = Vector::cast_from(values * scale * Vector::cast_from(weight[at]));
    }
}

pub(super) fn forward(x: &CubeTensor, weight: &CubeTensor, eps: f32) -> CubeTensor {
    let [rows, features] = [x.meta.shape()[0], x.meta.shape()[1]];
    let y = gpu::empty(x, [rows, features], x.dtype);
    if rows * features > 0 {
        let size = gpu::vector_size(&[x, weight], features);
        normalize::launch(
            &x.client,
            gpu::cubes(rows),
            CubeDim::new_1d(UNITS),
            gpu::addresses(&[x]),
            size,
            x.clone().into_buffer_arg(),
            weight.clone().into_buffer_arg(),
            y.clone().into_buffer_arg(),
            eps,
            rows as u32,
            features / size,
            UNITS,
            [gpu::elem(x), gpu::elem(weight)],
        );
    }
    y
}
