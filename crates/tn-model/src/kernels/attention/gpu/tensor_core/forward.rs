//! The forward pass: a cube walks the keys that its 128 query rows see.

use burn_cubecl::tensor::CubeTensor;
use cubecl::ir::ElemType;
use cubecl::prelude::*;

use super::super::Operands;
use super::super::rows::Task;
use super::super::schedule::{FIELDS, Schedule, Sequence as Rows};
use super::fragments::{add_weighted, column_of, row_of, scores, store, zero_sums};
use super::softmax::{Running, hide, row_sum};
use super::tile::{arrive, load};
use super::{Chunk, LANES, Pair, Plan, STRIP, TILE, UNITS, WARPS};
use crate::kernels::attention::AttentionShape;
use crate::kernels::gpu;

/// Strips of a warp.
const STRIPS: usize = 2;

/// Query rows of a tile.
const ROWS: usize = WARPS * STRIPS * STRIP;

#[cube(launch_unchecked, address_type = "dynamic")]
fn attend<F: Float>(
    q: &[Vector<F, Chunk>],
    k: &[Vector<F, Chunk>],
    v: &[Vector<F, Chunk>],
    tasks: &[u32],
    output: &mut [Vector<F, Pair>],
    log_sum: &mut [f32],
    scale: f32,
    #[comptime] plan: Plan,
    #[define(F)] _type: ElemType,
) {
    let heads = comptime![plan.heads];
    let chunks = comptime![plan.chunks()];
    if CUBE_POS >= tasks.len() / FIELDS * heads.key_heads {
        terminate!();
    }
    let mut query_tile = Shared::<[Vector<F, Chunk>]>::new_aligned_slice(comptime![ROWS * chunks], 16usize);
    let mut key_tile = Shared::<[Vector<F, Chunk>]>::new_aligned_slice(comptime![TILE * chunks], 16usize);
    let mut value_tile = Shared::<[Vector<F, Chunk>]>::new_aligned_slice(comptime![TILE * chunks], 16usize);
    let task = Task::read(tasks, CUBE_POS);
    let queries = task.query_rows(task.tile * ROWS, heads);
    let warp_row = UNIT_POS as usize / LANES as usize * comptime![STRIPS * STRIP];
    let tiles = task.visible_to(queries.first, ROWS, heads).div_ceil(TILE);
    // Keys that every row of the tile sees.
    let open = task.visible(queries.first, heads);
    let factor = scale * f32::new(std::f32::consts::LOG2_E);

    load::<F>(q, &queries, query_tile.as_mut_slice(), 0, ROWS, plan);
    load::<F>(k, &task.key_rows(0, heads), key_tile.as_mut_slice(), 0, TILE, plan);
    let mut sums = zero_sums(comptime![STRIPS * chunks]);
    let mut running = Running::new(STRIPS);
    for tile in 0..tiles {
        let first_key = tile * TILE;
        arrive(plan);
        // The values of the tile before are read, those of this one come while the scores are computed.
        load::<F>(v, &task.key_rows(first_key, heads), value_tile.as_mut_slice(), 0, TILE, plan);
        let mut found = scores::<F>(query_tile.as_slice(), warp_row, key_tile.as_slice(), 0, STRIPS, TILE, chunks);
        if first_key + TILE > open {
            hide(&mut found, &task, queries.first + warp_row, first_key, STRIPS, TILE, heads);
        }
        running.absorb(&mut found, &mut sums, factor, STRIPS, TILE, chunks);
        arrive(plan);
        if tile + 1 < tiles {
            load::<F>(k, &task.key_rows(first_key + TILE, heads), key_tile.as_mut_slice(), 0, TILE, plan);
        }
        add_weighted::<F>(&mut sums, &found, value_tile.as_slice(), 0, STRIPS, TILE, chunks);
    }
    #[unroll]
    for strip in 0..STRIPS {
        #[unroll]
        for half in 0..2usize {
            let first = warp_row + comptime![strip * STRIP];
            let total = row_sum(running.total[comptime![strip * 2 + half]]);
            store::<F>(&sums, strip, half, 1.0 / total, output, &queries, first, heads.head_dim);
            let row = first + row_of(half);
            if column_of() == 0 && queries.has(row) {
                log_sum[queries.index(row)] = running.largest[comptime![strip * 2 + half]] * scale + total.ln();
            }
        }
    }
}

pub(in super::super) fn forward(
    operands: &Operands,
    output: &CubeTensor,
    log_sum: &CubeTensor,
    sequences: &[Rows],
    plan: Plan,
    shape: AttentionShape,
) {
    let Operands { q, k, v } = operands;
    let schedule = Schedule::of_queries(sequences, ROWS, plan.heads.group);
    // SAFETY: the kernel reads and writes rows of the sequences only, whose numbers the caller has checked against the tensors.
    unsafe {
        attend::launch_unchecked(
            &q.client,
            gpu::cubes(schedule.tiles() * plan.heads.key_heads),
            CubeDim::new_1d(UNITS),
            gpu::addresses(&[q, k, log_sum]),
            q.clone().into_buffer_arg(),
            k.clone().into_buffer_arg(),
            v.clone().into_buffer_arg(),
            schedule.upload(&q.client),
            output.clone().into_buffer_arg(),
            log_sum.clone().into_buffer_arg(),
            shape.scale(),
            plan,
            gpu::elem(q),
        );
    }
}
