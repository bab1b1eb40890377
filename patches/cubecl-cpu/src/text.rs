//! From CUDA C++ to C++ for the host: what changes in the text before the compiler sees it.
//!
//! Three things change, the rest is left to the headers in `shim/`:
//!
//! 1. `extern __shared__ __align__(16) char name[];` becomes a pointer to the block's shared memory.
//! 2. An `asm` statement becomes a call of `host_ptx.h`, see [`ptx`](crate::ptx).
//! 3. Two functions are appended that the machine calls: one thread of the kernel, and all threads of a block.

use crate::ptx;

/// The functions that the machine looks up in a kernel's library.
pub(crate) const THREAD: &str = "host_thread";
pub(crate) const BLOCK: &str = "host_block";

/// A kernel's text for the host's compiler.
#[derive(Debug)]
pub(crate) struct HostText {
    pub(crate) text: String,
    /// Whether threads of a block wait for one another; if not, they need no fibers.
    pub(crate) meets: bool,
}

/// # Errors
///
/// An `asm` statement that the host has no replacement for.
pub(crate) fn for_host(cuda: &str, entry: &str) -> Result<HostText, String> {
    let body = ptx::replace_asm(&replace_shared_memory(cuda))?;
    let includes = "#include <host_cuda.h>\n#include <host_ptx.h>\n";
    let entries = format!(
        "extern \"C\" __attribute__((visibility(\"default\"))) void {THREAD}(void** arguments) {{ host::call(&{entry}, arguments); }}\n\
         extern \"C\" __attribute__((visibility(\"default\"))) void {BLOCK}(void** arguments) {{ host::call_block(&{entry}, arguments); }}\n"
    );
    // Every operation at which threads meet has one of these in its name: `__syncthreads`, `__shfl_sync`, `mma_sync`, `cuda::barrier`, ...
    let meets = ["_sync", "__activemask", "barrier", "host::ldmatrix", "host::stmatrix"].iter().any(|name| body.contains(name));
    Ok(HostText { text: format!("{includes}{body}\n{entries}"), meets })
}

/// `extern __shared__ __align__(16) char name[];` to `char* const name = host_state->shared;`.
fn replace_shared_memory(cuda: &str) -> String {
    const START: &str = "extern __shared__ __align__(";
    let mut parts = cuda.split(START);
    let mut text = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        match part.split_once(") char ").and_then(|(_, rest)| rest.split_once("[];")) {
            Some((name, rest)) => text.extend(["char* const ", name, " = host_state->shared;", rest]),
            None => text.extend([START, part]),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shared_memory_is_a_pointer() {
        let cuda = "void k() { extern __shared__ __align__(16) char block[];x(block); }";
        assert_eq!(replace_shared_memory(cuda), "void k() { char* const block = host_state->shared;x(block); }");
    }

    #[test]
    fn threads_meet_only_where_the_text_says_so() {
        assert!(!for_host("void k(float* x) { x[threadIdx.x] = 1; }", "k").unwrap().meets);
        assert!(for_host("void k() { __syncthreads(); }", "k").unwrap().meets);
        let product = r#"void k() { asm("mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 {%0};" : "=f"(d.i_0), "=f"(d.i_1), "=f"(d.i_2),
            "=f"(d.i_3) : "r"(0), "r"(0), "r"(0), "r"(0), "r"(0), "r"(0), "f"(0), "f"(0), "f"(0), "f"(0)); }"#;
        assert!(for_host(product, "k").unwrap().meets);
        assert!(for_host("void k() { x = __shfl_xor_sync(__activemask(), x, 1); }", "k").unwrap().meets);
    }
}
