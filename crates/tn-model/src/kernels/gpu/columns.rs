//! Sums over all rows of a matrix, in two steps of fixed order: blocks of rows, then the blocks.

use burn::tensor::DType;
use burn_cubecl::tensor::CubeTensor;
use cubecl::prelude::*;

use super::UNITS;

/// Rows that one unit sums up.
pub(crate) const BLOCK: usize = 256;

#[cube(launch, address_type = "dynamic")]
fn sum_blocks<N: Size>(values: &[Vector<f32, N>], sums: &mut [Vector<f32, N>], rows: u32, #[comptime] vectors: usize) {
    if ABSOLUTE_POS < sums.len() {
        let (block, column) = (ABSOLUTE_POS / vectors, ABSOLUTE_POS % vectors);
        let first = block * BLOCK;
        let end = min(first + BLOCK, rows as usize);
        let mut total = Vector::<f32, N>::new(0.0);
        for row in first..end {
            total += values[row * vectors + column];
        }
        sums[ABSOLUTE_POS] = total;
    }
}

/// Returns the sum of the rows of `values`.
///
/// # Shapes
/// `values`: `[rows, width]`, in `f32`; the result: `[width]`.
pub(crate) fn sum(values: CubeTensor) -> CubeTensor {
    let [rows, width] = [values.meta.shape()[0], values.meta.shape()[1]];
    let size = super::vector_size(&[&values], width);
    let mut values = values;
    let mut rows = rows;
    loop {
        let blocks = rows.div_ceil(BLOCK).max(1);
        let sums = super::empty(&values, [blocks, width], DType::F32);
        sum_blocks::launch(
            &sums.client,
            super::one_unit_each(blocks * width / size),
            CubeDim::new_1d(UNITS),
            super::addresses(&[&values]),
            size,
            values.into_buffer_arg(),
            sums.clone().into_buffer_arg(),
            rows as u32,
            width / size,
        );
        if blocks == 1 {
            return super::reshape(sums, [width]);
        }
        (values, rows) = (sums, blocks);
    }
}
