//! One transformer block: attention and feed-forward network, each behind a norm and a residual connection.

use burn::tensor::Tensor;

use super::linear::{Linear, Trained, replace};
use super::{Gradients, TensorUpdate};
use crate::kernels::attention::{self, Attended, AttentionShape};
use crate::kernels::qk_norm_rope::{self, RotaryTable};
use crate::kernels::{rms_norm, swiglu};
use crate::{Projection, Qwen3Config};

/// What a forward pass keeps of a block for the backward pass.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Keep {
    /// All activations: the fastest.
    #[default]
    Everything,
    /// Only the block's input; the backward pass computes the rest again. Memory of one block instead of all, for about a third more time.
    Input,
}

/// The weights of one block.
#[derive(Clone, Debug)]
pub(crate) struct Block {
    pub(crate) input_norm: Tensor<1>,
    pub(crate) q_proj: Linear,
    pub(crate) k_proj: Linear,
    pub(crate) v_proj: Linear,
    pub(crate) o_proj: Linear,
    pub(crate) q_norm: Tensor<1>,
    pub(crate) k_norm: Tensor<1>,
    pub(crate) post_attention_norm: Tensor<1>,
    pub(crate) gate_proj: Linear,
    pub(crate) up_proj: Linear,
    pub(crate) down_proj: Linear,
    pub(crate) shape: AttentionShape,
    pub(crate) eps: f32,
}

/// Queries, keys and values of some rows, ready for attention.
#[derive(Clone)]
pub(crate) struct QueryKeyValue {
    pub(crate) q: Tensor<2>,
    pub(crate) k: Tensor<2>,
    pub(crate) v: Tensor<2>,
}

/// The activations of a block.
struct Activations {
    normed: Tensor<2>,
    raw_q: Tensor<2>,
    raw_k: Tensor<2>,
    heads: QueryKeyValue,
    attended: Attended,
    middle: Tensor<2>,
    middle_normed: Tensor<2>,
    gate: Tensor<2>,
    up: Tensor<2>,
    activated: Tensor<2>,
}

/// What the backward pass needs of a block.
pub(crate) struct Saved {
    input: Tensor<2>,
    activations: Option<Activations>,
}

/// The positions of the rows and the rotations that belong to them.
#[derive(Clone, Copy)]
pub(crate) struct Places<'a> {
    pub(crate) table: &'a RotaryTable,
    pub(crate) positions: &'a [u32],
}

impl Block {
    /// Runs the block over a whole sequence.
    pub(crate) fn forward(&self, x: Tensor<2>, places: Places<'_>, keep: Keep) -> (Tensor<2>, Saved) {
        let (y, activations) = self.activate(&x, places);
        let activations = (keep == Keep::Everything).then_some(activations);
        (y, Saved { input: x, activations })
    }

    fn activate(&self, x: &Tensor<2>, places: Places<'_>) -> (Tensor<2>, Activations) {
        let normed = rms_norm::forward(x, &self.input_norm, self.eps);
        let [raw_q, raw_k, v] = Linear::forward_each([&self.q_proj, &self.k_proj, &self.v_proj], &normed);
        let heads = QueryKeyValue { q: self.place_q(&raw_q, places), k: self.place_k(&raw_k, places), v };
        let attended = attention::forward(&heads.q, &heads.k, &heads.v, self.shape);
        let middle = x.clone() + self.o_proj.forward(&attended.output);
        let middle_normed = rms_norm::forward(&middle, &self.post_attention_norm, self.eps);
        let [gate, up] = Linear::forward_each([&self.gate_proj, &self.up_proj], &middle_normed);
        let activated = swiglu::forward(&gate, &up);
        let y = middle.clone() + self.down_proj.forward(&activated);
        (y, Activations { normed, raw_q, raw_k, heads, attended, middle, middle_normed, gate, up, activated })
    }

    fn place_q(&self, raw: &Tensor<2>, places: Places<'_>) -> Tensor<2> {
        qk_norm_rope::forward(raw, &self.q_norm, self.eps, places.table, places.positions)
    }

    fn place_k(&self, raw: &Tensor<2>, places: Places<'_>) -> Tensor<2> {
        qk_norm_rope::forward(raw, &self.k_norm, self.eps, places.table, places.positions)
    }

