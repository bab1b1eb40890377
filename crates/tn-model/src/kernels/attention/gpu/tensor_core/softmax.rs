//! The running softmax of a warp's rows.

use cubecl::prelude::*;

use super::fragments::{column_of, row_of};
use super::{Pair, STRIP};
use crate::kernels::attention::gpu::rows::{Heads, Task};

/// `2^x`, to 2 units in the last place; 0 for a large negative one.
#[cube]
pub(super) fn exp2(x: f32) -> f32 {
    let y: f32;
    gpu_asm!("ex2.approx.ftz.f32 {}, {};", out(_) y, in(_) x, options(pure, nomem));
    y
}

/// Largest score so far and a lane's share of the sum of exponentials, for the rows of a lane: two of each strip.
#[derive(CubeType)]
pub(super) struct Running {
    pub(super) largest: Array<f32>,
    pub(super) total: Array<f32>,
}

#[cube]
impl Running {
    pub(super) fn new(#[comptime] strips: usize) -> Running {
        let mut largest = Array::<f32>::new(comptime![strips * 2]);
        let mut total = Array::<f32>::new(comptime![strips * 2]);
        #[unroll]
        for row in 0..comptime![strips * 2] {
            largest[row] = f32::new(f32::MIN);
            total[row] = f32::new(0.0);
        }
        Running { largest, total }
    }

    /// Turns scores into `2^(factor (s - largest))` and shrinks what was summed before when the largest score has grown.
    pub(super) fn absorb(
        &mut self,
        scores: &mut Sequence<Array<Vector<f32, Pair>>>,
        sums: &mut Sequence<Array<Vector<f32, Pair>>>,
        factor: f32,
        #[comptime] strips: usize,
        #[comptime] keys: usize,
        #[comptime] chunks: usize,
    ) {
        #[unroll]
        for strip in 0..strips {
            #[unroll]
            for half in 0..2usize {
                let row = comptime![strip * 2 + half];
                let mut largest = self.largest[row];
                #[unroll]
                for part in 0..comptime![keys / 8] {
                    let pair = scores.index(comptime![strip * keys / 8 + part])[half];
                    largest = largest.max(pair.extract(0usize).max(pair.extract(1usize)));
                }
                largest = largest.max(plane_shuffle_xor(largest, 1u32));
                largest = largest.max(plane_shuffle_xor(largest, 2u32));
                let shrink = exp2((self.largest[row] - largest) * factor);
                let offset = largest * factor;
                let mut total = self.total[row] * shrink;
                #[unroll]
                for part in 0..comptime![keys / 8] {
                    let pair = scores.index(comptime![strip * keys / 8 + part])[half];
                    let first = exp2(pair.extract(0usize) * factor - offset);
                    let second = exp2(pair.extract(1usize) * factor - offset);
                    total += first + second;
                    scores.index_mut(comptime![strip * keys / 8 + part])[half] = pair_of(first, second);
                }
                self.largest[row] = largest;
                self.total[row] = total;
                let shrinks = Vector::<f32, Pair>::new(shrink);
                #[unroll]
                for part in 0..chunks {
                    let sum = sums.index_mut(comptime![strip * chunks + part]);
                    sum[half] = sum[half] * shrinks;
                }
            }
        }
    }
}

#[cube]
pub(super) fn pair_of(first: f32, second: f32) -> Vector<f32, Pair> {
    let mut pair = Vector::<f32, Pair>::empty();
    pair.insert(0usize, first);
    pair.insert(1usize, second);
    pair
}

/// Replaces the scores of hidden keys by the lowest number, whose exponential is 0 beside any other.
#[cube]
pub(super) fn hide(
    scores: &mut Sequence<Array<Vector<f32, Pair>>>,
    task: &Task,
    first_row: usize,
    first_key: usize,
    #[comptime] strips: usize,
    #[comptime] keys: usize,
    #[comptime] heads: Heads,
) {
    #[unroll]
    for strip in 0..strips {
        #[unroll]
        for half in 0..2usize {
            let visible = task.visible(first_row + comptime![strip * STRIP] + row_of(half), heads);
            #[unroll]
            for part in 0..comptime![keys / 8] {
                let key = first_key + comptime![part * 8] + column_of();
                let scores = scores.index_mut(comptime![strip * keys / 8 + part]);
                let pair = scores[half];
                let first = select(key < visible, pair.extract(0usize), f32::new(f32::MIN));
                let second = select(key + 1 < visible, pair.extract(1usize), f32::new(f32::MIN));
                scores[half] = pair_of(first, second);
            }
        }
    }
}

/// The same for transposed scores: a strip of keys from `first_key` on, whose columns are query rows.
#[cube]
pub(super) fn hide_transposed(
    scores: &mut Sequence<Array<Vector<f32, Pair>>>,
    task: &Task,
    first_row: usize,
    first_key: usize,
    #[comptime] rows: usize,
    #[comptime] heads: Heads,
) {
    #[unroll]
    for part in 0..comptime![rows / 8] {
        let row = first_row + comptime![part * 8] + column_of();
        let (visible, visible_next) = (task.visible(row, heads), task.visible(row + 1, heads));
        let scores = scores.index_mut(part);
        #[unroll]
        for half in 0..2usize {
            let key = first_key + row_of(half);
            let pair = scores[half];
            let first = select(key < visible, pair.extract(0usize), f32::new(f32::MIN));
            let second = select(key < visible_next, pair.extract(1usize), f32::new(f32::MIN));
            scores[half] = pair_of(first, second);
        }
    }
}

/// Returns the sum over the four lanes that share a row.
#[cube]
pub(super) fn row_sum(value: f32) -> f32 {
    let two = value + plane_shuffle_xor(value, 1u32);
    two + plane_shuffle_xor(two, 2u32)
}
