//! Attention over slices: blocks of queries against tiles of keys, the products by the matrix kernel.

use std::ops::Range;

use pulp::Arch;
use rayon::prelude::*;

use super::{AttentionShape, Segments};
use crate::kernels::exponential::exp;
use crate::kernels::lanes::{dot, max, sum};
use crate::kernels::matmul::{View, Write, product};

/// Query rows of one block.
pub(crate) const QUERIES: usize = 64;

/// Keys of one tile: a block of scores (64 x 1024, 256 KiB) stays in the second-level cache.
const KEYS: usize = 1024;

pub(super) fn forward(q: &[f32], k: &[f32], v: &[f32], queries: usize, keys: usize, shape: AttentionShape) -> (Vec<f32>, Vec<f32>) {
    let width = shape.heads * shape.head_dim;
    let past = keys - queries;
    let mut output = vec![0.0; queries * width];
    let mut log_sum = vec![0.0; queries * shape.heads];
    output.par_chunks_mut(QUERIES * width).zip(log_sum.par_chunks_mut(QUERIES * shape.heads)).enumerate().for_each(
        |(block, (output, log_sum))| {
            let first = block * QUERIES;
            let mut scores = vec![0.0; QUERIES * KEYS.min(keys)];
            for head in 0..shape.heads {
                let rows = output.len() / width;
                let queries = &q[first * width + head * shape.head_dim..];
                let mut running = Running::new(rows);
                let visible = past + first + rows;
                for tile in (0..visible).step_by(KEYS) {
                    let tile = Tile { first_key: tile, keys: KEYS.min(visible - tile), rows, first_query: past + first };
                    tile.scores(queries, width, k, head, shape, &mut scores);
                    running.absorb(&tile, &mut scores, &mut output[head * shape.head_dim..], width, shape.head_dim);
                    tile.add_values(&scores, v, head, shape, &mut output[head * shape.head_dim..], width);
                }
                running.finish(&mut output[head * shape.head_dim..], width, shape.head_dim, &mut log_sum[head..], shape.heads);
            }
        },
    );
    (output, log_sum)
}

/// Attends inside each sequence alone: its rows have the bits that [`forward`] gives them.
pub(super) fn forward_segments(q: &[f32], k: &[f32], v: &[f32], segments: &Segments, shape: AttentionShape) -> (Vec<f32>, Vec<f32>) {
    let parts = of_each(segments, |rows| {
        let (q, k, v) = (part(q, &rows, shape.width()), part(k, &rows, shape.key_width()), part(v, &rows, shape.key_width()));
        forward(q, k, v, rows.len(), rows.len(), shape)
    });
    let (outputs, log_sums): (Vec<_>, Vec<_>) = parts.into_iter().unzip();
    (outputs.concat(), log_sums.concat())
}

/// Returns a result for each sequence, in order.
fn of_each<T: Send>(segments: &Segments, result: impl Fn(Range<usize>) -> T + Sync + Send) -> Vec<T> {
    let ranges: Vec<Range<usize>> = segments.ranges().collect();
    ranges.into_par_iter().map(result).collect()
}

/// The values of some rows.
fn part<'a>(values: &'a [f32], rows: &Range<usize>, width: usize) -> &'a [f32] {
    &values[rows.start * width..rows.end * width]
}

/// A block of queries against a tile of keys.
struct Tile {
    first_key: usize,
    keys: usize,
    rows: usize,
    /// Position of the first query row.
    first_query: usize,
}

impl Tile {
    /// Number of keys that row `row` of the block may see.
    fn visible(&self, row: usize) -> usize {
        (self.first_query + row + 1).saturating_sub(self.first_key).min(self.keys)
    }

    fn scores(&self, q: &[f32], width: usize, k: &[f32], head: usize, shape: AttentionShape, scores: &mut [f32]) {
        let left = View::rows(q, width);
        let right = self.key_rows(k, head, shape).transposed();
        product([self.rows, self.keys, shape.head_dim], left, right, shape.scale(), Write::Replace, scores, self.keys);
    }

    fn add_values(&self, p: &[f32], v: &[f32], head: usize, shape: AttentionShape, output: &mut [f32], width: usize) {
        let right = self.key_rows(v, head, shape);
        product([self.rows, shape.head_dim, self.keys], View::rows(p, self.keys), right, 1.0, Write::Add, output, width);
    }

    fn key_rows<'a>(&self, k: &'a [f32], head: usize, shape: AttentionShape) -> View<'a> {
        let key_width = shape.key_heads * shape.head_dim;
        View::rows(&k[self.first_key * key_width + head / shape.group() * shape.head_dim..], key_width)
    }
}

/// Largest score and sum of exponentials that each row has met so far.
struct Running {
    largest: Vec<f32>,
    total: Vec<f32>,
}

