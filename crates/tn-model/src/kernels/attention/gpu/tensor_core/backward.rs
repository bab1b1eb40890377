//! The backward pass: a walk that owns keys, which may add to the queries' gradient on its way, and one that owns query rows.

use burn::tensor::{DType, Tensor};
use burn_cubecl::tensor::CubeTensor;
use cubecl::ir::ElemType;
use cubecl::prelude::*;

use super::super::rows::{Rows, Task};
use super::super::schedule::{FIELDS, Schedule, Sequence as Packed};
use super::super::{Operands, Statistics};
use super::fragments::{add_weighted, column_of, row_of, scores, store, weighted_transposed, zero_sums};
use super::softmax::{exp2, hide, hide_transposed, pair_of};
use super::tile::{arrive, load, place};
use super::{CHUNK, Chunk, LANES, Pair, Plan, STRIP, TILE, UNITS};
use crate::kernels::attention::AttentionShape;
use crate::kernels::gpu;

/// What the probability of a row that is not there is divided by, as a logarithm.
const NOT_THERE: f32 = f32::MAX;

/// Brings the statistics of a tile of rows into shared memory: the logarithms to base 2, then the deltas.
#[cube]
fn load_statistics(log_sum: &[f32], delta: &[f32], rows: &Rows, statistics: &mut [f32], start: usize) {
    let unit = UNIT_POS as usize;
    let row = unit % TILE;
    let there = rows.has(row);
    let index = select(there, rows.index(row), 0);
    if unit < TILE {
        statistics[start + unit] = select(there, log_sum[index] * f32::new(std::f32::consts::LOG2_E), f32::new(NOT_THERE));
    } else {
        statistics[start + unit] = select(there, delta[index], f32::new(0.0));
    }
}

/// Turns transposed scores into probabilities and products with the output gradient into gradients of scores, where columns are rows of
/// the tile whose statistics are given.
#[cube]
fn weigh_columns(
    scores: &mut Sequence<Array<Vector<f32, Pair>>>,
    gradients: &mut Sequence<Array<Vector<f32, Pair>>>,
    statistics: &[f32],
    start: usize,
    factor: f32,
) {
    #[unroll]
    for part in 0..comptime![TILE / 8] {
        let column = start + comptime![part * 8] + column_of();
        let log_sums = pair_of(statistics[column], statistics[column + 1]);
        let deltas = pair_of(statistics[column + TILE], statistics[column + comptime![TILE + 1]]);
        weigh(scores.index_mut(part), gradients.index_mut(part), log_sums, deltas, log_sums, deltas, factor);
    }
}

/// The same for scores that are not transposed: a lane's two rows have one statistic each.
#[cube]
fn weigh_rows(
    scores: &mut Sequence<Array<Vector<f32, Pair>>>,
    gradients: &mut Sequence<Array<Vector<f32, Pair>>>,
    log_sums: &Array<f32>,
    deltas: &Array<f32>,
    factor: f32,
) {
    let (first, second) = (Vector::<f32, Pair>::new(log_sums[0]), Vector::<f32, Pair>::new(log_sums[1]));
    let (first_delta, second_delta) = (Vector::<f32, Pair>::new(deltas[0]), Vector::<f32, Pair>::new(deltas[1]));
    #[unroll]
    for part in 0..comptime![TILE / 8] {
        weigh(scores.index_mut(part), gradients.index_mut(part), first, first_delta, second, second_delta, factor);
    }
}

/// `p = 2^(factor s - log sum)`, `ds = p (dp - delta)` for one result of 16 x 8.
#[cube]
fn weigh(
    scores: &mut Array<Vector<f32, Pair>>,
    gradients: &mut Array<Vector<f32, Pair>>,
    first_log_sums: Vector<f32, Pair>,
    first_deltas: Vector<f32, Pair>,
    second_log_sums: Vector<f32, Pair>,
    second_deltas: Vector<f32, Pair>,
    factor: f32,
) {
    let factors = Vector::<f32, Pair>::new(factor);
    let first = exp2_pair(scores[0] * factors - first_log_sums);
    let second = exp2_pair(scores[1] * factors - second_log_sums);
    scores[0] = first;
    scores[1] = second;
    gradients[0] = first * (gradients[0] - first_deltas);
    gradients[1] = second * (gradients[1] - second_deltas);
}

#[cube]
fn exp2_pair(pair: Vector<f32, Pair>) -> Vector<f32, Pair> {
    pair_of(exp2(pair.extract(0usize)), exp2(pair.extract(1usize)))
}

