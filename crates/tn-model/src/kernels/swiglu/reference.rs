//! The gated activation and its gradient in plain tensor operations.

use burn::tensor::{Tensor, activation::sigmoid};

pub(crate) fn forward(gate: Tensor<2>, up: Tensor<2>) -> Tensor<2> {
    gate.clone() * sigmoid(gate) * up
}

pub(crate) fn backward(gate: Tensor<2>, up: Tensor<2>, da: Tensor<2>) -> (Tensor<2>, Tensor<2>) {
    let s = sigmoid(gate.clone());
    let dup = da.clone() * gate.clone() * s.clone();
    let dgate = da * up * s.clone() * (gate * (s.neg() + 1.0) + 1.0);
    (dgate, dup)
}
