//! tn-model.

pub mod generation;
pub mod kernels;
pub mod qwen3;
pub mod training;

mod adapter_files;
mod checkpoint;
mod config;
mod dataset;
mod tokenizer;

/// Where tensors live. `Device::flex()` is the processor.
pub use burn::tensor::Device;

pub use adapter_files::{Adapter, AdapterConfig, AdapterFactors, read_adapter, write_adapter};
pub use checkpoint::{CheckpointError, CheckpointReader, CheckpointWriter, HeaderError, WeightType};
pub use config::{ConfigError, ParameterShape, Projection, Qwen3Config};
pub use dataset::{
    ChunkError, ChunkReport, Chunker, Chunks, CutCell, TokenSequence, coordinate_spans, epoch_order, published_coordinate_spans,
};
pub use qwen3::Qwen3;
pub use tokenizer::{Encoding, SentenceTokenizer, TokenizerError, TokenizerOptions};
