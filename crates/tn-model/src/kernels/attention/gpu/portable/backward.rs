//! The backward pass in two walks: one owns keys and meets the rows that see them, one owns query rows and meets the keys they see.

use burn::tensor::DType;
use burn_cubecl::tensor::CubeTensor;
use cubecl::ir::ElemType;
use cubecl::prelude::*;

use super::super::rows::{Heads, Rows, Task};
use super::super::schedule::{FIELDS, Schedule, Sequence};
use super::super::{Operands, Statistics};
use super::products::{Place, SLICE, add_weighted, scores, write, zeros};
use super::{EACH, PITCH, SIDE, TILE, UNITS, accumulators};
use crate::kernels::attention::AttentionShape;
use crate::kernels::gpu;

/// Units that sum one row of the pre-pass.
const LANES: usize = 16;

/// Rows of a cube of the pre-pass.
const ROWS: usize = UNITS as usize / LANES;

#[cube(launch, address_type = "dynamic")]
fn row_products<F: Float, N: Size>(
    output: &[Vector<F, N>],
    doutput: &[Vector<F, N>],
    delta: &mut [f32],
    #[comptime] vectors: usize,
    #[define(F)] _type: ElemType,
) {
    let mut partial = Shared::<[f32]>::new_slice(comptime![UNITS as usize]);
    let (line, lane) = (UNIT_POS as usize / LANES, UNIT_POS as usize % LANES);
    let row = CUBE_POS * ROWS + line;
    let mut sum = Vector::<f32, N>::new(0.0);
    if row < delta.len() {
        for at in range_stepped(lane, vectors, LANES) {
            let (o, g) = (output[row * vectors + at], doutput[row * vectors + at]);
            sum += Vector::<f32, N>::cast_from(o) * Vector::<f32, N>::cast_from(g);
        }
    }
    partial[UNIT_POS as usize] = sum.vector_sum();
    sync_cube();
    if lane == 0 && row < delta.len() {
        let mut total = f32::new(0.0);
        #[unroll]
        for other in 0..LANES {
            total += partial[line * LANES + other];
        }
        delta[row] = total;
    }
}

/// Returns `o do` of each row and head.
pub(in super::super) fn deltas(output: &CubeTensor, doutput: &CubeTensor, shape: AttentionShape) -> CubeTensor {
    let rows = output.meta.shape()[0];
    let delta = gpu::empty(output, [rows, shape.heads], DType::F32);
    let size = gpu::vector_size(&[output, doutput], shape.head_dim);
    row_products::launch(
        &output.client,
        gpu::cubes((rows * shape.heads).div_ceil(ROWS)),
        CubeDim::new_1d(UNITS),
        gpu::addresses(&[output, &delta]),
        size,
        output.clone().into_buffer_arg(),
        doutput.clone().into_buffer_arg(),
        delta.clone().into_buffer_arg(),
        shape.head_dim / size,
        gpu::elem(output),
    );
    delta
}

/// A unit's probabilities and gradients of scores on a tile, row `y + 16 i` and key `x + 16 j` at `4 i + j`.
#[derive(CubeType)]
struct Weights {
    probabilities: Array<f32>,
    gradients: Array<f32>,
}

/// Rebuilds the probabilities of a tile from the logarithm of their sum and returns them with the gradients of the scores.
#[cube]
fn rebuild<F: Float>(
    q: &[F],
    k: &[F],
    v: &[F],
    doutput: &[F],
    log_sum: &[f32],
    delta: &[f32],
    task: &Task,
    queries: &Rows,
    keys: &Rows,
    scale: f32,
    slice: &mut [f32],
    #[comptime] heads: Heads,
) -> Weights {
    let place = Place::here();
    let mut probabilities = scores::<F>(q, queries, k, keys, slice, heads.head_dim);
    let mut gradients = scores::<F>(doutput, queries, v, keys, slice, heads.head_dim);
    #[unroll]
    for i in 0..EACH {
        let row = place.y + comptime![i * SIDE];
        let there = queries.has(row);
        let mut visible = 0usize.runtime();
        let mut row_log_sum = f32::new(0.0);
        let mut row_delta = f32::new(0.0);
        if there {
            visible = task.visible(queries.first + row, heads);
            row_log_sum = log_sum[queries.index(row)];
            row_delta = delta[queries.index(row)];
        }
        #[unroll]
        for j in 0..EACH {
            let at = comptime![i * EACH + j];
            let key = keys.first + place.x + comptime![j * SIDE];
            let mut probability = f32::new(0.0);
            let mut gradient = f32::new(0.0);
            if key < visible {
                probability = (probabilities[at] * scale - row_log_sum).exp();
                gradient = probability * (gradients[at] - row_delta);
            }
            probabilities[at] = probability;
            gradients[at] = gradient;
        }
    }
    Weights { probabilities, gradients }
}

/// Shows a unit's values of a tile to the whole cube.
#[cube]
fn share(values: &Array<f32>, weights: &mut [f32]) {
    let place = Place::here();
    // What an earlier product left may still be read.
    sync_cube();
    #[unroll]
    for i in 0..EACH {
        #[unroll]
        for j in 0..EACH {
            let at = (place.y + comptime![i * SIDE]) * PITCH + place.x + comptime![j * SIDE];
            weights[at] = values[comptime![i * EACH + j]];
        }
    }
    sync_cube();
}

#[cube]
fn same(value: f32) -> Array<f32> {
    let mut values = Array::<f32>::new(EACH);
    #[unroll]
    for i in 0..EACH {
        values[i] = value;
    }
    values
}

