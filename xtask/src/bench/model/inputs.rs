//! What both sides read: random checkpoints and tokens.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use tissuenarrator::model::{AdapterConfig, AdapterReader, CheckpointReader, CheckpointWriter, Device, Qwen3, Qwen3Config, WeightType};

/// Random checkpoints in a folder. Each is written once and read again by later runs.
pub(super) struct Inputs {
    folder: PathBuf,
}

impl Inputs {
    /// Keeps checkpoints in a folder.
    pub(super) fn new(folder: PathBuf) -> Self {
        Self { folder }
    }

    /// Returns the folder of a checkpoint of random weights.
    pub(super) fn checkpoint(&self, config: &Qwen3Config, weights: WeightType) -> Result<PathBuf> {
        let (layers, width, rows) = (config.num_hidden_layers, config.hidden_size, config.vocab_size);
        let folder = self.folder.join(format!("{layers}x{width}-{rows}-{}", weights.torch_name()));
        let is_there = CheckpointReader::open(&folder).is_ok_and(|reader| reader.config() == config);
        if !is_there {
            eprintln!("writing random weights to {}", folder.display());
            std::fs::create_dir_all(&self.folder).with_context(|| format!("cannot make {}", self.folder.display()))?;
            let model = Qwen3::initialize(config, 1, &Device::flex());
            CheckpointWriter::new(&folder).with_weight_type(weights).write(config, model.tensors())?;
        }
        Ok(folder)
    }

    /// Returns the folder of a fresh adapter on all projections of a checkpoint.
    pub(super) fn adapter(&self, checkpoint: &Path, config: &Qwen3Config, rank: usize) -> Result<PathBuf> {
        let folder = checkpoint.with_added_extension(format!("lora-{rank}"));
        if AdapterReader::open(&folder, config).is_err() {
            let adapter = AdapterConfig::new(rank, 2.0 * rank as f64).with_base_model("random");
            let base = Qwen3::load(checkpoint, &Device::flex())?;
            base.with_new_adapters(&adapter, 2).save_adapter(&folder, &adapter)?;
        }
        Ok(folder)
    }
}

/// Returns the tokens of a text, one of several.
pub(super) fn tokens(text: usize, length: usize, vocabulary: usize) -> Vec<u32> {
    (0..length).map(|place| ((place * 7_919 + text * 31 + place * place) % vocabulary) as u32).collect()
}
