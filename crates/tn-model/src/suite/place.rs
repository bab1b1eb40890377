//! Where kernels run, and values there.

use burn::tensor::{DType, Device, Tensor, TensorData};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::Precision;

/// A device and the numbers that kernels on it read.
#[derive(Clone, Debug)]
pub struct Place {
    device: Device,
    precision: Precision,
}

impl Place {
    /// Builds a place.
    ///
    /// # Panics
    /// Panics when the device does not compute in these numbers: ask [`Precision::check`] before.
    #[must_use]
    pub fn new(device: Device, precision: Precision) -> Self {
        if let Err(error) = precision.check(&device) {
            panic!("{error}");
        }
        Self { device, precision }
    }

    /// Returns the device.
    #[must_use]
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// Returns the numbers.
    #[must_use]
    pub fn precision(&self) -> Precision {
        self.precision
    }

    /// Largest difference, relative to the largest value, that rounding explains.
    pub(super) fn tolerance(&self) -> f32 {
        match self.precision {
            Precision::F32 => 1e-5,
            Precision::Bf16 => 1.0 / 128.0,
        }
    }

    /// The values as activations on the device.
    pub(super) fn activations<const D: usize>(&self, tensor: &Tensor<D>) -> Tensor<D> {
        let dtype = self.precision.dtype();
        Tensor::from_data(tensor.to_data().convert_dtype(dtype), (&self.device, dtype))
    }

    /// The values in 32 bits on the device.
    pub(super) fn floats<const D: usize>(&self, tensor: &Tensor<D>) -> Tensor<D> {
        Tensor::from_data(tensor.to_data(), (&self.device, DType::F32))
    }

    /// The values in host memory, as precise as activations are.
    pub(super) fn rounded<const D: usize>(&self, tensor: &Tensor<D>) -> Tensor<D> {
        Tensor::from_data(tensor.to_data().convert_dtype(self.precision.dtype()).convert_dtype(DType::F32), &Device::flex())
    }
}

/// A source of reproducible values.
pub(super) struct Source(ChaCha8Rng);

impl Source {
    pub(super) fn new() -> Self {
        Self(ChaCha8Rng::seed_from_u64(11))
    }

    /// Values between -1 and 1 in host memory.
    pub(super) fn tensor<const D: usize>(&mut self, shape: [usize; D]) -> Tensor<D> {
        let values: Vec<f32> = (0..shape.iter().product()).map(|_| self.0.random_range(-1.0..1.0)).collect();
        Tensor::from_data(TensorData::new(values, shape), &Device::flex())
    }
}

/// The values of a tensor of any device and type.
pub(super) fn values<const D: usize>(tensor: &Tensor<D>) -> Vec<f32> {
    tensor.to_data().convert::<f32>().try_into_vec().expect("converted to f32")
}
