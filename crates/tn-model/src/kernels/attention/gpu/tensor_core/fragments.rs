//! Fragments of tiles in the registers of a warp, and the products of them.
//!
//! Of a result of 16 x 8, lane `l` holds rows `l / 4` and `l / 4 + 8`, columns `2 (l mod 4)` and the next: one pair a row.

use cubecl::cmma::{MatrixIdent, MmaDefinition};
use cubecl::prelude::*;

use super::tile::place;
use super::{CHUNK, Chunk, Pair, STRIP};
use crate::kernels::attention::gpu::rows::Rows;

//
// Sums are a sequence of such results: those of strip `s` and columns from `8 n` at `columns / 8 * s + n`. A left operand of 16 x 16 has
// four pairs, a right one of 16 x 8 has two; two right operands behind one another are read together.

#[cube]
pub(super) fn zero_sums(#[comptime] count: usize) -> Sequence<Array<Vector<f32, Pair>>> {
    let mut sums = Sequence::<Array<Vector<f32, Pair>>>::new();
    #[unroll]
    for _ in 0..count {
        let mut sum = Array::<Vector<f32, Pair>>::new(2usize);
        sum[0] = Vector::new(0.0);
        sum[1] = Vector::new(0.0);
        sums.push(sum);
    }
    sums
}

/// Reads rows `row..row + 16` and two chunks as a left operand.
#[cube]
fn left<F: Float>(tile: &[Vector<F, Chunk>], start: usize, row: usize, chunk: usize, #[comptime] chunks: usize) -> Array<Vector<F, Pair>> {
    let lane = UNIT_POS_PLANE as usize;
    let at = start + place(row + lane % 16, chunk + lane / 16, chunks);
    let instruction = MmaDefinition::<F, F, f32>::new(16usize, 8usize, 16usize);
    instruction.load_matrix::<Vector<F, Chunk>, Pair>(&tile[at..at + 1], MatrixIdent::A, 4usize, false)
}

/// Reads columns `row..row + 16` and two chunks of rows as a left operand: the transpose of what lies there.
#[cube]
fn left_transposed<F: Float>(
    tile: &[Vector<F, Pair>],
    row: usize,
    chunk: usize,
    #[comptime] chunks: usize,
) -> Array<Vector<F, Pair>> {
    let lane = UNIT_POS_PLANE as usize;
    let at = place(row + lane / 16 * 8 + lane % 8, chunk + lane / 8 % 2, chunks) * comptime![CHUNK / 2];
    let instruction = MmaDefinition::<F, F, f32>::new(16usize, 8usize, 16usize);
    instruction.load_matrix::<Vector<F, Pair>, Pair>(&tile[at..at + comptime![CHUNK / 2]], MatrixIdent::A, 4usize, true)
}

/// Reads rows `row..row + 16` and two chunks as two right operands: the rows are columns of the product.
#[cube]
fn right<F: Float>(tile: &[Vector<F, Chunk>], start: usize, row: usize, chunk: usize, #[comptime] chunks: usize) -> Array<Vector<F, Pair>> {
    let lane = UNIT_POS_PLANE as usize;
    let at = start + place(row + lane / 16 * 8 + lane % 8, chunk + lane / 8 % 2, chunks);
    let instruction = MmaDefinition::<F, F, f32>::new(16usize, 8usize, 16usize);
    instruction.load_matrix::<Vector<F, Chunk>, Pair>(&tile[at..at + 1], MatrixIdent::B, 4usize, false)
}

/// Reads rows `row..row + 16` and two chunks as two right operands: the rows are summed over.
#[cube]
fn right_summed<F: Float>(
    tile: &[Vector<F, Chunk>],
    start: usize,
    row: usize,
    chunk: usize,
    #[comptime] chunks: usize,
) -> Array<Vector<F, Pair>> {
    let lane = UNIT_POS_PLANE as usize;
    let at = start + place(row + lane % 16, chunk + lane / 16, chunks);
    let instruction = MmaDefinition::<F, F, f32>::new(16usize, 8usize, 16usize);
    instruction.load_matrix::<Vector<F, Chunk>, Pair>(&tile[at..at + 1], MatrixIdent::B, 4usize, true)
}

/// Adds the products of a left operand and two right ones to the sums of two neighboring columns of eight.
#[cube]
fn multiply<F: Float>(left: &Array<Vector<F, Pair>>, rights: &Array<Vector<F, Pair>>, sums: &mut Sequence<Array<Vector<f32, Pair>>>, #[comptime] at: usize) {
    let instruction = MmaDefinition::<F, F, f32>::new(16usize, 8usize, 16usize);
    #[unroll]
    for half in 0..2usize {
        let mut right = Array::<Vector<F, Pair>>::new(2usize);
        right[0] = rights[comptime![half * 2]];
        right[1] = rights[comptime![half * 2 + 1]];
        instruction.execute_inplace(left, &right, sums.index_mut(comptime![at + half]));
    }
}

