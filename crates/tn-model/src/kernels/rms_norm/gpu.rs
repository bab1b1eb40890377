//! The normalisation on a GPU, one cube a row.

use burn::tensor::DType;
use burn_cubecl::tensor::CubeTensor;
use cubecl::ir::ElemType;
use cubecl::prelude::*;

use crate::kernels::gpu::columns::{self, BLOCK};
use crate::kernels::gpu::reduce::{Groups, group_sum};
use crate::kernels::gpu::{self, UNITS};

#[cube(launch, address_type = "dynamic")]
fn normalize<F: Float, W: Float, N: Size>(
    x: &[Vector<F, N>],
    weight: &[Vector<W, N>],
    y: &mut [Vector<F, N>],
    eps: f32,
    rows: u32,
    #[comptime] vectors: usize,
    #[comptime] groups: Groups,
    #[define(F, W)] _types: [ElemType; 2],
) {
    if CUBE_POS >= rows as usize {
        terminate!();
    }
    let start = CUBE_POS * vectors;
    let mut squares = Vector::<f32, N>::new(0.0);
    for at in range_stepped(UNIT_POS as usize, vectors, groups.units as usize) {
        let values = Vector::<f32, N>::cast_from(x[start + at]);
        squares += values * values;
    }
    let scale = reciprocal::<N>(squares, vectors, eps, groups);
    for at in range_stepped(UNIT_POS as usize, vectors, groups.units as usize) {
        let values = Vector::<f32, N>::cast_from(x[start + at]);
        y[start + at] = Vector::cast_from(values * scale * Vector::cast_from(weight[at]));
    }
}

#[cube(launch, address_type = "dynamic")]
fn add_normalize<F: Float, W: Float, N: Size>(
    x: &[Vector<F, N>],
    delta: &[Vector<F, N>],
    weight: &[Vector<W, N>],
    sum: &mut [Vector<F, N>],
    y: &mut [Vector<F, N>],
    eps: f32,
    rows: u32,
    #[comptime] vectors: usize,
    #[comptime] groups: Groups,
    #[define(F, W)] _types: [ElemType; 2],
) {
    if CUBE_POS >= rows as usize {
        terminate!();
    }
    let start = CUBE_POS * vectors;
    let mut squares = Vector::<f32, N>::new(0.0);
    for at in range_stepped(UNIT_POS as usize, vectors, groups.units as usize) {
        let values = Vector::<f32, N>::cast_from(x[start + at]) + Vector::cast_from(delta[start + at]);
        sum[start + at] = Vector::cast_from(values);
        squares += values * values;
    }
    let scale = reciprocal::<N>(squares, vectors, eps, groups);
    for at in range_stepped(UNIT_POS as usize, vectors, groups.units as usize) {
        // The sum before it was rounded.
        let values = Vector::<f32, N>::cast_from(x[start + at]) + Vector::cast_from(delta[start + at]);
        y[start + at] = Vector::cast_from(values * scale * Vector::cast_from(weight[at]));
    }
}

/// The reciprocal of the root mean square of a row, from the squares that each unit has summed up.
#[cube]
fn reciprocal<N: Size>(squares: Vector<f32, N>, #[comptime] vectors: usize, eps: f32, #[comptime] groups: Groups) -> Vector<f32, N> {
    let features = comptime![vectors] * N::value();
    let total = group_sum(squares.vector_sum(), groups);
    Vector::new(f32::inverse_sqrt(total / features as f32 + eps))
}

#[cube(launch, address_type = "dynamic")]
fn differentiate<F: Float, W: Float, N: Size>(
    x: &[Vector<F, N>],
    weight: &[Vector<W, N>],
    dy: &[Vector<F, N>],
    residual: ComptimeOption<&[Vector<F, N>]>,
    dx: &mut [Vector<F, N>],
    reciprocals: ComptimeOption<&mut [f32]>,
    eps: f32,
    rows: u32,
    #[comptime] vectors: usize,
    #[comptime] groups: Groups,
    #[define(F, W)] _types: [ElemType; 2],
) {
    if CUBE_POS >= rows as usize {
        terminate!();
    }
    let start = CUBE_POS * vectors;
    let features = (comptime![vectors] * N::value()) as f32;
    let mut squares = Vector::<f32, N>::new(0.0);
    let mut products = Vector::<f32, N>::new(0.0);
    for at in range_stepped(UNIT_POS as usize, vectors, groups.units as usize) {
        let values = Vector::<f32, N>::cast_from(x[start + at]);
        squares += values * values;
        products += values * Vector::cast_from(dy[start + at]) * Vector::cast_from(weight[at]);
    }
    let scale = reciprocal::<N>(squares, vectors, eps, groups);
    let projection = scale * scale * Vector::new(group_sum(products.vector_sum(), groups) / features);
    for at in range_stepped(UNIT_POS as usize, vectors, groups.units as usize) {
        let values = Vector::<f32, N>::cast_from(x[start + at]);
        let scaled = Vector::<f32, N>::cast_from(dy[start + at]) * Vector::cast_from(weight[at]);
        let mut gradient = scale * (scaled - values * projection);
        #[comptime]
        if let ComptimeOption::Some(residual) = &residual {
            gradient += Vector::cast_from(residual[start + at]);
        }
        dx[start + at] = Vector::cast_from(gradient);
    }
    #[comptime]
    if let ComptimeOption::Some(reciprocals) = reciprocals {
        if UNIT_POS == 0 {
            reciprocals[CUBE_POS] = scale.extract(0usize);
        }
    }
}

