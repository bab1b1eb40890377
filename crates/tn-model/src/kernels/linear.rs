//! Products with a weight matrix as Hugging Face stores it, `[outputs, inputs]`.

mod cpu;
pub(crate) mod reference;

use burn::tensor::Tensor;

use super::host::{self, HostFloats};

/// Returns `x w^T`.
///
/// # Shapes
/// `x`: `[rows, inputs]`; `weight`: `[outputs, inputs]`; the result: `[rows, outputs]`.
#[must_use]
pub fn forward(x: &Tensor<2>, weight: &Tensor<2>) -> Tensor<2> {
    let ([rows, inputs], [outputs, _]) = (x.dims(), weight.dims());
    match (HostFloats::of(x), HostFloats::of(weight)) {
        (Some(x), Some(w)) => host::tensor(cpu::forward(&x, &w, [rows, inputs, outputs]), [rows, outputs]),
        _ => reference::forward(x.clone(), weight.clone()),
    }
}

/// Returns the gradient with respect to the input, `dy w`.
///
/// # Shapes
/// `dy`: `[rows, outputs]`; `weight`: `[outputs, inputs]`; the result: `[rows, inputs]`.
#[must_use]
pub fn input_gradient(dy: &Tensor<2>, weight: &Tensor<2>) -> Tensor<2> {
    let ([rows, _], [outputs, inputs]) = (dy.dims(), weight.dims());
    match (HostFloats::of(dy), HostFloats::of(weight)) {
        (Some(dy), Some(w)) => host::tensor(cpu::input_gradient(&dy, &w, [rows, inputs, outputs]), [rows, inputs]),
        _ => reference::input_gradient(dy.clone(), weight.clone()),
    }
}

/// Returns the gradient with respect to the weight, `dy^T x`.
///
/// # Shapes
/// `dy`: `[rows, outputs]`; `x`: `[rows, inputs]`; the result: `[outputs, inputs]`.
#[must_use]
pub fn weight_gradient(dy: &Tensor<2>, x: &Tensor<2>) -> Tensor<2> {
    let ([rows, outputs], [_, inputs]) = (dy.dims(), x.dims());
    match (HostFloats::of(dy), HostFloats::of(x)) {
        (Some(dy), Some(x)) => host::tensor(cpu::weight_gradient(&dy, &x, [rows, inputs, outputs]), [outputs, inputs]),
        _ => reference::weight_gradient(dy.clone(), x.clone()),
    }
}
