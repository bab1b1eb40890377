//! Causal attention with grouped queries, without the matrix of all scores.
//!
//! For query row `i` at position `p` and the keys up to `p`: `s_j = q_i k_j / sqrt(D)`, `o_i = sum_j softmax(s)_j v_j`. The forward pass
//! keeps `lse_i = ln sum_j exp(s_j)` of each row and head; the backward pass rebuilds the probabilities from it
//! (Dao et al., FlashAttention, arXiv 2205.14135), block by block.
//!
//! Sequences may lie behind one another ([`Segments`]): then a row sees the keys of its own sequence only.
//!
//! A score that is NaN makes the output of its row NaN. A NaN or an infinity among the values reaches every row of the block of rows that
//! sees it, also those before it, because hidden keys have the weight 0 and not no weight. Scores as large as `f32` holds do not overflow.

mod cpu;
#[cfg(feature = "gpu")]
mod gpu;
pub(crate) mod reference;
mod segments;

use burn::tensor::Tensor;

use super::host::{self, HostFloats};
use crate::Qwen3Config;

pub(crate) use cpu::{QUERIES, softmax_in_place};
pub use segments::{Segments, SegmentsError};

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

    /// Values of a row of queries.
    fn width(&self) -> usize {
        self.heads * self.head_dim
    }

    /// Values of a row of keys.
    fn key_width(&self) -> usize {
        self.key_heads * self.head_dim
    }
}

/// What the forward pass returns.
pub struct Attended {
    /// Attention output, `[queries, heads * head_dim]`.
    pub output: Tensor<2>,
    /// Logarithm of the sum of exponentials of each row and head, `[queries, heads]`, always in `f32`.
    pub log_sum: Tensor<2>,
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

/// Whether the sums of a gradient may be added up in any order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Determinism {
    /// Same input, same bits, on the same device.
    #[default]
    Exact,
    /// The last bits of the queries' gradient may differ from run to run, where a device is faster that way.
    Relaxed,
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
    if let (Some(q), Some(k), Some(v)) = (HostFloats::of(q), HostFloats::of(k), HostFloats::of(v)) {
        let (output, log_sum) = cpu::forward(&q, &k, &v, queries, keys, shape);
        return host_attended(output, log_sum, queries, shape);
    }
    #[cfg(feature = "gpu")]
    if let Some(attended) = gpu::forward(q, k, v, &gpu::one_sequence(queries, keys), shape) {
        return attended;
    }
    reference::forward(q.clone(), k.clone(), v.clone(), shape)
}

/// Attends causally inside each of the packed sequences and not across them.
///
/// # Shapes
/// `q`: `[rows, heads * head_dim]`; `k`, `v`: `[rows, key_heads * head_dim]`, where `rows` is that of the segments.
///
/// # Panics
/// Panics when a tensor has another number of rows.
#[must_use]
pub fn forward_segments(q: &Tensor<2>, k: &Tensor<2>, v: &Tensor<2>, segments: &Segments, shape: AttentionShape) -> Attended {
    assert_rows(q, k, segments);
    if let (Some(q), Some(k), Some(v)) = (HostFloats::of(q), HostFloats::of(k), HostFloats::of(v)) {
        let (output, log_sum) = cpu::forward_segments(&q, &k, &v, segments, shape);
        return host_attended(output, log_sum, segments.rows(), shape);
    }
    #[cfg(feature = "gpu")]
    if let Some(attended) = gpu::forward(q, k, v, &gpu::packed_sequences(segments), shape) {
        return attended;
    }
    reference::forward_segments(q.clone(), k.clone(), v.clone(), segments, shape)
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
    if let ((Some(qs), Some(ks), Some(vs), Some(output)), Some(log_sum), Some(doutput)) =
        (hosts, HostFloats::of(&attended.log_sum), HostFloats::of(doutput))
    {
        let (dq, dk, dv) = cpu::backward(&qs, &ks, &vs, &output, &log_sum, &doutput, rows, shape);
        return Gradients { q: host::tensor(dq, q.dims()), k: host::tensor(dk, k.dims()), v: host::tensor(dv, v.dims()) };
    }
    #[cfg(feature = "gpu")]
    if let Some(gradients) = gpu::backward(q, k, v, attended, doutput, &gpu::one_sequence(rows, rows), shape, Determinism::Exact) {
        return gradients;
    }
    reference::backward(q.clone(), k.clone(), v.clone(), doutput.clone(), shape)
}

/// Returns the gradients of [`forward_segments`], by the formulas of [`backward`].
///
/// # Shapes
/// As in [`forward_segments`].
///
/// # Panics
/// Panics when a tensor has another number of rows.
#[must_use]
#[allow(clippy::too_many_arguments, reason = "the operands of one formula")]
pub fn backward_segments(
    q: &Tensor<2>,
    k: &Tensor<2>,
    v: &Tensor<2>,
    attended: &Attended,
    doutput: &Tensor<2>,
    segments: &Segments,
    shape: AttentionShape,
    determinism: Determinism,
) -> Gradients {
    assert_rows(q, k, segments);
    let hosts = (HostFloats::of(q), HostFloats::of(k), HostFloats::of(v), HostFloats::of(&attended.output));
    if let ((Some(qs), Some(ks), Some(vs), Some(output)), Some(log_sum), Some(doutput)) =
        (hosts, HostFloats::of(&attended.log_sum), HostFloats::of(doutput))
    {
        let (dq, dk, dv) = cpu::backward_segments(&qs, &ks, &vs, &output, &log_sum, &doutput, segments, shape);
        return Gradients { q: host::tensor(dq, q.dims()), k: host::tensor(dk, k.dims()), v: host::tensor(dv, v.dims()) };
    }
    #[cfg(feature = "gpu")]
    if let Some(gradients) = gpu::backward(q, k, v, attended, doutput, &gpu::packed_sequences(segments), shape, determinism) {
        return gradients;
    }
    // The bodies above and below add in a fixed order whatever is allowed.
    let _ = determinism;
    reference::backward_segments(q.clone(), k.clone(), v.clone(), doutput.clone(), segments, shape)
}

fn assert_rows(q: &Tensor<2>, k: &Tensor<2>, segments: &Segments) {
    let ([queries, _], [keys, _], rows) = (q.dims(), k.dims(), segments.rows());
    assert!(queries == rows && keys == rows, "{queries} queries and {keys} keys, where the packed sequences have {rows} rows");
}

fn host_attended(output: Vec<f32>, log_sum: Vec<f32>, queries: usize, shape: AttentionShape) -> Attended {
    Attended { output: host::tensor(output, [queries, shape.width()]), log_sum: host::tensor(log_sum, [queries, shape.heads]) }
}
