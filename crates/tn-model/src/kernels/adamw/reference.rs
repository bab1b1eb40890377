//! The optimiser step in plain tensor operations.

use burn::tensor::Tensor;

use super::{AdamWStep, Moments};

pub(crate) fn step<const D: usize>(
    parameter: Tensor<D>,
    gradient: Tensor<D>,
    moments: Moments<D>,
    step: &AdamWStep,
) -> (Tensor<D>, Moments<D>) {
    let (correction1, correction2) = step.bias_corrections();
    let first = moments.first * step.beta1 + gradient.clone() * (1.0 - step.beta1);
    let second = moments.second * step.beta2 + gradient.powi_scalar(2) * (1.0 - step.beta2);
    let denominator = second.clone().sqrt() / correction2 + step.epsilon;
    let decayed = parameter * (1.0 - step.learning_rate * step.weight_decay);
    let parameter = decayed - first.clone() / denominator * (step.learning_rate / correction1);
    (parameter, Moments { first, second })
}
