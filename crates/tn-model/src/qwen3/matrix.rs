//! A weight matrix of a decoder that generates.

use burn::tensor::Tensor;

use crate::kernels::host::HostFloats;
use crate::kernels::packed_linear::{self, PackedMatrix, WeightFormat};
use crate::kernels::{Numbers, embedding, host, linear};

/// A weight, `[outputs, inputs]`: packed in host memory, and a tensor on every other device.
#[derive(Clone, Debug)]
#[expect(clippy::large_enum_variant, reason = "a decoder has a few hundred of them, each of megabytes")]
pub(super) enum Matrix {
    Packed(PackedMatrix),
    Tensor(Tensor<2>),
}

impl Matrix {
    /// Packs a weight, if it lives in host memory.
    pub(super) fn new(weight: &Tensor<2>, format: WeightFormat) -> Self {
        match HostFloats::of(weight) {
            Some(values) => Self::Packed(PackedMatrix::pack(&values, weight.dims(), format)),
            None => Self::Tensor(weight.clone()),
        }
    }

    /// Returns `x w^T`.
    pub(super) fn forward(&self, x: &Tensor<2>) -> Tensor<2> {
        match self {
            Self::Packed(weight) => packed_linear::forward(x, weight),
            Self::Tensor(weight) => linear::forward(x, weight),
        }
    }

    /// Returns the product of `x` with each of some weights.
    pub(super) fn forward_each<const N: usize>(x: &Tensor<2>, weights: [&Self; N]) -> [Tensor<2>; N] {
        let packed = weights.map(|weight| match weight {
            Self::Packed(weight) => Some(weight),
            Self::Tensor(_) => None,
        });
        match packed.iter().all(Option::is_some) {
            true => packed_linear::forward_each(x, packed.map(|weight| weight.expect("all of them are packed"))),
            false => weights.map(|weight| weight.forward(x)),
        }
    }

    /// Returns the rows with some ids, `[ids, inputs]`.
    ///
    /// # Panics
    /// Panics when an id is not below the number of rows.
    pub(super) fn rows(&self, ids: &Numbers) -> Tensor<2> {
        match self {
            Self::Packed(weight) => {
                let mut rows = vec![0.0; ids.len() * weight.inputs()];
                rows.chunks_exact_mut(weight.inputs()).zip(ids.iter()).for_each(|(row, &id)| weight.row(id as usize, row));
                host::tensor(rows, [ids.len(), weight.inputs()])
            }
            Self::Tensor(weight) => embedding::forward(weight, ids),
        }
    }

    /// Returns the memory that the weights take, in bytes.
    pub(super) fn size_in_bytes(&self) -> usize {
        match self {
            Self::Packed(weight) => weight.size_in_bytes(),
            Self::Tensor(weight) => weight.dims().iter().product::<usize>() * weight.dtype().size(),
        }
    }
}
