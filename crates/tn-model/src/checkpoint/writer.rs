//! Writing a checkpoint folder.

use std::borrow::Borrow;
use std::path::{Path, PathBuf};

use super::{CheckpointError, StagedFolder, TensorFileWriter, WeightType};
use crate::{ParameterShape, Qwen3Config, SentenceTokenizer};

const WEIGHTS: &str = "model.safetensors";

/// Writes a checkpoint folder that transformers, vLLM and [`CheckpointReader`](super::CheckpointReader) read.
///
/// The folder appears complete or not at all: files are written beside it, forced to disk and renamed. In a folder that is
/// already there, `config.json`, `tokenizer.json` and `model.safetensors` are replaced one by one, the weights last.
///
/// ```
/// use tn_model::{CheckpointReader, CheckpointWriter, Qwen3Config};
///
/// # let parent = tempfile::tempdir()?;
/// # let folder = parent.path().join("model");
/// let config = Qwen3Config::tiny(300);
/// let zeros = config.parameters().into_iter().map(|parameter| {
///     let values = vec![0.0; parameter.shape.iter().product()];
///     (parameter, values)
/// });
/// CheckpointWriter::new(&folder).with_bf16_weights().write(&config, zeros)?;
/// assert_eq!(CheckpointReader::open(&folder)?.config(), &config);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct CheckpointWriter<'t> {
    folder: PathBuf,
    weight_type: WeightType,
    tokenizer: Option<&'t SentenceTokenizer>,
}

impl<'t> CheckpointWriter<'t> {
    /// Prepares to write 32-bit weights, without a tokenizer, into a folder.
    pub fn new(folder: impl AsRef<Path>) -> Self {
        Self { folder: folder.as_ref().to_owned(), weight_type: WeightType::F32, tokenizer: None }
    }

    /// Writes weights as bf16, rounded to nearest: half the size.
    pub fn with_bf16_weights(mut self) -> Self {
        self.weight_type = WeightType::Bf16;
        self
    }

    /// Adds the tokenizer, as `tokenizer.json`.
    pub fn with_tokenizer(mut self, tokenizer: &'t SentenceTokenizer) -> Self {
        self.tokenizer = Some(tokenizer);
        self
    }

    /// Writes the folder. Tensors come in any order and are not kept in memory.
    ///
    /// # Errors
    ///
    /// When the tensors are not exactly those of the configuration, each once and in its shape, or a file cannot be written.
    /// The folder is then as it was before.
    pub fn write<V: Borrow<[f32]>>(
        &self,
        config: &Qwen3Config,
        tensors: impl IntoIterator<Item = (ParameterShape, V)>,
    ) -> Result<(), CheckpointError> {
        config.validate().map_err(|source| CheckpointError::Config { folder: self.folder.clone(), source })?;
        let staged = StagedFolder::beside(&self.folder)?;
        let mut weights = TensorFileWriter::create(&staged.file(WEIGHTS), config.parameters(), self.weight_type)?;
        for (parameter, values) in tensors {
            weights.write(&parameter.name, &parameter.shape, values.borrow())?;
        }
        weights.finish()?;
        staged.write(Qwen3Config::FILE_NAME, config.to_json(self.weight_type.torch_name()).as_bytes())?;
        match self.tokenizer {
            Some(tokenizer) => {
                staged.write(SentenceTokenizer::FILE_NAME, tokenizer.to_json().as_bytes())?;
                staged.publish(&[SentenceTokenizer::FILE_NAME, Qwen3Config::FILE_NAME, WEIGHTS])
            }
            None => staged.publish(&[Qwen3Config::FILE_NAME, WEIGHTS]),
        }
    }
}
