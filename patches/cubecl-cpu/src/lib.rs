//! Runs CUDA C++ on the processor, so that CUDA kernels are tested without a GPU.
//!
//! In this workspace it takes the place of CubeCL's runtime for processors, which downloads LLVM while it is being built: `Device::cpu()` of
//! Burn is this device. A patch holds for this workspace alone; who depends on the published crates gets the real `cubecl-cpu`.
//!
//! # What it does
//!
//! Each kernel is written by the compiler of the CUDA runtime (`CppCompiler<Cuda>`, with the options of a device of compute capability 8.0),
//! and the text that NVRTC would get goes to the host's C++ compiler instead: `g++`, or what `CXX` names. The library is loaded and called;
//! libraries are kept in the system's temporary folder under a hash of the text. The device says of itself what an A100 says: warps of
//! 32, bf16, tensor cores, 163 KB of shared memory, padded rows. So programs choose the kernels that they choose on CUDA.
//!
//! - **Threads** are fibers that meet at barriers and at operations of a warp; blocks run one after another. The order is always the same:
//!   x fastest, each thread until it waits. Sums by atomics have one result.
//! - **Matrix products** of a warp (`wmma`, `mma.sync`, `ldmatrix`) have the layouts of PTX and sum in order in 32 bits.
//! - **Mistakes are reported** by an error that names the kernel, at the next read of what it wrote: writes just outside a buffer or outside
//!   shared memory, a barrier that not all threads reach, a matrix product without all lanes, unaligned matrices.
//!   Memory starts as a pattern that is not a number, shared memory too, and so does what a lane reads from a lane that is not there.
//! - **Memory** is allocated exactly and counted: [`memory`], and the reports of CubeCL's client. [`limit_memory`] makes it scarce.
//! - **[`sources`]** gives the CUDA C++ of the kernels that were launched, and [`Nvrtc`] compiles it, where the environment
//!   names the library. It needs no GPU.
//!
//! # What it is not
//!
//! It shows that a kernel computes the right thing, never that it is fast. It cannot show races that need a certain interleaving, weak
//! memory order, bank conflicts, too many registers, what tensor cores round differently, or conversions of numbers out of range. Blocks
//! that wait for later blocks never end. Tensor maps, clusters and other features from compute capability 9.0 on are absent, and so are
//! complex numbers and floats of one byte. It is written for x86-64 under Unix; without a C++ compiler there is no device.
//!
//! # How the text is changed before the C++ compiler sees it
//!
//! Shared memory becomes a pointer, `asm` statements become calls, two entry points are appended: `text.rs` and `ptx.rs`. All else is done
//! by headers that carry the names of CUDA's: `shim/`.

#![warn(missing_docs)]
#![cfg(all(target_arch = "x86_64", unix))]

mod copy;
mod fibers;
mod kernel;
mod machine;
mod nvrtc;
mod ptx;
mod runtime;
mod server;
mod sources;
mod storage;
mod stream;
mod text;
mod toolchain;

pub use cubecl_server::device::CpuDevice;
pub use nvrtc::Nvrtc;
pub use runtime::CpuRuntime;
pub use server::CpuServer;
pub use sources::{Source, sources};
pub use storage::{HostResource, HostStorage, Memory, limit_memory, memory, reset_peak};
