//! All rows against the packed prompt, then each against the entries behind it.

use pulp::Arch;
use rayon::prelude::*;

use super::{PackedHead, Run};
use crate::kernels::attention::AttentionShape;
use crate::kernels::exponential::exp;
use crate::kernels::lanes::{dot, max, sum};
use crate::kernels::packed_linear;

/// Multiplications from which the heads are divided among threads.
const PARALLEL: usize = 1 << 21;

/// What there is behind the prompt.
pub(super) struct Behind<'a> {
    pub(super) keys: Keys<'a>,
    pub(super) values: Keys<'a>,
    pub(super) rows: Vec<Row>,
}

/// Keys or values: of the texts, as the cache stores them, and of the new tokens.
pub(super) struct Keys<'a> {
    pub(super) own: &'a [f32],
    pub(super) room: usize,
    pub(super) new: &'a [f32],
}

/// What one row sees besides the prompt.
#[derive(Clone, Copy)]
pub(super) struct Row {
    slot: usize,
    /// Entries of its slot.
    own: usize,
    /// The first row of its run.
    first: usize,
    /// Rows of its run, up to itself.
    new: usize,
}

/// Returns the rows of some runs.
pub(super) fn rows(runs: &[Run]) -> Vec<Row> {
    let mut rows = Vec::new();
    for run in runs {
        let first = rows.len();
        rows.extend((1..=run.tokens).map(|new| Row { slot: run.slot, own: run.own, first, new }));
    }
    rows
}

impl Keys<'_> {
    /// Returns what a row sees behind the prompt, of key head `group`, in order.
    #[inline(always)]
    fn seen_by(&self, row: &Row, group: usize, shape: AttentionShape) -> impl Iterator<Item = &[f32]> {
        let (width, d) = (shape.key_heads * shape.head_dim, shape.head_dim);
        let own = &self.own[row.slot * self.room * width..][..row.own * width];
        let new = &self.new[row.first * width..][..row.new * width];
        own.chunks_exact(width).chain(new.chunks_exact(width)).map(move |entry| &entry[group * d..][..d])
    }
}

pub(super) fn forward(q: &[f32], prompt: &[PackedHead], behind: &Behind<'_>, shape: AttentionShape) -> Vec<f32> {
    let attend = |(group, head)| attend(q, head, behind, group, shape);
    let groups: Vec<Vec<f32>> = match work(q.len(), prompt, behind) >= PARALLEL {
        true => prompt.par_iter().enumerate().map(attend).collect(),
        false => prompt.iter().enumerate().map(attend).collect(),
    };
    let (d, per_group) = (shape.head_dim, shape.group());
    let mut output = Vec::with_capacity(q.len());
    for row in 0..behind.rows.len() {
        for group in &groups {
            output.extend_from_slice(&group[row * per_group * d..][..per_group * d]);
        }
    }
    output
}

/// Returns the number of multiplications, of the scores and of the values.
fn work(queries: usize, prompt: &[PackedHead], behind: &Behind<'_>) -> usize {
    let behind_prompt = behind.rows.iter().map(|row| row.own + row.new).max().unwrap_or(0);
    2 * queries * (prompt.first().map_or(0, |head| head.keys.outputs()) + behind_prompt)
}

/// Returns the output of one group of query heads, `[rows * heads of the group, head_dim]`.
fn attend(q: &[f32], prompt: &PackedHead, behind: &Behind<'_>, group: usize, shape: AttentionShape) -> Vec<f32> {
    let (d, per_group) = (shape.head_dim, shape.group());
    let (width, tokens) = (shape.heads * d, prompt.keys.outputs());
    let of_group = behind.rows.iter().enumerate().flat_map(|(row, _)| &q[row * width + group * per_group * d..][..per_group * d]);
    let queries: Vec<f32> = of_group.map(|q| q * shape.scale()).collect();
    let count = behind.rows.len() * per_group;
    let mut scores = packed_linear::product(&queries, count, &prompt.keys);
    // Of the entries behind the prompt, query after query.
    let mut others = Vec::new();
    let mut totals = Vec::with_capacity(count);
    for (index, (scores, query)) in scores.chunks_exact_mut(tokens).zip(queries.chunks_exact(d)).enumerate() {
        let (row, first) = (&behind.rows[index / per_group], others.len());
        Arch::new().dispatch(
            #[inline(always)]
            || {
                others.extend(behind.keys.seen_by(row, group, shape).map(|key| dot(query, key)));
                totals.push(exponentials(scores, &mut others[first..]));
            },
        );
    }
    let mut output = packed_linear::product(&scores, count, &prompt.values);
    let mut others = others.as_slice();
    for (index, (output, total)) in output.chunks_exact_mut(d).zip(totals).enumerate() {
        let row = &behind.rows[index / per_group];
        let (weights, rest) = others.split_at(row.own + row.new);
        Arch::new().dispatch(
            #[inline(always)]
            || {
                for (weight, value) in weights.iter().zip(behind.values.seen_by(row, group, shape)) {
                    output.iter_mut().zip(value).for_each(|(o, v)| *o += weight * v);
                }
                output.iter_mut().for_each(|o| *o /= total);
            },
        );
        others = rest;
    }
    output
}

/// Replaces the scores of one query by `exp(s - largest)` and returns their sum.
#[inline(always)]
fn exponentials(prompt: &mut [f32], others: &mut [f32]) -> f32 {
    let largest = max(prompt).max(max(others));
    prompt.iter_mut().chain(&mut *others).for_each(|s| *s = exp(*s - largest));
    sum(prompt) + sum(others)
}
