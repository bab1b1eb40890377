//! LoRA adapters on disk: PEFT adapter folders.
//!
//! A folder holds `adapter_config.json` and `adapter_model.safetensors` with two matrices for each adapted projection,
//! `base_model.model.model.layers.{i}.self_attn.q_proj.lora_A.weight` `[rank, in]` and `...lora_B.weight` `[out, rank]`. PEFT,
//! vLLM and this crate read the same files.

mod config;
mod merge;

pub use config::AdapterConfig;
pub use merge::{merge_adapter, unmerge_adapter};

use std::borrow::Borrow;
use std::path::Path;

use crate::checkpoint::{CheckpointError, Outdated, StagedFolder, TensorFile, TensorFileWriter, WeightType};
use crate::{ParameterShape, Projection, Qwen3Config};

const WEIGHTS: &str = "adapter_model.safetensors";

/// The two LoRA matrices of one projection of one layer. The adapted map is `x W^T + scale (x A^T) B^T`.
#[derive(Clone, Debug, PartialEq)]
pub struct AdapterFactors<V = Vec<f32>> {
    /// Layer, from 0.
    pub layer: usize,
    /// The projection that carries it.
    pub projection: Projection,
    /// `A`, `[rank, in]`, row-major.
    pub a: V,
    /// `B`, `[out, rank]`, row-major.
    pub b: V,
}

/// An adapter as read from a folder.
#[derive(Clone, Debug, PartialEq)]
pub struct Adapter {
    /// Rank, scale and adapted projections.
    pub config: AdapterConfig,
    /// Two matrices for each layer and adapted projection, by layer and then in the order of [`Projection::ALL`].
    pub factors: Vec<AdapterFactors>,
}

/// A PEFT adapter folder, opened and checked. Its matrices are read one by one.
#[derive(Debug)]
pub struct AdapterReader {
    config: AdapterConfig,
    base: Qwen3Config,
    file: TensorFile,
}

impl AdapterReader {
    /// Opens an adapter folder for a base model of the given shape.
    ///
    /// # Errors
    ///
    /// When a file is missing or malformed, the adapter uses something that is not implemented (DoRA, rank-stabilized
    /// scaling, ranks by layer, trained biases or whole modules, a base that was changed at the start), its tensors are not those that its configuration asks for, or they
    /// fit another base model ([`CheckpointError::OtherBase`]). The error names the file and the key.
    pub fn open(folder: impl AsRef<Path>, base: &Qwen3Config) -> Result<Self, CheckpointError> {
        let folder = folder.as_ref();
        let config = AdapterConfig::load(folder)?;
        let file = TensorFile::open(&folder.join(WEIGHTS))?;
        let reader = Self { config, base: base.clone(), file };
        reader.check_tensors().map_err(|source| reader.as_other_base(source, folder))?;
        Ok(reader)
    }

    /// Returns rank, scale and adapted projections.
    pub fn config(&self) -> &AdapterConfig {
        &self.config
    }

    /// Returns the shape of the base model that the adapter was opened for.
    pub fn base(&self) -> &Qwen3Config {
        &self.base
    }

    /// Reads the two matrices of a projection; `None` when it has no adapter.
    pub fn factors(&self, layer: usize, projection: Projection) -> Option<AdapterFactors> {
        let read = |factor| self.file.entry(&key(layer, projection, factor)).map(|entry| self.file.values(entry));
        Some(AdapterFactors { layer, projection, a: read("lora_A")?, b: read("lora_B")? })
    }

    fn check_tensors(&self) -> Result<(), CheckpointError> {
        let (file, shapes) = (&self.file, shapes(&self.config, &self.base));
        for ParameterShape { name, shape } in &shapes {
            let (path, name) = (file.path().to_owned(), name.clone());
            match file.entry(&name) {
                None => return Err(CheckpointError::MissingTensor { path, name }),
                Some(entry) if entry.shape != *shape => {
                    let (found, expected) = (entry.shape.clone(), shape.clone());
                    return Err(CheckpointError::Shape { path, name, found, expected });
                }
                Some(_) => {}
            }
        }
        match file.entries().iter().find(|entry| shapes.iter().all(|shape| shape.name != entry.name)) {
            Some(extra) => Err(CheckpointError::UnexpectedTensor { path: file.path().to_owned(), name: extra.name.clone() }),
            None => Ok(()),
        }
    }

