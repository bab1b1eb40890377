//! Attention in `f32` arithmetic, for any device.
//!
//! A cube of 16 x 16 units holds a tile of 64 query rows x 64 keys: unit `(y, x)` computes the scores of rows `y + 16 i` and keys
//! `x + 16 j`. Operands pass through shared memory in slices of 8 KiB, so every head size up to 256 fits into 32 KiB; accumulators stay in
//! registers. CubeCL has no `exp2`, so the exponential is the device's `exp` of scaled scores.
//!
//! Estimated, not measured: each score costs `D` multiply-adds for half as many reads of shared memory, so the product of scores runs at
//! up to half of the `f32` peak, the other products (3 reads for 4 multiply-adds) at a third.

mod backward;
mod forward;
mod products;

pub(super) use backward::{deltas, key_gradients, query_gradients};
pub(super) use forward::forward;

/// Rows of queries and of keys in a tile.
const TILE: usize = 64;

/// Units of a cube along each side of a tile.
const SIDE: usize = 16;

/// Units of a cube.
const UNITS: u32 = (SIDE * SIDE) as u32;

/// Rows, keys or pairs of columns of a tile that one unit holds.
const EACH: usize = TILE / SIDE;

/// Columns of the values that pass through shared memory together.
const COLUMNS: usize = 32;

/// Width of a row of weights in shared memory: one more than the keys, so that a column lies in different banks.
const PITCH: usize = TILE + 1;

/// Number of accumulators of a unit for rows of `head_dim` values.
const fn accumulators(head_dim: usize) -> usize {
    head_dim.div_ceil(COLUMNS) * EACH * (COLUMNS / SIDE)
}