impl Running {
    fn new(rows: usize) -> Self {
        Self { largest: vec![f32::NEG_INFINITY; rows], total: vec![0.0; rows] }
    }

    /// Turns the tile's scores into `exp(s - largest)` and rescales what the output holds when the largest score has grown.
    fn absorb(&mut self, tile: &Tile, scores: &mut [f32], output: &mut [f32], width: usize, head_dim: usize) {
        Arch::new().dispatch(
            #[inline(always)]
            || {
                for (row, scores) in scores.chunks_exact_mut(tile.keys).take(tile.rows).enumerate() {
                    let (seen, hidden) = scores.split_at_mut(tile.visible(row));
                    hidden.fill(0.0);
                    if seen.is_empty() {
                        continue;
                    }
                    let largest = self.largest[row].max(max(seen));
                    for s in seen.iter_mut() {
                        *s = exp(*s - largest);
                    }
                    let shrink = exp(self.largest[row] - largest);
                    if self.total[row] > 0.0 && shrink != 1.0 {
                        output[row * width..row * width + head_dim].iter_mut().for_each(|o| *o *= shrink);
                    }
                    self.total[row] = self.total[row] * shrink + sum(seen);
                    self.largest[row] = largest;
                }
            },
        );
    }

    fn finish(&self, output: &mut [f32], width: usize, head_dim: usize, log_sum: &mut [f32], heads: usize) {
        for (row, (&largest, &total)) in self.largest.iter().zip(&self.total).enumerate() {
            output[row * width..row * width + head_dim].iter_mut().for_each(|o| *o /= total);
            log_sum[row * heads] = largest + total.ln();
        }
    }
}

/// Replaces scores by their softmax.
pub(crate) fn softmax_in_place(scores: &mut [f32]) {
    Arch::new().dispatch(
        #[inline(always)]
        || {
            let largest = max(scores);
            scores.iter_mut().for_each(|s| *s = exp(*s - largest));
            let scale = 1.0 / sum(scores);
            scores.iter_mut().for_each(|s| *s *= scale);
        },
    );
}

/// The sequence that a backward pass walks over.
struct Sequence<'a> {
    q: &'a [f32],
    k: &'a [f32],
    v: &'a [f32],
    output: &'a [f32],
    log_sum: &'a [f32],
    doutput: &'a [f32],
    rows: usize,
    shape: AttentionShape,
}

/// Gradients of one key head and the query heads of its group, each `[rows, head_dim]`.
struct GroupGradients {
    queries: Vec<Vec<f32>>,
    keys: Vec<f32>,
    values: Vec<f32>,
}

#[allow(clippy::too_many_arguments, reason = "the operands of one formula")]
pub(super) fn backward(
    q: &[f32],
    k: &[f32],
    v: &[f32],
    output: &[f32],
    log_sum: &[f32],
    doutput: &[f32],
    rows: usize,
    shape: AttentionShape,
) -> (Vec<f32>, Vec<f32>, Vec<f32>) {
    let sequence = Sequence { q, k, v, output, log_sum, doutput, rows, shape };
    let groups: Vec<GroupGradients> = (0..shape.key_heads).into_par_iter().map(|group| sequence.group_gradients(group)).collect();
    let heads: Vec<&[f32]> = groups.iter().flat_map(|group| group.queries.iter().map(Vec::as_slice)).collect();
    let keys: Vec<&[f32]> = groups.iter().map(|group| group.keys.as_slice()).collect();
    let values: Vec<&[f32]> = groups.iter().map(|group| group.values.as_slice()).collect();
    (interleave(&heads, shape.head_dim), interleave(&keys, shape.head_dim), interleave(&values, shape.head_dim))
}

/// The gradients inside each sequence alone: its rows have the bits that [`backward`] gives them.
#[allow(clippy::too_many_arguments, reason = "the operands of one formula")]
pub(super) fn backward_segments(
    q: &[f32],
    k: &[f32],
    v: &[f32],
    output: &[f32],
    log_sum: &[f32],
    doutput: &[f32],
    segments: &Segments,
    shape: AttentionShape,
) -> (Vec<f32>, Vec<f32>, Vec<f32>) {
    let (width, key_width) = (shape.width(), shape.key_width());
    let parts = of_each(segments, |rows| {
        let (q, k, v) = (part(q, &rows, width), part(k, &rows, key_width), part(v, &rows, key_width));
        let (output, log_sum, doutput) = (part(output, &rows, width), part(log_sum, &rows, shape.heads), part(doutput, &rows, width));
        backward(q, k, v, output, log_sum, doutput, rows.len(), shape)
    });
    let (mut dq, mut dk, mut dv) = (Vec::new(), Vec::new(), Vec::new());
    for (queries, keys, values) in parts {
        dq.extend(queries);
        dk.extend(keys);
        dv.extend(values);
    }
    (dq, dk, dv)
}

