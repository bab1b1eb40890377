//! The gated activation on a GPU, a few neighboring elements a unit.

use burn_cubecl::tensor::CubeTensor;
use cubecl::ir::ElemType;
use cubecl::prelude::*;

use crate::kernels::gpu::{self, UNITS};

#[cube(launch, address_type = "dynamic")]
fn activate<F: Float, N: Size>(gate: &[Vector<F, N>], up: &[Vector<F, N>], a: &mut [Vector<F, N>], #[define(F)] _type: ElemType) {
    if ABSOLUTE_POS < a.len() {
        let e = Vector::<f32, N>::cast_from(gate[ABSOLUTE_POS]);
        let u = Vector::<f32, N>::cast_from(up[ABSOLUTE_POS]);
        a[ABSOLUTE_POS] = Vector::cast_from(e * sigmoid::<N>(e) * u);
    }
}

/// Writes the gradients of the gate and the other factor over them, and on request the activation over its gradient.
#[cube(launch, address_type = "dynamic")]
fn differentiate<F: Float, N: Size>(
    gate: &mut [Vector<F, N>],
    up: &mut [Vector<F, N>],
    da: &mut [Vector<F, N>],
    #[comptime] activation: bool,
    #[define(F)] _type: ElemType,
) {
    if ABSOLUTE_POS < gate.len() {
        let e = Vector::<f32, N>::cast_from(gate[ABSOLUTE_POS]);
        let u = Vector::<f32, N>::cast_from(up[ABSOLUTE_POS]);
        let d = Vector::<f32, N>::cast_from(da[ABSOLUTE_POS]);
        let s = sigmoid::<N>(e);
        let one = Vector::<f32, N>::new(1.0);
        up[ABSOLUTE_POS] = Vector::cast_from(d * e * s);
        gate[ABSOLUTE_POS] = Vector::cast_from(d * u * s * (one + e * (one - s)));
        if comptime![activation] {
            da[ABSOLUTE_POS] = Vector::cast_from(e * s * u);
        }
    }
}

#[cube]
fn sigmoid<N: Size>(x: Vector<f32, N>) -> Vector<f32, N> {
    let one = Vector::<f32, N>::new(1.0);
    one / (one + (-x).exp())
}

pub(super) fn forward(gate: &CubeTensor, up: &CubeTensor) -> CubeTensor {
    let [rows, features] = [gate.meta.shape()[0], gate.meta.shape()[1]];
    let a = gpu::empty(gate, [rows, features], gate.dtype);
    if rows * features > 0 {
        let size = gpu::vector_size(&[gate], features);
        activate::launch(
            &gate.client,
            gpu::one_unit_each(rows * features / size),
            CubeDim::new_1d(UNITS),
            gpu::addresses(&[gate]),
            size,
            gate.clone().into_buffer_arg(),
            up.clone().into_buffer_arg(),
            a.clone().into_buffer_arg(),
            gpu::elem(gate),
        );
    }
    a
}

/// Writes the gradients of the gate and the other factor over them, and on request the activation over its gradient: nobody shares them.
pub(super) fn backward(gate: &CubeTensor, up: &CubeTensor, da: &CubeTensor, activation: bool) {
    let [rows, features] = [gate.meta.shape()[0], gate.meta.shape()[1]];
    if rows * features > 0 {
        let size = gpu::vector_size(&[gate], features);
        differentiate::launch(
            &gate.client,
            gpu::one_unit_each(rows * features / size),
            CubeDim::new_1d(UNITS),
            gpu::addresses(&[gate]),
            size,
            gate.clone().into_buffer_arg(),
            up.clone().into_buffer_arg(),
            da.clone().into_buffer_arg(),
            activation,
            gpu::elem(gate),
        );
    }
}