    /// Returns the gradient of the block's input and adds those of its trained tensors to `gradients`; it is the block of number `layer`.
    pub(crate) fn backward(
        &self,
        saved: Saved,
        dy: Tensor<2>,
        places: Places<'_>,
        layer: usize,
        trained: Trained,
        gradients: &mut Gradients,
    ) -> Tensor<2> {
        let x = saved.input;
        let a = saved.activations.unwrap_or_else(|| self.activate(&x, places).1);

        let dactivated = self.down_proj.backward(&a.activated, &dy, &Projection::Down.module_path(layer), trained, gradients);
        let dgated = swiglu::backward(&a.gate, &a.up, &dactivated);
        let [gate, up] = [Projection::Gate, Projection::Up].map(|projection| projection.module_path(layer));
        let layers = [(&self.gate_proj, gate.as_str(), &dgated.gate), (&self.up_proj, up.as_str(), &dgated.up)];
        let dmiddle_normed = Linear::backward_each(layers, &a.middle_normed, trained, gradients);
        let dnorm = rms_norm::backward(&a.middle, &self.post_attention_norm, self.eps, &dmiddle_normed);
        let dmiddle = dy + dnorm.x;

        let dattended = self.o_proj.backward(&a.attended.output, &dmiddle, &Projection::Output.module_path(layer), trained, gradients);
        let dheads = attention::backward(&a.heads.q, &a.heads.k, &a.heads.v, &a.attended, &dattended, self.shape);
        let dq = qk_norm_rope::backward(&a.raw_q, &self.q_norm, self.eps, places.table, places.positions, &dheads.q);
        let dk = qk_norm_rope::backward(&a.raw_k, &self.k_norm, self.eps, places.table, places.positions, &dheads.k);
        let [q, k, v] = [Projection::Query, Projection::Key, Projection::Value].map(|projection| projection.module_path(layer));
        let layers = [(&self.q_proj, q.as_str(), &dq.x), (&self.k_proj, k.as_str(), &dk.x), (&self.v_proj, v.as_str(), &dheads.v)];
        let dnormed = Linear::backward_each(layers, &a.normed, trained, gradients);
        let dinput = rms_norm::backward(&x, &self.input_norm, self.eps, &dnormed);

        if trained == Trained::Everything {
            let norms = [
                ("input_layernorm", dinput.weight),
                ("self_attn.q_norm", dq.weight),
                ("self_attn.k_norm", dk.weight),
                ("post_attention_layernorm", dnorm.weight),
            ];
            for (norm, gradient) in norms {
                gradients.add(Qwen3Config::norm_key(layer, norm), gradient.unsqueeze());
            }
        }
        dmiddle + dinput.x
    }

    /// Calls `visit` with every trained tensor, under its name, and keeps what it returns.
    pub(crate) fn update(&mut self, layer: usize, trained: Trained, visit: &mut TensorUpdate<'_>) {
        for (projection, weights) in self.projections_mut() {
            weights.update(&projection.module_path(layer), trained, visit);
        }
        if trained == Trained::Everything {
            for (norm, weight) in self.norms_mut() {
                replace(weight, |w| visit(&Qwen3Config::norm_key(layer, norm), w.unsqueeze()).squeeze_dim(0));
            }
        }
    }

    /// Returns the block with all adapters added into their weights.
    pub(crate) fn merged(&self) -> Self {
        let mut merged = self.clone();
        merged.projections_mut().into_iter().for_each(|(_, projection)| *projection = projection.merged());
        merged
    }

    /// The seven projections of the block.
    pub(crate) fn projections_mut(&mut self) -> [(Projection, &mut Linear); 7] {
        [
            (Projection::Query, &mut self.q_proj),
            (Projection::Key, &mut self.k_proj),
            (Projection::Value, &mut self.v_proj),
            (Projection::Output, &mut self.o_proj),
            (Projection::Gate, &mut self.gate_proj),
            (Projection::Up, &mut self.up_proj),
            (Projection::Down, &mut self.down_proj),
        ]
    }

    /// The seven projections of the block.
    pub(crate) fn projections(&self) -> [(Projection, &Linear); 7] {
        [
            (Projection::Query, &self.q_proj),
            (Projection::Key, &self.k_proj),
            (Projection::Value, &self.v_proj),
            (Projection::Output, &self.o_proj),
            (Projection::Gate, &self.gate_proj),
            (Projection::Up, &self.up_proj),
            (Projection::Down, &self.down_proj),
        ]
    }

    fn norms_mut(&mut self) -> [(&'static str, &mut Tensor<1>); 4] {
        [
            ("input_layernorm", &mut self.input_norm),
            ("self_attn.q_norm", &mut self.q_norm),
            ("self_attn.k_norm", &mut self.k_norm),
            ("post_attention_layernorm", &mut self.post_attention_norm),
        ]
    }
}
