//! Tiles of rows in shared memory.

use cubecl::prelude::barrier::copy_async_checked;
use cubecl::prelude::*;

use super::super::rows::Rows;
use super::{CHUNK, Chunk, Plan, UNITS};

/// Where a chunk of a row lies in a tile. The chunks of a row are permuted so that the same chunk of eight neighboring rows, which
/// `ldmatrix` reads together, lies in different banks.
#[cube]
pub(super) fn place(row: usize, chunk: usize, #[comptime] chunks: usize) -> usize {
    let twist = if comptime![chunks >= 8] { row % 8 } else { row / comptime![8 / chunks] % chunks };
    row * chunks + (chunk ^ twist)
}

/// Begins to bring rows into a tile, zeros where there is none. All units call it together; the rows are there after [`arrive`].
#[cube]
pub(super) fn load<F: Float>(
    values: &[Vector<F, Chunk>],
    rows: &Rows,
    tile: &mut [Vector<F, Chunk>],
    start: usize,
    #[comptime] count: usize,
    #[comptime] plan: Plan,
) {
    let chunks = comptime![plan.chunks()];
    #[unroll]
    for pass in 0..comptime![count * chunks / UNITS as usize] {
        let at = UNIT_POS as usize + comptime![pass * UNITS as usize];
        let (row, chunk) = (at / chunks, at % chunks);
        let to = start + place(row, chunk, chunks);
        let there = rows.has(row);
        if comptime![plan.asynchronous] {
            let from = select(there, rows.index(row) * chunks + chunk, 0);
            let length = select(there, 1usize, 0usize);
            copy_async_checked(&values[from..from + length], &mut tile[to..to + 1], comptime![CHUNK as u32]);
        } else {
            let mut value = Vector::<F, Chunk>::new(F::new(0.0));
            if there {
                value = values[rows.index(row) * chunks + chunk];
            }
            tile[to] = value;
        }
    }
}

/// Waits until every unit's copies are there, and until every unit has come here.
#[cube]
pub(super) fn arrive(#[comptime] plan: Plan) {
    if comptime![plan.asynchronous] {
        gpu_asm!("cp.async.wait_all;");
    }
    sync_cube();
}
