//! One transformer block: attention and feed-forward network, each behind a norm and a residual connection.

use burn::tensor::Tensor;

use super::linear::{Linear, Trained, replace};
use super::{Gradients, TensorUpdate};
use crate::kernels::attention::{self, Attended, AttentionShape, Determinism, Segments};
use crate::kernels::qk_norm_rope::{self, RotaryTable};
use crate::kernels::rms_norm::{self, WeightGradient};
use crate::kernels::{Numbers, swiglu};
use crate::{Projection, Qwen3Config};

/// What a forward pass keeps of a block for the backward pass, which computes the rest again. None changes the result.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Keep {
    /// All activations: the fastest.
    #[default]
    Everything,
    /// The block's input and what attention returned: in a long sequence, attention is the largest part of the work.
    Attention,
    /// Only the block's input. Memory of one block instead of all, for about a third more time.
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
    feed_forward: FeedForward,
}

/// The activations of a block's feed-forward network.
struct FeedForward {
    normed: Tensor<2>,
    gate: Tensor<2>,
    up: Tensor<2>,
    activated: Tensor<2>,
}

/// What the backward pass needs of a block.
pub(crate) struct Saved {
    input: Tensor<2>,
    kept: Kept,
}

#[expect(clippy::large_enum_variant, reason = "there is one for each layer, beside megabytes of activations")]
enum Kept {
    Everything(Activations),
    Attention(Attended),
    Nothing,
}

/// The positions of the rows and the rotations that belong to them.
#[derive(Clone, Copy)]
pub(crate) struct Places<'a> {
    pub(crate) table: &'a RotaryTable,
    pub(crate) positions: &'a Numbers,
}

/// Whole sequences, one behind the other.
#[derive(Clone, Copy)]
pub(crate) struct Layout<'a> {
    pub(crate) places: Places<'a>,
    pub(crate) segments: &'a Segments,
}

impl Trained {
    fn norms(self) -> WeightGradient {
        if self == Self::Everything { WeightGradient::Trained } else { WeightGradient::Frozen }
    }
}

impl Block {
    /// Runs the block over whole sequences.
    pub(crate) fn forward(&self, x: Tensor<2>, layout: Layout<'_>, keep: Keep) -> (Tensor<2>, Saved) {
        let activations = self.activate(&x, layout, None);
        let y = activations.middle.clone() + self.down_proj.forward(&activations.feed_forward.activated);
        let kept = match keep {
            Keep::Everything => Kept::Everything(activations),
            Keep::Attention => Kept::Attention(activations.attended),
            Keep::Input => Kept::Nothing,
        };
        (y, Saved { input: x, kept })
    }

    /// Computes the activations, but for those of attention where they are known.
    fn activate(&self, x: &Tensor<2>, layout: Layout<'_>, attended: Option<Attended>) -> Activations {
        let normed = rms_norm::forward(x, &self.input_norm, self.eps);
        let [raw_q, raw_k, v] = Linear::forward_each([&self.q_proj, &self.k_proj, &self.v_proj], &normed);
        let Places { table, positions } = layout.places;
        let (q, k) = qk_norm_rope::forward_pair([&raw_q, &raw_k], self.head_norms(), self.eps, table, positions);
        let heads = QueryKeyValue { q, k, v };
        let attend = || attention::forward_segments(&heads.q, &heads.k, &heads.v, layout.segments, self.shape);
        let attended = attended.unwrap_or_else(attend);
        let projected = self.o_proj.forward(&attended.output);
        let (middle, middle_normed) = rms_norm::add_forward(x, &projected, &self.post_attention_norm, self.eps);
        let feed_forward = self.feed_forward(middle_normed);
        Activations { normed, raw_q, raw_k, heads, attended, middle, feed_forward }
    }

    fn feed_forward(&self, normed: Tensor<2>) -> FeedForward {
        let [gate, up] = Linear::forward_each([&self.gate_proj, &self.up_proj], &normed);
        let activated = swiglu::forward(&gate, &up);
        FeedForward { normed, gate, up, activated }
    }

    fn head_norms(&self) -> [&Tensor<1>; 2] {
        [&self.q_norm, &self.k_norm]
    }

