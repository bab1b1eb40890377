//! The device as programs see it: one of compute capability 8.0.

use cubecl_common::device::{DeviceService, ServiceId};
use cubecl_common::profile::TimingMethod;
use cubecl_core::device::{DeviceId, ServerUtilitiesHandle};
use cubecl_core::ir::features::{AtomicUsage, Plane, TypeUsage};
use cubecl_core::ir::{
    ContiguousElements, DeviceIdentity, DeviceProperties, ElemType, FloatKind, HardwareProperties, MemoryDeviceProperties, MmaProperties,
    OpaqueType, TargetProperties, Type, VectorSize,
};
use cubecl_core::server::ServerUtilities;
use cubecl_core::zspace::striding::has_pitched_row_major_strides;
use cubecl_core::zspace::{Shape, Strides};
use cubecl_cpp::cuda::arch::CudaArchitecture;
use cubecl_cpp::cuda::mma::CudaCmmaCompiler;
use cubecl_cpp::cuda::mma::manual::contiguous_elements_cuda;
use cubecl_cpp::cuda::supported_mma_combinations;
use cubecl_cpp::register_supported_types;
use cubecl_cpp::shared::{CompilationOptions, CppSupportedFeatures, register_mma_features, register_wmma_features};
use cubecl_server::allocator::PitchedMemoryLayoutPolicy;
use cubecl_server::device::CpuDevice;
use cubecl_server::logging::ServerLogger;
use cubecl_server::runtime::Runtime;
use std::sync::Arc;

use crate::server::CpuServer;
use crate::storage::ALIGNMENT;
use crate::toolchain::Toolchain;

const ARCHITECTURE: CudaArchitecture = CudaArchitecture { version: 80, tensor_cores: true };
/// What an A100 has.
const MEMORY: u64 = 80 << 30;

/// The runtime that takes the place of CubeCL's own for processors.
#[derive(Clone, Debug)]
pub struct CpuRuntime;

fn hardware() -> HardwareProperties {
    HardwareProperties {
        load_width: 128,
        vector_register_count: None,
        plane_size_min: 32,
        plane_size_max: 32,
        max_bindings: 1024,
        max_shared_memory_size: 163 << 10,
        max_cube_count: (i32::MAX as u32, u16::MAX.into(), u16::MAX.into()),
        max_units_per_cube: 1024,
        max_cube_dim: (1024, 1024, 64),
        num_streaming_multiprocessors: Some(108),
        num_tensor_cores: Some(4),
        min_tensor_cores_dim: Some(8),
        num_cpu_cores: None,
        last_level_cache_size: None,
        max_vector_size: VectorSize::MAX,
        cube_mma_reserved_shared_memory: 0,
    }
}

/// What the CUDA runtime registers for compute capability 8.0, except what the host has no replacement for: complex numbers and floats of
/// one byte.
fn properties() -> DeviceProperties {
    let identity = DeviceIdentity { name: "CUDA C++ on the processor".to_owned(), fingerprint: "host_sm80".to_owned(), physical: None };
    let memory = MemoryDeviceProperties::new(MEMORY / 4, ALIGNMENT as u64).with_max_memory(MEMORY);
    let mut properties = DeviceProperties::new(Default::default(), memory, hardware(), TimingMethod::System, identity);
    register_supported_types(&mut properties);
    for kind in [FloatKind::E4M3, FloatKind::E5M2] {
        properties.features.types.elem.remove(&ElemType::Float(kind));
    }
    let atomic = |kind| Type::atomic(ElemType::Float(kind));
    let exchange = AtomicUsage::Add | AtomicUsage::LoadStore | AtomicUsage::Exchange;
    properties.register_atomic_type_usage(atomic(FloatKind::F64), exchange);
    properties.register_atomic_type_usage(atomic(FloatKind::F16), AtomicUsage::Add);
    properties.register_opaque_type(OpaqueType::Barrier);
    properties.register_type_usage(ElemType::Float(FloatKind::TF32), TypeUsage::Conversion);
    let features = &mut properties.features;
    features.plane |= Plane::Sync | Plane::Ops | Plane::NonUniformControlFlow;
    features.matmul.ldmatrix.extend([ElemType::Float(FloatKind::F16), ElemType::Float(FloatKind::BF16)]);
    features.copy_async = true;
    features.memory_reinterpret = true;
    features.alignment = true;
    features.device_memory_scope = true;
    register_wmma_features(CudaCmmaCompiler::Cpp.supported_cmma_combinations(&ARCHITECTURE), &mut properties);
    register_mma_features(supported_mma_combinations(&ARCHITECTURE), &mut properties);
    properties
}

fn options() -> CompilationOptions {
    let supports_features =
        CppSupportedFeatures { grid_constants: true, fast_math: true, fast_tanh: true, dp4a: true, ..Default::default() };
    CompilationOptions { supports_features, ..Default::default() }
}

impl DeviceService for CpuServer {
    fn init(device: DeviceId) -> Self {
        let properties = properties();
        let (utilities, _captures) = ServerUtilities::init(
            ServiceId::of::<Self>(device),
            "cpu",
            properties.clone(),
            CpuRuntime::target_properties(),
            Arc::new(ServerLogger::default()),
            PitchedMemoryLayoutPolicy::new(ALIGNMENT),
        );
        Self::new(utilities, properties, options())
    }

    fn utilities(&self) -> ServerUtilitiesHandle {
        cubecl_core::server::Server::utilities(self) as ServerUtilitiesHandle
    }
}

impl Runtime for CpuRuntime {
    type Server = CpuServer;
    type Device = CpuDevice;

    fn can_read_tensor(shape: &Shape, strides: &Strides) -> bool {
        has_pitched_row_major_strides(shape, strides)
    }

    fn target_properties() -> TargetProperties {
        use cubecl_core::cmma::MatrixLayout::{ColMajor, RowMajor};
        TargetProperties {
            mma: MmaProperties {
                register_size_bits: 32,
                const_plane_size: 32,
                register_layout_a: RowMajor,
                register_layout_b: ColMajor,
                register_layout_acc: RowMajor,
                register_duplication_a: 1,
                register_duplication_b: 1,
                register_duplication_acc: 1,
                contiguous_elements: ContiguousElements::new(contiguous_elements_cuda),
            },
        }
    }

    /// None without a C++ compiler.
    fn enumerate_devices(_: u16) -> Vec<DeviceId> {
        Toolchain::get().map(|_| DeviceId { type_id: 0, index_id: 0 }).into_iter().collect()
    }
}
