//! Entries into their pages, and pages into others.

use burn_cubecl::tensor::CubeTensor;
use cubecl::ir::ElemType;
use cubecl::prelude::*;

use super::words::{NOWHERE, Words};
use crate::kernels::gpu::{self, UNITS};
use crate::kernels::paged_attention::{NewRows, PAGE, PageCopy};

#[cube(launch, address_type = "dynamic")]
fn write_entries<F: Float, K: Float, N: Size>(
    k: &[Vector<F, N>],
    v: &[Vector<F, N>],
    words: &[u32],
    keys: &mut [Vector<K, N>],
    values: &mut [Vector<K, N>],
    places: u32,
    rows: u32,
    #[comptime] heads: usize,
    #[comptime] vectors: usize,
    #[define(F, K)] _types: [ElemType; 2],
) {
    let at = ABSOLUTE_POS;
    if at >= rows as usize * heads * vectors {
        terminate!();
    }
    let (row, head, vector) = (at / (heads * vectors), at / vectors % heads, at % vectors);
    let word = words[places as usize + row];
    if word == comptime![NOWHERE] {
        terminate!();
    }
    let place = word as usize;
    let to = ((place / PAGE * heads + head) * PAGE + place % PAGE) * vectors + vector;
    keys[to] = Vector::cast_from(k[at]);
    values[to] = Vector::cast_from(v[at]);
}

/// Writes rows of keys and values, in place: whoever else holds the pages sees it.
pub(in crate::kernels::paged_attention) fn write(k: &CubeTensor, v: &CubeTensor, keys: &CubeTensor, values: &CubeTensor, rows: &NewRows) {
    let [heads, d] = [keys.meta.shape()[1], keys.meta.shape()[3]];
    if rows.rows() == 0 {
        return;
    }
    let words = rows.words.get_or_init(|| Words::upload(&rows.plan, &rows.room, k));
    let size = gpu::vector_size(&[k, v, keys], d);
    let units = rows.rows() * heads * d / size;
    write_entries::launch(
        &k.client,
        gpu::cubes(units.div_ceil(UNITS as usize)),
        CubeDim::new_1d(UNITS),
        gpu::addresses(&[k, keys]),
        size,
        k.clone().into_buffer_arg(),
        v.clone().into_buffer_arg(),
        words.argument(),
        keys.clone().into_buffer_arg(),
        values.clone().into_buffer_arg(),
        words.places as u32,
        rows.rows() as u32,
        heads,
        d / size,
        [gpu::elem(k), gpu::elem(keys)],
    );
}

#[cube(launch, address_type = "dynamic")]
fn copy_pages<K: Float, N: Size>(
    copies: &[u32],
    keys: &mut [Vector<K, N>],
    values: &mut [Vector<K, N>],
    count: u32,
    #[comptime] vectors: usize,
    #[define(K)] _type: ElemType,
) {
    let at = ABSOLUTE_POS;
    if at >= count as usize * vectors {
        terminate!();
    }
    let copy = at / vectors;
    let from = copies[2 * copy] as usize * vectors + at % vectors;
    let to = copies[2 * copy + 1] as usize * vectors + at % vectors;
    keys[to] = keys[from];
    values[to] = values[from];
}

/// Copies pages, in place. No page is read that is written.
pub(in crate::kernels::paged_attention) fn copy(keys: &CubeTensor, values: &CubeTensor, copies: &[PageCopy]) {
    let page: usize = keys.meta.shape()[1..].iter().product();
    let size = gpu::vector_size(&[keys], page);
    let words: Vec<u32> = copies.iter().flat_map(|copy| [copy.from, copy.to]).collect();
    let handle = gpu::upload_words(&keys.client, &words);
    copy_pages::launch(
        &keys.client,
        gpu::cubes((copies.len() * page / size).div_ceil(UNITS as usize)),
        CubeDim::new_1d(UNITS),
        gpu::addresses(&[keys]),
        size,
        // SAFETY: the buffer was made of so many words.
        unsafe { BufferArg::from_raw_parts(handle, words.len()) },
        keys.clone().into_buffer_arg(),
        values.clone().into_buffer_arg(),
        copies.len() as u32,
        page / size,
        gpu::elem(keys),
    );
}
