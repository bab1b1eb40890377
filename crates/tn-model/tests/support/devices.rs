//! The devices with kernels that this machine has, and values on them.

#![allow(clippy::print_stdout, reason = "what is skipped is named")]

use burn::tensor::{DType, Device, Tensor, TensorData};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use tn_model::DeviceChoice;

/// A device, and a type of activations that kernels on it read.
#[derive(Clone, Debug)]
pub(crate) struct Case {
    pub(crate) name: String,
    pub(crate) device: Device,
    pub(crate) dtype: DType,
}

impl Case {
    /// Largest difference, relative to the largest value, that rounding explains.
    pub(crate) fn tolerance(&self) -> f32 {
        if self.dtype == DType::F32 { 1e-5 } else { 1.0 / 128.0 }
    }

    /// The values as activations on the device.
    pub(crate) fn activations<const D: usize>(&self, tensor: &Tensor<D>) -> Tensor<D> {
        Tensor::from_data(tensor.to_data().convert_dtype(self.dtype), (&self.device, self.dtype))
    }

    /// The values in 32 bits on the device.
    pub(crate) fn floats<const D: usize>(&self, tensor: &Tensor<D>) -> Tensor<D> {
        Tensor::from_data(tensor.to_data(), (&self.device, DType::F32))
    }

    /// The values in host memory, as precise as activations are.
    pub(crate) fn rounded<const D: usize>(&self, tensor: &Tensor<D>) -> Tensor<D> {
        Tensor::from_data(tensor.to_data().convert_dtype(self.dtype).convert_dtype(DType::F32), &Device::flex())
    }
}

/// Every device that opens, with each type that it computes in. What is left out is named.
pub(crate) fn cases() -> ForEach<Case> {
    let mut cases = Vec::new();
    for (name, device) in devices() {
        for dtype in [DType::F32, DType::BF16] {
            if device.supports_dtype(dtype) {
                cases.push(Case { name: format!("{name}, {dtype:?}"), device: device.clone(), dtype });
            } else {
                println!("skipped: {name} does not compute in {dtype:?}");
            }
        }
    }
    ForEach(cases.into_iter())
}

/// Every device that opens. With the feature `host-cuda`, this workspace has one that runs the kernels of CUDA on the processor. It takes
/// the place of Vulkan, which shows less and takes longer to compile a kernel.
pub(crate) fn devices() -> ForEach<(String, Device)> {
    let mut devices = Vec::new();
    let mut add = |name: String, device: Result<Device, String>| match device {
        Ok(device) => devices.push((name, device)),
        Err(reason) => println!("skipped: {reason}"),
    };
    let choices = [DeviceChoice::Cuda(0), DeviceChoice::Wgpu];
    for choice in &choices[..if cfg!(feature = "host-cuda") { 1 } else { 2 }] {
        add(choice.to_string(), choice.open().map_err(|reason| reason.to_string()));
    }
    #[cfg(feature = "host-cuda")]
    {
        let device = Device::enumerate(burn::tensor::DeviceType::Cpu).into_iter().next();
        add("CUDA C++ on the processor".to_owned(), device.ok_or_else(|| "CUDA C++ on the processor needs g++".to_owned()));
    }
    ForEach(devices.into_iter())
}

/// What a test runs for, one after the other. At the end, what was launched on the processor as CUDA C++ is compiled by NVRTC for GPUs,
/// where the environment names it.
pub(crate) struct ForEach<T>(std::vec::IntoIter<T>);

impl<T> Iterator for ForEach<T> {
    type Item = T;

    fn next(&mut self) -> Option<T> {
        self.0.next()
    }
}

impl<T> Drop for ForEach<T> {
    fn drop(&mut self) {
        #[cfg(feature = "host-cuda")]
        if !std::thread::panicking() {
            compile_by_nvrtc();
        }
    }
}

/// Compiles every kernel that was launched since the last call, for the architectures of A100 and H100, unless this was done before.
#[cfg(feature = "host-cuda")]
fn compile_by_nvrtc() {
    use std::hash::{DefaultHasher, Hash, Hasher};

    use rayon::prelude::*;

    let Some(nvrtc) = cubecl::cpu::Nvrtc::of_environment() else { return };
    let done = std::env::temp_dir().join("tn-compiled-by-nvrtc");
    std::fs::create_dir_all(&done).expect("a folder for what was compiled");
    cubecl::cpu::sources().par_iter().for_each(|source| {
        for architecture in ["sm_80", "sm_90a"] {
            let mut hasher = DefaultHasher::new();
            (&source.text, architecture).hash(&mut hasher);
            let mark = done.join(format!("{:016x}", hasher.finish()));
            if mark.exists() {
                continue;
            }
            let outcome = nvrtc.compile(&source.text, architecture);
            outcome.unwrap_or_else(|log| panic!("{} for {architecture}: {log}", source.name));
            std::fs::write(&mark, &source.name).expect("a mark in a folder of our own");
            println!("compiled by NVRTC for {architecture}: {}", source.entry);
        }
    });
}

/// A source of reproducible values.
pub(crate) struct Source(ChaCha8Rng);

impl Source {
    pub(crate) fn new() -> Self {
        Self(ChaCha8Rng::seed_from_u64(11))
    }

    /// Values between -1 and 1 in host memory.
    pub(crate) fn tensor<const D: usize>(&mut self, shape: [usize; D]) -> Tensor<D> {
        let values: Vec<f32> = (0..shape.iter().product()).map(|_| self.0.random_range(-1.0..1.0)).collect();
        Tensor::from_data(TensorData::new(values, shape), &Device::flex())
    }
}

/// The values of a tensor of any device and type.
pub(crate) fn values<const D: usize>(tensor: &Tensor<D>) -> Vec<f32> {
    tensor.to_data().convert::<f32>().try_into_vec().expect("converted to f32")
}

/// Checks that two tensors agree but for rounding.
pub(crate) fn check<const D: usize>(what: &str, tolerance: f32, found: &Tensor<D>, expected: &Tensor<D>) {
    assert_eq!(found.dims(), expected.dims(), "{what}");
    let (found, expected) = (values(found), values(expected));
    let scale = expected.iter().fold(f32::MIN_POSITIVE, |largest, x| largest.max(x.abs()));
    let worst =
        found.iter().zip(&expected).map(|(a, b)| (a - b).abs()).fold(0.0, |worst: f32, d| if d.is_nan() { d } else { worst.max(d) });
    assert!(worst <= tolerance * scale, "{what}: off by {worst} where values reach {scale}");
    assert!(found.iter().all(|value| value.is_finite()), "{what}: a value is not finite");
}
