//! The gated activation of the feed-forward network: `a = silu(gate) * up` with `silu(x) = x * sigmoid(x)`.

mod cpu;
pub(crate) mod reference;

use burn::tensor::Tensor;

use super::host::{self, HostFloats};

/// Returns `silu(gate) * up`, element by element.
///
/// # Shapes
/// All `[rows, features]`.
#[must_use]
pub fn forward(gate: &Tensor<2>, up: &Tensor<2>) -> Tensor<2> {
    match (HostFloats::of(gate), HostFloats::of(up)) {
        (Some(e), Some(u)) => host::tensor(cpu::forward(&e, &u), gate.dims()),
        _ => reference::forward(gate.clone(), up.clone()),
    }
}

/// The gradients that [`backward`] returns.
pub struct Gradients {
    /// With respect to the gate, `[rows, features]`.
    pub gate: Tensor<2>,
    /// With respect to the other factor, `[rows, features]`.
    pub up: Tensor<2>,
}

/// Returns the gradients of [`forward`] for the output gradient `da`.
///
/// With `s = sigmoid(gate)`: `d up = da gate s` and `d gate = da up s (1 + gate (1 - s))`.
///
/// # Shapes
/// All `[rows, features]`.
#[must_use]
pub fn backward(gate: &Tensor<2>, up: &Tensor<2>, da: &Tensor<2>) -> Gradients {
    match (HostFloats::of(gate), HostFloats::of(up), HostFloats::of(da)) {
        (Some(e), Some(u), Some(da)) => {
            let (de, du) = cpu::backward(&e, &u, &da);
            Gradients { gate: host::tensor(de, gate.dims()), up: host::tensor(du, up.dims()) }
        }
        _ => {
            let (gate, up) = reference::backward(gate.clone(), up.clone(), da.clone());
            Gradients { gate, up }
        }
    }
}
