//! The operations of a Qwen3 block, forward and backward, with a fast path on the CPU.
//!
//! Each operation is a file with its public functions over [`Tensor`], and beside it a folder with two bodies:
//!
//! - `cpu.rs`: loops over slices, vectorised at run time for the machine at hand and spread over threads by fixed blocks of rows,
//!   so that the result does not depend on the number of threads;
//! - `reference.rs`: the same mathematics in plain tensor operations. It serves every device that has no kernel of its own, it can be
//!   differentiated by Burn, and the tests compare the fast path and its hand-written gradient with it.
//!
//! A function takes the fast path when all its tensors live on Burn's Flex backend without automatic differentiation.

pub mod adamw;
pub mod attention;
pub(crate) mod bf16;
pub mod decode_attention;
pub mod embedding;
pub(crate) mod exponential;
#[cfg(feature = "gpu")]
pub(crate) mod gpu;
pub mod head_loss;
pub(crate) mod host;
pub(crate) mod lanes;
pub mod linear;
pub mod lora_linear;
pub(crate) mod matmul;
mod numbers;
pub mod packed_linear;
pub mod paged_attention;
pub mod qk_norm_rope;
pub mod rms_norm;
pub mod sample;
pub mod swiglu;

pub use numbers::Numbers;

#[cfg(doc)]
use burn::tensor::Tensor;
