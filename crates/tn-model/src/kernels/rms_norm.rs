//! Root-mean-square normalisation of rows: `y = w * x / sqrt(mean(x^2) + eps)`.

mod cpu;
#[cfg(feature = "gpu")]
mod gpu;
pub(crate) mod reference;

use burn::tensor::Tensor;

pub(crate) use cpu::{differentiate, normalize};

use super::host::{self, HostFloats};

/// Normalises each row of `x` and scales it by `weight`.
///
/// # Shapes
/// `x` and the result: `[rows, features]`; `weight`: `[features]`.
#[must_use]
pub fn forward(x: &Tensor<2>, weight: &Tensor<1>, eps: f32) -> Tensor<2> {
    if let (Some(values), Some(scale)) = (HostFloats::of(x), HostFloats::of(weight)) {
        return host::tensor(cpu::forward(&values, &scale, eps), x.dims());
    }
    #[cfg(feature = "gpu")]
    if let (Some(values), Some(scale)) = (super::gpu::of(x), super::gpu::of(weight)) {
        return super::gpu::tensor(gpu::forward(&values, &scale, eps));
    }
    reference::forward(x.clone(), weight.clone(), eps)
}

/// The gradients that [`backward`] returns.
pub struct Gradients {
    /// With respect to `x`, `[rows, features]`.
    pub x: Tensor<2>,
    /// With respect to the weight, `[features]`.
    pub weight: Tensor<1>,
}

/// Returns the gradients of [`forward`] for the output gradient `dy`.
///
/// With `r = (mean(x^2) + eps)^-1/2`, `n = x r` and `g = w dy`: `dx = r (g - n mean(n g))` and `dw = sum over rows of n dy`.
///
/// # Shapes
/// `x` and `dy`: `[rows, features]`; `weight`: `[features]`.
#[must_use]
pub fn backward(x: &Tensor<2>, weight: &Tensor<1>, eps: f32, dy: &Tensor<2>) -> Gradients {
    match (HostFloats::of(x), HostFloats::of(weight), HostFloats::of(dy)) {
        (Some(values), Some(scale), Some(gradient)) => {
            let (dx, dw) = cpu::backward(&values, &scale, eps, &gradient);
            Gradients { x: host::tensor(dx, x.dims()), weight: host::tensor(dw, weight.dims()) }
        }
        _ => {
            let (x, weight) = reference::backward(x.clone(), weight.clone(), eps, dy.clone());
            Gradients { x, weight }
        }
    }
}
