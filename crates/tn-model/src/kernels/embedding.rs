//! Rows of the embedding table, and the gradient that flows back into them.

#[cfg(feature = "gpu")]
mod gpu;

use burn::tensor::{Device, Int, Tensor, TensorData};

use super::Numbers;
use super::host::{self, HostFloats};

/// Returns the rows of `table` with the given token ids.
///
/// # Shapes
/// `table`: `[vocabulary, features]`; the result: `[ids, features]`.
///
/// # Panics
/// Panics when an id is not below the vocabulary size.
#[must_use]
pub fn forward(table: &Tensor<2>, ids: &Numbers) -> Tensor<2> {
    let [vocabulary, features] = table.dims();
    assert!(ids.iter().all(|&id| (id as usize) < vocabulary), "a token id lies beyond the vocabulary of {vocabulary}");
    if let Some(values) = HostFloats::of(table) {
        let rows = ids.iter().flat_map(|&id| &values[id as usize * features..(id as usize + 1) * features]).copied().collect();
        return host::tensor(rows, [ids.len(), features]);
    }
    #[cfg(feature = "gpu")]
    if let Some(values) = super::gpu::of(table) {
        return super::gpu::tensor(super::gpu::rows::gather(&values, ids.beside(&values)));
    }
    table.clone().select(0, indices(ids, &table.device()))
}

/// Adds the gradient of the looked-up rows to the gradient of the table: for each id its rows in their order.
///
/// # Shapes
/// `gradient`: `[vocabulary, features]`; `drows`: `[ids, features]`.
///
/// # Panics
/// Panics when an id is not below the vocabulary size.
#[must_use]
pub fn add_backward(gradient: Tensor<2>, ids: &[u32], drows: &Tensor<2>) -> Tensor<2> {
    let [vocabulary, features] = gradient.dims();
    assert!(ids.iter().all(|&id| (id as usize) < vocabulary), "a token id lies beyond the vocabulary of {vocabulary}");
    assert_eq!(drows.dims(), [ids.len(), features], "one gradient an id");
    if let (true, Some(drows)) = (HostFloats::of(&gradient).is_some(), HostFloats::of(drows)) {
        return host::update(gradient, |gradient| {
            for (&id, row) in ids.iter().zip(drows.chunks_exact(features)) {
                let at = id as usize * features;
                gradient[at..at + features].iter_mut().zip(row).for_each(|(g, d)| *g += d);
            }
        });
    }
    #[cfg(feature = "gpu")]
    if let (true, Some(drows)) = (super::gpu::of(&gradient).is_some(), super::gpu::of(drows)) {
        let gradient = super::gpu::take(gradient);
        gpu::add_backward(&gradient, ids, &drows);
        return super::gpu::tensor(gradient);
    }
    let indices = indices(ids, &gradient.device());
    gradient.select_assign(0, indices, drows.clone(), burn::tensor::IndexingUpdateOp::Add)
}

fn indices(ids: &[u32], device: &Device) -> Tensor<1, Int> {
    let ids: Vec<i64> = ids.iter().map(|&id| i64::from(id)).collect();
    let length = ids.len();
    Tensor::from_data(TensorData::new(ids, [length]), device)
}
