//! Hugging Face checkpoints and PEFT adapters, in and out.

use std::path::Path;

use burn::tensor::Device;

use super::decoder::{Qwen3, place};
use super::linear::LoraAdapter;
use crate::kernels::host;
use crate::{
    Adapter, AdapterConfig, AdapterFactors, CheckpointError, CheckpointReader, CheckpointWriter, Precision, SentenceTokenizer,
    read_adapter, write_adapter,
};

impl Qwen3 {
    /// Loads a checkpoint folder (`config.json` and safetensors) as 32-bit weights.
    ///
    /// # Errors
    /// Returns an error that names the file and the key when the folder is incomplete, malformed or not a Qwen3 decoder.
    pub fn load(folder: impl AsRef<Path>, device: &Device) -> Result<Self, CheckpointError> {
        Self::load_in(folder, device, Precision::F32)
    }

    /// Loads a checkpoint folder, its matrices in the given numbers.
    ///
    /// # Errors
    /// As [`Qwen3::load`].
    ///
    /// # Panics
    /// Panics when the device does not compute in these numbers: ask [`Precision::check`] before.
    pub fn load_in(folder: impl AsRef<Path>, device: &Device, precision: Precision) -> Result<Self, CheckpointError> {
        let reader = CheckpointReader::open(folder)?;
        Self::build_in(reader.config(), device, precision, &mut |name, _| reader.tensor(name))
    }

    /// Writes a checkpoint folder, adapters merged in, with its tokenizer. The folder appears complete or not at all.
    ///
    /// # Errors
    /// Returns an error that names the file that cannot be written.
    pub fn save(&self, folder: impl AsRef<Path>, tokenizer: &SentenceTokenizer) -> Result<(), CheckpointError> {
        CheckpointWriter::new(folder).with_tokenizer(tokenizer).write(self.config(), self.tensors())
    }

    /// Returns the model with the adapter of a PEFT folder. Adapters that are there already are merged first.
    ///
    /// # Errors
    /// Returns an error that names the file and the key when the adapter is malformed or made for another base model.
    pub fn with_adapter(&self, folder: impl AsRef<Path>) -> Result<Self, CheckpointError> {
        let adapter = read_adapter(folder, self.config())?;
        let mut adapted = self.merged();
        adapted.put_adapter(adapter, 1.0);
        Ok(adapted)
    }

    /// Returns the model with the adapter of a PEFT folder taken out of its weights, into which it was merged before: the base up to
    /// rounding. Where the base itself is at hand, [`Qwen3::without_adapters`] has it exactly.
    ///
    /// # Errors
    /// As [`Qwen3::with_adapter`].
    pub fn unmerged(&self, folder: impl AsRef<Path>) -> Result<Self, CheckpointError> {
        let adapter = read_adapter(folder, self.config())?;
        let mut adapted = self.merged();
        adapted.put_adapter(adapter, -1.0);
        Ok(adapted.merged())
    }

    /// Puts `sign` times an adapter that fits this model on its projections.
    fn put_adapter(&mut self, Adapter { config, factors }: Adapter, sign: f32) {
        let device = self.device();
        for AdapterFactors { layer, projection, a, b } in factors {
            let found = self.blocks[layer].projections_mut().into_iter().find(|(p, _)| *p == projection);
            let Some((_, linear)) = found else { continue };
            let [outputs, inputs] = linear.weight.dims();
            linear.adapter = Some(LoraAdapter {
                a: place(a, [config.rank, inputs], &device),
                b: place(b, [outputs, config.rank], &device),
                scale: sign * config.scale() as f32,
            });
        }
    }

    /// Writes the model's adapter as a PEFT folder.
    ///
    /// # Errors
    /// Returns an error when the model carries other adapters than `config` describes, or a file cannot be written.
    pub fn save_adapter(&self, folder: impl AsRef<Path>, config: &AdapterConfig) -> Result<(), CheckpointError> {
        let factors = self.blocks.iter().enumerate().flat_map(|(layer, block)| {
            let adapted = block.projections().into_iter().filter_map(|(projection, linear)| Some((projection, linear.adapter.as_ref()?)));
            adapted.map(move |(projection, adapter)| AdapterFactors {
                layer,
                projection,
                a: host::to_vec(&adapter.a),
                b: host::to_vec(&adapter.b),
            })
        });
        write_adapter(folder, config, self.config(), factors)
    }
}
