//! The device's server: memory, copies and launches, each done at once.

use std::collections::HashMap;
use std::ffi::c_void;
use std::sync::Arc;

use cubecl_common::bytes::Bytes;
use cubecl_common::profile::ProfileDuration;
use cubecl_core::CubeCount;
use cubecl_core::ir::DeviceProperties;
use cubecl_core::server::{
    BufferBinding, CopyDescriptor, IoError, KernelArguments, KernelResource, LaunchError, ProfileError, ProfilingToken, ResourceLimitError,
    Server, ServerCommunication, ServerError, ServerStorage, ServerUtilities,
};
use cubecl_cpp::shared::CompilationOptions;
use cubecl_environment::backtrace::BackTrace;
use cubecl_environment::future::DynFut;
use cubecl_environment::stream::StreamId;
use cubecl_server::dry_run::LaunchMode;
use cubecl_server::id::KernelId;
use cubecl_server::kernel::CubeKernel;
use cubecl_server::logging::ServerLogger;
use cubecl_server::memory_management::{ManagedMemoryHandle, MemoryAllocationMode, StreamMemoryReport};
use cubecl_server::storage::ManagedResource;
use cubecl_server::stream::{ExecuteScope, FailureStore, WriteScoped, failed_writing};
use cubecl_server::timestamp_profiler::TimestampProfiler;
use cubecl_server::validation::{validate_cube_dim, validate_units};

use crate::copy::Rows;
use crate::kernel::HostKernel;
use crate::machine::Machine;
use crate::sources;
use crate::storage::{HostResource, HostStorage};
use crate::stream::HostStreams;

/// Runs kernels of the CUDA compiler on the processor.
#[derive(Debug)]
pub struct CpuServer {
    streams: HostStreams,
    utilities: Arc<ServerUtilities>,
    properties: DeviceProperties,
    options: CompilationOptions,
    kernels: HashMap<KernelId, Arc<HostKernel>>,
    machine: Machine,
    profiler: TimestampProfiler,
}

impl CpuServer {
    pub(crate) fn new(utilities: ServerUtilities, properties: DeviceProperties, options: CompilationOptions) -> Self {
        Self {
            streams: HostStreams::new(properties.memory.clone(), utilities.logger.clone()),
            utilities: Arc::new(utilities),
            properties,
            options,
            kernels: HashMap::new(),
            machine: Machine::new(),
            profiler: TimestampProfiler::default(),
        }
    }

    fn kernel(&mut self, kernel: &dyn CubeKernel) -> Result<Arc<HostKernel>, LaunchError> {
        let id = kernel.id();
        if let Some(kernel) = self.kernels.get(&id) {
            return Ok(kernel.clone());
        }
        validate_cube_dim(&self.properties, &id)?;
        validate_units(&self.properties, &id)?;
        let kernel = HostKernel::compile(kernel, &self.options, self.machine.state())?;
        let (requested, max) = (kernel.shared_size, self.properties.hardware.max_shared_memory_size);
        if requested > max {
            return Err(ResourceLimitError::SharedMemory { requested, max, backtrace: BackTrace::capture() }.into());
        }
        let kernel = Arc::new(kernel);
        self.kernels.insert(id, kernel.clone());
        Ok(kernel)
    }

    /// The number of blocks; from the device's memory if it is dynamic.
    fn grid_dim(&mut self, count: CubeCount) -> Result<[u32; 3], ServerError> {
        match count {
            CubeCount::Static(x, y, z) => Ok([x, y, z]),
            CubeCount::Dynamic(binding) => {
                self.streams.ensure_written([&binding].into_iter())?;
                let resource = self.streams.get().resource(binding)?;
                let word = |i: usize| u32::from_ne_bytes(std::array::from_fn(|j| resource.read()[4 * i + j]));
                Ok([word(0), word(1), word(2)])
            }
        }
    }