/// Returns `left right^T`: rows of a warp's strips from `row` on, against all `count` rows of the right tile.
#[cube]
pub(super) fn scores<F: Float>(
    left_tile: &[Vector<F, Chunk>],
    row: usize,
    right_tile: &[Vector<F, Chunk>],
    right_start: usize,
    #[comptime] strips: usize,
    #[comptime] count: usize,
    #[comptime] chunks: usize,
) -> Sequence<Array<Vector<f32, Pair>>> {
    let mut sums = zero_sums(comptime![strips * count / 8]);
    #[unroll]
    for step in 0..comptime![chunks / 2] {
        let chunk = comptime![step * 2];
        let mut lefts = Sequence::<Array<Vector<F, Pair>>>::new();
        #[unroll]
        for strip in 0..strips {
            lefts.push(left::<F>(left_tile, 0, row + comptime![strip * STRIP], chunk, chunks));
        }
        #[unroll]
        for pair in 0..comptime![count / 16] {
            let rights = right::<F>(right_tile, right_start, comptime![pair * 16], chunk, chunks);
            #[unroll]
            for strip in 0..strips {
                multiply::<F>(lefts.index(strip), &rights, &mut sums, comptime![strip * count / 8 + pair * 2]);
            }
        }
    }
    sums
}

/// Adds `weights tile` to the sums: the weights are those of strips of rows and the tile's rows, rounded to half precision.
#[cube]
pub(super) fn add_weighted<F: Float>(
    sums: &mut Sequence<Array<Vector<f32, Pair>>>,
    weights: &Sequence<Array<Vector<f32, Pair>>>,
    tile: &[Vector<F, Chunk>],
    start: usize,
    #[comptime] strips: usize,
    #[comptime] count: usize,
    #[comptime] chunks: usize,
) {
    #[unroll]
    for step in 0..comptime![count / 16] {
        let mut lefts = Sequence::<Array<Vector<F, Pair>>>::new();
        #[unroll]
        for strip in 0..strips {
            lefts.push(rounded::<F>(weights, comptime![strip * count / 8 + step * 2]));
        }
        #[unroll]
        for pair in 0..comptime![chunks / 2] {
            let rights = right_summed::<F>(tile, start, comptime![step * 16], comptime![pair * 2], chunks);
            #[unroll]
            for strip in 0..strips {
                multiply::<F>(lefts.index(strip), &rights, sums, comptime![strip * chunks + pair * 2]);
            }
        }
    }
}

/// Returns `weights^T tile` for a strip of the weights' columns from `row` on, where the weights lie in shared memory, the sum's rows being
/// their columns.
#[cube]
pub(super) fn weighted_transposed<F: Float>(
    weights: &[Vector<F, Pair>],
    row: usize,
    tile: &[Vector<F, Chunk>],
    #[comptime] count: usize,
    #[comptime] chunks: usize,
) -> Sequence<Array<Vector<f32, Pair>>> {
    let mut sums = zero_sums(chunks);
    #[unroll]
    for step in 0..comptime![count / 16] {
        let lefts = left_transposed::<F>(weights, comptime![step * 16], row / 8, comptime![count / 8]);
        #[unroll]
        for pair in 0..comptime![chunks / 2] {
            let rights = right_summed::<F>(tile, 0, comptime![step * 16], comptime![pair * 2], chunks);
            multiply::<F>(&lefts, &rights, &mut sums, comptime![pair * 2]);
        }
    }
    sums
}

/// Returns two neighboring results of 16 x 8 as a left operand.
#[cube]
fn rounded<F: Float>(sums: &Sequence<Array<Vector<f32, Pair>>>, #[comptime] at: usize) -> Array<Vector<F, Pair>> {
    let mut operand = Array::<Vector<F, Pair>>::new(4usize);
    #[unroll]
    for half in 0..2usize {
        let sum = sums.index(comptime![at + half]);
        operand[comptime![half * 2]] = Vector::cast_from(sum[0]);
        operand[comptime![half * 2 + 1]] = Vector::cast_from(sum[1]);
    }
    operand
}

/// The row of a strip that register `half` of a lane belongs to.
#[cube]
pub(super) fn row_of(#[comptime] half: usize) -> usize {
    UNIT_POS_PLANE as usize / 4 + comptime![half * 8]
}

/// The first of the two columns of a result that a lane holds.
#[cube]
pub(super) fn column_of() -> usize {
    UNIT_POS_PLANE as usize % 4 * 2
}

/// Writes a strip's rows of one half, times a factor, rounded.
#[cube]
pub(super) fn store<F: Float>(
    sums: &Sequence<Array<Vector<f32, Pair>>>,
    #[comptime] strip: usize,
    #[comptime] half: usize,
    factor: f32,
    values: &mut [Vector<F, Pair>],
    rows: &Rows,
    first: usize,
    #[comptime] head_dim: usize,
) {
    let row = first + row_of(half);
    if rows.has(row) {
        let start = (rows.index(row) * head_dim + column_of()) / 2;
        let factors = Vector::<f32, Pair>::new(factor);
        #[unroll]
        for part in 0..comptime![head_dim / 8] {
            let pair = sums.index(comptime![strip * head_dim / 8 + part])[half];
            values[start + comptime![part * 4]] = Vector::cast_from(pair * factors);
        }
    }
}
