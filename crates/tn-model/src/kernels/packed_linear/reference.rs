//! The product in plain tensor operations, of operands that are rounded as the format says.

use burn::tensor::Tensor;

use super::{BLOCK, PackedMatrix, WeightFormat, words};
use crate::kernels::{bf16, host};

pub(crate) fn forward(x: &Tensor<2>, weight: &PackedMatrix) -> Tensor<2> {
    let [rows, inputs] = x.dims();
    let mut activations = host::to_vec(x);
    activations.chunks_mut(inputs.max(1)).for_each(|row| round_row(row, weight.format()));
    let mut weights = vec![0.0; weight.outputs() * inputs];
    weights.chunks_exact_mut(inputs.max(1)).enumerate().for_each(|(output, row)| weight.row(output, row));
    let place = |values, shape| host::upload(values, shape, &x.device());
    place(activations, [rows, inputs]).matmul(place(weights, [weight.outputs(), inputs]).transpose())
}

/// Rounds activations as a format does before it multiplies them.
fn round_row(row: &mut [f32], format: WeightFormat) {
    match format {
        WeightFormat::F32 => {}
        WeightFormat::Bf16 => row.iter_mut().for_each(|value| *value = bf16::widen(bf16::round(*value))),
        WeightFormat::Int8 => {
            for block in row.chunks_mut(BLOCK) {
                let values = words::block(block, 0);
                let scale = words::scale(&values);
                let rounded = words::quantize(&values, scale);
                block.iter_mut().zip(rounded).for_each(|(value, byte)| *value = f32::from(byte) * scale);
            }
        }
    }
}