#[cube(launch_unchecked, address_type = "dynamic")]
fn key_walk<F: Float>(
    q: &[Vector<F, Chunk>],
    k: &[Vector<F, Chunk>],
    v: &[Vector<F, Chunk>],
    doutput: &[Vector<F, Chunk>],
    log_sum: &[f32],
    delta: &[f32],
    tasks: &[u32],
    dk: &mut [Vector<F, Pair>],
    dv: &mut [Vector<F, Pair>],
    dq: &[Atomic<f32>],
    scale: f32,
    #[comptime] adds_queries: bool,
    #[comptime] plan: Plan,
    #[define(F)] _type: ElemType,
) {
    let heads = comptime![plan.heads];
    let chunks = comptime![plan.chunks()];
    let size = comptime![TILE * chunks];
    if CUBE_POS >= tasks.len() / FIELDS * heads.key_heads {
        terminate!();
    }
    let mut key_tile = Shared::<[Vector<F, Chunk>]>::new_aligned_slice(size, 16usize);
    let mut value_tile = Shared::<[Vector<F, Chunk>]>::new_aligned_slice(size, 16usize);
    let mut query_tiles = Shared::<[Vector<F, Chunk>]>::new_aligned_slice(comptime![2 * size], 16usize);
    let mut gradient_tile = Shared::<[Vector<F, Chunk>]>::new_aligned_slice(size, 16usize);
    let mut statistics = Shared::<[f32]>::new_slice(comptime![4 * TILE]);
    let task = Task::read(tasks, CUBE_POS);
    let keys = task.key_rows(task.tile * TILE, heads);
    let warp_row = UNIT_POS as usize / LANES as usize * STRIP;
    let position = select(keys.first > task.past, keys.first - task.past, 0);
    let first_tile = position * heads.group / TILE;
    let tiles = (task.queries * heads.group).div_ceil(TILE);
    let factor = scale * f32::new(std::f32::consts::LOG2_E);

    let queries = task.query_rows(first_tile * TILE, heads);
    load::<F>(k, &keys, key_tile.as_mut_slice(), 0, TILE, plan);
    load::<F>(v, &keys, value_tile.as_mut_slice(), 0, TILE, plan);
    load::<F>(q, &queries, query_tiles.as_mut_slice(), 0, TILE, plan);
    load::<F>(doutput, &queries, gradient_tile.as_mut_slice(), 0, TILE, plan);
    load_statistics(log_sum, delta, &queries, statistics.as_mut_slice(), 0);
    let mut key_sums = zero_sums(chunks);
    let mut value_sums = zero_sums(chunks);
    for tile in first_tile..tiles {
        let buffer = (tile - first_tile) % 2;
        let queries = task.query_rows(tile * TILE, heads);
        let next = task.query_rows(tile * TILE + TILE, heads);
        arrive(plan);
        if tile + 1 < tiles {
            load::<F>(q, &next, query_tiles.as_mut_slice(), (1 - buffer) * size, TILE, plan);
            load_statistics(log_sum, delta, &next, statistics.as_mut_slice(), (1 - buffer) * comptime![2 * TILE]);
        }
        let start = buffer * size;
        let mut weights = scores::<F>(key_tile.as_slice(), warp_row, query_tiles.as_slice(), start, 1usize, TILE, chunks);
        let mut gradients = scores::<F>(value_tile.as_slice(), warp_row, gradient_tile.as_slice(), 0, 1usize, TILE, chunks);
        if task.visible(queries.first, heads) < keys.first + TILE {
            hide_transposed(&mut weights, &task, queries.first, keys.first + warp_row, TILE, heads);
        }
        weigh_columns(&mut weights, &mut gradients, statistics.as_slice(), buffer * comptime![2 * TILE], factor);
        add_weighted::<F>(&mut value_sums, &weights, gradient_tile.as_slice(), 0, 1usize, TILE, chunks);
        if comptime![adds_queries] {
            let mut shown = Shared::<[Vector<F, Pair>]>::new_aligned_slice(comptime![TILE * TILE / 2], 16usize);
            show::<F>(&gradients, shown.as_mut_slice(), warp_row);
            sync_cube();
            if tile + 1 < tiles {
                load::<F>(doutput, &next, gradient_tile.as_mut_slice(), 0, TILE, plan);
            }
            let sums = weighted_transposed::<F>(shown.as_slice(), warp_row, key_tile.as_slice(), TILE, chunks);
            add_to_memory(&sums, dq, &queries, warp_row, heads.head_dim, chunks);
        } else {
            sync_cube();
            if tile + 1 < tiles {
                load::<F>(doutput, &next, gradient_tile.as_mut_slice(), 0, TILE, plan);
            }
        }
        add_weighted::<F>(&mut key_sums, &gradients, query_tiles.as_slice(), start, 1usize, TILE, chunks);
    }
    #[unroll]
    for half in 0..2usize {
        store::<F>(&key_sums, 0usize, half, scale, dk, &keys, warp_row, heads.head_dim);
        store::<F>(&value_sums, 0usize, half, f32::new(1.0), dv, &keys, warp_row, heads.head_dim);
    }
}

