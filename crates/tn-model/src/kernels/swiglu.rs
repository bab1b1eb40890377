//! The gated activation of the feed-forward network: `a = silu(gate) * up` with `silu(x) = x * sigmoid(x)`.

mod cpu;
#[cfg(feature = "gpu")]
mod gpu;
pub(crate) mod reference;

use burn::tensor::Tensor;

use super::host::{self, HostFloats};

/// Returns `silu(gate) * up`, element by element.
///
/// # Shapes
/// All `[rows, features]`.
///
/// # Panics
/// Panics when the shapes do not fit together.
#[must_use]
pub fn forward(gate: &Tensor<2>, up: &Tensor<2>) -> Tensor<2> {
    assert_eq!(gate.dims(), up.dims(), "each value has its gate");
    if let (Some(e), Some(u)) = (HostFloats::of(gate), HostFloats::of(up)) {
        return host::tensor(cpu::forward(&e, &u), gate.dims());
    }
    #[cfg(feature = "gpu")]
    if let Some([e, u]) = super::gpu::of_each([gate, up]) {
        return super::gpu::tensor(gpu::forward(&e, &u));
    }
    reference::forward(gate.clone(), up.clone())
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
/// On a GPU the gradients take the place of the tensors that they belong to, where nobody shares these.
///
/// # Shapes
/// All `[rows, features]`.
///
/// # Panics
/// Panics when the shapes do not fit together.
#[must_use]
pub fn backward(gate: Tensor<2>, up: Tensor<2>, da: Tensor<2>) -> Gradients {
    assert!(gate.dims() == up.dims() && gate.dims() == da.dims(), "each value has its gate and its gradient");
    if let (Some(e), Some(u), Some(da)) = (HostFloats::of(&gate), HostFloats::of(&up), HostFloats::of(&da)) {
        let (de, du) = cpu::backward(&e, &u, &da);
        return Gradients { gate: host::tensor(de, gate.dims()), up: host::tensor(du, up.dims()) };
    }
    #[cfg(feature = "gpu")]
    if super::gpu::of_each([&gate, &up, &da]).is_some() {
        let [e, u, da] = [gate, up, da].map(super::gpu::take);
        gpu::backward(&e, &u, &da, false);
        return Gradients { gate: super::gpu::tensor(e), up: super::gpu::tensor(u) };
    }
    let (gate, up) = reference::backward(gate, up, da);
    Gradients { gate, up }
}

/// Returns what [`backward`] and [`forward`] return, on a GPU in one pass: for a caller that has not kept the activation.
///
/// # Shapes
/// All `[rows, features]`.
///
/// # Panics
/// Panics when the shapes do not fit together.
#[must_use]
pub fn backward_and_forward(gate: Tensor<2>, up: Tensor<2>, da: Tensor<2>) -> (Gradients, Tensor<2>) {
    assert!(gate.dims() == up.dims() && gate.dims() == da.dims(), "each value has its gate and its gradient");
    #[cfg(feature = "gpu")]
    if super::gpu::of_each([&gate, &up, &da]).is_some() {
        let [e, u, da] = [gate, up, da].map(super::gpu::take);
        gpu::backward(&e, &u, &da, true);
        return (Gradients { gate: super::gpu::tensor(e), up: super::gpu::tensor(u) }, super::gpu::tensor(da));
    }
    let a = forward(&gate, &up);
    (backward(gate, up, da), a)
}
