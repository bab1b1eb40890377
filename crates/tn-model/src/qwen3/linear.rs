//! A linear layer without bias, with an optional LoRA adapter.

use burn::tensor::{DType, Tensor};

use super::{Gradients, TensorUpdate};
use crate::kernels::linear;
use crate::kernels::lora_linear::{self, Adapted};

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
        let [y] = Self::forward_each([self], x);
        y
    }

    /// Applies some layers to the same input; faster than one by one on a GPU when all of them carry adapters.
    #[must_use]
    pub fn forward_each<const N: usize>(layers: [&Self; N], x: &Tensor<2>) -> [Tensor<2>; N] {
        match adapted(layers) {
            Some(adapted) => lora_linear::forward(x, adapted),
            None if N == 1 => layers.map(|layer| linear::forward(x, &layer.weight)),
            None => layers.map(|layer| layer.forward(x)),
        }
    }

    /// Returns the gradient with respect to `x` and adds those of the trained tensors to `gradients`, under `name`.
    ///
    /// With an adapter, the frozen weight's gradient is never formed: see [`lora_linear`].
    ///
    /// # Shapes
    /// `x`: `[rows, inputs]`; `dy`: `[rows, outputs]`.
    #[must_use]
    pub fn backward(&self, x: Tensor<2>, dy: &Tensor<2>, name: &str, trained: Trained, gradients: &mut Gradients) -> Tensor<2> {
        Self::backward_each([(self, name, dy)], x, trained, gradients)
    }

    /// Returns the gradient with respect to `x` of some layers with the same input, summed in their order, for each layer's name and the
    /// gradient of its output.
    ///
    /// # Panics
    /// Panics when there is no layer.
    #[must_use]
    pub fn backward_each<const N: usize>(
        layers: [(&Self, &str, &Tensor<2>); N],
        x: Tensor<2>,
        trained: Trained,
        gradients: &mut Gradients,
    ) -> Tensor<2> {
        if let Some(adapted) = adapted(layers.map(|(layer, _, _)| layer)) {
            let (dx, of_adapters) = lora_linear::backward(x, adapted, layers.map(|(_, _, dy)| dy));
            for ((_, name, _), gradient) in layers.into_iter().zip(of_adapters) {
                gradients.add(format!("{name}.lora_A.weight"), gradient.a);
                gradients.add(format!("{name}.lora_B.weight"), gradient.b);
            }
            return dx;
        }
        let each = layers.into_iter().map(|(layer, name, dy)| {
            if layer.adapter.is_some() {
                return layer.backward(x.clone(), dy, name, trained, gradients);
            }
            if trained == Trained::Everything {
                gradients.add(format!("{name}.weight"), linear::weight_gradient(dy, &x));
            }
            linear::input_gradient(dy, &layer.weight)
        });
        each.reduce(|dx, share| dx + share).expect("there is at least one layer")
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
            Some(adapter) => {
                let (weight, dtype) = (self.weight.clone().cast(DType::F32), self.weight.dtype());
                Self::new((weight + adapter.b.clone().matmul(adapter.a.clone()) * adapter.scale).cast(dtype))
            }
            None => self.clone(),
        }
    }
}

/// Returns the layers with their adapters, when each has one.
fn adapted<const N: usize>(layers: [&Linear; N]) -> Option<[Adapted<'_>; N]> {
    let adapted = layers.map(|layer| {
        let LoraAdapter { a, b, scale } = layer.adapter.as_ref()?;
        Some(Adapted { weight: &layer.weight, a, b, scale: *scale })
    });
    adapted.iter().all(Option::is_some).then(|| adapted.map(|layer| layer.expect("each has one")))
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
