//! Writing a checkpoint folder.

use std::borrow::Borrow;
use std::path::{Path, PathBuf};

use super::sharding::{self, ShardedWriter};
use super::{CheckpointError, StagedFolder, WeightType};
use crate::{ParameterShape, Qwen3Config, SentenceTokenizer};

/// Files that belong to a tokenizer of Hugging Face, beside `tokenizer.json`.
const TOKENIZER_FILES: [&str; 8] = [
    SentenceTokenizer::FILE_NAME,
    SentenceTokenizer::CONFIG_FILE_NAME,
    "vocab.json",
    "merges.txt",
    "added_tokens.json",
    "special_tokens_map.json",
    "chat_template.jinja",
    "generation_config.json",
];

/// Writes a checkpoint folder that transformers, vLLM and [`CheckpointReader`](super::CheckpointReader) read.
///
/// The folder appears complete or not at all: files are written beside it, forced to disk and renamed. In a folder that is
/// already there, the configuration, the tokenizer and the weights are replaced one by one, the file that a reader looks for first last;
/// weight files that the new ones do not replace by name are removed, other files stay.
///
/// Weights beyond [`CheckpointWriter::with_max_shard_bytes`] are spread over `model-00001-of-0000N.safetensors` and so on, with
/// `model.safetensors.index.json`.
///
/// ```
/// use tn_model::{CheckpointReader, CheckpointWriter, Qwen3Config, WeightType};
///
/// # let parent = tempfile::tempdir()?;
/// # let folder = parent.path().join("model");
/// let config = Qwen3Config::tiny(300);
/// let zeros = config.parameters().into_iter().map(|parameter| {
///     let values = vec![0.0; parameter.shape.iter().product()];
///     (parameter, values)
/// });
/// CheckpointWriter::new(&folder).with_weight_type(WeightType::Bf16).with_max_shard_bytes(1 << 20).write(&config, zeros)?;
/// assert_eq!(CheckpointReader::open(&folder)?.config(), &config);
/// assert!(folder.join("model-00001-of-00002.safetensors").exists());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct CheckpointWriter<'t> {
    folder: PathBuf,
    weight_type: WeightType,
    max_shard_bytes: u64,
    tokenizer: Option<Tokenizer<'t>>,
}

#[derive(Clone, Debug)]
enum Tokenizer<'t> {
    Given(&'t SentenceTokenizer),
    FilesOf(PathBuf),
}

impl<'t> CheckpointWriter<'t> {
    /// Bytes of weights in a file, unless something else is asked for: 5 GB.
    pub const MAX_SHARD_BYTES: u64 = 5_000_000_000;

    /// Prepares to write 32-bit weights, without a tokenizer, into a folder.
    pub fn new(folder: impl AsRef<Path>) -> Self {
        let folder = folder.as_ref().to_owned();
        Self { folder, weight_type: WeightType::F32, max_shard_bytes: Self::MAX_SHARD_BYTES, tokenizer: None }
    }

    /// Sets the number format of the weights; values are rounded to nearest, ties to even.
    pub fn with_weight_type(mut self, weight_type: WeightType) -> Self {
        self.weight_type = weight_type;
        self
    }

    /// Sets how many bytes of weights a file holds at most. A tensor that is larger has a file of its own.
    pub fn with_max_shard_bytes(mut self, bytes: u64) -> Self {
        self.max_shard_bytes = bytes;
        self
    }

    /// Adds the tokenizer, as `tokenizer.json`, with the `tokenizer_config.json` that makes transformers and vLLM read it as it is.
    pub fn with_tokenizer(mut self, tokenizer: &'t SentenceTokenizer) -> Self {
        self.tokenizer = Some(Tokenizer::Given(tokenizer));
        self
    }

    /// Copies the files of a tokenizer, byte for byte, from another checkpoint folder: `tokenizer.json` and, where they are there,
    /// `tokenizer_config.json`, `vocab.json`, `merges.txt`, `generation_config.json` and the like. A `tokenizer_config.json` that is not
    /// there is added, as in [`CheckpointWriter::with_tokenizer`].
    pub fn with_tokenizer_files_of(mut self, folder: impl AsRef<Path>) -> Self {
        self.tokenizer = Some(Tokenizer::FilesOf(folder.as_ref().to_owned()));
        self
    }

    /// Writes the folder. Tensors come in any order and are not kept in memory.
    ///
    /// # Errors
    ///
    /// When the tensors are not exactly those of the configuration, each once and in its shape, the number format cannot hold a value, or
    /// a file cannot be written. The folder is then as it was before.
    pub fn write<V: Borrow<[f32]>>(
        &self,
        config: &Qwen3Config,
        tensors: impl IntoIterator<Item = (ParameterShape, V)>,
    ) -> Result<(), CheckpointError> {
        self.try_write(config, tensors.into_iter().map(Ok))
    }

    /// Writes the folder from tensors that have to be read first, as [`CheckpointWriter::write`] does.
    ///
    /// # Errors
    ///
    /// As [`CheckpointWriter::write`], and the first error among the tensors.
    pub fn try_write<V: Borrow<[f32]>>(
        &self,
        config: &Qwen3Config,
        tensors: impl IntoIterator<Item = Result<(ParameterShape, V), CheckpointError>>,
    ) -> Result<(), CheckpointError> {
        config.validate().map_err(|source| CheckpointError::Config { folder: self.folder.clone(), source })?;
        let staged = StagedFolder::beside(&self.folder)?;
        let mut weights = ShardedWriter::create(&staged, config.parameters(), self.weight_type, self.max_shard_bytes)?;
        for tensor in tensors {
            let (parameter, values) = tensor?;
            weights.write(&parameter, values.borrow())?;
        }
        let mut names = self.write_tokenizer(&staged, config)?;
        staged.write(Qwen3Config::FILE_NAME, config.to_json(self.weight_type.torch_name()).as_bytes())?;
        names.push(Qwen3Config::FILE_NAME.to_owned());
        let weights = weights.finish(&staged)?;
        let outdated = sharding::outdated(&self.folder, &weights);
        names.extend(weights);
        staged.publish(&names, &outdated)
    }

    /// Returns the names of the files.
    fn write_tokenizer(&self, staged: &StagedFolder, config: &Qwen3Config) -> Result<Vec<String>, CheckpointError> {
        let mut names = Vec::new();
        match &self.tokenizer {
            None => return Ok(names),
            Some(Tokenizer::Given(tokenizer)) => {
                staged.write(SentenceTokenizer::FILE_NAME, tokenizer.to_json().as_bytes())?;
                names.push(SentenceTokenizer::FILE_NAME.to_owned());
            }
            Some(Tokenizer::FilesOf(folder)) => {
                for name in TOKENIZER_FILES {
                    if staged.copy(folder, name)? {
                        names.push(name.to_owned());
                    }
                }
            }
        }
        if names.iter().all(|name| name != SentenceTokenizer::CONFIG_FILE_NAME) {
            let text = SentenceTokenizer::config_json(config.max_position_embeddings);
            staged.write(SentenceTokenizer::CONFIG_FILE_NAME, text.as_bytes())?;
            names.push(SentenceTokenizer::CONFIG_FILE_NAME.to_owned());
        }
        Ok(names)
    }
}