    /// Runs a kernel with the arguments in the order of the CUDA runtime: buffers, shapes and strides, scalars.
    fn run(&mut self, kernel: &HostKernel, grid_dim: [u32; 3], bindings: KernelArguments) -> Result<(), ServerError> {
        let mut buffers = Vec::with_capacity(bindings.resources.len());
        for resource in bindings.resources {
            let KernelResource::Buffer(binding) = resource else {
                let reason = "the host has no tensor maps: they need a device of compute capability 9.0".to_owned();
                return Err(LaunchError::Unknown { reason, backtrace: BackTrace::capture() }.into());
            };
            buffers.push(self.streams.get().resource(binding)?);
        }
        let paddings = Paddings::of(&buffers);
        let mut pointers: Vec<*mut c_void> = buffers.iter().map(|buffer| buffer.address().cast()).collect();
        let info = bindings.info;
        if info.dynamic_metadata_offset < info.data.len() {
            pointers.push(info.data[info.dynamic_metadata_offset..].as_ptr().cast_mut().cast());
        }
        let mut arguments: Vec<*mut c_void> = pointers.iter_mut().map(|pointer| (&raw mut *pointer).cast()).collect();
        arguments.push(info.data.as_ptr().cast_mut().cast());
        // SAFETY: these are the kernel's arguments as CubeCL lays them out for CUDA, and the kernel was given this machine's state.
        let ran = unsafe { self.machine.run(kernel.launch(grid_dim, &mut arguments)) };
        let storage = self.streams.get().memory.storage();
        let guarded = buffers.iter().enumerate().try_for_each(|(i, buffer)| {
            storage.check_guards(buffer.allocation()).map_err(|side| format!("it writes {side} of the memory of buffer {i}"))
        });
        ran.and(guarded).and(paddings.check()).map_err(|reason| {
            let reason = format!("kernel `{}`: {reason}", kernel.source.name);
            LaunchError::Unknown { reason, backtrace: BackTrace::capture() }.into()
        })
    }

    fn read_one(&mut self, descriptor: CopyDescriptor) -> Result<Bytes, ServerError> {
        let rows = Rows::of(&descriptor)?;
        let resource = self.streams.get().resource(descriptor.handle)?;
        Ok(Bytes::from_bytes_vec(rows.gather(resource.read())))
    }
}

/// The bytes between the end of a buffer and the next multiple of the alignment, as they were before a launch: nobody's, but within the
/// allocation, so no guard covers them.
struct Paddings(Vec<(usize, *const u8, Vec<u8>)>);

impl Paddings {
    fn of(buffers: &[HostResource]) -> Self {
        let inside = |address: *const u8| buffers.iter().any(|buffer| buffer.read().as_ptr_range().contains(&address));
        let padding = |(i, buffer): (usize, &HostResource)| {
            let padding = buffer.padding();
            // A view may end where another argument goes on.
            let free = padding.as_ptr_range();
            (!padding.is_empty() && !inside(free.start)).then(|| (i, free.start, padding.to_vec()))
        };
        Self(buffers.iter().enumerate().filter_map(padding).collect())
    }

    fn check(&self) -> Result<(), String> {
        for (i, start, before) in &self.0 {
            // SAFETY: the buffers of the launch are still bound, so their allocations live.
            let now = unsafe { std::slice::from_raw_parts(*start, before.len()) };
            if now != before {
                return Err(format!("it writes past the end of buffer {i}"));
            }
        }
        Ok(())
    }
}

impl WriteScoped for CpuServer {
    type Streams = HostStreams;

    fn write_streams(&mut self) -> &mut HostStreams {
        &mut self.streams
    }

    fn on_failure(&mut self, _stream: StreamId, error: &ServerError) {
        self.profiler.failure(error);
    }
}

impl Server for CpuServer {
    fn initialize_memory(&mut self, memory: ManagedMemoryHandle, size: u64, _stream: StreamId) -> Result<(), ServerError> {
        self.streams.reserve(memory.clone(), size).map_err(|error| {
            let error = ServerError::from(error);
            self.streams.fail_unallocated(&memory, error.clone());
            error
        })
    }

    fn staging(&mut self, sizes: &[usize], _stream: StreamId) -> Result<Vec<Bytes>, ServerError> {
        Ok(sizes.iter().map(|&size| Bytes::from_bytes_vec(vec![0; size])).collect())
    }

    fn logger(&self) -> Arc<ServerLogger> {
        self.utilities.logger.clone()
    }

    fn utilities(&self) -> Arc<ServerUtilities> {
        self.utilities.clone()
    }

