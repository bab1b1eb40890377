//! The two products of attention on a tile, through shared memory.

use cubecl::prelude::*;

use super::super::rows::Rows;
use super::{COLUMNS, EACH, PITCH, SIDE, TILE, UNITS};

/// Shared places for a slice of both operands of a score, or of the values.
pub(super) const SLICE: usize = COLUMNS * PITCH;

/// Columns of both operands of a score that pass through shared memory together.
const DEPTH: usize = COLUMNS / 2;

/// A unit's place in its cube.
#[derive(CubeType, Clone, Copy)]
pub(super) struct Place {
    pub(super) x: usize,
    pub(super) y: usize,
}

#[cube]
impl Place {
    pub(super) fn here() -> Place {
        let unit = UNIT_POS as usize;
        Place { x: unit % SIDE, y: unit / SIDE }
    }
}

#[cube]
pub(super) fn zeros(#[comptime] count: usize) -> Array<f32> {
    let mut values = Array::<f32>::new(count);
    #[unroll]
    for i in 0..count {
        values[i] = 0.0;
    }
    values
}

/// Returns the products of a unit's rows of `left` and of `right`: row `y + 16 i` and row `x + 16 j` at `4 i + j`. Rows that are not there
/// count as zeros. All units call it together.
#[cube]
pub(super) fn scores<F: Float>(
    left: &[F],
    left_rows: &Rows,
    right: &[F],
    right_rows: &Rows,
    slice: &mut [f32],
    #[comptime] head_dim: usize,
) -> Array<f32> {
    let place = Place::here();
    let mut sums = zeros(comptime![EACH * EACH]);
    let slices = comptime![head_dim.div_ceil(DEPTH)];
    for part in 0..slices {
        let first = part * DEPTH;
        // What an earlier product left may still be read.
        sync_cube();
        load_columns::<F>(left, left_rows, first, slice, 0usize, head_dim);
        load_columns::<F>(right, right_rows, first, slice, comptime![DEPTH * PITCH], head_dim);
        sync_cube();
        for column in 0..DEPTH {
            let line = column * PITCH;
            let mut rights = Array::<f32>::new(EACH);
            #[unroll]
            for j in 0..EACH {
                rights[j] = slice[comptime![DEPTH * PITCH] + line + place.x + comptime![j * SIDE]];
            }
            #[unroll]
            for i in 0..EACH {
                let value = slice[line + place.y + comptime![i * SIDE]];
                #[unroll]
                for j in 0..EACH {
                    sums[comptime![i * EACH + j]] += value * rights[j];
                }
            }
        }
    }
    sums
}

/// Brings 16 columns of a tile into shared memory, column after column.
#[cube]
fn load_columns<F: Float>(
    values: &[F],
    rows: &Rows,
    first: usize,
    slice: &mut [f32],
    #[comptime] start: usize,
    #[comptime] head_dim: usize,
) {
    let unit = UNIT_POS as usize;
    #[unroll]
    for pass in 0..comptime![TILE * DEPTH / UNITS as usize] {
        let at = unit + comptime![pass * UNITS as usize];
        let (row, column) = (at / DEPTH, at % DEPTH);
        let mut value = f32::new(0.0);
        if rows.has(row) && first + column < head_dim {
            value = f32::cast_from(values[rows.index(row) * head_dim + first + column]);
        }
        slice[start + column * PITCH + row] = value;
    }
}

/// Adds `weights * values` to a unit's sums: row `y + 16 i`, column `32 c + x + 16 j` at `8 c + 2 i + j`, where row `r` of the weights is
/// that of the tile's query rows, or of its keys when `transposed`. All units call it together, after the weights are complete.
#[cube]
pub(super) fn add_weighted<F: Float>(
    sums: &mut Array<f32>,
    weights: &[f32],
    values: &[F],
    rows: &Rows,
    slice: &mut [f32],
    #[comptime] transposed: bool,
    #[comptime] head_dim: usize,
) {
    let place = Place::here();
    #[unroll]
    for part in 0..comptime![head_dim.div_ceil(COLUMNS)] {
        sync_cube();
        load_rows::<F>(values, rows, slice, comptime![part * COLUMNS], head_dim);
        sync_cube();
        for row in 0..TILE {
            let left = slice[row * COLUMNS + place.x];
            let right = slice[row * COLUMNS + place.x + SIDE];
            #[unroll]
            for i in 0..EACH {
                let mine = place.y + comptime![i * SIDE];
                let weight = if comptime![transposed] { weights[row * PITCH + mine] } else { weights[mine * PITCH + row] };
                let at = comptime![(part * EACH + i) * 2];
                sums[at] += weight * left;
                sums[comptime![at + 1]] += weight * right;
            }
        }
    }
}

/// Brings 32 columns of a tile into shared memory, row after row.
#[cube]
fn load_rows<F: Float>(values: &[F], rows: &Rows, slice: &mut [f32], #[comptime] first: usize, #[comptime] head_dim: usize) {
    let unit = UNIT_POS as usize;
    #[unroll]
    for pass in 0..comptime![TILE * COLUMNS / UNITS as usize] {
        let at = unit + comptime![pass * UNITS as usize];
        let (row, column) = (at / COLUMNS, at % COLUMNS);
        let mut value = f32::new(0.0);
        if rows.has(row) && first + column < head_dim {
            value = f32::cast_from(values[rows.index(row) * head_dim + first + column]);
        }
        slice[at] = value;
    }
}

/// Writes a unit's sums, times the factor of each of its rows.
#[cube]
pub(super) fn write<F: Float>(sums: &Array<f32>, factor: &Array<f32>, values: &mut [F], rows: &Rows, #[comptime] head_dim: usize) {
    let place = Place::here();
    #[unroll]
    for i in 0..EACH {
        let row = place.y + comptime![i * SIDE];
        if rows.has(row) {
            let start = rows.index(row) * head_dim;
            #[unroll]
            for part in 0..comptime![head_dim.div_ceil(COLUMNS)] {
                #[unroll]
                for j in 0..2usize {
                    let column = comptime![part * COLUMNS + j * SIDE] + place.x;
                    if column < head_dim {
                        values[start + column] = F::cast_from(sums[comptime![(part * EACH + i) * 2 + j]] * factor[i]);
                    }
                }
            }
        }
    }
}
