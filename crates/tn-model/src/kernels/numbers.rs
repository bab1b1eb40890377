//! Whole numbers that belong to rows: token ids, positions, numbers of other rows.

use std::ops::Deref;

/// Whole numbers that kernels read. They are copied to a device when a kernel there first reads them, and not again.
///
/// ```
/// use tn_model::kernels::Numbers;
///
/// let positions: Numbers = (0..4).collect();
/// assert_eq!(positions[2..], [2, 3]);
/// ```
#[derive(Clone, Debug, Default)]
pub struct Numbers {
    values: Vec<u32>,
    #[cfg(feature = "gpu")]
    copy: std::sync::OnceLock<burn_cubecl::tensor::CubeTensor>,
}

impl Numbers {
    /// Returns the copy on the device of a tensor, `[numbers]`.
    ///
    /// # Panics
    /// Panics when another device has the copy.
    #[cfg(feature = "gpu")]
    pub(crate) fn beside(&self, tensor: &burn_cubecl::tensor::CubeTensor) -> &burn_cubecl::tensor::CubeTensor {
        let copy = self.copy.get_or_init(|| super::gpu::upload_indices(tensor, &self.values));
        assert!(copy.device == tensor.device, "numbers are on {:?}, the rows on {:?}", copy.device, tensor.device);
        copy
    }

    /// Writes as many other numbers over these, and over their copy where it is.
    ///
    /// # Panics
    /// Panics when there are more of them, or fewer.
    #[cfg(feature = "gpu")]
    pub(crate) fn overwrite(&mut self, numbers: Self) {
        assert_eq!(self.len(), numbers.len(), "as many numbers as there are");
        self.values = numbers.values;
        if let Some(copy) = self.copy.get() {
            super::gpu::overwrite(copy, &self.values);
        }
    }
}

impl Deref for Numbers {
    type Target = [u32];

    fn deref(&self) -> &[u32] {
        &self.values
    }
}

impl From<Vec<u32>> for Numbers {
    fn from(values: Vec<u32>) -> Self {
        Self {
            values,
            #[cfg(feature = "gpu")]
            copy: std::sync::OnceLock::new(),
        }
    }
}

impl FromIterator<u32> for Numbers {
    fn from_iter<I: IntoIterator<Item = u32>>(numbers: I) -> Self {
        Self::from(Vec::from_iter(numbers))
    }
}
