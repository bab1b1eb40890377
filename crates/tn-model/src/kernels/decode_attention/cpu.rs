//! All rows against the shared prompt in one matrix product a key head, then each against its own keys.

use pulp::Arch;
use rayon::prelude::*;

use super::Run;
use crate::kernels::attention::{AttentionShape, softmax_in_place};
use crate::kernels::lanes::dot;
use crate::kernels::matmul::{View, Write, product};

/// Keys or values: of the prompt, as the cache stores them, and of the new tokens.
pub(super) struct Keys<'a> {
    pub(super) prompt: &'a [f32],
    pub(super) own: &'a [f32],
    pub(super) capacity: usize,
    pub(super) new: &'a [f32],
}

/// What one row sees besides the prompt.
#[derive(Clone, Copy)]
pub(super) struct Row {
    continuation: usize,
    /// Entries of its continuation.
    own: usize,
    /// The first row of its run.
    first: usize,
    /// Rows of its run, up to itself.
    new: usize,
}

impl Row {
    fn visible(&self) -> usize {
        self.own + self.new
    }
}

/// Returns the rows of some runs.
pub(super) fn rows(runs: &[Run], lengths: &[usize]) -> Vec<Row> {
    let mut rows = Vec::new();
    for run in runs {
        let (continuation, first) = (run.continuation, rows.len());
        rows.extend((1..=run.tokens).map(|new| Row { continuation, own: lengths[continuation], first, new }));
    }
    rows
}

impl Keys<'_> {
    /// Values of key head `group` in entry `at` of what a row sees behind the prompt.
    #[inline(always)]
    fn behind_prompt(&self, row: &Row, at: usize, group: usize, shape: AttentionShape) -> &[f32] {
        let width = shape.key_heads * shape.head_dim;
        let (values, entry) =
            if at < row.own { (self.own, row.continuation * self.capacity + at) } else { (self.new, row.first + at - row.own) };
        let start = entry * width + group * shape.head_dim;
        &values[start..start + shape.head_dim]
    }
}

pub(super) fn forward(q: &[f32], keys: &Keys<'_>, values: &Keys<'_>, rows: &[Row], shape: AttentionShape) -> Vec<f32> {
    let groups: Vec<Vec<f32>> = (0..shape.key_heads).into_par_iter().map(|group| attend(q, keys, values, rows, group, shape)).collect();
    let (d, per_group) = (shape.head_dim, shape.group());
    let mut output = Vec::with_capacity(q.len());
    for row in 0..rows.len() {
        for group in &groups {
            let start = row * per_group * d;
            output.extend_from_slice(&group[start..start + per_group * d]);
        }
    }
    output
}

/// Returns the output of one group of query heads, `[rows * heads of the group, head_dim]`.
fn attend(q: &[f32], keys: &Keys<'_>, values: &Keys<'_>, rows: &[Row], group: usize, shape: AttentionShape) -> Vec<f32> {
    let (d, per_group) = (shape.head_dim, shape.group());
    let (width, key_width) = (shape.heads * d, shape.key_heads * d);
    let prompt = keys.prompt.len() / key_width;
    let (queries, stride) = (rows.len() * per_group, prompt + rows.iter().map(Row::visible).max().unwrap_or(0));

    let scaled: Vec<f32> =
        (0..rows.len()).flat_map(|row| &q[row * width + group * per_group * d..][..per_group * d]).map(|q| q * shape.scale()).collect();
    let mut scores = vec![0.0; queries * stride];
    let at = (group * d).min(keys.prompt.len());
    let prompt_keys = View::rows(&keys.prompt[at..], key_width).transposed();
    product([queries, prompt, d], View::rows(&scaled, d), prompt_keys, 1.0, Write::Replace, &mut scores, stride);
    let mut output = vec![0.0; queries * d];
    for (index, (scores, query)) in scores.chunks_exact_mut(stride).zip(scaled.chunks_exact(d)).enumerate() {
        let row = &rows[index / per_group];
        let scores = &mut scores[..prompt + row.visible()];
        Arch::new().dispatch(
            #[inline(always)]
            || {
                for (at, score) in scores[prompt..].iter_mut().enumerate() {
                    *score = dot(query, keys.behind_prompt(row, at, group, shape));
                }
            },
        );
        softmax_in_place(scores);
    }
    let prompt_values = View::rows(&values.prompt[at..], key_width);
    product([queries, d, prompt], View::rows(&scores, stride), prompt_values, 1.0, Write::Replace, &mut output, d);
    for (index, (scores, output)) in scores.chunks_exact(stride).zip(output.chunks_exact_mut(d)).enumerate() {
        let row = &rows[index / per_group];
        for (at, weight) in scores[prompt..prompt + row.visible()].iter().enumerate() {
            let value = values.behind_prompt(row, at, group, shape);
            output.iter_mut().zip(value).for_each(|(o, v)| *o += weight * v);
        }
    }
    output
}