    /// Returns the gradient of the block's input and adds those of its trained tensors to `gradients`; it is the block of number `layer`.
    ///
    /// What is no longer needed is let go as early as possible: on a device with little memory, this decides how long sequences may be.
    pub(crate) fn backward(
        &self,
        saved: Saved,
        dy: Tensor<2>,
        layout: Layout<'_>,
        layer: usize,
        trained: Trained,
        gradients: &mut Gradients,
    ) -> Tensor<2> {
        let (x, Places { table, positions }) = (saved.input, layout.places);
        let activations = match saved.kept {
            Kept::Everything(activations) => activations,
            Kept::Attention(attended) => self.activate(&x, layout, Some(attended)),
            Kept::Nothing => self.activate(&x, layout, None),
        };
        let Activations { normed, raw_q, raw_k, heads, attended, middle, feed_forward } = activations;
        let dmiddle = self.feed_forward_backward(&middle, feed_forward, dy, layer, trained, gradients);
        drop(middle);

        let dattended = self.o_proj.backward(attended.output.clone(), &dmiddle, &Projection::Output.module_path(layer), trained, gradients);
        let QueryKeyValue { q, k, v } = heads;
        let dheads = attention::backward_segments(&q, &k, &v, &attended, &dattended, layout.segments, self.shape, Determinism::Exact);
        drop((q, k, v, attended, dattended));
        let (raw, placed) = ([&raw_q, &raw_k], [&dheads.q, &dheads.k]);
        let draw = qk_norm_rope::backward_pair(raw, self.head_norms(), self.eps, table, positions, placed, trained.norms());
        let dv = dheads.v;
        drop((raw_q, raw_k, dheads.q, dheads.k));
        let names = [Projection::Query, Projection::Key, Projection::Value].map(|projection| projection.module_path(layer));
        let layers = [
            (&self.q_proj, names[0].as_str(), &draw.q),
            (&self.k_proj, names[1].as_str(), &draw.k),
            (&self.v_proj, names[2].as_str(), &dv),
        ];
        let dnormed = Linear::backward_each(layers, normed, trained, gradients);
        let dinput = rms_norm::add_backward(&x, &self.input_norm, self.eps, &dnormed, &dmiddle, trained.norms());

        if let (Some(dinput), Some([dq, dk])) = (dinput.weight, draw.weights) {
            let norms = [("input_layernorm", dinput), ("self_attn.q_norm", dq), ("self_attn.k_norm", dk)];
            for (norm, gradient) in norms {
                gradients.add(Qwen3Config::norm_key(layer, norm), gradient.unsqueeze());
            }
        }
        dinput.sum
    }

    /// Returns the gradient of what the feed-forward network is added to, for the gradient of the sum.
    fn feed_forward_backward(
        &self,
        middle: &Tensor<2>,
        activations: FeedForward,
        dy: Tensor<2>,
        layer: usize,
        trained: Trained,
        gradients: &mut Gradients,
    ) -> Tensor<2> {
        let FeedForward { normed, gate, up, activated } = activations;
        let dactivated = self.down_proj.backward(activated, &dy, &Projection::Down.module_path(layer), trained, gradients);
        let dgated = swiglu::backward(gate, up, dactivated);
        let names = [Projection::Gate, Projection::Up].map(|projection| projection.module_path(layer));
        let layers = [(&self.gate_proj, names[0].as_str(), &dgated.gate), (&self.up_proj, names[1].as_str(), &dgated.up)];
        let dnormed = Linear::backward_each(layers, normed, trained, gradients);
        drop(dgated);
        let dnorm = rms_norm::add_backward(middle, &self.post_attention_norm, self.eps, &dnormed, &dy, trained.norms());
        if let Some(weight) = dnorm.weight {
            gradients.add(Qwen3Config::norm_key(layer, "post_attention_layernorm"), weight.unsqueeze());
        }
        dnorm.sum
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

    /// The four norms of the block.
    pub(crate) fn norms_mut(&mut self) -> [(&'static str, &mut Tensor<1>); 4] {
        [
            ("input_layernorm", &mut self.input_norm),
            ("self_attn.q_norm", &mut self.q_norm),
            ("self_attn.k_norm", &mut self.k_norm),
            ("post_attention_layernorm", &mut self.post_attention_norm),
        ]
    }
}