    fn read(&mut self, descriptors: Vec<CopyDescriptor>, _stream: StreamId) -> DynFut<Result<Vec<Bytes>, ServerError>> {
        let written = self.streams.ensure_written(descriptors.iter().map(|descriptor| &descriptor.handle));
        let result = written.and_then(|()| descriptors.into_iter().map(|descriptor| self.read_one(descriptor)).collect());
        Box::pin(async move { result })
    }

    fn write(&mut self, descriptors: Vec<(CopyDescriptor, Bytes)>, stream: StreamId) {
        for (descriptor, data) in descriptors {
            let mut written = self.write_set();
            written.push(descriptor.handle.clone());
            ExecuteScope::over(self, stream, written).execute(|server| {
                let rows = Rows::of(&descriptor)?;
                let mut resource = server.streams.get().resource(descriptor.handle)?;
                rows.scatter(resource.write(), &data);
                Ok(())
            });
        }
    }

    fn sync(&mut self, handles: Vec<BufferBinding>, _stream: StreamId) -> DynFut<Result<(), ServerError>> {
        let result = self.streams.ensure_written(handles.iter());
        Box::pin(async move { result })
    }

    fn check(&mut self, handles: Vec<BufferBinding>, _stream: StreamId) -> Result<(), ServerError> {
        self.streams.ensure_written(handles.iter())
    }

    unsafe fn launch(
        &mut self,
        kernel: Box<dyn CubeKernel>,
        count: CubeCount,
        bindings: KernelArguments,
        stream: StreamId,
        launch_mode: LaunchMode,
    ) {
        let id = kernel.id();
        let kernel = match self.kernel(kernel.as_ref()) {
            Ok(kernel) => kernel,
            Err(error) => {
                let error = ServerError::Launch(error);
                self.profiler.failure(&error);
                if !launch_mode.is_skipped() {
                    let mut written = self.write_set();
                    written.extend(bindings.buffers_written(None).cloned());
                    failed_writing(self, stream, written, error);
                }
                return;
            }
        };
        sources::record(&kernel.source);
        if launch_mode.is_skipped() {
            return;
        }
        let mut written = self.write_set();
        written.extend(bindings.buffers_written(kernel.io.as_deref()).cloned());
        match self.grid_dim(count) {
            Err(error) => failed_writing(self, stream, written, error),
            Ok(grid_dim) if grid_dim.contains(&0) => {}
            Ok(grid_dim) => {
                let reads = bindings.buffers_read(kernel.io.as_deref());
                ExecuteScope::launching(self, id, stream, reads, written).execute(|server| server.run(&kernel, grid_dim, bindings));
            }
        }
    }

    fn flush(&mut self, _stream: StreamId) -> Result<(), ServerError> {
        Ok(())
    }

    fn memory_report(&mut self, stream: StreamId) -> Option<StreamMemoryReport> {
        Some(StreamMemoryReport { stream, pools: self.streams.get().memory.memory_report(), auxiliary: Vec::new() })
    }

    fn stream_ids(&self) -> Vec<StreamId> {
        self.streams.ids()
    }

    fn memory_cleanup(&mut self, _stream: StreamId) -> Result<(), ServerError> {
        self.streams.clean_up();
        Ok(())
    }

    fn start_profile(&mut self, _stream: StreamId) -> Result<ProfilingToken, ServerError> {
        Ok(self.profiler.start())
    }

    fn end_profile(&mut self, _stream: StreamId, token: ProfilingToken) -> Result<ProfileDuration, ProfileError> {
        self.profiler.stop(token)
    }

    fn abandon_profile(&mut self, _stream: StreamId, token: ProfilingToken) {
        self.profiler.abandon(token);
    }

    fn allocation_mode(&mut self, mode: MemoryAllocationMode, _stream: StreamId) {
        self.streams.get().memory.mode(mode);
    }
}

impl ServerCommunication for CpuServer {}

impl ServerStorage for CpuServer {
    type Storage = HostStorage;

    fn get_resource(&mut self, binding: BufferBinding, _stream: StreamId) -> Result<ManagedResource<HostResource>, ServerError> {
        self.streams.ensure_written([&binding].into_iter())?;
        let managed = self.streams.get().memory.managed_resource(binding.memory, binding.offset_start, binding.offset_end);
        Ok(managed.map_err(IoError::from)?)
    }
}
