//! A plan as the kernels read it.

use cubecl::client::Client;
use cubecl::prelude::*;
use cubecl::server::Handle;

use crate::kernels::gpu;
use crate::kernels::paged_attention::plan::{Item, Plan};

/// Words of an item: first row, rows, where its pages are, first key, end of the keys, partial result of the first row.
pub(super) const ITEM: usize = 6;

/// All numbers of a plan in one buffer, and where they begin.
#[derive(Debug)]
pub(in crate::kernels::paged_attention) struct Words {
    handle: Handle,
    length: usize,
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
    /// Puts a plan on a device.
    ///
    /// # Panics
    /// Panics when a number is larger than 32 bits allow.
    pub(super) fn upload(plan: &Plan, client: &Client) -> Self {
        // Page tables are first, so that where an item's pages are needs no offset.
        let mut words = plan.tables.clone();
        let mut put = |more: &mut dyn Iterator<Item = usize>| {
            let at = words.len();
            words.extend(more.map(|value| u32::try_from(value).expect("a plan has numbers of 32 bits")));
            at
        };
        let places = put(&mut plan.places.iter().map(|&place| place as usize));
        let seen = put(&mut plan.seen.iter().copied());
        let narrow = put(&mut plan.narrow.iter().flat_map(fields));
        let wide = put(&mut plan.wide.iter().flat_map(fields));
        let mut end = 0;
        let ends = plan.partials.iter().map(|partials| {
            end += partials.len();
            end
        });
        let ends = put(&mut std::iter::once(0).chain(ends)) + 1;
        let partials = put(&mut plan.partials.iter().flatten().copied());
        let handle = gpu::upload_words(client, &words);
        Self { handle, length: words.len(), places, seen, narrow, wide, ends, partials }
    }

    /// Returns the buffer as an argument of a kernel.
    pub(super) fn argument(&self) -> BufferArg {
        // SAFETY: the buffer was made of so many words.
        unsafe { BufferArg::from_raw_parts(self.handle.clone(), self.length) }
    }
}

fn fields(item: &Item) -> [usize; ITEM] {
    [item.rows.start, item.rows.len(), item.table, item.keys.start, item.keys.end, item.partial]
}
