//! One step of AdamW (Loshchilov and Hutter, arXiv 1711.05101), with the arithmetic of PyTorch's `torch.optim.AdamW`.
//!
//! `p <- p (1 - lr wd)`, `m <- b1 m + (1 - b1) g`, `v <- b2 v + (1 - b2) g^2`,
//! `p <- p - lr / (1 - b1^t) * m / (sqrt(v) / sqrt(1 - b2^t) + eps)`.
//!
//! [`Moments`] keeps `m` and `v` in 32 bits, [`EightBitMoments`] in eight. [`flat`] steps all trained values together.

mod cpu;
mod dynamic_code;
pub(crate) mod eight_bit;
pub mod flat;
#[cfg(feature = "gpu")]
mod gpu;
pub(crate) mod reference;

pub use eight_bit::{CodedBlocks, EightBitMoments, step as step_eight_bit};

use burn::tensor::Tensor;

use super::host::{self, HostFloats};

/// The constants of one optimiser step.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AdamWStep {
    /// Learning rate of this step.
    pub learning_rate: f64,
    /// Decay of the mean of gradients.
    pub beta1: f64,
    /// Decay of the mean of squared gradients.
    pub beta2: f64,
    /// Added to the denominator.
    pub epsilon: f64,
    /// Decoupled weight decay.
    pub weight_decay: f64,
    /// Number of this step, from 1.
    pub step: u64,
}

impl AdamWStep {
    fn bias_corrections(&self) -> (f64, f64) {
        let power = self.step as f64;
        (1.0 - self.beta1.powf(power), (1.0 - self.beta2.powf(power)).sqrt())
    }
}

/// A parameter with the state that the optimiser keeps for it.
#[derive(Clone, Debug)]
pub struct Moments<const D: usize> {
    /// Running mean of gradients.
    pub first: Tensor<D>,
    /// Running mean of squared gradients.
    pub second: Tensor<D>,
}

impl<const D: usize> Moments<D> {
    /// Returns the state before the first step.
    #[must_use]
    pub fn zeros(like: &Tensor<D>) -> Self {
        Self { first: like.zeros_like(), second: like.zeros_like() }
    }
}

/// Moves `parameter` and its moments by one step along `scale * gradient`, in place where they live in host memory.
///
/// # Shapes
/// All tensors have the parameter's shape.
#[must_use]
pub fn step<const D: usize>(
    parameter: Tensor<D>,
    gradient: &Tensor<D>,
    scale: f32,
    moments: Moments<D>,
    step: &AdamWStep,
) -> (Tensor<D>, Moments<D>) {
    let on_host = [&parameter, &moments.first, &moments.second].iter().all(|t| HostFloats::of(t).is_some());
    match (on_host, HostFloats::of(gradient)) {
        (true, Some(gradient)) => {
            let first = host::update(moments.first, |m| cpu::first_moment(m, &gradient, scale, step));
            let second = host::update(moments.second, |v| cpu::second_moment(v, &gradient, scale, step));
            let parameter = host::update(parameter, |p| cpu::parameter(p, &host::view(&first), &host::view(&second), step));
            (parameter, Moments { first, second })
        }
        _ => reference::step(parameter, gradient.clone() * scale, moments, step),
    }
}
