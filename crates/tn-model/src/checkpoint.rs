//! Model weights on disk: Hugging Face checkpoint folders.
//!
//! [`CheckpointReader`] opens a folder (`config.json` and one or several safetensors files), checks everything that the
//! headers say against the configuration, and only then hands out tensors. [`CheckpointWriter`] writes such a folder, whole or in
//! shards, so that a reader sees either none of it or all of it.

mod error;
mod header;
mod index;
mod reader;
mod sharding;
mod staged_folder;
mod tensor_file;
mod weight_type;
mod writer;

pub use error::{CheckpointError, HeaderError};
pub use reader::CheckpointReader;
pub use weight_type::WeightType;
pub use writer::CheckpointWriter;

pub(crate) use staged_folder::{Outdated, StagedFolder, sync_folder};
pub(crate) use tensor_file::{TensorFile, TensorFileWriter};
