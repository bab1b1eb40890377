//! Which cube works on which tile.

use cubecl::client::Client;
use cubecl::prelude::*;

use crate::kernels::gpu;

/// A sequence in the tensors of queries and keys.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sequence {
    pub(crate) first_query: usize,
    pub(crate) first_key: usize,
    /// Number of query positions.
    pub(crate) queries: usize,
    /// Keys before the first query position.
    pub(crate) past: usize,
}

/// Numbers of an entry of the list that kernels read.
pub(super) const FIELDS: usize = 5;

/// The tiles of all sequences as kernels read them, the longest work first, so that none is left to the end.
pub(super) struct Schedule {
    entries: Vec<u32>,
}

impl Schedule {
    /// Tiles of query rows; the work of one is the keys that its last row sees.
    pub(super) fn of_queries(sequences: &[Sequence], tile: usize, group: usize) -> Self {
        Self::new(sequences, |sequence| {
            let rows = sequence.queries * group;
            let work = move |index: usize| sequence.past + ((index + 1) * tile).min(rows).div_ceil(group);
            (rows.div_ceil(tile), work)
        })
    }

    /// Tiles of keys; the work of one is the positions that see its first key.
    pub(super) fn of_keys(sequences: &[Sequence], tile: usize) -> Self {
        Self::new(sequences, |sequence| {
            let keys = sequence.past + sequence.queries;
            let work = move |index: usize| (keys - index * tile).min(sequence.queries);
            (keys.div_ceil(tile), work)
        })
    }

    fn new<'a, W: Fn(usize) -> usize + 'a>(sequences: &'a [Sequence], tiles: impl Fn(&'a Sequence) -> (usize, W)) -> Self {
        let mut order = Vec::new();
        for sequence in sequences {
            let (count, work) = tiles(sequence);
            order.extend((0..count).map(|index| (work(index), sequence, index)));
        }
        // Stable: equal work stays in the order of the rows.
        order.sort_by_key(|&(work, ..)| std::cmp::Reverse(work));
        let mut entries = Vec::with_capacity(order.len() * FIELDS);
        for (_, sequence, index) in order {
            let fields = [sequence.first_query, sequence.first_key, sequence.queries, sequence.past, index];
            entries.extend(fields.map(|field| u32::try_from(field).expect("rows are counted in 32 bits")));
        }
        Self { entries }
    }

    /// Number of tiles of one key head.
    pub(super) fn tiles(&self) -> usize {
        self.entries.len() / FIELDS
    }

    pub(super) fn upload(&self, client: &Client) -> BufferArg {
        let handle = gpu::upload_words(client, &self.entries);
        // SAFETY: the buffer was made of exactly these entries.
        unsafe { BufferArg::from_raw_parts(handle, self.entries.len()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn indices(schedule: &Schedule) -> Vec<(u32, u32)> {
        schedule.entries.chunks(FIELDS).map(|entry| (entry[0], entry[4])).collect()
    }

    #[test]
    fn the_longest_work_comes_first() {
        let short = Sequence { first_query: 0, first_key: 0, queries: 3, past: 0 };
        let long = Sequence { first_query: 3, first_key: 3, queries: 5, past: 0 };
        // Rows 6 and 10 in tiles of 4: the last rows are at positions 1, 2 and 1, 3, 4.
        let queries = Schedule::of_queries(&[short, long], 4, 2);
        assert_eq!(indices(&queries), [(3, 2), (3, 1), (0, 1), (0, 0), (3, 0)]);
        let keys = Schedule::of_keys(&[short, long], 2);
        assert_eq!(indices(&keys), [(3, 0), (0, 0), (3, 1), (0, 1), (3, 2)]);
        assert_eq!(keys.tiles(), 5);
    }

    #[test]
    fn keys_before_the_queries_are_work_for_all_queries() {
        let sequence = Sequence { first_query: 0, first_key: 0, queries: 2, past: 6 };
        assert_eq!(indices(&Schedule::of_keys(&[sequence], 4)), [(0, 0), (0, 1)]);
        assert_eq!(indices(&Schedule::of_queries(&[sequence], 1, 1)), [(0, 1), (0, 0)]);
    }
}
