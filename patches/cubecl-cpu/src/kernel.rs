//! A kernel from CubeCL's representation to a loaded library.

use std::ffi::c_void;
use std::fmt;
use std::sync::Arc;

use cubecl_core::CubeDim;
use cubecl_core::server::LaunchError;
use cubecl_cpp::shared::{CompilationOptions, CppCompiler};
use cubecl_cpp::target::Cuda;
use cubecl_environment::backtrace::BackTrace;
use cubecl_server::compiler::CompilationError;
use cubecl_server::kernel::{BufferIOAttr, CompiledKernel, CubeKernel};
use libloading::Library;

use crate::machine::{Entry, Launch, State};
use crate::sources::Source;
use crate::text::{self, HostText};
use crate::toolchain::Toolchain;

/// A kernel that can be launched.
pub(crate) struct HostKernel {
    pub(crate) source: Source,
    pub(crate) io: Option<Arc<[BufferIOAttr]>>,
    pub(crate) shared_size: usize,
    block_dim: CubeDim,
    meets: bool,
    entry: Entry,
    /// Holds the code of `entry`.
    _library: Library,
}

impl fmt::Debug for HostKernel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HostKernel").field("name", &self.source.name).finish_non_exhaustive()
    }
}

fn refused(reason: String) -> LaunchError {
    CompilationError::Generic { reason, backtrace: BackTrace::capture() }.into()
}

impl HostKernel {
    /// Writes the kernel as CUDA C++, with the compiler of the CUDA runtime, and that as a library for the host.
    pub(crate) fn compile(kernel: &dyn CubeKernel, options: &CompilationOptions, state: *mut State) -> Result<Self, LaunchError> {
        let definition = cubecl_core::define_kernel(kernel)?;
        let mut compiled = CompiledKernel::compile(kernel, definition, &mut CppCompiler::<Cuda>::default(), options)?;
        let io = compiled.io.take().map(Arc::from);
        let shared_size = compiled.repr.as_ref().map_or(0, |kernel| kernel.shared_memory_size);
        let name = kernel.name().to_owned();
        let source = Source { name, entry: compiled.entrypoint_name, text: compiled.source.into() };
        let host = text::for_host(&source.text, &source.entry).map_err(|reason| refused(format!("kernel `{}`: {reason}", source.name)))?;
        let (library, entry) = load(&host, state).map_err(|reason| refused(format!("kernel `{}`: {reason}", source.name)))?;
        Ok(Self { source, io, shared_size, block_dim: compiled.cube_dim, meets: host.meets, entry, _library: library })
    }

    pub(crate) fn launch(&self, grid_dim: [u32; 3], arguments: &mut [*mut c_void]) -> Launch {
        let dim = self.block_dim;
        Launch {
            entry: self.entry,
            meets: self.meets,
            grid_dim,
            block_dim: [dim.x, dim.y, dim.z],
            shared_size: self.shared_size,
            arguments: arguments.as_mut_ptr(),
        }
    }
}

fn load(host: &HostText, state: *mut State) -> Result<(Library, Entry), String> {
    let toolchain = Toolchain::get().ok_or("there is no C++ compiler: install g++, or name one in CXX")?;
    let path = toolchain.library(&host.text)?;
    let failed = |error: libloading::Error| format!("its library cannot be used: {error}");
    let entry = if host.meets { text::THREAD } else { text::BLOCK };
    // SAFETY: the library is what the compiler made of our text: loading it runs nothing, `host_state` is a pointer to the state, and the
    // entry has this signature.
    unsafe {
        let library = Library::new(path).map_err(failed)?;
        **library.get::<*mut *mut State>(b"host_state").map_err(failed)? = state;
        let entry = *library.get::<Entry>(entry.as_bytes()).map_err(failed)?;
        Ok((library, entry))
    }
}
