//! Partial results of each row into one.

use burn_cubecl::tensor::CubeTensor;
use cubecl::ir::ElemType;
use cubecl::prelude::*;

use super::attend::{LOWEST, Partial};
use super::words::Words;
use crate::kernels::attention::AttentionShape;
use crate::kernels::gpu::{self, UNITS};

/// With the largest scores `m_c` and totals `l_c` of the chunks: `o = sum_c e^(m_c - M) o_c / sum_c e^(m_c - M) l_c`.
#[cube(launch, address_type = "dynamic")]
fn merge<F: Float, N: Size>(
    sums: &[Vector<f32, N>],
    totals: &[f32],
    words: &[u32],
    output: &mut [Vector<F, N>],
    ends: u32,
    partials: u32,
    rows: u32,
    #[comptime] heads: usize,
    #[comptime] vectors: usize,
    #[define(F)] _type: ElemType,
) {
    let at = ABSOLUTE_POS;
    if at >= rows as usize * heads * vectors {
        terminate!();
    }
    let (row, head, vector) = (at / (heads * vectors), at / vectors % heads, at % vectors);
    let first = partials as usize + words[ends as usize + row - 1] as usize;
    let end = partials as usize + words[ends as usize + row] as usize;
    let mut largest = f32::new(LOWEST);
    for index in first..end {
        let partial = words[index] as usize * heads + head;
        largest = largest.max(totals[2 * partial]);
    }
    let mut sum = Vector::<f32, N>::new(0.0);
    let mut total = f32::new(0.0);
    for index in first..end {
        let partial = words[index] as usize * heads + head;
        let weight = (totals[2 * partial] - largest).exp();
        sum += sums[partial * vectors + vector] * Vector::new(weight);
        total += totals[2 * partial + 1] * weight;
    }
    // The largest score alone adds 1 to the total of a row; only that of an empty row is less.
    output[at] = Vector::cast_from(sum / Vector::new(total.max(1.0f32)));
}

pub(super) fn launch(partial: &Partial<'_>, words: &Words, output: &CubeTensor, shape: AttentionShape) {
    let size = gpu::vector_size(&[output, partial.sums], shape.head_dim);
    let (rows, vectors) = (output.meta.shape()[0], shape.head_dim / size);
    merge::launch(
        &output.client,
        gpu::cubes((rows * shape.heads * vectors).div_ceil(UNITS as usize)),
        CubeDim::new_1d(UNITS),
        gpu::addresses(&[partial.sums, output]),
        size,
        partial.sums.clone().into_buffer_arg(),
        partial.totals.clone().into_buffer_arg(),
        words.argument(),
        output.clone().into_buffer_arg(),
        words.ends as u32,
        words.partials as u32,
        rows as u32,
        shape.heads,
        vectors,
        gpu::elem(output),
    );
}