#[cube(launch, address_type = "dynamic")]
fn key_walk<F: Float>(
    q: &[F],
    k: &[F],
    v: &[F],
    doutput: &[F],
    log_sum: &[f32],
    delta: &[f32],
    tasks: &[u32],
    dk: &mut [F],
    dv: &mut [F],
    scale: f32,
    #[comptime] heads: Heads,
    #[define(F)] _type: ElemType,
) {
    if CUBE_POS >= tasks.len() / FIELDS * heads.key_heads {
        terminate!();
    }
    let mut slice = Shared::<[f32]>::new_slice(SLICE);
    let mut weights = Shared::<[f32]>::new_slice(comptime![TILE * PITCH]);
    let task = Task::read(tasks, CUBE_POS);
    let keys = task.key_rows(task.tile * TILE, heads);
    let mut key_sums = zeros(comptime![accumulators(heads.head_dim)]);
    let mut value_sums = zeros(comptime![accumulators(heads.head_dim)]);
    // The first position that sees a key of the tile.
    let position = select(keys.first > task.past, keys.first - task.past, 0);
    let first = position * heads.group / TILE;
    for tile in first..(task.queries * heads.group).div_ceil(TILE) {
        let queries = task.query_rows(tile * TILE, heads);
        let found = rebuild::<F>(q, k, v, doutput, log_sum, delta, &task, &queries, &keys, scale, slice.as_mut_slice(), heads);
        share(&found.probabilities, weights.as_mut_slice());
        add_weighted::<F>(&mut value_sums, weights.as_slice(), doutput, &queries, slice.as_mut_slice(), true, heads.head_dim);
        share(&found.gradients, weights.as_mut_slice());
        add_weighted::<F>(&mut key_sums, weights.as_slice(), q, &queries, slice.as_mut_slice(), true, heads.head_dim);
    }
    write::<F>(&key_sums, &same(scale), dk, &keys, heads.head_dim);
    write::<F>(&value_sums, &same(f32::new(1.0)), dv, &keys, heads.head_dim);
}

/// Computes the gradients of keys and values.
pub(in super::super) fn key_gradients(
    operands: &Operands,
    doutput: &CubeTensor,
    statistics: &Statistics,
    [dk, dv]: [&CubeTensor; 2],
    sequences: &[Sequence],
    shape: AttentionShape,
) {
    let (Operands { q, k, v }, Statistics { log_sum, delta }) = (operands, statistics);
    let heads = Heads::of(shape);
    let schedule = Schedule::of_keys(sequences, TILE);
    key_walk::launch(
        &q.client,
        gpu::cubes(schedule.tiles() * heads.key_heads),
        CubeDim::new_1d(UNITS),
        gpu::addresses(&[q, k, log_sum]),
        q.clone().into_buffer_arg(),
        k.clone().into_buffer_arg(),
        v.clone().into_buffer_arg(),
        doutput.clone().into_buffer_arg(),
        log_sum.clone().into_buffer_arg(),
        delta.clone().into_buffer_arg(),
        schedule.upload(&q.client),
        dk.clone().into_buffer_arg(),
        dv.clone().into_buffer_arg(),
        shape.scale(),
        heads,
        gpu::elem(q),
    );
}

#[cube(launch, address_type = "dynamic")]
fn query_walk<F: Float>(
    q: &[F],
    k: &[F],
    v: &[F],
    doutput: &[F],
    log_sum: &[f32],
    delta: &[f32],
    tasks: &[u32],
    dq: &mut [F],
    scale: f32,
    #[comptime] heads: Heads,
    #[define(F)] _type: ElemType,
) {
    if CUBE_POS >= tasks.len() / FIELDS * heads.key_heads {
        terminate!();
    }
    let mut slice = Shared::<[f32]>::new_slice(SLICE);
    let mut weights = Shared::<[f32]>::new_slice(comptime![TILE * PITCH]);
    let task = Task::read(tasks, CUBE_POS);
    let queries = task.query_rows(task.tile * TILE, heads);
    let mut sums = zeros(comptime![accumulators(heads.head_dim)]);
    for tile in 0..task.visible_to(queries.first, TILE, heads).div_ceil(TILE) {
        let keys = task.key_rows(tile * TILE, heads);
        let found = rebuild::<F>(q, k, v, doutput, log_sum, delta, &task, &queries, &keys, scale, slice.as_mut_slice(), heads);
        share(&found.gradients, weights.as_mut_slice());
        add_weighted::<F>(&mut sums, weights.as_slice(), k, &keys, slice.as_mut_slice(), false, heads.head_dim);
    }
    write::<F>(&sums, &same(scale), dq, &queries, heads.head_dim);
}

/// Computes the gradient of the queries.
pub(in super::super) fn query_gradients(
    operands: &Operands,
    doutput: &CubeTensor,
    statistics: &Statistics,
    dq: &CubeTensor,
    sequences: &[Sequence],
    shape: AttentionShape,
) {
    let (Operands { q, k, v }, Statistics { log_sum, delta }) = (operands, statistics);
    let heads = Heads::of(shape);
    let schedule = Schedule::of_queries(sequences, TILE, heads.group);
    query_walk::launch(
        &q.client,
        gpu::cubes(schedule.tiles() * heads.key_heads),
        CubeDim::new_1d(UNITS),
        gpu::addresses(&[q, k, log_sum]),
        q.clone().into_buffer_arg(),
        k.clone().into_buffer_arg(),
        v.clone().into_buffer_arg(),
        doutput.clone().into_buffer_arg(),
        log_sum.clone().into_buffer_arg(),
        delta.clone().into_buffer_arg(),
        schedule.upload(&q.client),
        dq.clone().into_buffer_arg(),
        shape.scale(),
        heads,
        gpu::elem(q),
    );
}
