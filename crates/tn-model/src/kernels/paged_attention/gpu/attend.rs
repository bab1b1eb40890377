//! One cube for each item and key head: all query heads of all rows of the item against its keys.

use burn_cubecl::tensor::CubeTensor;
use cubecl::ir::ElemType;
use cubecl::prelude::*;

use super::words::{ITEM, Words};
use crate::kernels::attention::AttentionShape;
use crate::kernels::gpu;
use crate::kernels::paged_attention::PAGE;

/// Keys whose scores are in shared memory together; divides a page.
const KEYS: usize = 32;

/// Units of a cube; a multiple of [`KEYS`].
const UNITS: usize = 128;

/// Below all scores. Shaders have no infinity.
pub(super) const LOWEST: f32 = -1e30;

/// Results of the items.
pub(super) struct Partial<'a> {
    /// `sum_j e^(s_j - m) v_j`, `[results, heads * head_dim]`.
    pub(super) sums: &'a CubeTensor,
    /// The largest score `m` and `sum_j e^(s_j - m)`, `[results, heads, 2]`.
    pub(super) totals: &'a CubeTensor,
}

/// What a kernel is compiled for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Tile {
    /// Query heads of an item at most.
    queries: usize,
    /// Query heads of a key head.
    group: usize,
    key_heads: usize,
    /// Vectors of a head.
    vectors: usize,
    /// Values of a vector.
    size: usize,
}

impl Tile {
    /// Describes items of so many rows at most.
    pub(super) fn new(keys: &CubeTensor, shape: AttentionShape, rows: usize) -> Self {
        let size = gpu::vector_size(&[keys], shape.head_dim);
        Self { queries: rows * shape.group(), group: shape.group(), key_heads: shape.key_heads, vectors: shape.head_dim / size, size }
    }

    /// Returns the shared memory that a cube takes where keys have so many bytes a value.
    pub(super) fn shared_bytes(&self, bytes_of_key: usize) -> usize {
        let queries = self.queries * self.vectors * self.size * size_of::<f32>();
        let keys = KEYS * (self.vectors + 1) * self.size * bytes_of_key;
        queries + keys + self.queries * (KEYS + 3) * size_of::<f32>()
    }
}