    /// Says that the base is another one where that is why a tensor does not fit: by its width, or by the number of layers.
    fn as_other_base(&self, source: CheckpointError, folder: &Path) -> CheckpointError {
        let layers = self.file.entries().iter().filter_map(|entry| layer_of(&entry.name)).max().map(|last| last.saturating_add(1));
        let rank = self.config.rank;
        let is_other_base = match &source {
            // The side of the rank is the adapter's own.
            CheckpointError::Shape { name, found, .. } => match found[..] {
                [first, second] => rank == if name.ends_with("lora_A.weight") { first } else { second },
                _ => false,
            },
            _ => layers.is_some_and(|layers| layers != self.base.num_hidden_layers),
        };
        let Some(layers) = layers.filter(|_| is_other_base) else { return source };
        let name = self.config.base_model.as_deref().map_or("a base without a name".to_owned(), |name| format!("{name:?}"));
        let made_for = format!("{name} of {layers} layers");
        let base = format!("{} layers, width {}", self.base.num_hidden_layers, self.base.hidden_size);
        CheckpointError::OtherBase { adapter: folder.to_owned(), made_for, base, source: Box::new(source) }
    }
}

/// Reads a PEFT adapter folder for a base model of the given shape.
///
/// # Errors
///
/// As [`AdapterReader::open`].
pub fn read_adapter(folder: impl AsRef<Path>, base: &Qwen3Config) -> Result<Adapter, CheckpointError> {
    let reader = AdapterReader::open(folder, base)?;
    let factors = adapted(&reader.config, base).filter_map(|(layer, projection)| reader.factors(layer, projection)).collect();
    Ok(Adapter { config: reader.config, factors })
}

/// Writes a PEFT adapter folder, in 32-bit values. It appears complete or not at all, as a checkpoint does.
///
/// # Errors
///
/// When the factors are not exactly those that the adapter's configuration and the base model ask for, each once and in its
/// shape, or a file cannot be written. The folder is then as it was before.
pub fn write_adapter<V: Borrow<[f32]>>(
    folder: impl AsRef<Path>,
    config: &AdapterConfig,
    base: &Qwen3Config,
    factors: impl IntoIterator<Item = AdapterFactors<V>>,
) -> Result<(), CheckpointError> {
    let staged = StagedFolder::beside(folder.as_ref())?;
    let mut weights = TensorFileWriter::create(&staged.file(WEIGHTS), shapes(config, base), WeightType::F32)?;
    for AdapterFactors { layer, projection, a, b } in factors {
        let [out, input] = projection.shape(base);
        weights.write(&key(layer, projection, "lora_A"), &[config.rank, input], a.borrow())?;
        weights.write(&key(layer, projection, "lora_B"), &[out, config.rank], b.borrow())?;
    }
    weights.finish()?;
    staged.write(AdapterConfig::FILE_NAME, config.to_json().as_bytes())?;
    staged.publish(&[AdapterConfig::FILE_NAME.to_owned(), WEIGHTS.to_owned()], &Outdated::default())
}

/// Returns the layer of a key of this module.
fn layer_of(key: &str) -> Option<usize> {
    key.strip_prefix("base_model.model.model.layers.")?.split('.').next()?.parse().ok()
}

fn key(layer: usize, projection: Projection, factor: &str) -> String {
    format!("base_model.model.{}.{factor}.weight", projection.module_path(layer))
}

fn adapted(config: &AdapterConfig, base: &Qwen3Config) -> impl Iterator<Item = (usize, Projection)> {
    let projections = Projection::ALL.into_iter().filter(|p| config.target_modules.contains(p)).collect::<Vec<_>>();
    (0..base.num_hidden_layers).flat_map(move |layer| projections.clone().into_iter().map(move |p| (layer, p)))
}

fn shapes(config: &AdapterConfig, base: &Qwen3Config) -> Vec<ParameterShape> {
    adapted(config, base)
        .flat_map(|(layer, projection)| {
            let [out, input] = projection.shape(base);
            [
                ParameterShape { name: key(layer, projection, "lora_A"), shape: vec![config.rank, input] },
                ParameterShape { name: key(layer, projection, "lora_B"), shape: vec![out, config.rank] },
            ]
        })
        .collect()
}
