//! Device memory on the host: exact sizes, counted, between bytes that no kernel may touch.

use std::alloc::{Layout, alloc, dealloc};
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use cubecl_core::server::IoError;
use cubecl_environment::backtrace::BackTrace;
use cubecl_server::storage::{ComputeStorage, StorageHandle, StorageId, StorageUtilization};

/// As `cuMallocPitch` aligns rows.
pub(crate) const ALIGNMENT: usize = 512;
/// Bytes before and after each allocation, a multiple of the alignment.
const GUARD: usize = 4096;
/// What the guards hold, and fresh memory too: as floats, not a number.
const POISON: u8 = 0xff;

static IN_USE: AtomicU64 = AtomicU64::new(0);
static PEAK: AtomicU64 = AtomicU64::new(0);
static LIMIT: AtomicU64 = AtomicU64::new(u64::MAX);

/// Bytes of device memory, padded to the alignment; guards are not counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Memory {
    /// Allocated now. Memory that was dropped is returned with the next allocation.
    pub in_use: u64,
    /// The most that was allocated at once since the process started or [`reset_peak`].
    pub peak: u64,
}

/// The device memory that this process uses.
#[must_use]
pub fn memory() -> Memory {
    Memory { in_use: IN_USE.load(Relaxed), peak: PEAK.load(Relaxed) }
}

/// Starts the measurement of the peak anew, at what is in use.
pub fn reset_peak() {
    PEAK.store(IN_USE.load(Relaxed), Relaxed);
}

/// From now on the device has so many bytes, and an allocation beyond them fails as it fails on CUDA; `None` lifts the limit. What is
/// allocated already stays.
pub fn limit_memory(bytes: Option<u64>) {
    LIMIT.store(bytes.unwrap_or(u64::MAX), Relaxed);
}

#[derive(Debug)]
struct Allocation {
    start: *mut u8,
    size: usize,
}

impl Allocation {
    fn layout(size: usize) -> Option<Layout> {
        Layout::from_size_align(size.checked_add(2 * GUARD)?, ALIGNMENT).ok()
    }

    fn new(size: usize) -> Option<Self> {
        let layout = Self::layout(size)?;
        // SAFETY: the guards make the size more than zero.
        let start = unsafe { alloc(layout) };
        if start.is_null() {
            return None;
        }
        // SAFETY: the allocation has this many bytes.
        unsafe { start.write_bytes(POISON, layout.size()) };
        Some(Self { start, size })
    }

    fn guard(&self, after: bool) -> &[u8] {
        let offset = if after { GUARD + self.size } else { 0 };
        // SAFETY: the allocation has both guards, and `new` wrote them.
        unsafe { std::slice::from_raw_parts(self.start.add(offset), GUARD) }
    }
}

impl Drop for Allocation {
    fn drop(&mut self) {
        let layout = Self::layout(self.size).expect("it was allocated with this layout");
        // SAFETY: allocated by `new` with this layout.
        unsafe { dealloc(self.start, layout) };
    }
}

/// A part of an allocation.
#[derive(Debug)]
pub struct HostResource {
    allocation: StorageId,
    address: *mut u8,
    size: usize,
    padding: usize,
}

// SAFETY: the server, which owns the memory, is used by one thread at a time.
unsafe impl Send for HostResource {}

impl HostResource {
    /// Where the part starts.
    #[must_use]
    pub fn address(&self) -> *mut u8 {
        self.address
    }

    /// The bytes of the part.
    #[must_use]
    pub fn read(&self) -> &[u8] {
        // SAFETY: the part lies within an allocation that lives as long as the handle it was resolved from.
        unsafe { std::slice::from_raw_parts(self.address, self.size) }
    }

    /// The bytes of the part, to write.
    pub fn write(&mut self) -> &mut [u8] {
        // SAFETY: as in `read`; nothing else runs while the server writes.
        unsafe { std::slice::from_raw_parts_mut(self.address, self.size) }
    }

    /// The bytes from the end of the part to the next multiple of the alignment, or to the end of the allocation.
    pub(crate) fn padding(&self) -> &[u8] {
        // SAFETY: as in `read`.
        unsafe { std::slice::from_raw_parts(self.address.add(self.size), self.padding) }
    }

    pub(crate) fn allocation(&self) -> StorageId {
        self.allocation
    }
}

/// Allocations by their identity.
#[derive(Debug, Default)]
pub struct HostStorage {
    allocations: HashMap<StorageId, Allocation>,
    bytes: u64,
}

// SAFETY: it owns its allocations.
unsafe impl Send for HostStorage {}

impl HostStorage {
    /// Whether the bytes around an allocation are as they were; if not they are made so, and the answer says on which side they changed.
    pub(crate) fn check_guards(&mut self, id: StorageId) -> Result<(), &'static str> {
        let Some(allocation) = self.allocations.get(&id) else { return Ok(()) };
        for (after, side) in [(false, "before the start"), (true, "past the end")] {
            if allocation.guard(after).iter().any(|&byte| byte != POISON) {
                let guard = allocation.guard(after).as_ptr().cast_mut();
                // SAFETY: the guard's bytes, which no slice borrows now.
                unsafe { guard.write_bytes(POISON, GUARD) };
                return Err(side);
            }
        }
        Ok(())
    }
}

impl ComputeStorage for HostStorage {
    type Resource = HostResource;

    fn alignment(&self) -> usize {
        ALIGNMENT
    }

    fn get(&mut self, handle: &StorageHandle) -> Result<HostResource, IoError> {
        let allocation = self.allocations.get(&handle.id).ok_or_else(|| IoError::StorageHandleNotFound {
            reason: format!("{} was freed", handle.id).into(),
            backtrace: BackTrace::capture(),
        })?;
        let (offset, size) = (handle.offset() as usize, handle.size() as usize);
        assert!(offset + size <= allocation.size, "a handle stays within its allocation");
        // SAFETY: just checked; the guard lies before the first byte.
        let address = unsafe { allocation.start.add(GUARD + offset) };
        let end = offset + size;
        let padding = end.next_multiple_of(ALIGNMENT).min(allocation.size) - end;
        Ok(HostResource { allocation: handle.id, address, size, padding })
    }

    fn alloc(&mut self, size: u64) -> Result<StorageHandle, IoError> {
        if IN_USE.load(Relaxed).saturating_add(size) > LIMIT.load(Relaxed) {
            return Err(IoError::OutOfMemory { size, backtrace: BackTrace::capture() });
        }
        let too_big = || IoError::BufferTooBig { size, backtrace: BackTrace::capture() };
        let allocation = usize::try_from(size).ok().and_then(Allocation::new).ok_or_else(too_big)?;
        let id = StorageId::new();
        self.allocations.insert(id, allocation);
        self.bytes += size;
        PEAK.fetch_max(IN_USE.fetch_add(size, Relaxed) + size, Relaxed);
        Ok(StorageHandle { id, utilization: StorageUtilization { offset: 0, size } })
    }

    fn dealloc(&mut self, id: StorageId) {
        if let Some(allocation) = self.allocations.remove(&id) {
            self.bytes -= allocation.size as u64;
            IN_USE.fetch_sub(allocation.size as u64, Relaxed);
        }
    }

    fn flush(&mut self) {}

    fn bytes_allocated(&self) -> u64 {
        self.bytes
    }
}