#[cube(launch, address_type = "dynamic")]
fn attend<F: Float, K: Float, N: Size>(
    q: &[Vector<F, N>],
    keys: &[Vector<K, N>],
    values: &[Vector<K, N>],
    words: &[u32],
    sums: &mut [Vector<f32, N>],
    totals: &mut [f32],
    first_item: u32,
    items: u32,
    seen: u32,
    scale: f32,
    #[comptime] tile: Tile,
    #[define(F, K)] _types: [ElemType; 2],
) {
    let vectors = comptime![tile.vectors];
    let heads = comptime![tile.key_heads * tile.group];
    if CUBE_POS >= items as usize * comptime![tile.key_heads] {
        terminate!();
    }
    let unit = UNIT_POS as usize;
    let head = CUBE_POS % comptime![tile.key_heads];
    let item = first_item as usize + CUBE_POS / comptime![tile.key_heads] * ITEM;
    let first_row = words[item] as usize;
    let queries = words[item + 1] as usize * comptime![tile.group];
    let table = words[item + 2] as usize;
    let first_key = words[item + 3] as usize;
    let end_key = words[item + 4] as usize;
    let partial = words[item + 5] as usize;

    let mut query_tile = Shared::<[Vector<f32, N>]>::new_slice(comptime![tile.queries * tile.vectors]);
    // A vector more than a key has, so that units with neighboring keys read from different banks.
    let mut key_tile = Shared::<[Vector<K, N>]>::new_slice(comptime![KEYS * (tile.vectors + 1)]);
    let mut weights = Shared::<[f32]>::new_slice(comptime![tile.queries * (KEYS + 1)]);
    let mut largest = Shared::<[f32]>::new_slice(comptime![tile.queries]);
    let mut rescale = Shared::<[f32]>::new_slice(comptime![tile.queries]);

    for at in range_stepped(unit, queries * vectors, UNITS) {
        let query = at / vectors;
        let of_row = (first_row + query / comptime![tile.group]) * heads + head * comptime![tile.group] + query % comptime![tile.group];
        query_tile[at] = Vector::<f32, N>::cast_from(q[of_row * vectors + at % vectors]) * Vector::new(scale);
    }
    for query in range_stepped(unit, queries, UNITS) {
        largest[query] = f32::new(LOWEST);
    }

    // For the scores, a unit has one key of the tile and every so manieth query.
    let key = unit % KEYS;
    let first_of_key = unit / KEYS;
    let stride_of_key = comptime![UNITS / KEYS];
    let count_of_key = comptime![tile.queries.div_ceil(UNITS / KEYS)];
    // For the sums, a unit has one vector of the head and every so manieth query.
    let vector = unit % vectors;
    let first_of_vector = unit / vectors;
    let stride_of_vector = comptime![UNITS / tile.vectors];
    let count_of_vector = comptime![tile.queries.div_ceil(UNITS / tile.vectors)];
    let mut sum = Array::<Vector<f32, N>>::new(count_of_vector);
    let mut total = Array::<f32>::new(count_of_vector);
    #[unroll]
    for i in 0..count_of_vector {
        sum[i] = Vector::new(0.0);
        total[i] = f32::new(0.0);
    }

    for tile_key in range_stepped(first_key, end_key, KEYS) {
        let page = words[table + tile_key / PAGE] as usize;
        let start = ((page * comptime![tile.key_heads] + head) * PAGE + tile_key % PAGE) * vectors;
        let count = (end_key - tile_key).min(KEYS);
        for at in range_stepped(unit, count * vectors, UNITS) {
            key_tile[at / vectors * (vectors + 1) + at % vectors] = keys[start + at];
        }
        sync_cube();

        let mut scores = Array::<Vector<f32, N>>::new(count_of_key);
        #[unroll]
        for i in 0..count_of_key {
            scores[i] = Vector::new(0.0);
        }
        for v in 0..vectors {
            let values = Vector::<f32, N>::cast_from(key_tile[key * (vectors + 1) + v]);
            #[unroll]
            for i in 0..count_of_key {
                let query = first_of_key + i * stride_of_key;
                if query < queries {
                    scores[i] += query_tile[query * vectors + v] * values;
                }
            }
        }
        #[unroll]
        for i in 0..count_of_key {
            let query = first_of_key + i * stride_of_key;
            if query < queries {
                let row = first_row + query / comptime![tile.group];
                let is_seen = key < count && tile_key + key < words[seen as usize + row] as usize;
                let score = scores[i].vector_sum();
                weights[query * (KEYS + 1) + key] = select(is_seen, score, f32::new(LOWEST));
            }
        }
        sync_cube();

        for query in range_stepped(unit, queries, UNITS) {
            let before = largest[query];
            let mut now = before;
            for k in 0..KEYS {
                now = now.max(weights[query * (KEYS + 1) + k]);
            }
            largest[query] = now;
            rescale[query] = (before - now).exp();
        }
        sync_cube();

        #[unroll]
        for i in 0..count_of_key {
            let query = first_of_key + i * stride_of_key;
            if query < queries {
                let at = query * (KEYS + 1) + key;
                let score = weights[at];
                let weight = (score - largest[query]).exp();
                weights[at] = select(score > f32::new(LOWEST), weight, f32::new(0.0));
            }
        }
        sync_cube();

        if first_of_vector < stride_of_vector {
            #[unroll]
            for i in 0..count_of_vector {
                let query = first_of_vector + i * stride_of_vector;
                if query < queries {
                    sum[i] = sum[i] * Vector::new(rescale[query]);
                    total[i] = total[i] * rescale[query];
                }
            }
            for k in 0..count {
                let value = Vector::<f32, N>::cast_from(values[start + k * vectors + vector]);
                #[unroll]
                for i in 0..count_of_vector {
                    let query = first_of_vector + i * stride_of_vector;
                    if query < queries {
                        let weight = weights[query * (KEYS + 1) + k];
                        sum[i] += value * Vector::new(weight);
                        total[i] += weight;
                    }
                }
            }
        }
    }

    if first_of_vector < stride_of_vector {
        #[unroll]
        for i in 0..count_of_vector {
            let query = first_of_vector + i * stride_of_vector;
            if query < queries {
                let result =
                    (partial + query / comptime![tile.group]) * heads + head * comptime![tile.group] + query % comptime![tile.group];
                sums[result * vectors + vector] = sum[i];
                if vector == 0 {
                    totals[2 * result] = largest[query];
                    totals[2 * result + 1] = total[i];
                }
            }
        }
    }
}

/// Items one after the other.
pub(super) struct Items {
    /// Where the first one is in the words.
    pub(super) first: usize,
    pub(super) count: usize,
    /// Rows of each, at most.
    pub(super) rows: usize,
}

/// Computes the partial results of some items.
pub(super) fn launch(
    q: &CubeTensor,
    keys: &CubeTensor,
    values: &CubeTensor,
    items: &Items,
    words: &Words,
    partial: &Partial<'_>,
    shape: AttentionShape,
) {
    if items.count == 0 {
        return;
    }
    let size = gpu::vector_size(&[q, keys, values], shape.head_dim);
    let tile = Tile { size, vectors: shape.head_dim / size, ..Tile::new(keys, shape, items.rows) };
    assert!(tile.vectors <= UNITS, "heads of {} values are too large", shape.head_dim);
    attend::launch(
        &q.client,
        gpu::cubes(items.count * shape.key_heads),
        CubeDim::new_1d(UNITS as u32),
        gpu::addresses(&[q, keys, partial.sums]),
        size,
        q.clone().into_buffer_arg(),
        keys.clone().into_buffer_arg(),
        values.clone().into_buffer_arg(),
        words.argument(),
        partial.sums.clone().into_buffer_arg(),
        partial.totals.clone().into_buffer_arg(),
        items.first as u32,
        items.count as u32,
        words.seen as u32,
        shape.scale(),
        tile,
        [gpu::elem(q), gpu::elem(keys)],
    );
}
