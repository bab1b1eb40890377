//! Causal attention with grouped queries, without the matrix of all scores.
//!
//! For query row `i` at position `p` and the keys up to `p`: `s_j = q_i k_j / sqrt(D)`, `o_i = sum_j softmax(s)_j v_j`. The forward pass
//! keeps `lse_i = ln sum_j exp(s_j)` of each row and head; the backward pass rebuilds the probabilities from it
//! (Dao et al., FlashAttention, arXiv 2205.14135), block by block.

mod cpu;
pub(crate) mod reference;

use burn::tensor::Tensor;

use super::host::{self, HostFloats};
use crate::Qwen3Config;

pub(crate) use cpu::{QUERIES, softmax_in_place};

/// Head counts and head size of an attention layer; query head `h` reads key head `h / (heads / key_heads)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AttentionShape {
    /// Number of query heads.
    pub heads: usize,
    /// Number of key and value heads; divides `heads`.
    pub key_heads: usize,
    /// Values of one head.
    pub head_dim: usize,
}

impl AttentionShape {
    /// Returns the shape of the layers of a decoder.
    #[must_use]
    pub fn of(config: &Qwen3Config) -> Self {
        Self { heads: config.num_attention_heads, key_heads: config.num_key_value_heads, head_dim: config.head_dim }
    }

    /// Returns the factor of the scores, `1 / sqrt(head_dim)`.
    #[must_use]
    pub fn scale(&self) -> f32 {
        1.0 / (self.head_dim as f32).sqrt()
    }

    pub(crate) fn group(&self) -> usize {
        self.heads / self.key_heads
    }
}

/// What the forward pass returns.
pub struct Attended {
    /// Attention output, `[queries, heads * head_dim]`.
    pub output: Tensor<2>,
    /// Logarithm of the sum of exponentials of each row and head, `[queries, heads]`.
    pub log_sum: Tensor<2>,
}

/// Attends causally: the queries are the last rows of the sequence whose keys and values are given.
///
/// # Shapes
/// `q`: `[queries, heads * head_dim]`; `k`, `v`: `[keys, key_heads * head_dim]` with `keys >= queries`.
///
/// # Panics
/// Panics when there are fewer keys than queries.
#[must_use]
pub fn forward(q: &Tensor<2>, k: &Tensor<2>, v: &Tensor<2>, shape: AttentionShape) -> Attended {
    let ([queries, _], [keys, _]) = (q.dims(), k.dims());
    assert!(keys >= queries, "{queries} queries cannot be the end of {keys} keys");
    match (HostFloats::of(q), HostFloats::of(k), HostFloats::of(v)) {
        (Some(q), Some(k), Some(v)) => {
            let (output, log_sum) = cpu::forward(&q, &k, &v, queries, keys, shape);
            Attended {
                output: host::tensor(output, [queries, shape.heads * shape.head_dim]),
                log_sum: host::tensor(log_sum, [queries, shape.heads]),
            }
        }
        _ => reference::forward(q.clone(), k.clone(), v.clone(), shape),
    }
}

/// The gradients that [`backward`] returns, shaped as their tensors.
pub struct Gradients {
    /// With respect to the queries.
    pub q: Tensor<2>,
    /// With respect to the keys.
    pub k: Tensor<2>,
    /// With respect to the values.
    pub v: Tensor<2>,
}

/// Returns the gradients of [`forward`] over a whole sequence (as many keys as queries) for the output gradient `doutput`.
///
/// With `P = exp(S - lse)` and `delta_i = o_i do_i`: `dV = P^T dO`, `dS = P (dO V^T - delta)`, `dQ = dS K / sqrt(D)`,
/// `dK = dS^T Q / sqrt(D)`; keys and values sum over the query heads of their group. Every sum has a fixed order, so the result does
/// not depend on the number of threads.
///
/// # Shapes
/// As in [`forward`], with as many keys as queries.
#[must_use]
pub fn backward(q: &Tensor<2>, k: &Tensor<2>, v: &Tensor<2>, attended: &Attended, doutput: &Tensor<2>, shape: AttentionShape) -> Gradients {
    let rows = q.dims()[0];
    let hosts = (HostFloats::of(q), HostFloats::of(k), HostFloats::of(v), HostFloats::of(&attended.output));
    match (hosts, HostFloats::of(&attended.log_sum), HostFloats::of(doutput)) {
        ((Some(qs), Some(ks), Some(vs), Some(output)), Some(log_sum), Some(doutput)) => {
            let (dq, dk, dv) = cpu::backward(&qs, &ks, &vs, &output, &log_sum, &doutput, rows, shape);
            Gradients { q: host::tensor(dq, q.dims()), k: host::tensor(dk, k.dims()), v: host::tensor(dv, v.dims()) }
        }
        _ => reference::backward(q.clone(), k.clone(), v.clone(), doutput.clone(), shape),
    }
}
