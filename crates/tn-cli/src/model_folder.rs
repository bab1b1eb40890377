//! Loading a model folder: configuration, tokenizer, weights and an adapter, checked against each other.

use std::path::{Path, PathBuf};

use tissuenarrator::model::kernels::packed_linear::WeightFormat;
use tissuenarrator::model::qwen3::PackedQwen3;
use tissuenarrator::model::{CheckpointReader, Device, Precision, Qwen3, SentenceTokenizer};
use tissuenarrator::sentence::Coordinates;

use crate::error::CliError;
use crate::header_fields;

/// A model with its tokenizer.
pub(crate) struct LoadedModel {
    pub(crate) model: Qwen3,
    pub(crate) tokenizer: SentenceTokenizer,
}

/// Checks, before anything is said about it, that a folder holds a model.
pub(crate) fn check(folder: &Path) -> Result<(), CliError> {
    CheckpointReader::open(folder)?;
    Ok(())
}

/// Opens a folder, and checks its tokenizer against its model, before any weights are read.
pub(crate) fn open(folder: &Path) -> Result<(CheckpointReader, SentenceTokenizer), CliError> {
    let checkpoint = CheckpointReader::open(folder)?;
    let tokenizer = SentenceTokenizer::load(folder)?;
    let mismatch = |source| CliError::TokenizerMismatch { folder: folder.to_owned(), source };
    tokenizer.check_against(checkpoint.config()).map_err(mismatch)?;
    Ok((checkpoint, tokenizer))
}

/// Loads a folder on a device, and an adapter on top where one is given.
pub(crate) fn load(folder: &Path, adapter: Option<&Path>, device: &Device, precision: Precision) -> Result<LoadedModel, CliError> {
    let (_, tokenizer) = open(folder)?;
    precision.check(device)?;
    let mut model = Qwen3::load_in(folder, device, precision)?;
    if let Some(adapter) = adapter {
        model = model.with_adapter(adapter)?;
    }
    Ok(LoadedModel { model, tokenizer })
}

/// Loads a folder for generation on a device, its weights in a format, with an adapter merged into them where one is given.
pub(crate) fn load_packed(
    folder: &Path,
    adapter: Option<&Path>,
    format: WeightFormat,
    device: &Device,
) -> Result<(PackedQwen3, SentenceTokenizer), CliError> {
    if *device != Device::flex() {
        let precision = match format {
            WeightFormat::F32 => Precision::F32,
            WeightFormat::Bf16 => Precision::Bf16,
            WeightFormat::Int8 => return Err(CliError::WeightsOfProcessor { weights: format.name() }),
        };
        let LoadedModel { model, tokenizer } = load(folder, adapter, device, precision)?;
        return Ok((PackedQwen3::pack(&model.merged(), format), tokenizer));
    }
    if adapter.is_some() {
        let LoadedModel { model, tokenizer } = load(folder, adapter, device, Precision::F32)?;
        return Ok((PackedQwen3::pack(&model, format), tokenizer));
    }
    let (_, tokenizer) = open(folder)?;
    Ok((PackedQwen3::load(folder, format)?, tokenizer))
}

/// Warns of a model that was trained on text with coordinates and is shown none, or the other way around, as far as the record of its
/// training tells. An adapter lies in its own folder or in that of its run.
pub(crate) fn warn_of_coordinates(model: &Path, adapter: Option<&Path>, coordinates: Coordinates) {
    let mut folders = adapter.into_iter().flat_map(|adapter| [Some(adapter), adapter.parent()]).flatten().chain([model]);
    let Some((folder, trained)) = folders.find_map(|folder| Some((folder, trained_coordinates(folder)?))) else { return };
    if trained != coordinates {
        let (seen, advice) = match trained {
            Coordinates::Hidden => ("without", "give"),
            Coordinates::Shown => ("with", "leave out"),
        };
        tracing::warn!("the model in {} was trained {seen} coordinates: {advice} --without-coordinates", folder.display());
    }
}

fn trained_coordinates(folder: &Path) -> Option<Coordinates> {
    let record = std::fs::read_to_string(folder.join("training.json")).ok()?;
    let record: serde_json::Value = serde_json::from_str(&record).ok()?;
    let are_hidden = record.pointer("/provenance/options/without_coordinates")?.as_bool()?;
    Some(if are_hidden { Coordinates::Hidden } else { Coordinates::Shown })
}

/// Returns the files of a model or adapter folder that decide what it writes, by name.
pub(crate) fn files(folder: &Path) -> Vec<PathBuf> {
    let decides = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        name.ends_with(".safetensors") && !name.starts_with("training_state.")
            || ["config.json", "tokenizer.json", "adapter_config.json", header_fields::FILE_NAME].contains(&name.as_ref())
    };
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.path()).filter(decides).collect();
    files.sort();
    files
}