/// Shows a warp's gradients of scores, rounded, to the whole cube: rows are keys.
#[cube]
fn show<F: Float>(gradients: &Sequence<Array<Vector<f32, Pair>>>, shown: &mut [Vector<F, Pair>], row: usize) {
    #[unroll]
    for half in 0..2usize {
        #[unroll]
        for part in 0..comptime![TILE / 8] {
            let at = place(row + row_of(half), part, comptime![TILE / CHUNK]) * comptime![CHUNK / 2] + column_of() / 2;
            shown[at] = Vector::cast_from(gradients.index(part)[half]);
        }
    }
}

/// Adds a strip's sums to those in memory.
#[cube]
fn add_to_memory(
    sums: &Sequence<Array<Vector<f32, Pair>>>,
    values: &[Atomic<f32>],
    rows: &Rows,
    first: usize,
    #[comptime] head_dim: usize,
    #[comptime] chunks: usize,
) {
    #[unroll]
    for half in 0..2usize {
        let row = first + row_of(half);
        if rows.has(row) {
            let start = rows.index(row) * head_dim + column_of();
            #[unroll]
            for part in 0..chunks {
                let pair = sums.index(part)[half];
                values[start + comptime![part * 8]].fetch_add(pair.extract(0usize));
                values[start + comptime![part * 8 + 1]].fetch_add(pair.extract(1usize));
            }
        }
    }
}

#[allow(clippy::too_many_arguments, reason = "the operands of one formula")]
fn launch_key_walk(
    operands: &Operands,
    doutput: &CubeTensor,
    statistics: &Statistics,
    [dk, dv]: [&CubeTensor; 2],
    dq: Option<&CubeTensor>,
    sequences: &[Packed],
    plan: Plan,
    shape: AttentionShape,
) {
    let (Operands { q, k, v }, Statistics { log_sum, delta }) = (operands, statistics);
    let schedule = Schedule::of_keys(sequences, TILE);
    let sums = dq.cloned().unwrap_or_else(|| gpu::empty(q, [1], DType::F32));
    // SAFETY: the kernel reads and writes rows of the sequences only, whose numbers the caller has checked against the tensors; it leaves
    // `sums` alone where there is no gradient of queries.
    unsafe {
        key_walk::launch_unchecked(
            &q.client,
            gpu::cubes(schedule.tiles() * plan.heads.key_heads),
            CubeDim::new_1d(UNITS),
            gpu::addresses(&[q, k, log_sum, &sums]),
            q.clone().into_buffer_arg(),
            k.clone().into_buffer_arg(),
            v.clone().into_buffer_arg(),
            doutput.clone().into_buffer_arg(),
            log_sum.clone().into_buffer_arg(),
            delta.clone().into_buffer_arg(),
            schedule.upload(&q.client),
            dk.clone().into_buffer_arg(),
            dv.clone().into_buffer_arg(),
            sums.into_buffer_arg(),
            shape.scale(),
            dq.is_some(),
            plan,
            gpu::elem(q),
        );
    }
}

/// Computes the gradients of keys and values.
pub(in super::super) fn key_gradients(
    operands: &Operands,
    doutput: &CubeTensor,
    statistics: &Statistics,
    gradients: [&CubeTensor; 2],
    sequences: &[Packed],
    plan: Plan,
    shape: AttentionShape,
) {
    launch_key_walk(operands, doutput, statistics, gradients, None, sequences, plan, shape);
}

/// Computes the gradients of keys and values and returns that of the queries, which is summed in any order.
pub(in super::super) fn all_gradients(
    operands: &Operands,
    doutput: &CubeTensor,
    statistics: &Statistics,
    gradients: [&CubeTensor; 2],
    sequences: &[Packed],
    plan: Plan,
    shape: AttentionShape,
) -> CubeTensor {
    let q: Tensor<2> = gpu::tensor(operands.q.clone());
    let sums = Tensor::<2>::zeros(q.dims(), (&q.device(), DType::F32));
    let sums_on_device = gpu::of(&sums).expect("zeros of f32 beside a tensor of the device");
    launch_key_walk(operands, doutput, statistics, gradients, Some(&sums_on_device), sequences, plan, shape);
    let rounded = (sums * shape.scale()).cast(q.dtype());
    gpu::of(&rounded).expect("a tensor of the type of the queries")
}

