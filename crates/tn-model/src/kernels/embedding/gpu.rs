//! The gradient of the embedding table on a GPU: one cube a token that occurs, which adds up its rows in their order.

use burn_cubecl::tensor::CubeTensor;
use cubecl::ir::ElemType;
use cubecl::prelude::*;

use crate::kernels::gpu;
use crate::kernels::gpu::reduce::Groups;

#[cube(launch, address_type = "dynamic")]
fn add_rows<G: Float, F: Float, N: Size>(
    rows: &[Vector<F, N>],
    order: &[u32],
    starts: &[u32],
    ids: &[u32],
    gradient: &mut [Vector<G, N>],
    #[comptime] vectors: usize,
    #[comptime] units: u32,
    #[define(G, F)] _types: [ElemType; 2],
) {
    if CUBE_POS >= ids.len() {
        terminate!();
    }
    let start = ids[CUBE_POS] as usize * vectors;
    for at in range_stepped(UNIT_POS as usize, vectors, units as usize) {
        let mut total = Vector::<f32, N>::cast_from(gradient[start + at]);
        for number in starts[CUBE_POS]..starts[CUBE_POS + 1] {
            total += Vector::cast_from(rows[order[number as usize] as usize * vectors + at]);
        }
        gradient[start + at] = Vector::cast_from(total);
    }
}

/// The rows of each token that occurs, as kernels read them.
struct Occurrences {
    /// Tokens, each once.
    ids: Vec<u32>,
    /// Where the rows of each begin in `order`, and at last its length.
    starts: Vec<u32>,
    /// Numbers of rows, those of one token together, ascending.
    order: Vec<u32>,
}

impl Occurrences {
    fn of(tokens: &[u32]) -> Self {
        let mut order: Vec<u32> = (0..tokens.len() as u32).collect();
        order.sort_by_key(|&row| (tokens[row as usize], row));
        let (mut ids, mut starts) = (Vec::new(), Vec::new());
        for (number, &row) in order.iter().enumerate() {
            let token = tokens[row as usize];
            if ids.last() != Some(&token) {
                ids.push(token);
                starts.push(number as u32);
            }
        }
        starts.push(order.len() as u32);
        Self { ids, starts, order }
    }
}

/// Adds the rows to those of `gradient`, which nobody shares.
pub(super) fn add_backward(gradient: &CubeTensor, tokens: &[u32], rows: &CubeTensor) {
    let features = rows.meta.shape()[1];
    if tokens.is_empty() || features == 0 {
        return;
    }
    let Occurrences { ids, starts, order } = Occurrences::of(tokens);
    let size = gpu::vector_size(&[rows, gradient], features);
    let groups = Groups::of_row(&rows.client, features / size);
    let upload = |numbers: &[u32]| gpu::upload_indices(rows, numbers).into_buffer_arg();
    add_rows::launch(
        &rows.client,
        gpu::cubes(ids.len()),
        groups.dim(),
        gpu::addresses(&[rows, gradient]),
        size,
        rows.clone().into_buffer_arg(),
        upload(&order),
        upload(&starts),
        upload(&ids),
        gradient.clone().into_buffer_arg(),
        features / size,
        groups.units,
        [gpu::elem(gradient), gpu::elem(rows)],
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_of_a_token_come_together_in_their_order() {
        let Occurrences { ids, starts, order } = Occurrences::of(&[7, 3, 7, 0, 3, 7]);
        assert_eq!((ids, starts), (vec![0, 3, 7], vec![0, 1, 3, 6]));
        assert_eq!(order, [3, 1, 4, 0, 2, 5]);
    }
}
