//! Why a checkpoint cannot be read or written.

use std::io;
use std::path::{Path, PathBuf};

use super::WeightType;
use crate::ConfigError;

/// Why a checkpoint or adapter folder cannot be read or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CheckpointError {
    /// A file could not be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What went wrong.
        source: io::Error,
    },
    /// A file or folder could not be written.
    #[error("cannot write {}", path.display())]
    Write {
        /// The file or folder.
        path: PathBuf,
        /// What went wrong.
        source: io::Error,
    },
    /// The model's configuration was refused.
    #[error("unusable configuration in {}", folder.display())]
    Config {
        /// The checkpoint folder.
        folder: PathBuf,
        /// What is wrong with it.
        source: ConfigError,
    },
    /// The folder has neither `model.safetensors` nor `model.safetensors.index.json`.
    #[error("no model.safetensors and no model.safetensors.index.json in {}", folder.display())]
    NoWeights {
        /// The checkpoint folder.
        folder: PathBuf,
    },
    /// A JSON file beside the weights (the shard index, the adapter's configuration) is malformed.
    #[error("{} is malformed", path.display())]
    Json {
        /// The file.
        path: PathBuf,
        /// What went wrong.
        source: serde_json::Error,
    },
    /// The shard index names a file that is not in the folder itself.
    #[error("{} names the shard {shard:?}, which is not a file name", path.display())]
    ShardName {
        /// The index.
        path: PathBuf,
        /// The name found.
        shard: String,
    },
    /// The shard index and the shards disagree on where a tensor is.
    #[error("the shard index places {name} in {listed}, found {}", found.as_deref().unwrap_or("nowhere"))]
    ShardIndex {
        /// The tensor.
        name: String,
        /// File named by the index.
        listed: String,
        /// File that holds it.
        found: Option<String>,
    },
    /// The shard index has a key twice.
    #[error("{} lists {name} twice", path.display())]
    ListedTwice {
        /// The index.
        path: PathBuf,
        /// The tensor.
        name: String,
    },
    /// A shard holds a tensor that the shard index does not know.
    #[error("{} holds {name}, which the shard index does not list", path.display())]
    Unlisted {
        /// The shard.
        path: PathBuf,
        /// The tensor.
        name: String,
    },
    /// The header of a safetensors file is unusable.
    #[error("unusable header in {}", path.display())]
    Header {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: HeaderError,
    },
    /// The configuration asks for a tensor that no file holds.
    #[error("{} has no tensor {name}", path.display())]
    MissingTensor {
        /// The file, or the folder of a sharded checkpoint.
        path: PathBuf,
        /// The tensor.
        name: String,
    },
    /// A file holds a tensor that the configuration does not know.
    #[error("{} holds {name}, which the configuration does not have", path.display())]
    UnexpectedTensor {
        /// The file.
        path: PathBuf,
        /// The tensor.
        name: String,
    },
    /// Two shards hold the same tensor, or it was handed to the writer twice.
    #[error("{name} occurs twice, the second time in {}", path.display())]
    DuplicateTensor {
        /// The file with the second one.
        path: PathBuf,
        /// The tensor.
        name: String,
    },
    /// A tensor has another shape than the configuration asks for.
    #[error("{name} in {} has shape {found:?}, expected {expected:?}", path.display())]
    Shape {
        /// The file.
        path: PathBuf,
        /// The tensor.
        name: String,
        /// Its shape.
        found: Vec<usize>,
        /// The shape of the configuration.
        expected: Vec<usize>,
    },
    /// A value is beyond the range of the number format that it should be written in.
    #[error("{name} has the value {value}, which {} cannot hold; it was to be written to {}", weight_type.torch_name(), path.display())]
    Overflow {
        /// The file.
        path: PathBuf,
        /// The tensor.
        name: String,
        /// The first such value.
        value: f32,
        /// The number format.
        weight_type: WeightType,
    },
    /// The adapter was made for another base model.
    #[error("the adapter in {} was made for {made_for}, which is not this base of {base}", adapter.display())]
    OtherBase {
        /// The adapter's folder.
        adapter: PathBuf,
        /// What the adapter says about its base.
        made_for: String,
        /// What the base looks like.
        base: String,
        /// The first tensor that does not fit.
        source: Box<CheckpointError>,
    },
    /// The adapter uses a feature that is not implemented.
    #[error("{field} = {found} in {} is not supported", path.display())]
    UnsupportedAdapter {
        /// The adapter's configuration file.
        path: PathBuf,
        /// The key.
        field: &'static str,
        /// Its value.
        found: String,
    },
}

impl CheckpointError {
    pub(crate) fn read(path: &Path, source: io::Error) -> Self {
        Self::Read { path: path.to_owned(), source }
    }

    pub(crate) fn write(path: &Path, source: io::Error) -> Self {
        Self::Write { path: path.to_owned(), source }
    }
}

/// Why the header of a safetensors file was refused.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HeaderError {
    /// The file ends before its header does.
    #[error("the header needs {needed} bytes, the file has {found}")]
    Truncated {
        /// Bytes of the length field and the header.
        needed: u64,
        /// Bytes of the file.
        found: u64,
    },
    /// The header is longer than any real one.
    #[error("the header claims {found} bytes, at most {limit} are read")]
    TooLong {
        /// The claimed length.
        found: u64,
        /// The limit.
        limit: u64,
    },
    /// The header is not the JSON object it should be.
    #[error("not a safetensors header")]
    Json(#[from] serde_json::Error),
    /// The same key occurs twice.
    #[error("the key {name} occurs twice")]
    DuplicateKey {
        /// The tensor.
        name: String,
    },
    /// A tensor has a data type other than F32, F16 or BF16.
    #[error("{name} has data type {found}, expected F32, F16 or BF16")]
    WeightType {
        /// The tensor.
        name: String,
        /// Its data type.
        found: String,
    },
    /// The bytes given to a tensor are not as many as its shape and data type need.
    #[error("{name} has bytes {start}..{end}, its shape and data type need {needed}")]
    Size {
        /// The tensor.
        name: String,
        /// First byte.
        start: u64,
        /// One past the last byte.
        end: u64,
        /// Bytes that the shape and data type need; `u64::MAX` when they overflow.
        needed: u64,
    },
    /// Tensors overlap or leave a gap.
    #[error("{name} starts at byte {start}, expected {expected}")]
    Offset {
        /// The tensor.
        name: String,
        /// First byte.
        start: u64,
        /// One past the last byte of the tensor before it.
        expected: u64,
    },
    /// The file is longer or shorter than header and tensors.
    #[error("header and tensors need {expected} bytes, the file has {found}")]
    FileLength {
        /// Bytes needed.
        expected: u64,
        /// Bytes of the file.
        found: u64,
    },
}