#[cube(launch_unchecked, address_type = "dynamic")]
fn query_walk<F: Float>(
    q: &[Vector<F, Chunk>],
    k: &[Vector<F, Chunk>],
    v: &[Vector<F, Chunk>],
    doutput: &[Vector<F, Chunk>],
    log_sum: &[f32],
    delta: &[f32],
    tasks: &[u32],
    dq: &mut [Vector<F, Pair>],
    scale: f32,
    #[comptime] plan: Plan,
    #[define(F)] _type: ElemType,
) {
    let heads = comptime![plan.heads];
    let chunks = comptime![plan.chunks()];
    let size = comptime![TILE * chunks];
    if CUBE_POS >= tasks.len() / FIELDS * heads.key_heads {
        terminate!();
    }
    let mut query_tile = Shared::<[Vector<F, Chunk>]>::new_aligned_slice(size, 16usize);
    let mut gradient_tile = Shared::<[Vector<F, Chunk>]>::new_aligned_slice(size, 16usize);
    let mut key_tiles = Shared::<[Vector<F, Chunk>]>::new_aligned_slice(comptime![2 * size], 16usize);
    let mut value_tile = Shared::<[Vector<F, Chunk>]>::new_aligned_slice(size, 16usize);
    let task = Task::read(tasks, CUBE_POS);
    let queries = task.query_rows(task.tile * TILE, heads);
    let warp_row = UNIT_POS as usize / LANES as usize * STRIP;
    let tiles = task.visible_to(queries.first, TILE, heads).div_ceil(TILE);
    // Keys that every row of the tile sees.
    let open = task.visible(queries.first, heads);
    let factor = scale * f32::new(std::f32::consts::LOG2_E);

    load::<F>(q, &queries, query_tile.as_mut_slice(), 0, TILE, plan);
    load::<F>(doutput, &queries, gradient_tile.as_mut_slice(), 0, TILE, plan);
    load::<F>(k, &task.key_rows(0, heads), key_tiles.as_mut_slice(), 0, TILE, plan);
    load::<F>(v, &task.key_rows(0, heads), value_tile.as_mut_slice(), 0, TILE, plan);
    let mut log_sums = Array::<f32>::new(2usize);
    let mut deltas = Array::<f32>::new(2usize);
    #[unroll]
    for half in 0..2usize {
        let row = warp_row + row_of(half);
        let there = queries.has(row);
        let index = select(there, queries.index(row), 0);
        log_sums[half] = select(there, log_sum[index] * f32::new(std::f32::consts::LOG2_E), f32::new(NOT_THERE));
        deltas[half] = select(there, delta[index], f32::new(0.0));
    }
    let mut sums = zero_sums(chunks);
    for tile in 0..tiles {
        let buffer = tile % 2;
        let first_key = tile * TILE;
        let next = task.key_rows(first_key + TILE, heads);
        arrive(plan);
        if tile + 1 < tiles {
            load::<F>(k, &next, key_tiles.as_mut_slice(), (1 - buffer) * size, TILE, plan);
        }
        let start = buffer * size;
        let mut weights = scores::<F>(query_tile.as_slice(), warp_row, key_tiles.as_slice(), start, 1usize, TILE, chunks);
        let mut gradients = scores::<F>(gradient_tile.as_slice(), warp_row, value_tile.as_slice(), 0, 1usize, TILE, chunks);
        sync_cube();
        if tile + 1 < tiles {
            load::<F>(v, &next, value_tile.as_mut_slice(), 0, TILE, plan);
        }
        if first_key + TILE > open {
            hide(&mut weights, &task, queries.first + warp_row, first_key, 1usize, TILE, heads);
        }
        weigh_rows(&mut weights, &mut gradients, &log_sums, &deltas, factor);
        add_weighted::<F>(&mut sums, &gradients, key_tiles.as_slice(), start, 1usize, TILE, chunks);
    }
    #[unroll]
    for half in 0..2usize {
        store::<F>(&sums, 0usize, half, scale, dq, &queries, warp_row, heads.head_dim);
    }
}

/// Computes the gradient of the queries.
pub(in super::super) fn query_gradients(
    operands: &Operands,
    doutput: &CubeTensor,
    statistics: &Statistics,
    dq: &CubeTensor,
    sequences: &[Packed],
    plan: Plan,
    shape: AttentionShape,
) {
    let (Operands { q, k, v }, Statistics { log_sum, delta }) = (operands, statistics);
    let schedule = Schedule::of_queries(sequences, TILE, plan.heads.group);
    // SAFETY: the kernel reads and writes rows of the sequences only, whose numbers the caller has checked against the tensors.
    unsafe {
        query_walk::launch_unchecked(
            &q.client,
            gpu::cubes(schedule.tiles() * plan.heads.key_heads),
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
            plan,
            gpu::elem(q),
        );
    }
}
