//! NVIDIA's compiler for kernels, from a library that the environment names. It needs no GPU.
//!
//! Library and headers are on PyPI: `libnvrtc.so` in `nvidia-cuda-nvrtc-cu12`, folders named `include` in `nvidia-cuda-runtime-cu12`,
//! `nvidia-cuda-cccl-cu12` and `nvidia-cuda-nvcc-cu12`. A wheel is a zip archive.

use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::path::PathBuf;
use std::ptr::null_mut;

use libloading::{Library, Symbol};

/// NVRTC: `TN_NVRTC` names `libnvrtc.so`; `TN_CUDA_INCLUDE` has the folders of CUDA's headers, separated as in `PATH`.
#[derive(Debug)]
pub struct Nvrtc {
    library: Library,
    includes: Vec<PathBuf>,
}

type Program = *mut c_void;
type Create = unsafe extern "C" fn(*mut Program, *const c_char, *const c_char, c_int, *const *const c_char, *const *const c_char) -> c_int;
type Compile = unsafe extern "C" fn(Program, c_int, *const *const c_char) -> c_int;
type Size = unsafe extern "C" fn(Program, *mut usize) -> c_int;
type Text = unsafe extern "C" fn(Program, *mut c_char) -> c_int;
type Destroy = unsafe extern "C" fn(*mut Program) -> c_int;

impl Nvrtc {
    /// The library, or `None` where the environment does not name it.
    ///
    /// # Panics
    ///
    /// If it names something that cannot be loaded.
    #[must_use]
    pub fn of_environment() -> Option<Self> {
        let path = std::env::var_os("TN_NVRTC")?;
        // SAFETY: loading NVRTC has no effect but on its own memory.
        let library = unsafe { Library::new(&path) }.unwrap_or_else(|error| panic!("TN_NVRTC names {}: {error}", path.display()));
        let includes = std::env::var_os("TN_CUDA_INCLUDE").map(|paths| std::env::split_paths(&paths).collect()).unwrap_or_default();
        Some(Self { library, includes })
    }

    /// Compiles a text for an architecture, such as `sm_80`.
    ///
    /// # Errors
    ///
    /// What the compiler says when it refuses.
    ///
    /// # Panics
    ///
    /// If the library is not NVRTC.
    pub fn compile(&self, text: &str, architecture: &str) -> Result<(), String> {
        let text = CString::new(text).expect("a text without zeros");
        let mut options = vec![format!("--gpu-architecture={architecture}")];
        options.extend(self.includes.iter().map(|path| format!("--include-path={}", path.display())));
        let options: Vec<CString> = options.into_iter().map(|option| CString::new(option).expect("an option without zeros")).collect();
        let options: Vec<*const c_char> = options.iter().map(|option| option.as_ptr()).collect();
        // SAFETY: NVRTC's functions with their signatures, on a program that lives between creation and destruction.
        unsafe {
            let mut program: Program = null_mut();
            let created = self.function::<Create>("nvrtcCreateProgram")(
                &raw mut program,
                text.as_ptr(),
                c"kernel.cu".as_ptr(),
                0,
                null_mut(),
                null_mut(),
            );
            assert_eq!(created, 0, "NVRTC takes a program");
            let compiled = self.function::<Compile>("nvrtcCompileProgram")(program, options.len() as c_int, options.as_ptr());
            let mut size = 0;
            self.function::<Size>("nvrtcGetProgramLogSize")(program, &raw mut size);
            let mut log = vec![0u8; size.max(1)];
            self.function::<Text>("nvrtcGetProgramLog")(program, log.as_mut_ptr().cast());
            self.function::<Destroy>("nvrtcDestroyProgram")(&raw mut program);
            let log = CStr::from_bytes_until_nul(&log).expect("the log ends with a zero").to_string_lossy().into_owned();
            if compiled == 0 { Ok(()) } else { Err(log) }
        }
    }

    fn function<T>(&self, name: &str) -> Symbol<'_, T> {
        // SAFETY: the callers name functions with their types.
        unsafe { self.library.get(name.as_bytes()) }.unwrap_or_else(|error| panic!("NVRTC has {name}: {error}"))
    }
}
