//! Rows of one key head, as kernels address them.

use cubecl::prelude::*;

use super::schedule::FIELDS;
use crate::kernels::attention::AttentionShape;

/// The head counts of a layer, known when a kernel is compiled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Heads {
    pub(super) head_dim: usize,
    pub(super) key_heads: usize,
    pub(super) group: usize,
}

impl Heads {
    pub(super) fn of(shape: AttentionShape) -> Self {
        assert!(shape.heads.is_multiple_of(shape.key_heads), "{} query heads on {} key heads", shape.heads, shape.key_heads);
        Self { head_dim: shape.head_dim, key_heads: shape.key_heads, group: shape.group() }
    }
}

/// The work of a cube.
#[derive(CubeType, Clone, Copy)]
pub(super) struct Task {
    pub(super) first_query: usize,
    pub(super) first_key: usize,
    /// Number of query positions.
    pub(super) queries: usize,
    /// Keys before the first query position.
    pub(super) past: usize,
    pub(super) tile: usize,
    /// The key head.
    pub(super) head: usize,
}

#[cube]
impl Task {
    /// The task of a cube; cubes take the tiles of one key head before those of the next.
    pub(super) fn read(list: &[u32], cube: usize) -> Task {
        let tiles = list.len() / FIELDS;
        let entry = cube % tiles * FIELDS;
        Task {
            first_query: list[entry] as usize,
            first_key: list[entry + 1] as usize,
            queries: list[entry + 2] as usize,
            past: list[entry + 3] as usize,
            tile: list[entry + 4] as usize,
            head: cube / tiles,
        }
    }

    /// A tile of query rows, the heads of the group side by side.
    pub(super) fn query_rows(&self, first: usize, #[comptime] heads: Heads) -> Rows {
        Rows {
            start: self.first_query,
            rows: self.queries * heads.group,
            first,
            head: self.head,
            group: heads.group,
            heads: heads.key_heads,
        }
    }

    /// A tile of keys.
    pub(super) fn key_rows(&self, first: usize, #[comptime] heads: Heads) -> Rows {
        Rows { start: self.first_key, rows: self.past + self.queries, first, head: self.head, group: 1usize, heads: heads.key_heads }
    }

    /// Number of keys that the last of some query rows sees.
    pub(super) fn visible_to(&self, first: usize, #[comptime] rows: usize, #[comptime] heads: Heads) -> usize {
        let (end, all) = (first + rows, self.queries * heads.group);
        self.visible(select(end < all, end, all) - 1, heads)
    }

    /// Number of keys that a query row of the sequence sees.
    pub(super) fn visible(&self, row: usize, #[comptime] heads: Heads) -> usize {
        self.past + row / heads.group + 1
    }
}

/// Some rows of a sequence and a key head.
#[derive(CubeType, Clone, Copy)]
pub(super) struct Rows {
    /// First position of the sequence in the tensor.
    start: usize,
    /// Rows of the sequence.
    rows: usize,
    /// First row of the tile.
    pub(super) first: usize,
    head: usize,
    #[cube(comptime)]
    group: usize,
    #[cube(comptime)]
    heads: usize,
}

#[cube]
impl Rows {
    /// Whether row `row` of the tile belongs to the sequence.
    pub(super) fn has(&self, row: usize) -> bool {
        self.first + row < self.rows
    }

    /// Which row of a tensor `[positions * heads of the tensor, values]` row `row` of the tile is.
    pub(super) fn index(&self, row: usize) -> usize {
        let row = self.first + row;
        ((self.start + row / self.group) * self.heads + self.head) * self.group + row % self.group
    }
}
