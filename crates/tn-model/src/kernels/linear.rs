//! Products with a weight matrix as Hugging Face stores it, `[outputs, inputs]`.
//!
//! On a GPU they are Burn's (CubeK), in the type of the activations; the gradient of a weight is in `f32`.

mod cpu;
#[cfg(feature = "gpu")]
mod gpu;
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
    if let (Some(x), Some(w)) = (HostFloats::of(x), HostFloats::of(weight)) {
        return host::tensor(cpu::forward(&x, &w, [rows, inputs, outputs]), [rows, outputs]);
    }
    let weight = as_type_of(x, weight);
    #[cfg(feature = "gpu")]
    if let Some(y) = gpu::forward(x, &weight) {
        return y;
    }
    reference::forward(x.clone(), weight)
}

/// Returns the gradient with respect to the input, `dy w`.
///
/// # Shapes
/// `dy`: `[rows, outputs]`; `weight`: `[outputs, inputs]`; the result: `[rows, inputs]`.
#[must_use]
pub fn input_gradient(dy: &Tensor<2>, weight: &Tensor<2>) -> Tensor<2> {
    let ([rows, _], [outputs, inputs]) = (dy.dims(), weight.dims());
    if let (Some(dy), Some(w)) = (HostFloats::of(dy), HostFloats::of(weight)) {
        return host::tensor(cpu::input_gradient(&dy, &w, [rows, inputs, outputs]), [rows, inputs]);
    }
    let weight = as_type_of(dy, weight);
    #[cfg(feature = "gpu")]
    if let Some(dx) = gpu::input_gradient(dy, &weight) {
        return dx;
    }
    reference::input_gradient(dy.clone(), weight)
}

/// Returns the gradient with respect to the weight, `dy^T x`.
///
/// # Shapes
/// `dy`: `[rows, outputs]`; `x`: `[rows, inputs]`; the result: `[outputs, inputs]`.
#[must_use]
pub fn weight_gradient(dy: &Tensor<2>, x: &Tensor<2>) -> Tensor<2> {
    let ([rows, outputs], [_, inputs]) = (dy.dims(), x.dims());
    if let (Some(dy), Some(x)) = (HostFloats::of(dy), HostFloats::of(x)) {
        return host::tensor(cpu::weight_gradient(&dy, &x, [rows, inputs, outputs]), [outputs, inputs]);
    }
    #[cfg(feature = "gpu")]
    if let Some(gradient) = gpu::weight_gradient(dy, x) {
        return gradient;
    }
    reference::weight_gradient(dy.clone(), x.clone())
}

/// Returns the weight in the type of the activations.
fn as_type_of(activations: &Tensor<2>, weight: &Tensor<2>) -> Tensor<2> {
    if weight.dtype() == activations.dtype() { weight.clone() } else { weight.clone().cast(activations.dtype()) }
}
