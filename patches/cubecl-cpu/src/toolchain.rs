//! The host's C++ compiler, and the libraries it made: kept in the system's temporary folder, one file per text.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

use cubecl_common::hash::StableHasher;

const SHIMS: [(&str, &str); 9] = [
    ("host_cuda.h", include_str!("shim/host_cuda.h")),
    ("host_float16.h", include_str!("shim/host_float16.h")),
    ("host_ptx.h", include_str!("shim/host_ptx.h")),
    ("cuda_bf16.h", include_str!("shim/cuda_bf16.h")),
    ("cuda_fp16.h", include_str!("shim/cuda_fp16.h")),
    ("mma.h", include_str!("shim/mma.h")),
    ("cuda/barrier", include_str!("shim/cuda/barrier")),
    ("cooperative_groups.h", include_str!("shim/cooperative_groups.h")),
    ("cooperative_groups/memcpy_async.h", include_str!("shim/cooperative_groups/memcpy_async.h")),
];

/// Little optimization: most kernels of a test run for a shorter time than they are compiled. The text reads values as other types, as
/// CUDA allows.
const FLAGS: [&str; 7] = ["-std=gnu++17", "-O1", "-shared", "-fPIC", "-fvisibility=hidden", "-fno-strict-aliasing", "-w"];

#[derive(Debug)]
pub(crate) struct Toolchain {
    compiler: String,
    flags: Vec<&'static str>,
    folder: PathBuf,
    shims: PathBuf,
    /// Everything besides a kernel's text that decides what its library does.
    version: String,
}

impl Toolchain {
    /// The compiler that `CXX` names, or `g++`. `None` if it does not run.
    pub(crate) fn get() -> Option<&'static Self> {
        static TOOLCHAIN: OnceLock<Option<Toolchain>> = OnceLock::new();
        TOOLCHAIN.get_or_init(Self::find).as_ref()
    }

    fn find() -> Option<Self> {
        let compiler = std::env::var("CXX").unwrap_or_else(|_| "g++".to_owned());
        let output = Command::new(&compiler).arg("--version").output().ok().filter(|output| output.status.success())?;
        let mut flags = FLAGS.to_vec();
        // Without it, each `fma` is a call that takes a hundred times as long.
        if std::arch::is_x86_feature_detected!("avx2") && std::arch::is_x86_feature_detected!("fma") {
            flags.extend(["-mavx2", "-mfma"]);
        }
        let folder = std::env::temp_dir().join("cubecl-host-cuda");
        let version = format!("{}{flags:?}{SHIMS:?}", String::from_utf8_lossy(&output.stdout));
        let shims = folder.join(format!("include-{}", StableHasher::hash_one(&version)));
        SHIMS.iter().try_for_each(|(name, text)| write_whole(&shims.join(name), text.as_bytes())).ok()?;
        Some(Self { compiler, flags, folder, shims, version })
    }

    /// The library of a text, compiled unless some process did so before.
    ///
    /// # Errors
    ///
    /// What the compiler says, or that it or the folder cannot be used.
    pub(crate) fn library(&self, text: &str) -> Result<PathBuf, String> {
        let key = StableHasher::hash_one(&(&self.version, text));
        let library = self.folder.join(format!("{key}.so"));
        if library.exists() {
            return Ok(library);
        }
        let source = self.folder.join(format!("{key}.cpp"));
        let failed = |what: &str, error: io::Error| format!("{what}: {error}");
        write_whole(&source, text.as_bytes()).map_err(|error| failed("the kernel's text cannot be written", error))?;
        let beside = beside(&library);
        let mut command = Command::new(&self.compiler);
        command.args(&self.flags).arg("-I").arg(&self.shims).arg("-o").arg(&beside).arg(&source);
        let output = command.output().map_err(|error| failed("the C++ compiler does not run", error))?;
        if !output.status.success() {
            let messages = String::from_utf8_lossy(&output.stderr);
            return Err(format!("the C++ compiler refuses {}:\n{messages}", source.display()));
        }
        fs::rename(&beside, &library).map_err(|error| failed("the kernel's library cannot be stored", error))?;
        Ok(library)
    }
}

/// A name beside `path` that no other thread or process uses.
fn beside(path: &Path) -> PathBuf {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    path.with_extension(format!("{}-{}.part", std::process::id(), COUNT.fetch_add(1, Relaxed)))
}

/// Writes a file such that others see all of it or nothing.
fn write_whole(path: &Path, bytes: &[u8]) -> io::Result<()> {
    if path.exists() {
        return Ok(());
    }
    fs::create_dir_all(path.parent().expect("a file in a folder"))?;
    let beside = beside(path);
    fs::write(&beside, bytes)?;
    fs::rename(&beside, path)
}
