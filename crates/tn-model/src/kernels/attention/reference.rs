//! Attention with the whole score matrix, in plain tensor operations.

use burn::tensor::{Bool, Device, FloatDType, Tensor, TensorData, activation::softmax};

use super::{Attended, AttentionShape, Gradients, Segments};

pub(crate) fn forward(q: Tensor<2>, k: Tensor<2>, v: Tensor<2>, shape: AttentionShape) -> Attended {
    let hidden = future(q.dims()[0], k.dims()[0], &q.device());
    attend(q, k, v, hidden, shape)
}

pub(crate) fn forward_segments(q: Tensor<2>, k: Tensor<2>, v: Tensor<2>, segments: &Segments, shape: AttentionShape) -> Attended {
    let hidden = future_and_others(segments, &q.device());
    attend(q, k, v, hidden, shape)
}

pub(crate) fn backward(q: Tensor<2>, k: Tensor<2>, v: Tensor<2>, doutput: Tensor<2>, shape: AttentionShape) -> Gradients {
    let hidden = future(q.dims()[0], k.dims()[0], &q.device());
    differentiate(q, k, v, doutput, hidden, shape)
}

pub(crate) fn backward_segments(
    q: Tensor<2>,
    k: Tensor<2>,
    v: Tensor<2>,
    doutput: Tensor<2>,
    segments: &Segments,
    shape: AttentionShape,
) -> Gradients {
    let hidden = future_and_others(segments, &q.device());
    differentiate(q, k, v, doutput, hidden, shape)
}

fn attend(q: Tensor<2>, k: Tensor<2>, v: Tensor<2>, hidden: Tensor<2, Bool>, shape: AttentionShape) -> Attended {
    let queries = q.dims()[0];
    let scores = scores(q, k, hidden, shape);
    let probabilities = softmax(scores.clone(), 2);
    let output = probabilities.matmul(heads_first(v, shape.key_heads, shape.group()));
    let largest = scores.clone().max_dim(2);
    let log_sum = (scores - largest.clone()).exp().sum_dim(2).log() + largest;
    let log_sum = log_sum.reshape([shape.heads, queries]).transpose();
    Attended { output: rows_first(output), log_sum: log_sum.cast(FloatDType::F32) }
}

fn differentiate(
    q: Tensor<2>,
    k: Tensor<2>,
    v: Tensor<2>,
    doutput: Tensor<2>,
    hidden: Tensor<2, Bool>,
    shape: AttentionShape,
) -> Gradients {
    let probabilities = softmax(scores(q.clone(), k.clone(), hidden, shape), 2);
    let (queries, keys) = (heads_first(q, shape.heads, 1), heads_first(k, shape.key_heads, shape.group()));
    let values = heads_first(v, shape.key_heads, shape.group());
    let gradient = heads_first(doutput, shape.heads, 1);
    let dvalues = probabilities.clone().swap_dims(1, 2).matmul(gradient.clone());
    let dprobabilities = gradient.matmul(values.swap_dims(1, 2));
    let delta = (probabilities.clone() * dprobabilities.clone()).sum_dim(2);
    let dscores = probabilities * (dprobabilities - delta) * shape.scale();
    let dkeys = dscores.clone().swap_dims(1, 2).matmul(queries);
    Gradients { q: rows_first(dscores.matmul(keys)), k: sum_groups(dkeys, shape), v: sum_groups(dvalues, shape) }
}

/// The keys after each query, where the queries are the last rows.
fn future(queries: usize, keys: usize, device: &Device) -> Tensor<2, Bool> {
    Tensor::tril_mask([queries, keys], (keys - queries) as i64, device)
}

/// The keys after each query and those of other sequences.
fn future_and_others(segments: &Segments, device: &Device) -> Tensor<2, Bool> {
    let rows = segments.rows();
    let mut hidden = vec![true; rows * rows];
    for sequence in segments.ranges() {
        for row in sequence.clone() {
            hidden[row * rows + sequence.start..=row * rows + row].fill(false);
        }
    }
    Tensor::from_data(TensorData::new(hidden, [rows, rows]), device)
}

/// Returns the scaled scores, without those of hidden keys, `[heads, queries, keys]`.
fn scores(q: Tensor<2>, k: Tensor<2>, hidden: Tensor<2, Bool>, shape: AttentionShape) -> Tensor<3> {
    let (q, k) = (heads_first(q, shape.heads, 1), heads_first(k, shape.key_heads, shape.group()));
    (q.matmul(k.swap_dims(1, 2)) * shape.scale()).mask_fill(hidden.unsqueeze(), f32::NEG_INFINITY)
}

/// Turns `[rows, heads * head_dim]` into `[heads * repeats, rows, head_dim]`, every head `repeats` times in a row.
fn heads_first(x: Tensor<2>, heads: usize, repeats: usize) -> Tensor<3> {
    let [rows, features] = x.dims();
    let x = x.reshape([rows, heads, features / heads]).swap_dims(0, 1);
    if repeats == 1 {
        return x;
    }
    x.unsqueeze_dim::<4>(1).repeat_dim(1, repeats).reshape([heads * repeats, rows, features / heads])
}

fn rows_first(x: Tensor<3>) -> Tensor<2> {
    let [heads, rows, head_dim] = x.dims();
    x.swap_dims(0, 1).reshape([rows, heads * head_dim])
}

fn sum_groups(x: Tensor<3>, shape: AttentionShape) -> Tensor<2> {
    let [_, rows, head_dim] = x.dims();
    let summed = x.reshape([shape.key_heads, shape.group(), rows, head_dim]).sum_dim(1);
    rows_first(summed.reshape([shape.key_heads, rows, head_dim]))
}
