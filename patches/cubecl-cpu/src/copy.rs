//! Copies between dense bytes and tensors whose rows may be padded.

use cubecl_core::server::{CopyDescriptor, IoError};
use cubecl_environment::backtrace::BackTrace;

/// Where the rows of a tensor are: `width` bytes from each offset, in the order of dense bytes.
#[derive(Debug)]
pub(crate) struct Rows {
    pub(crate) offsets: Vec<usize>,
    pub(crate) width: usize,
}

impl Rows {
    /// # Errors
    ///
    /// [`IoError::UnsupportedStrides`] if the elements of a row do not lie side by side.
    pub(crate) fn of(descriptor: &CopyDescriptor) -> Result<Self, IoError> {
        let (shape, strides, size) = (&descriptor.shape, &descriptor.strides, descriptor.elem_size);
        let rank = shape.len();
        if shape.iter().product::<usize>() == 0 {
            return Ok(Self { offsets: Vec::new(), width: 0 });
        }
        if rank == 0 {
            return Ok(Self { offsets: vec![0], width: size });
        }
        if strides.len() != rank || (strides[rank - 1] != 1 && shape[rank - 1] != 1) {
            return Err(IoError::UnsupportedStrides { backtrace: BackTrace::capture() });
        }
        let mut offsets = vec![0];
        for dim in 0..rank - 1 {
            let step = strides[dim] * size;
            offsets = offsets.iter().flat_map(|&start| (0..shape[dim]).map(move |i| start + i * step)).collect();
        }
        Ok(Self { offsets, width: shape[rank - 1] * size })
    }

    pub(crate) fn gather(&self, memory: &[u8]) -> Vec<u8> {
        self.offsets.iter().flat_map(|&offset| &memory[offset..offset + self.width]).copied().collect()
    }

    pub(crate) fn scatter(&self, memory: &mut [u8], dense: &[u8]) {
        if self.width == 0 {
            return;
        }
        for (&offset, row) in self.offsets.iter().zip(dense.chunks_exact(self.width)) {
            memory[offset..offset + self.width].copy_from_slice(row);
        }
    }
}
