//! Choosing the device that a model runs on.

use std::fmt;
use std::str::FromStr;

use burn::tensor::{DType, Device};

/// A choice of device, as a user writes it: `cpu`, `cuda`, `cuda:1`, `wgpu` or `auto`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DeviceChoice {
    /// The first CUDA device where there is one that can be used, else the processor.
    #[default]
    Auto,
    /// The processor.
    Cpu,
    /// The CUDA device of a number, from 0.
    Cuda(u16),
    /// The default device of WebGPU: Vulkan, Metal or DirectX.
    Wgpu,
}

impl DeviceChoice {
    /// Opens the device.
    ///
    /// A CUDA device needs three things that are looked for here, so that what is missing is named, and not found out by a kernel that
    /// cannot be compiled: the driver, NVRTC, and CUDA's headers.
    ///
    /// # Errors
    /// Returns an error when this build has no support for the device, or the machine lacks the device or what it needs.
    pub fn open(self) -> Result<Device, DeviceError> {
        match self {
            Self::Auto => Ok(Self::Cuda(0).open().unwrap_or_else(|reason| {
                tracing::debug!(%reason, "no CUDA device: the processor is used");
                Device::flex()
            })),
            Self::Cpu => Ok(Device::flex()),
            Self::Cuda(index) => cuda(index),
            Self::Wgpu => wgpu(),
        }
    }
}

impl fmt::Display for DeviceChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => f.write_str("auto"),
            Self::Cpu => f.write_str("cpu"),
            Self::Cuda(index) => write!(f, "cuda:{index}"),
            Self::Wgpu => f.write_str("wgpu"),
        }
    }
}

impl FromStr for DeviceChoice {
    type Err = DeviceError;

    fn from_str(text: &str) -> Result<Self, DeviceError> {
        let unknown = || DeviceError::Unknown { text: text.to_owned() };
        match text {
            "auto" => Ok(Self::Auto),
            "cpu" => Ok(Self::Cpu),
            "cuda" => Ok(Self::Cuda(0)),
            "wgpu" => Ok(Self::Wgpu),
            _ => text.strip_prefix("cuda:").and_then(|index| index.parse().ok()).map(Self::Cuda).ok_or_else(unknown),
        }
    }
}

/// Why a device cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DeviceError {
    /// There is no such choice.
    #[error("there is no device `{text}`: write cpu, cuda, cuda:N, wgpu or auto")]
    Unknown {
        /// What was written.
        text: String,
    },
    /// The program was built without the device.
    #[error("this program was built without support for {device}: build it with the feature `{feature}`")]
    NotBuiltIn {
        /// The device.
        device: DeviceChoice,
        /// The feature that it needs.
        feature: &'static str,
    },
    /// The machine has no such device, or not its driver.
    #[error("there is no device {device}: {found} found; is its driver installed?")]
    NoSuchDevice {
        /// The device.
        device: DeviceChoice,
        /// Number of devices of the kind.
        found: usize,
    },
    /// A library is missing.
    #[error("{device} needs {library}: {advice}")]
    MissingLibrary {
        /// The device.
        device: DeviceChoice,
        /// What is missing.
        library: &'static str,
        /// What to do.
        advice: &'static str,
    },
    /// The device computes in 32 bits only.
    #[error("{device} cannot compute in bf16: use 32 bits")]
    NoBf16 {
        /// The device, as it calls itself.
        device: String,
    },
}

/// The numbers that the base weights and the activations of a model are kept in. Sums, norms and what is trained are in 32 bits in any case.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Precision {
    /// 32 bits.
    #[default]
    F32,
    /// 16 bits, the upper half of 32; on a GPU.
    Bf16,
}

impl Precision {
    /// Returns what suits a device: bf16 where kernels compute in it, 32 bits elsewhere.
    #[must_use]
    pub fn of(device: &Device) -> Self {
        if is_gpu(device) && device.supports_dtype(DType::BF16) { Self::Bf16 } else { Self::F32 }
    }

    /// Checks that a device computes in these numbers.
    ///
    /// # Errors
    /// Returns an error when it does not.
    pub fn check(self, device: &Device) -> Result<(), DeviceError> {
        match self == Self::F32 || Self::of(device) == Self::Bf16 {
            true => Ok(()),
            false => Err(DeviceError::NoBf16 { device: format!("{device:?}") }),
        }
    }

