//! The pages on a GPU.

mod attend;
mod merge;
mod words;
mod write;

use burn::tensor::DType;
use burn_cubecl::tensor::CubeTensor;

use self::attend::Tile;
pub(super) use self::words::Words;
pub(super) use self::write::{copy, write};
use super::{Limits, NewRows, PAGE};
use crate::kernels::attention::AttentionShape;
use crate::kernels::gpu;

/// Query heads of an item at most, where one row has not more of them.
const QUERIES: usize = 32;

/// Returns sizes of items for a device: as many rows as its shared memory has room for, and keys such that one text of some thousand tokens
/// is work for all multiprocessors, while what is written between the two kernels stays a small part of what is read.
pub(super) fn limits(keys: &CubeTensor, shape: AttentionShape) -> Limits {
    let hardware = &keys.client.properties().hardware;
    let fits = |rows: &usize| Tile::new(keys, shape, *rows).shared_bytes(keys.dtype.size()) <= hardware.max_shared_memory_size;
    // A power of two, so that there are few kernels.
    let mut rows = 1 << (QUERIES / shape.group()).max(1).ilog2();
    while rows > 1 && !fits(&rows) {
        rows /= 2;
    }
    let is_wide = hardware.num_streaming_multiprocessors.is_none_or(|count| count >= 32);
    Limits { rows, keys: if is_wide { 4 * PAGE } else { 16 * PAGE } }
}

pub(super) fn forward(q: &CubeTensor, keys: &CubeTensor, values: &CubeTensor, rows: &NewRows, shape: AttentionShape) -> CubeTensor {
    let room = &rows.room;
    let output = gpu::empty(q, [room.rows, shape.heads * shape.head_dim], q.dtype);
    if room.rows == 0 {
        return output;
    }
    let words = rows.words.get_or_init(|| Words::upload(&rows.plan, room, q));
    let sums = gpu::empty(q, [room.results, shape.heads * shape.head_dim], DType::F32);
    let totals = gpu::empty(q, [room.results, shape.heads * 2], DType::F32);
    let partial = attend::Partial { sums: &sums, totals: &totals };
    let items = |first, count, rows| attend::Items { first, count, rows };
    attend::launch(q, keys, values, &items(words.narrow, room.narrow, 1), words, &partial, shape);
    attend::launch(q, keys, values, &items(words.wide, room.wide, room.rows_of_wide), words, &partial, shape);
    merge::launch(&partial, words, &output, shape);
    output
}
