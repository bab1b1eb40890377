//! The forward pass: a cube walks the keys that its query rows see.

use burn_cubecl::tensor::CubeTensor;
use cubecl::ir::ElemType;
use cubecl::prelude::*;

use super::super::Operands;
use super::super::rows::{Heads, Task};
use super::super::schedule::{FIELDS, Schedule, Sequence};
use super::products::{Place, SLICE, add_weighted, scores, write, zeros};
use super::{EACH, PITCH, SIDE, TILE, UNITS, accumulators};
use crate::kernels::attention::AttentionShape;
use crate::kernels::gpu;

/// Units that share the keys of a row in the softmax.
const SHARE: usize = UNITS as usize / TILE;

#[cube(launch, address_type = "dynamic")]
fn attend<F: Float>(
    q: &[F],
    k: &[F],
    v: &[F],
    tasks: &[u32],
    output: &mut [F],
    log_sum: &mut [f32],
    scale: f32,
    #[comptime] heads: Heads,
    #[define(F)] _type: ElemType,
) {
    if CUBE_POS >= tasks.len() / FIELDS * heads.key_heads {
        terminate!();
    }
    let mut slice = Shared::<[f32]>::new_slice(SLICE);
    let mut weights = Shared::<[f32]>::new_slice(comptime![TILE * PITCH]);
    let mut partial = Shared::<[f32]>::new_slice(comptime![UNITS as usize]);
    let mut factors = Shared::<[f32]>::new_slice(TILE);
    let task = Task::read(tasks, CUBE_POS);
    let queries = task.query_rows(task.tile * TILE, heads);
    let place = Place::here();
    let mut sums = zeros(comptime![accumulators(heads.head_dim)]);
    let mut running = Running { largest: f32::new(LOWEST), total: f32::new(0.0) };
    for tile in 0..task.visible_to(queries.first, TILE, heads).div_ceil(TILE) {
        let keys = task.key_rows(tile * TILE, heads);
        let found = scores::<F>(q, &queries, k, &keys, slice.as_mut_slice(), heads.head_dim);
        #[unroll]
        for i in 0..EACH {
            #[unroll]
            for j in 0..EACH {
                let at = (place.y + comptime![i * SIDE]) * PITCH + place.x + comptime![j * SIDE];
                weights[at] = found[comptime![i * EACH + j]] * scale;
            }
        }
        sync_cube();
        let row = UNIT_POS as usize / SHARE;
        let visible = task.visible(queries.first + row, heads);
        running.absorb(visible, keys.first, weights.as_mut_slice(), partial.as_mut_slice(), factors.as_mut_slice());
        sync_cube();
        #[unroll]
        for i in 0..EACH {
            let shrink = factors[place.y + comptime![i * SIDE]];
            #[unroll]
            for part in 0..comptime![accumulators(heads.head_dim) / (2 * EACH)] {
                sums[comptime![(part * EACH + i) * 2]] *= shrink;
                sums[comptime![(part * EACH + i) * 2 + 1]] *= shrink;
            }
        }
        add_weighted::<F>(&mut sums, weights.as_slice(), v, &keys, slice.as_mut_slice(), false, heads.head_dim);
    }
    let row = UNIT_POS as usize / SHARE;
    sync_cube();
    let total = share_sum(running.total, partial.as_mut_slice());
    if UNIT_POS as usize % SHARE == 0 {
        factors[row] = 1.0 / total;
        if queries.has(row) {
            log_sum[queries.index(row)] = running.largest + total.ln();
        }
    }
    sync_cube();
    let mut mine = Array::<f32>::new(EACH);
    #[unroll]
    for i in 0..EACH {
        mine[i] = factors[place.y + comptime![i * SIDE]];
    }
    write::<F>(&sums, &mine, output, &queries, heads.head_dim);
}

/// Stands for the largest of no scores; shaders know no infinity.
const LOWEST: f32 = f32::MIN;

/// Largest score that a row has met so far, and a unit's share of the sum of exponentials.
#[derive(CubeType)]
struct Running {
    largest: f32,
    total: f32,
}

#[cube]
impl Running {
    /// Turns a row's scores into `exp(s - largest)` and leaves the factor of what was summed before in `factors`.
    fn absorb(&mut self, visible: usize, first_key: usize, weights: &mut [f32], partial: &mut [f32], factors: &mut [f32]) {
        let (row, share) = (UNIT_POS as usize / SHARE, UNIT_POS as usize % SHARE);
        let mut largest = self.largest;
        #[unroll]
        for step in 0..comptime![TILE / SHARE] {
            let key = share + comptime![step * SHARE];
            if first_key + key < visible {
                largest = largest.max(weights[row * PITCH + key]);
            }
        }
        partial[UNIT_POS as usize] = largest;
        sync_cube();
        #[unroll]
        for other in 0..SHARE {
            largest = largest.max(partial[row * SHARE + other]);
        }
        let shrink = (self.largest - largest).exp();
        let mut total = self.total * shrink;
        #[unroll]
        for step in 0..comptime![TILE / SHARE] {
            let key = share + comptime![step * SHARE];
            let at = row * PITCH + key;
            let mut weight = f32::new(0.0);
            if first_key + key < visible {
                weight = (weights[at] - largest).exp();
            }
            weights[at] = weight;
            total += weight;
        }
        if share == 0 {
            factors[row] = shrink;
        }
        self.largest = largest;
        self.total = total;
    }
}

/// Returns the sum over the units that share a row, the same in all of them.
#[cube]
fn share_sum(value: f32, partial: &mut [f32]) -> f32 {
    let row = UNIT_POS as usize / SHARE;
    partial[UNIT_POS as usize] = value;
    sync_cube();
    let mut total = f32::new(0.0);
    #[unroll]
    for share in 0..SHARE {
        total += partial[row * SHARE + share];
    }
    total
}

pub(in super::super) fn forward(
    operands: &Operands,
    output: &CubeTensor,
    log_sum: &CubeTensor,
    sequences: &[Sequence],
    shape: AttentionShape,
) {
    let Operands { q, k, v } = operands;
    let heads = Heads::of(shape);
    let schedule = Schedule::of_queries(sequences, TILE, heads.group);
    attend::launch(
        &q.client,
        gpu::cubes(schedule.tiles() * heads.key_heads),
        CubeDim::new_1d(UNITS),
        gpu::addresses(&[q, k, log_sum]),
        q.clone().into_buffer_arg(),
        k.clone().into_buffer_arg(),
        v.clone().into_buffer_arg(),
        schedule.upload(&q.client),
        output.clone().into_buffer_arg(),
        log_sum.clone().into_buffer_arg(),
        shape.scale(),
        heads,
        gpu::elem(q),
    );
}
