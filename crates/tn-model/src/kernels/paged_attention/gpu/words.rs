//! A plan as the kernels read it.

use burn_cubecl::tensor::CubeTensor;
use cubecl::prelude::*;

use crate::kernels::gpu;
use crate::kernels::paged_attention::plan::{Item, Plan, Room};

/// Words of an item: first row, rows, where its pages are, first key, end of the keys, partial result of the first row.
pub(super) const ITEM: usize = 6;

/// The place of the key of an empty row.
pub(super) const NOWHERE: u32 = u32::MAX;

/// All numbers of a plan in one buffer, and where they begin.
#[derive(Debug)]
pub(in crate::kernels::paged_attention) struct Words {
    values: CubeTensor,
    /// Of the place of each row's key.
    pub(super) places: usize,
    /// Of the number of keys that each row sees.
    pub(super) seen: usize,
    /// Of the items.
    pub(super) narrow: usize,
    pub(super) wide: usize,
    /// Of the end of each row's partial results among those of all rows; the word before the first one is zero.
    pub(super) ends: usize,
    /// Of the partial results, row after row.
    pub(super) partials: usize,
}

impl Words {
    /// Puts a plan on the device of a tensor.
    ///
    /// # Panics
    /// Panics when a number is larger than 32 bits allow.
    pub(super) fn upload(plan: &Plan, room: &Room, beside: &CubeTensor) -> Self {
        // Page tables are first, so that where an item's pages are needs no offset.
        let places = room.tables;
        let seen = places + room.rows;
        let narrow = seen + room.rows;
        let wide = narrow + room.narrow * ITEM;
        let ends = wide + room.wide * ITEM + 1;
        let partials = ends + room.rows;
        Self { values: gpu::upload_indices(beside, &words(plan, room)), places, seen, narrow, wide, ends, partials }
    }

    /// Puts another plan of the same room in the place of this one.
    pub(in crate::kernels::paged_attention) fn overwrite(&self, plan: &Plan, room: &Room) {
        gpu::overwrite(&self.values, &words(plan, room));
    }

    /// Returns the buffer as an argument of a kernel.
    pub(super) fn argument(&self) -> BufferArg {
        self.values.clone().into_buffer_arg()
    }
}

fn words(plan: &Plan, room: &Room) -> Vec<u32> {
    let mut words = Vec::new();
    let mut put = |numbers: &mut dyn Iterator<Item = usize>, count: usize, rest: u32| {
        let end = words.len() + count;
        words.extend(numbers.map(|number| u32::try_from(number).expect("a plan has numbers of 32 bits")));
        words.resize(end, rest);
    };
    put(&mut plan.tables.iter().map(|&page| page as usize), room.tables, 0);
    put(&mut plan.places.iter().map(|&place| place as usize), room.rows, NOWHERE);
    put(&mut plan.seen.iter().copied(), room.rows, 0);
    // An item without rows and keys does nothing.
    put(&mut plan.narrow.iter().flat_map(fields), room.narrow * ITEM, 0);
    put(&mut plan.wide.iter().flat_map(fields), room.wide * ITEM, 0);
    let mut end = 0;
    let ends = plan.partials.iter().map(|partials| {
        end += partials.len();
        end
    });
    put(&mut std::iter::once(0).chain(ends), room.rows + 1, plan.results as u32);
    put(&mut plan.partials.iter().flatten().copied(), room.results, 0);
    words
}

fn fields(item: &Item) -> [usize; ITEM] {
    [item.rows.start, item.rows.len(), item.table, item.keys.start, item.keys.end, item.partial]
}
