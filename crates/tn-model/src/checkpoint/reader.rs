//! Reading a checkpoint folder.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use super::sharding::{SHARD_INDEX, SINGLE_FILE};
use super::{CheckpointError, TensorFile, WeightType, index};
use crate::Qwen3Config;

/// A Hugging Face checkpoint folder, opened and checked.
///
/// The weights are one `model.safetensors`, or shards listed in `model.safetensors.index.json` (the single file wins when both
/// are there, as in transformers). Opening reads and checks the headers alone: byte ranges, data types, and that the
/// tensors are exactly those of the configuration, each once and in its shape. A `lm_head.weight` beside a tied embedding
/// is allowed and ignored. Data is read from disk, and converted, only by [`CheckpointReader::tensor`].
///
/// ```
/// use tn_model::{CheckpointReader, Qwen3Config};
///
/// # let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../data-fixtures/checkpoints/tied");
/// let checkpoint = CheckpointReader::open(folder)?;
/// assert_eq!(checkpoint.config().hidden_size, 64);
/// let embedding = checkpoint.tensor(Qwen3Config::EMBEDDING)?;
/// assert_eq!(embedding.len(), 512 * 64);
/// # Ok::<(), tn_model::CheckpointError>(())
/// ```
#[derive(Debug)]
pub struct CheckpointReader {
    folder: PathBuf,
    config: Qwen3Config,
    files: Vec<TensorFile>,
    /// File of each tensor.
    index: HashMap<String, usize>,
}

impl CheckpointReader {
    /// Opens a folder and checks its headers against its configuration.
    ///
    /// # Errors
    ///
    /// When a file is missing or malformed, or the tensors are not those of the configuration. The error names the file and
    /// the key.
    pub fn open(folder: impl AsRef<Path>) -> Result<Self, CheckpointError> {
        let folder = folder.as_ref().to_owned();
        let config = Qwen3Config::load(&folder).map_err(|source| CheckpointError::Config { folder: folder.clone(), source })?;
        let (files, index) = open_files(&folder)?;
        let reader = Self { folder, config, files, index };
        reader.check_parameters()?;
        Ok(reader)
    }

    /// Returns the folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Returns the shape of the model.
    pub fn config(&self) -> &Qwen3Config {
        &self.config
    }

    /// Reads a tensor, by its key in the checkpoint, as 32-bit values in row-major order. Exact for every stored format.
    ///
    /// # Errors
    ///
    /// When the checkpoint has no such tensor.
    pub fn tensor(&self, name: &str) -> Result<Vec<f32>, CheckpointError> {
        let (file, entry) = self.find(name)?;
        Ok(file.values(entry))
    }

    /// Returns a tensor as it is stored: its number format and its bytes, mapped from the file.
    ///
    /// # Errors
    ///
    /// When the checkpoint has no such tensor.
    pub fn stored(&self, name: &str) -> Result<(WeightType, &[u8]), CheckpointError> {
        let (file, entry) = self.find(name)?;
        Ok((entry.weight_type, file.bytes(entry)))
    }

    /// Returns the number format that holds every value exactly: that of the tensors where they all have the same, else F32.
    pub fn weight_type(&self) -> WeightType {
        let mut types = self.files.iter().flat_map(TensorFile::entries).map(|entry| entry.weight_type);
        let first = types.next().unwrap_or(WeightType::F32);
        if types.all(|other| other == first) { first } else { WeightType::F32 }
    }

    fn find(&self, name: &str) -> Result<(&TensorFile, &super::header::TensorEntry), CheckpointError> {
        self.index.get(name).and_then(|&i| self.files[i].entry(name).map(|entry| (&self.files[i], entry))).ok_or_else(|| self.missing(name))
    }

    fn missing(&self, name: &str) -> CheckpointError {
        let path = match self.files.as_slice() {
            [file] => file.path().to_owned(),
            _ => self.folder.clone(),
        };
        CheckpointError::MissingTensor { path, name: name.to_owned() }
    }

    fn check_parameters(&self) -> Result<(), CheckpointError> {
        let mut expected: HashMap<_, _> = HashMap::new();
        for parameter in self.config.parameters() {
            self.find(&parameter.name)?;
            expected.insert(parameter.name, parameter.shape);
        }
        if self.config.tie_word_embeddings {
            let shape = vec![self.config.vocab_size, self.config.hidden_size];
            expected.insert(Qwen3Config::HEAD.to_owned(), shape);
        }
        for file in &self.files {
            for entry in file.entries() {
                let (path, name) = (file.path().to_owned(), entry.name.clone());
                match expected.get(&entry.name) {
                    None => return Err(CheckpointError::UnexpectedTensor { path, name }),
                    Some(shape) if *shape != entry.shape => {
                        let (found, expected) = (entry.shape.clone(), shape.clone());
                        return Err(CheckpointError::Shape { path, name, found, expected });
                    }
                    Some(_) => {}
                }
            }
        }
        Ok(())
    }
}

fn open_files(folder: &Path) -> Result<(Vec<TensorFile>, HashMap<String, usize>), CheckpointError> {
    let single = folder.join(SINGLE_FILE);
    let index_path = folder.join(SHARD_INDEX);
    if single.exists() {
        let file = TensorFile::open(&single)?;
        let index = file.entries().iter().map(|entry| (entry.name.clone(), 0)).collect();
        Ok((vec![file], index))
    } else if index_path.exists() {
        open_shards(folder, &index_path)
    } else {
        Err(CheckpointError::NoWeights { folder: folder.to_owned() })
    }
}

fn open_shards(folder: &Path, index_path: &Path) -> Result<(Vec<TensorFile>, HashMap<String, usize>), CheckpointError> {
    let listed = index::read(index_path)?;
    let mut names: Vec<&String> = listed.iter().map(|(_, shard)| shard).collect();
    names.sort();
    names.dedup();
    let mut files = Vec::with_capacity(names.len());
    let mut index: HashMap<String, usize> = HashMap::new();
    for name in names {
        let file = TensorFile::open(&folder.join(name))?;
        for entry in file.entries() {
            if index.insert(entry.name.clone(), files.len()).is_some() {
                return Err(CheckpointError::DuplicateTensor { path: file.path().to_owned(), name: entry.name.clone() });
            }
        }
        files.push(file);
    }
    for (name, listed) in &listed {
        let found = index.get(name).map(|&i| file_name(&files[i]));
        if found.as_ref() != Some(listed) {
            return Err(CheckpointError::ShardIndex { name: name.clone(), listed: listed.clone(), found });
        }
    }
    let is_listed = |name: &String| listed.binary_search_by(|(other, _)| other.cmp(name)).is_ok();
    let unlisted = files.iter().flat_map(|file| file.entries().iter().map(move |entry| (file, entry))).find(|(_, e)| !is_listed(&e.name));
    if let Some((file, entry)) = unlisted {
        return Err(CheckpointError::Unlisted { path: file.path().to_owned(), name: entry.name.clone() });
    }
    Ok((files, index))
}

fn file_name(file: &TensorFile) -> String {
    file.path().file_name().unwrap_or_default().to_string_lossy().into_owned()
}