/// The gradient of the weight, summed over blocks of rows: one unit a block and vector of columns.
#[cube(launch, address_type = "dynamic")]
fn differentiate_weight<F: Float, N: Size>(
    x: &[Vector<F, N>],
    dy: &[Vector<F, N>],
    reciprocals: &[f32],
    partial: &mut [Vector<f32, N>],
    rows: u32,
    #[comptime] vectors: usize,
    #[define(F)] _type: ElemType,
) {
    if ABSOLUTE_POS < partial.len() {
        let first = ABSOLUTE_POS / vectors * BLOCK;
        let column = ABSOLUTE_POS % vectors;
        let mut total = Vector::<f32, N>::new(0.0);
        for row in first..min(first + BLOCK, rows as usize) {
            let at = row * vectors + column;
            let scale = Vector::<f32, N>::new(reciprocals[row]);
            total += Vector::<f32, N>::cast_from(x[at]) * scale * Vector::cast_from(dy[at]);
        }
        partial[ABSOLUTE_POS] = total;
    }
}

pub(super) fn forward(x: &CubeTensor, weight: &CubeTensor, eps: f32) -> CubeTensor {
    let [rows, features] = [x.meta.shape()[0], x.meta.shape()[1]];
    let y = gpu::empty(x, [rows, features], x.dtype);
    if rows * features > 0 {
        let size = gpu::vector_size(&[x], features);
        let groups = Groups::of_row(&x.client, features / size);
        normalize::launch(
            &x.client,
            gpu::cubes(rows),
            groups.dim(),
            gpu::addresses(&[x]),
            size,
            x.clone().into_buffer_arg(),
            weight.clone().into_buffer_arg(),
            y.clone().into_buffer_arg(),
            eps,
            rows as u32,
            features / size,
            groups,
            [gpu::elem(x), gpu::elem(weight)],
        );
    }
    y
}

pub(super) fn add_forward(x: &CubeTensor, delta: &CubeTensor, weight: &CubeTensor, eps: f32) -> (CubeTensor, CubeTensor) {
    let [rows, features] = [x.meta.shape()[0], x.meta.shape()[1]];
    let (sum, y) = (gpu::empty(x, [rows, features], x.dtype), gpu::empty(x, [rows, features], x.dtype));
    if rows * features > 0 {
        let size = gpu::vector_size(&[x], features);
        let groups = Groups::of_row(&x.client, features / size);
        add_normalize::launch(
            &x.client,
            gpu::cubes(rows),
            groups.dim(),
            gpu::addresses(&[x]),
            size,
            x.clone().into_buffer_arg(),
            delta.clone().into_buffer_arg(),
            weight.clone().into_buffer_arg(),
            sum.clone().into_buffer_arg(),
            y.clone().into_buffer_arg(),
            eps,
            rows as u32,
            features / size,
            groups,
            [gpu::elem(x), gpu::elem(weight)],
        );
    }
    (sum, y)
}

/// Returns the gradient of the rows, plus `residual` where there is one, and on request that of the weight in `f32`.
pub(super) fn backward(
    x: &CubeTensor,
    weight: &CubeTensor,
    eps: f32,
    dy: &CubeTensor,
    residual: Option<&CubeTensor>,
    weight_too: bool,
) -> (CubeTensor, Option<CubeTensor>) {
    let [rows, features] = [x.meta.shape()[0], x.meta.shape()[1]];
    let dx = gpu::empty(x, [rows, features], x.dtype);
    if rows * features == 0 {
        return (dx, weight_too.then(|| gpu::upload(x, &vec![0.0; features], [features])));
    }
    let size = gpu::vector_size(&[x], features);
    let groups = Groups::of_row(&x.client, features / size);
    let reciprocals = weight_too.then(|| gpu::empty(x, [rows], DType::F32));
    differentiate::launch(
        &x.client,
        gpu::cubes(rows),
        groups.dim(),
        gpu::addresses(&[x]),
        size,
        x.clone().into_buffer_arg(),
        weight.clone().into_buffer_arg(),
        dy.clone().into_buffer_arg(),
        residual.map(|residual| residual.clone().into_buffer_arg()).into(),
        dx.clone().into_buffer_arg(),
        reciprocals.clone().map(CubeTensor::into_buffer_arg).into(),
        eps,
        rows as u32,
        features / size,
        groups,
        [gpu::elem(x), gpu::elem(weight)],
    );
    (dx, reciprocals.map(|reciprocals| weight_gradient(x, dy, reciprocals, size)))
}

fn weight_gradient(x: &CubeTensor, dy: &CubeTensor, reciprocals: CubeTensor, size: VectorSize) -> CubeTensor {
    let [rows, features] = [x.meta.shape()[0], x.meta.shape()[1]];
    let blocks = rows.div_ceil(BLOCK);
    let partial = gpu::empty(x, [blocks, features], DType::F32);
    differentiate_weight::launch(
        &x.client,
        gpu::one_unit_each(blocks * features / size),
        CubeDim::new_1d(UNITS),
        gpu::addresses(&[x]),
        size,
        x.clone().into_buffer_arg(),
        dy.clone().into_buffer_arg(),
        reciprocals.into_buffer_arg(),
        partial.clone().into_buffer_arg(),
        rows as u32,
        features / size,
        gpu::elem(x),
    );
    columns::sum(partial)
}
