//! Merging an adapter into a checkpoint, tensor by tensor.

use std::collections::HashMap;

use burn::tensor::Device;

use super::{AdapterFactors, AdapterReader};
use crate::checkpoint::{CheckpointError, CheckpointReader, CheckpointWriter};
use crate::kernels::host;
use crate::qwen3::{Linear, LoraAdapter, place};
use crate::{ParameterShape, Projection};

/// Writes a checkpoint with an adapter merged in: `W + scale B A`, added in 32 bits and rounded once to the writer's number format.
///
/// One tensor is in memory at a time, so that a model of any size can be merged. Tensors without an adapter are copied. The
/// values are those of [`Qwen3::merged`](crate::Qwen3::merged).
///
/// # Errors
///
/// When a tensor cannot be read or written. The writer's folder is then as it was before.
///
/// # Panics
///
/// When the adapter was opened for a base of another shape than the checkpoint's.
pub fn merge_adapter(base: &CheckpointReader, adapter: &AdapterReader, writer: &CheckpointWriter<'_>) -> Result<(), CheckpointError> {
    rewrite(base, adapter, 1.0, writer)
}

/// Writes a checkpoint with an adapter taken out again that was merged in before: the base model up to rounding.
///
/// Only the base itself has what rounding lost, so keep it where exactness matters.
///
/// # Errors
///
/// As [`merge_adapter`].
///
/// # Panics
///
/// As [`merge_adapter`].
pub fn unmerge_adapter(merged: &CheckpointReader, adapter: &AdapterReader, writer: &CheckpointWriter<'_>) -> Result<(), CheckpointError> {
    rewrite(merged, adapter, -1.0, writer)
}

fn rewrite(
    checkpoint: &CheckpointReader,
    adapter: &AdapterReader,
    sign: f32,
    writer: &CheckpointWriter<'_>,
) -> Result<(), CheckpointError> {
    let config = checkpoint.config();
    assert_eq!(config, adapter.base(), "the adapter was opened for the checkpoint's shape");
    let places: HashMap<String, (usize, Projection)> = (0..config.num_hidden_layers)
        .flat_map(|layer| Projection::ALL.map(|projection| (projection.key(layer), (layer, projection))))
        .collect();
    let scale = sign * adapter.config().scale() as f32;
    let tensors = config.parameters().into_iter().map(|parameter| {
        let values = checkpoint.tensor(&parameter.name)?;
        let factors = places.get(&parameter.name).and_then(|&(layer, projection)| adapter.factors(layer, projection));
        let values = match factors {
            Some(factors) => shifted(values, &parameter, factors, adapter.config().rank, scale),
            None => values,
        };
        Ok((parameter, values))
    });
    writer.try_write(config, tensors)
}

/// Returns `w + scale b a`, in the arithmetic of the decoder.
fn shifted(values: Vec<f32>, parameter: &ParameterShape, factors: AdapterFactors, rank: usize, scale: f32) -> Vec<f32> {
    let [outputs, inputs] = [parameter.shape[0], parameter.shape[1]];
    let device = Device::flex();
    let (a, b) = (place(factors.a, [rank, inputs], &device), place(factors.b, [outputs, rank], &device));
    let layer = Linear { weight: place(values, [outputs, inputs], &device), adapter: Some(LoraAdapter { a, b, scale }) };
    host::to_vec(&layer.merged().weight)
}
