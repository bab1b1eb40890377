//! A linear layer without bias, with an optional LoRA adapter.

use burn::tensor::Tensor;

use super::{Gradients, TensorUpdate};
use crate::kernels::linear;

/// A low-rank adapter (Hu et al., arXiv 2106.09685) in factored form: it adds `scale * (x a^T) b^T`.
#[derive(Clone, Debug)]
pub struct LoraAdapter {
    /// Down projection, `[rank, inputs]`.
    pub a: Tensor<2>,
    /// Up projection, `[outputs, rank]`.
    pub b: Tensor<2>,
    /// `alpha / rank`.
    pub scale: f32,
}

/// A linear layer `y = x w^T`, plus the adapter's share when there is one.
#[derive(Clone, Debug)]
pub struct Linear {
    /// `[outputs, inputs]`.
    pub weight: Tensor<2>,
    /// The adapter; while there is one, the weight is frozen.
    pub adapter: Option<LoraAdapter>,
}

impl Linear {
    /// Builds a layer without adapter.
    #[must_use]
    pub fn new(weight: Tensor<2>) -> Self {
        Self { weight, adapter: None }
    }

    /// Applies the layer.
    ///
    /// # Shapes
    /// `x`: `[rows, inputs]`; the result: `[rows, outputs]`.
    #[must_use]
    pub fn forward(&self, x: &Tensor<2>) -> Tensor<2> {
        let y = linear::forward(x, &self.weight);
        match &self.adapter {
            Some(adapter) => y + linear::forward(&linear::forward(x, &adapter.a), &adapter.b) * adapter.scale,
            None => y,
        }
    }

    /// Returns the gradient with respect to `x` and adds those of the trained tensors to `gradients`, under `name`.
    ///
    /// With an adapter, `h = x a^T` and `u = dy b`: `db = s dy^T h`, `da = s u^T x`, `dx = dy w + s u a`; the frozen weight's gradient is
    /// never formed.
    ///
    /// # Shapes
    /// `x`: `[rows, inputs]`; `dy`: `[rows, outputs]`.
    #[must_use]
    pub fn backward(&self, x: &Tensor<2>, dy: &Tensor<2>, name: &str, trained: Trained, gradients: &mut Gradients) -> Tensor<2> {
        let dx = linear::input_gradient(dy, &self.weight);
        match &self.adapter {
            Some(adapter) => {
                let hidden = linear::forward(x, &adapter.a) * adapter.scale;
                let u = linear::input_gradient(dy, &adapter.b) * adapter.scale;
                gradients.add(format!("{name}.lora_A.weight"), linear::weight_gradient(&u, x));
                gradients.add(format!("{name}.lora_B.weight"), linear::weight_gradient(dy, &hidden));
                dx + linear::input_gradient(&u, &adapter.a)
            }
            None => {
                if trained == Trained::Everything {
                    gradients.add(format!("{name}.weight"), linear::weight_gradient(dy, x));
                }
                dx
            }
        }
    }

    /// Calls `visit` with every trained tensor, under its name, and keeps what it returns.
    pub(crate) fn update(&mut self, name: &str, trained: Trained, visit: &mut TensorUpdate<'_>) {
        match &mut self.adapter {
            Some(adapter) => {
                replace(&mut adapter.a, |a| visit(&format!("{name}.lora_A.weight"), a));
                replace(&mut adapter.b, |b| visit(&format!("{name}.lora_B.weight"), b));
            }
            None if trained == Trained::Everything => replace(&mut self.weight, |w| visit(&format!("{name}.weight"), w)),
            None => {}
        }
    }

    /// Returns the layer with the adapter added into its weight.
    #[must_use]
    pub fn merged(&self) -> Self {
        match &self.adapter {
            Some(adapter) => Self::new(self.weight.clone() + adapter.b.clone().matmul(adapter.a.clone()) * adapter.scale),
            None => self.clone(),
        }
    }
}

/// Which tensors are trained.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trained {
    /// All weights, embedding and norms.
    Everything,
    /// Only LoRA adapters.
    Adapters,
}

/// Replaces a tensor by a function of itself without keeping a second reference to its values, so that the change can happen in place.
pub(crate) fn replace<const D: usize>(slot: &mut Tensor<D>, change: impl FnOnce(Tensor<D>) -> Tensor<D>) {
    let empty = Tensor::empty([0; D], &slot.device());
    let taken = std::mem::replace(slot, empty);
    *slot = change(taken);
}
