//! The devices with kernels that this machine has, and values on them.

use burn::tensor::{DType, Device, Tensor, TensorData};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use tn_model::DeviceChoice;

/// A device, and a type of activations that kernels on it read.
#[derive(Clone, Debug)]
pub struct Case {
    pub name: String,
    pub device: Device,
    pub dtype: DType,
}

impl Case {
    /// Largest difference, relative to the largest value, that rounding explains.
    pub fn tolerance(&self) -> f32 {
        if self.dtype == DType::F32 { 1e-5 } else { 1.0 / 128.0 }
    }

    /// The values as activations on the device.
    pub fn activations<const D: usize>(&self, tensor: &Tensor<D>) -> Tensor<D> {
        Tensor::from_data(tensor.to_data().convert_dtype(self.dtype), (&self.device, self.dtype))
    }

    /// The values in 32 bits on the device.
    pub fn floats<const D: usize>(&self, tensor: &Tensor<D>) -> Tensor<D> {
        Tensor::from_data(tensor.to_data(), (&self.device, DType::F32))
    }

    /// The values in host memory, as precise as activations are.
    pub fn rounded<const D: usize>(&self, tensor: &Tensor<D>) -> Tensor<D> {
        Tensor::from_data(tensor.to_data().convert_dtype(self.dtype).convert_dtype(DType::F32), &Device::flex())
    }
}

/// Every device that opens, with each type that it computes in. What is left out is named.
pub fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for (name, device) in devices() {
        match device {
            Ok(device) => {
                for dtype in [DType::F32, DType::BF16] {
                    if device.supports_dtype(dtype) {
                        cases.push(Case { name: format!("{name}, {dtype:?}"), device: device.clone(), dtype });
                    } else {
                        println!("skipped: {name} does not compute in {dtype:?}");
                    }
                }
            }
            Err(reason) => println!("skipped: {reason}"),
        }
    }
    cases
}

fn devices() -> Vec<(String, Result<Device, String>)> {
    let choices = [DeviceChoice::Cuda(0), DeviceChoice::Wgpu];
    #[allow(unused_mut, reason = "without the feature there are no more")]
    let mut devices = choices.map(|choice| (choice.to_string(), choice.open().map_err(|reason| reason.to_string()))).to_vec();
    #[cfg(feature = "host-cuda")]
    {
        let device = Device::enumerate(burn::tensor::DeviceType::Cpu).into_iter().next();
        devices.push(("CUDA C++ on the processor".to_owned(), device.ok_or_else(|| "CUDA C++ on the processor needs g++".to_owned())));
    }
    devices
}

/// A source of reproducible values.
pub struct Source(ChaCha8Rng);

impl Source {
    pub fn new() -> Self {
        Self(ChaCha8Rng::seed_from_u64(11))
    }

    /// Values between -1 and 1 in host memory.
    pub fn tensor<const D: usize>(&mut self, shape: [usize; D]) -> Tensor<D> {
        let values: Vec<f32> = (0..shape.iter().product()).map(|_| self.0.random_range(-1.0..1.0)).collect();
        Tensor::from_data(TensorData::new(values, shape), &Device::flex())
    }
}

/// The values of a tensor of any device and type.
pub fn values<const D: usize>(tensor: &Tensor<D>) -> Vec<f32> {
    tensor.to_data().convert::<f32>().try_into_vec().expect("converted to f32")
}

/// Checks that two tensors agree but for rounding.
pub fn check<const D: usize>(what: &str, tolerance: f32, found: &Tensor<D>, expected: &Tensor<D>) {
    assert_eq!(found.dims(), expected.dims(), "{what}");
    let (found, expected) = (values(found), values(expected));
    let scale = expected.iter().fold(f32::MIN_POSITIVE, |largest, x| largest.max(x.abs()));
    let worst =
        found.iter().zip(&expected).map(|(a, b)| (a - b).abs()).fold(0.0, |worst: f32, d| if d.is_nan() { d } else { worst.max(d) });
    assert!(worst <= tolerance * scale, "{what}: off by {worst} where values reach {scale}");
    assert!(found.iter().all(|value| value.is_finite()), "{what}: a value is not finite");
}
