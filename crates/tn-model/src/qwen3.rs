//! The Qwen3 decoder: embedding, blocks, final norm and output head.
//!
//! Every layer has an explicit reverse pass instead of an automatic-differentiation tape: it keeps only what it needs, never forms the
//! gradient of a frozen weight, and can recompute a block instead of storing it. Burn's automatic differentiation of the same forward pass
//! is the reference in the tests.

mod block;
mod continuation;
mod decoder;
mod files;
mod gradients;
mod linear;
mod matrix;
mod pack;
mod packed;
mod paged;
mod pages;
mod pass;
mod read_sequence;
#[cfg(feature = "gpu")]
mod recorded;

pub use block::Keep;
pub use continuation::{Branch, Continuations, Step};
pub use decoder::{Qwen3, SequenceLoss, TensorSource, TensorUpdate};
pub use gradients::Gradients;
pub use linear::{Linear, LoraAdapter, Trained};
pub use pack::{Pack, PassOptions};
pub use packed::PackedQwen3;
pub use pages::{OutOfPages, PageTable, Pages};
pub use pass::{Part, pass};
pub use read_sequence::ReadSequence;

pub(crate) use decoder::place;
