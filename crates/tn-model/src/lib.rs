//! A Qwen3 decoder that learns spatial sentences and writes cells.
//!
//! Training from scratch on one page: a tokenizer with one token for each gene, a small decoder, a few steps, and the ranking that the
//! model expects at a place.
//!
//! ```
//! use burn::tensor::Device;
//! use tn_model::generation::{CellWriter, GenerationOptions, LocalGenerator};
//! use tn_model::training::{Trainer, TrainingConfig};
//! use tn_model::{Qwen3, Qwen3Config, SentenceTokenizer, TokenSequence, TokenizerOptions};
//! use tn_sentence::{TaskRecord, Vocabulary};
//!
//! // Two kinds of cells in alternation.
//! let panel = Vocabulary::new(["GFAP", "AQP4", "GAD1", "SST"])?;
//! let astrocyte = |x: u32| format!("<pos> X: {x}, Y: 0 <meta> class: Astro <cs> GFAP AQP4 </cs>");
//! let neuron = |x: u32| format!("<pos> X: {x}, Y: 0 <meta> class: Neuron <cs> GAD1 SST </cs>");
//! let sentences: Vec<String> = (0..24).map(|x| format!("{} {} {}", astrocyte(x), neuron(x + 5), astrocyte(x + 10))).collect();
//!
//! let tokenizer = SentenceTokenizer::train(sentences.iter().cloned(), &panel, &TokenizerOptions::default())?;
//! let sequences: Vec<TokenSequence> = sentences.iter().map(|text| TokenSequence::encode(&tokenizer, text)).collect();
//! let config = Qwen3Config { num_hidden_layers: 1, ..Qwen3Config::tiny(tokenizer.vocab_size()) };
//! let mut model = Qwen3::initialize(&config, 42, &Device::flex());
//! let training = TrainingConfig { epochs: 20, ..TrainingConfig::from_scratch() };
//! Trainer::new(training)?.fit(&mut model, &sequences, &[], &mut ())?;
//!
//! let task = TaskRecord { prompt: astrocyte(3), class: "Neuron".into(), x: 8.0, y: 0.0, ..TaskRecord::default() };
//! let options = GenerationOptions { samples: 8, ..GenerationOptions::default() };
//! let writer = CellWriter::new(LocalGenerator::new(&model, tokenizer)?.with_panel(panel)?, options)?;
//! let expected = writer.expected_ranking(&task)?;
//! assert!(expected.record.generated_block.starts_with("<pos> X: 8, Y: 0 <meta> class: Neuron <cs> GAD1 SST"));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Which type do I need?
//!
//! | I have | I want | Type |
//! |---|---|---|
//! | sentences | tokens | [`SentenceTokenizer`], [`TokenSequence`], [`Chunker`] |
//! | a Hugging Face folder | a decoder | [`Qwen3::load`], [`Qwen3::with_adapter`] |
//! | a shape | a decoder to train from scratch | [`Qwen3Config`], [`Qwen3::initialize`] |
//! | a decoder | a LoRA adapter on it | [`Qwen3::with_new_adapters`] |
//! | token sequences | a trained decoder | [`training::Trainer`] |
//! | a checkpoint larger than comfortable | a decoder in 16 or 8 bits | [`qwen3::PackedQwen3::load`], [`generation::LocalGenerator::from_packed`] |
//! | a trained decoder and tasks | cells | [`generation::CellWriter`] with a [`generation::LocalGenerator`] |
//! | a trained decoder and observed cells | how surprising they are, and which neighbors matter | [`likelihood::CellScorer`] |
//! | a server, such as vLLM, and tasks | cells | [`generation::CellWriter`] with a `generation::RemoteGenerator` |
//! | a checkpoint and an adapter, larger than memory | one merged checkpoint | [`merge_adapter`], [`CheckpointWriter`] |
//! | a trained decoder | a folder for transformers, vLLM or PEFT | [`Qwen3::save`], [`Qwen3::save_adapter`] |
//!
//! # Layers
//!
//! [`kernels`] holds the operations, each with a fast CPU body and a reference in plain tensor operations; [`qwen3`] composes them into
//! blocks with an explicit reverse pass; [`training`] and [`generation`] use the decoder. Weights are 32-bit in training, and packed in 32,
//! 16 or 8 bits for generation ([`qwen3::PackedQwen3`]). The processor is Burn's Flex backend; a GPU ([`DeviceChoice`]) has kernels of its
//! own, and weights in 32 bits or bf16 ([`Precision`]).
//!
//! # Features
//!
//! | Feature | For |
//! |---|---|
//! | `cuda` | devices of NVIDIA; builds without CUDA, which is loaded when a device is opened |
//! | `wgpu` | devices by Vulkan, Metal or DirectX |
//! | `kernel-suite` | `suite`: what `cargo xtask gpu` checks and times on a device |
//! | `kernel-cache` | compiled kernels and tuning results are kept on disk |
//! | `data-parallel` | [`training`] by several workers of one process: threads, or GPUs of one machine |
//! | `remote` | `generation::RemoteGenerator`: cells written by an OpenAI-compatible server over HTTP |
//! | `remote-tls` | the same over HTTPS; its cryptography needs a C compiler |
//!
//! # Reproducibility
//!
//! The same seed gives the same bytes on any number of threads, on one kind of processor: work is cut into blocks of fixed size, and sums
//! over blocks have a fixed order. Processors with other vector instructions may round differently.

pub mod generation;
// What kernels for GPUs are written in is a part of Rust: without iterators over arrays in registers, `a += b` of all types, or `let` in
// conditions.
#[cfg_attr(
    feature = "gpu",
    allow(
        clippy::assign_op_pattern,
        clippy::collapsible_if,
        clippy::duplicate_underscore_argument,
        clippy::manual_is_multiple_of,
        clippy::needless_range_loop,
        reason = "kernels are translated to CUDA and shaders"
    )
)]
pub mod kernels;
pub mod likelihood;
pub mod qwen3;
#[cfg(feature = "kernel-suite")]
pub mod suite;
pub mod training;

mod adapter_files;
mod checkpoint;
mod config;
mod dataset;
mod device;
mod shortening;
mod tokenizer;

/// Where tensors live. `Device::flex()` is the processor.
pub use burn::tensor::Device;

pub use adapter_files::{
    Adapter, AdapterConfig, AdapterFactors, AdapterReader, merge_adapter, read_adapter, unmerge_adapter, write_adapter,
};
pub use checkpoint::{CheckpointError, CheckpointReader, CheckpointWriter, HeaderError, WeightType};
pub use config::{ConfigError, ParameterShape, Projection, Qwen3Config};
pub use dataset::{
    ChunkError, ChunkReport, Chunker, Chunks, CutCell, TokenSequence, coordinate_spans, epoch_order, published_coordinate_spans,
};
pub use device::{DeviceChoice, DeviceError, Precision};
pub use qwen3::Qwen3;
pub use tokenizer::{Encoding, SentenceTokenizer, TokenizerError, TokenizerOptions};
