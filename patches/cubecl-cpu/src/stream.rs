//! The one stream of the device: its memory, and what is known about failed work.

use std::sync::Arc;

use cubecl_core::MemoryConfiguration;
use cubecl_core::ir::MemoryDeviceProperties;
use cubecl_core::server::{BufferBinding, IoError, ServerError};
use cubecl_server::logging::ServerLogger;
use cubecl_server::memory_management::{
    ErrorGraph, FailureId, ManagedMemoryHandle, MemoryAllocationMode, MemoryManagement, MemoryManagementOptions, PageUpdate,
};
use cubecl_server::stream::{FailureStore, Failures, StreamFactory, StreamMemory, StreamPool};

use crate::storage::{HostResource, HostStorage};

/// Work is done when it is asked for; a stream has nothing but memory.
#[derive(Debug)]
pub struct HostStream {
    pub(crate) memory: MemoryManagement<HostStorage>,
}

impl HostStream {
    pub(crate) fn resource(&mut self, binding: BufferBinding) -> Result<HostResource, IoError> {
        self.memory.get_resource(binding.memory, binding.offset_start, binding.offset_end)
    }
}

impl StreamMemory for HostStream {
    fn failure(&self, binding: &BufferBinding) -> Option<FailureId> {
        self.memory.failure(&binding.memory, binding.range())
    }

    fn taint(&mut self, binding: &BufferBinding, failure: FailureId, failures: &mut ErrorGraph) {
        self.memory.taint(&binding.memory, binding.range(), failure, failures);
    }

    fn written(&mut self, binding: &BufferBinding, failures: &mut ErrorGraph) {
        self.memory.written(&binding.memory, binding.range(), failures);
    }
}

#[derive(Debug)]
pub struct HostStreamFactory {
    properties: MemoryDeviceProperties,
    logger: Arc<ServerLogger>,
}

impl StreamFactory for HostStreamFactory {
    type Stream = HostStream;

    /// Every buffer is an allocation of its own: what is counted is what is used, and writes outside it are found.
    fn create(&mut self) -> Result<HostStream, ServerError> {
        let options = MemoryManagementOptions::new("host").mode(MemoryAllocationMode::Dedicated);
        let (storage, configuration) = (HostStorage::default(), MemoryConfiguration::ExclusivePages);
        let memory = MemoryManagement::from_configuration(storage, &self.properties, configuration, self.logger.clone(), options);
        Ok(HostStream { memory })
    }
}

/// All stream ids lead to one stream.
#[derive(Debug)]
pub struct HostStreams {
    pool: StreamPool<HostStreamFactory>,
    failures: Failures,
}

impl HostStreams {
    pub(crate) fn new(properties: MemoryDeviceProperties, logger: Arc<ServerLogger>) -> Self {
        let factory = HostStreamFactory { properties, logger: logger.clone() };
        Self { pool: StreamPool::new(factory, 1, 0), failures: Failures::new(logger) }
    }

    pub(crate) fn get(&mut self) -> &mut HostStream {
        self.with_failures().0
    }

    fn with_failures(&mut self) -> (&mut HostStream, &mut ErrorGraph) {
        let id = cubecl_environment::stream::StreamId { value: 0 };
        (self.pool.get_mut(&id), self.failures.graph_mut())
    }

    pub(crate) fn reserve(&mut self, memory: ManagedMemoryHandle, size: u64) -> Result<(), IoError> {
        let (stream, failures) = self.with_failures();
        let reserved = stream.memory.reserve(size, PageUpdate::Allow, failures)?;
        stream.memory.bind(reserved, memory, 0, failures)
    }

    pub(crate) fn clean_up(&mut self) {
        let (stream, failures) = self.with_failures();
        stream.memory.cleanup(cubecl_server::memory_management::Cleanup::Explicit, failures);
    }

    pub(crate) fn ids(&self) -> Vec<cubecl_environment::stream::StreamId> {
        self.pool.stream_ids().collect()
    }
}

impl FailureStore for HostStreams {
    type Factory = HostStreamFactory;

    fn split(&mut self) -> (&mut StreamPool<HostStreamFactory>, &mut Failures) {
        (&mut self.pool, &mut self.failures)
    }

    fn parts(&self) -> (&StreamPool<HostStreamFactory>, &Failures) {
        (&self.pool, &self.failures)
    }
}
