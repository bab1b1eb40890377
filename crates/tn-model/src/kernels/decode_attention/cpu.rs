//! All continuations against the shared prompt in one matrix product a key head, then each against its own keys.

use pulp::Arch;
use rayon::prelude::*;

use crate::kernels::attention::{AttentionShape, softmax_in_place};
use crate::kernels::lanes::dot;
use crate::kernels::matmul::{View, Write, product};

/// Keys or values as the cache stores them.
pub(super) struct Keys<'a> {
    pub(super) prompt: &'a [f32],
    pub(super) own: &'a [f32],
    pub(super) capacity: usize,
    pub(super) length: usize,
}

impl Keys<'_> {
    /// Values of key head `group` in the own entry `at` of a continuation.
    #[inline(always)]
    fn own(&self, continuation: usize, at: usize, group: usize, shape: AttentionShape) -> &[f32] {
        let width = shape.key_heads * shape.head_dim;
        let start = (continuation * self.capacity + at) * width + group * shape.head_dim;
        &self.own[start..start + shape.head_dim]
    }
}

pub(super) fn forward(q: &[f32], keys: &Keys<'_>, values: &Keys<'_>, continuations: usize, shape: AttentionShape) -> Vec<f32> {
    let groups: Vec<Vec<f32>> =
        (0..shape.key_heads).into_par_iter().map(|group| attend(q, keys, values, continuations, group, shape)).collect();
    let (d, per_group) = (shape.head_dim, shape.group());
    let mut output = Vec::with_capacity(q.len());
    for continuation in 0..continuations {
        for group in &groups {
            let start = continuation * per_group * d;
            output.extend_from_slice(&group[start..start + per_group * d]);
        }
    }
    output
}

/// Returns the output of one group of query heads, `[continuations * heads of the group, head_dim]`.
fn attend(q: &[f32], keys: &Keys<'_>, values: &Keys<'_>, continuations: usize, group: usize, shape: AttentionShape) -> Vec<f32> {
    let (d, per_group) = (shape.head_dim, shape.group());
    let (width, key_width) = (shape.heads * d, shape.key_heads * d);
    let prompt = keys.prompt.len() / key_width;
    let (rows, visible) = (continuations * per_group, prompt + keys.length);

    let queries: Vec<f32> =
        (0..continuations).flat_map(|c| &q[c * width + group * per_group * d..][..per_group * d]).map(|q| q * shape.scale()).collect();
    let mut scores = vec![0.0; rows * visible];
    let at = (group * d).min(keys.prompt.len());
    let prompt_keys = View::rows(&keys.prompt[at..], key_width).transposed();
    product([rows, prompt, d], View::rows(&queries, d), prompt_keys, 1.0, Write::Replace, &mut scores, visible);
    let mut output = vec![0.0; rows * d];
    for (row, (scores, query)) in scores.chunks_exact_mut(visible).zip(queries.chunks_exact(d)).enumerate() {
        Arch::new().dispatch(
            #[inline(always)]
            || {
                for (at, score) in scores[prompt..].iter_mut().enumerate() {
                    *score = dot(query, keys.own(row / per_group, at, group, shape));
                }
            },
        );
        softmax_in_place(scores);
    }
    let prompt_values = View::rows(&values.prompt[at..], key_width);
    product([rows, d, prompt], View::rows(&scores, visible), prompt_values, 1.0, Write::Replace, &mut output, d);
    for (row, (scores, output)) in scores.chunks_exact(visible).zip(output.chunks_exact_mut(d)).enumerate() {
        for (at, weight) in scores[prompt..].iter().enumerate() {
            let value = values.own(row / per_group, at, group, shape);
            output.iter_mut().zip(value).for_each(|(o, v)| *o += weight * v);
        }
    }
    output
}