    pub(crate) fn dtype(self) -> DType {
        match self {
            Self::F32 => DType::F32,
            Self::Bf16 => DType::BF16,
        }
    }
}

/// Returns whether a device is a GPU, for which there are kernels: not the processor.
pub(crate) fn is_gpu(device: &Device) -> bool {
    cfg!(feature = "gpu") && !device.is_autodiff() && *device != Device::flex()
}

/// Returns the bytes of memory that a device has, where it says so.
pub(crate) fn memory_of(device: &Device) -> Option<u64> {
    #[cfg(feature = "gpu")]
    return crate::kernels::gpu::memory_of(device);
    #[cfg(not(feature = "gpu"))]
    {
        let _ = device;
        None
    }
}

#[cfg(feature = "cuda")]
fn cuda(index: u16) -> Result<Device, DeviceError> {
    use burn::tensor::DeviceType;

    let device = DeviceChoice::Cuda(index);
    let found = Device::enumerate(DeviceType::Cuda).len();
    if usize::from(index) >= found {
        return Err(DeviceError::NoSuchDevice { device, found });
    }
    // SAFETY: this only tries to open the library.
    if !unsafe { cudarc::nvrtc::sys::is_culib_present() } {
        let advice = "install CUDA, or the package nvidia-cuda-nvrtc and name its folder in LD_LIBRARY_PATH";
        return Err(DeviceError::MissingLibrary { device, library: "NVRTC (libnvrtc.so)", advice });
    }
    let headers = cubecl::cuda::install::cuda_path().map(|path| path.join("include/cuda_fp16.h"));
    if !headers.is_some_and(|header| header.is_file()) {
        let advice = "install CUDA's headers, and name the folder above `include` in CUDA_PATH";
        return Err(DeviceError::MissingLibrary { device, library: "CUDA's headers (cuda_fp16.h)", advice });
    }
    Ok(Device::cuda(usize::from(index)))
}

#[cfg(not(feature = "cuda"))]
fn cuda(index: u16) -> Result<Device, DeviceError> {
    Err(DeviceError::NotBuiltIn { device: DeviceChoice::Cuda(index), feature: "cuda" })
}

#[cfg(feature = "wgpu")]
fn wgpu() -> Result<Device, DeviceError> {
    use burn::tensor::{DeviceKind, DeviceType};

    match Device::enumerate(DeviceType::Wgpu).len() {
        0 => Err(DeviceError::NoSuchDevice { device: DeviceChoice::Wgpu, found: 0 }),
        _ => Ok(Device::wgpu(DeviceKind::DefaultDevice)),
    }
}

#[cfg(not(feature = "wgpu"))]
fn wgpu() -> Result<Device, DeviceError> {
    Err(DeviceError::NotBuiltIn { device: DeviceChoice::Wgpu, feature: "wgpu" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn choices_are_read_as_they_are_written() {
        for choice in [DeviceChoice::Auto, DeviceChoice::Cpu, DeviceChoice::Cuda(0), DeviceChoice::Cuda(12), DeviceChoice::Wgpu] {
            assert_eq!(choice.to_string().parse(), Ok(choice));
        }
        assert_eq!("cuda".parse(), Ok(DeviceChoice::Cuda(0)));
        for text in ["", "gpu", "cuda:", "cuda:x", "cuda:-1", "CPU"] {
            assert_eq!(text.parse::<DeviceChoice>(), Err(DeviceError::Unknown { text: text.to_owned() }));
        }
    }

    #[test]
    fn the_processor_is_always_there_and_computes_in_32_bits() {
        let device = DeviceChoice::Cpu.open().unwrap();
        assert_eq!(device, Device::flex());
        assert_eq!(Precision::of(&device), Precision::F32);
        assert!(Precision::F32.check(&device).is_ok());
        assert!(Precision::Bf16.check(&device).unwrap_err().to_string().contains("bf16"));
    }

    #[test]
    fn a_machine_without_a_driver_gets_an_error_and_not_a_panic() {
        // 999 devices are found nowhere.
        let error = DeviceChoice::Cuda(999).open().unwrap_err().to_string();
        let expected = if cfg!(feature = "cuda") { "there is no device cuda:999: " } else { "built without support for cuda:999" };
        assert!(error.contains(expected), "{error}");
        assert!(DeviceChoice::Auto.open().is_ok());
    }
}
