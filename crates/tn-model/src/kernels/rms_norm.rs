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

/// Adds `delta` to `x` and normalises the sum, in one pass. Returns the sum and the normalised rows.
///
/// # Shapes
/// `x`, `delta` and both results: `[rows, features]`; `weight`: `[features]`.
///
/// # Panics
/// Panics when the shapes do not fit together.
#[must_use]
pub fn add_forward(x: &Tensor<2>, delta: &Tensor<2>, weight: &Tensor<1>, eps: f32) -> (Tensor<2>, Tensor<2>) {
    assert_eq!(x.dims(), delta.dims(), "as many values are added as there are");
    if let (Some(values), Some(added), Some(scale)) = (HostFloats::of(x), HostFloats::of(delta), HostFloats::of(weight)) {
        let (sum, normed) = cpu::add_forward(&values, &added, &scale, eps);
        return (host::tensor(sum, x.dims()), host::tensor(normed, x.dims()));
    }
    #[cfg(feature = "gpu")]
    if let (Some([values, added]), Some(scale)) = (super::gpu::of_each([x, delta]), super::gpu::of(weight)) {
        let (sum, normed) = gpu::add_forward(&values, &added, &scale, eps);
        return (super::gpu::tensor(sum), super::gpu::tensor(normed));
    }
    reference::add_forward(x.clone(), delta.clone(), weight.clone(), eps)
}

/// Whether the weight of a norm is trained.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WeightGradient {
    /// The gradient of the weight is formed.
    Trained,
    /// The weight is frozen; only the gradient of the rows is formed.
    Frozen,
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
#[cfg_attr(feature = "gpu", expect(clippy::missing_panics_doc, reason = "the gradient of the weight is there, since it was asked for"))]
pub fn backward(x: &Tensor<2>, weight: &Tensor<1>, eps: f32, dy: &Tensor<2>) -> Gradients {
    if let (Some(values), Some(scale), Some(gradient)) = (HostFloats::of(x), HostFloats::of(weight), HostFloats::of(dy)) {
        let (dx, dw) = cpu::backward(&values, &scale, eps, &gradient);
        return Gradients { x: host::tensor(dx, x.dims()), weight: host::tensor(dw, weight.dims()) };
    }
    #[cfg(feature = "gpu")]
    if let (Some([values, gradient]), Some(scale)) = (super::gpu::of_each([x, dy]), super::gpu::of(weight)) {
        let (dx, dw) = gpu::backward(&values, &scale, eps, &gradient, None, true);
        let weight = super::gpu::tensor(dw.expect("the gradient of the weight was asked for"));
        return Gradients { x: super::gpu::tensor(dx), weight };
    }
    let (x, weight) = reference::backward(x.clone(), weight.clone(), eps, dy.clone());
    Gradients { x, weight }
}

/// The gradients that [`add_backward`] returns.
pub struct AddGradients {
    /// With respect to the sum, and so to both of its terms, `[rows, features]`.
    pub sum: Tensor<2>,
    /// With respect to the weight, `[features]`; `None` for a frozen weight.
    pub weight: Option<Tensor<1>>,
}

/// Returns the gradients of [`add_forward`] for the gradient `dsum` of the sum and `dy` of the normalised rows: `dsum` plus what
/// [`backward`] returns.
///
/// # Shapes
/// `sum`, `dy` and `dsum`: `[rows, features]`; `weight`: `[features]`.
///
/// # Panics
/// Panics when the shapes do not fit together.
#[must_use]
pub fn add_backward(
    sum: &Tensor<2>,
    weight: &Tensor<1>,
    eps: f32,
    dy: &Tensor<2>,
    dsum: &Tensor<2>,
    trained: WeightGradient,
) -> AddGradients {
    assert_eq!(sum.dims(), dsum.dims(), "as many values are added as there are");
    let wanted = trained == WeightGradient::Trained;
    let on_host = (HostFloats::of(sum), HostFloats::of(weight), HostFloats::of(dy), HostFloats::of(dsum));
    if let (Some(values), Some(scale), Some(gradient), Some(residual)) = on_host {
        let (dx, dw) = cpu::add_backward(&values, &scale, eps, &gradient, &residual);
        return AddGradients { sum: host::tensor(dx, sum.dims()), weight: wanted.then(|| host::tensor(dw, weight.dims())) };
    }
    #[cfg(feature = "gpu")]
    if let (Some([values, gradient, residual]), Some(scale)) = (super::gpu::of_each([sum, dy, dsum]), super::gpu::of(weight)) {
        let (dx, dw) = gpu::backward(&values, &scale, eps, &gradient, Some(&residual), wanted);
        return AddGradients { sum: super::gpu::tensor(dx), weight: dw.map(super::gpu::tensor) };
    }
    let (dx, dw) = reference::backward(sum.clone(), weight.clone(), eps, dy.clone());
    AddGradients { sum: dsum.clone() + dx, weight: wanted.then_some(dw) }
}