impl Sequence<'_> {
    fn group_gradients(&self, group: usize) -> GroupGradients {
        let d = self.shape.head_dim;
        let (mut dk, mut dv) = (vec![0.0; self.rows * d], vec![0.0; self.rows * d]);
        let mut scratch = Scratch::new(self.rows);
        let heads = group * self.shape.group()..(group + 1) * self.shape.group();
        let queries = heads.map(|head| self.head_gradients(head, &mut scratch, &mut dk, &mut dv)).collect();
        GroupGradients { queries, keys: dk, values: dv }
    }

    /// Returns the query gradient of one head and adds its share to the gradients of its keys and values.
    fn head_gradients(&self, head: usize, scratch: &mut Scratch, dk: &mut [f32], dv: &mut [f32]) -> Vec<f32> {
        let (d, width) = (self.shape.head_dim, self.shape.heads * self.shape.head_dim);
        let mut dq = vec![0.0; self.rows * d];
        for first in (0..self.rows).step_by(QUERIES) {
            let rows = QUERIES.min(self.rows - first);
            let offset = first * width + head * d;
            let (q, doutput) = (&self.q[offset..], &self.doutput[offset..]);
            self.deltas(head, first, rows, &mut scratch.delta);
            for first_key in (0..first + rows).step_by(KEYS) {
                let tile = Tile { first_key, keys: KEYS.min(first + rows - first_key), rows, first_query: first };
                let (n, keys) = (tile.keys, first_key * d..(first_key + tile.keys) * d);
                tile.scores(q, width, self.k, head, self.shape, &mut scratch.p);
                product(
                    [rows, n, d],
                    View::rows(doutput, width),
                    tile.key_rows(self.v, head, self.shape).transposed(),
                    1.0,
                    Write::Replace,
                    &mut scratch.ds,
                    n,
                );
                self.score_gradients(&tile, head, scratch);
                let p = View::rows(&scratch.p, n).transposed();
                product([n, d, rows], p, View::rows(doutput, width), 1.0, Write::Add, &mut dv[keys.clone()], d);
                let ds = View::rows(&scratch.ds, n);
                let scale = self.shape.scale();
                product([rows, d, n], ds, tile.key_rows(self.k, head, self.shape), scale, Write::Add, &mut dq[first * d..], d);
                product([n, d, rows], ds.transposed(), View::rows(q, width), scale, Write::Add, &mut dk[keys], d);
            }
        }
        dq
    }

    /// Computes `delta_i = o_i do_i` for a block of rows.
    fn deltas(&self, head: usize, first: usize, rows: usize, delta: &mut [f32]) {
        let (d, width) = (self.shape.head_dim, self.shape.heads * self.shape.head_dim);
        for (row, delta) in delta.iter_mut().take(rows).enumerate() {
            let at = (first + row) * width + head * d;
            *delta = dot(&self.output[at..at + d], &self.doutput[at..at + d]);
        }
    }

    /// Turns scores into probabilities, and `dO V^T` into the gradient of the scores.
    fn score_gradients(&self, tile: &Tile, head: usize, scratch: &mut Scratch) {
        let (log_sum, heads) = (self.log_sum, self.shape.heads);
        Arch::new().dispatch(
            #[inline(always)]
            || {
                let rows = scratch.p.chunks_exact_mut(tile.keys).zip(scratch.ds.chunks_exact_mut(tile.keys)).take(tile.rows);
                for (row, (p, ds)) in rows.enumerate() {
                    let seen = tile.visible(row);
                    let (lse, delta) = (log_sum[(tile.first_query + row) * heads + head], scratch.delta[row]);
                    for (p, ds) in p[..seen].iter_mut().zip(&mut ds[..seen]) {
                        *p = exp(*p - lse);
                        *ds = *p * (*ds - delta);
                    }
                    p[seen..].fill(0.0);
                    ds[seen..].fill(0.0);
                }
            },
        );
    }
}

struct Scratch {
    p: Vec<f32>,
    ds: Vec<f32>,
    delta: Vec<f32>,
}

impl Scratch {
    fn new(rows: usize) -> Self {
        let size = QUERIES * KEYS.min(rows);
        Self { p: vec![0.0; size], ds: vec![0.0; size], delta: vec![0.0; QUERIES] }
    }
}

/// Turns heads of `[rows, head_dim]` into `[rows, heads * head_dim]`.
fn interleave(heads: &[&[f32]], head_dim: usize) -> Vec<f32> {
    let rows = heads[0].len() / head_dim;
    let mut all = Vec::with_capacity(heads.len() * heads[0].len());
    for row in 0..rows {
        for head in heads {
            all.extend_from_slice(&head[row * head_dim..(row + 1) * head_dim]);
        }
    }
    all
}
