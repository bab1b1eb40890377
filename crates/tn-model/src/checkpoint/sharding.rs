//! Weights spread over several files, as Hugging Face does it.

use std::collections::HashMap;
use std::path::Path;

use serde_json::{Map, Value, json};

use super::staged_folder::Outdated;
use super::{CheckpointError, StagedFolder, TensorFileWriter, WeightType};
use crate::ParameterShape;

/// The file of weights that are not spread.
pub(super) const SINGLE_FILE: &str = "model.safetensors";
/// The file that says which shard holds which tensor.
pub(super) const SHARD_INDEX: &str = "model.safetensors.index.json";

/// Writes weights into one file or several, in which the tensors are known beforehand and arrive one by one, in any order.
pub(super) struct ShardedWriter {
    shards: Vec<(String, TensorFileWriter)>,
    /// Shard of each tensor.
    index: HashMap<String, usize>,
    /// The index file, when there are several shards.
    index_text: Option<String>,
}

impl ShardedWriter {
    /// Prepares files of at most `max_bytes` bytes of weights each; a tensor that is larger has a file of its own.
    pub(super) fn create(
        folder: &StagedFolder,
        shapes: Vec<ParameterShape>,
        weight_type: WeightType,
        max_bytes: u64,
    ) -> Result<Self, CheckpointError> {
        let shards = split(shapes, weight_type, max_bytes);
        let names = names(shards.len());
        let index_text = (shards.len() > 1).then(|| index_text(&names, &shards, weight_type));
        let mut index = HashMap::new();
        for (number, shapes) in shards.iter().enumerate() {
            index.extend(shapes.iter().map(|shape| (shape.name.clone(), number)));
        }
        let create = |(name, shapes): (String, Vec<ParameterShape>)| {
            TensorFileWriter::create(&folder.file(&name), shapes, weight_type).map(|writer| (name, writer))
        };
        let shards = names.into_iter().zip(shards).map(create).collect::<Result<_, _>>()?;
        Ok(Self { shards, index, index_text })
    }

    pub(super) fn write(&mut self, parameter: &ParameterShape, values: &[f32]) -> Result<(), CheckpointError> {
        // A tensor that no shard expects is refused, by name, by the first one.
        let shard = self.index.get(&parameter.name).copied().unwrap_or(0);
        self.shards[shard].1.write(&parameter.name, &parameter.shape, values)
    }

    /// Checks that every tensor has arrived, and writes the index. Returns the names of the files, of which the last one makes a reader
    /// see the others.
    pub(super) fn finish(self, folder: &StagedFolder) -> Result<Vec<String>, CheckpointError> {
        let mut names = Vec::with_capacity(self.shards.len() + 1);
        for (name, shard) in self.shards {
            shard.finish()?;
            names.push(name);
        }
        if let Some(text) = self.index_text {
            folder.write(SHARD_INDEX, text.as_bytes())?;
            names.push(SHARD_INDEX.to_owned());
        }
        Ok(names)
    }
}

/// Returns the weight files in a folder that those of the given names replace.
pub(super) fn outdated(folder: &Path, names: &[String]) -> Outdated {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let present = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
    let (mut before, mut after) = (Vec::new(), Vec::new());
    let is_sharded = names.iter().any(|name| name == SHARD_INDEX);
    for name in present.filter(|name| is_weight_file(name)) {
        let is_head = name == SINGLE_FILE || name == SHARD_INDEX;
        match (is_sharded, is_head, names.contains(&name)) {
            // Old shards have the names of new ones: without a head nobody reads a mixture.
            (true, true, _) => before.push(name),
            (_, _, true) => {}
            (_, _, false) => after.push(name),
        }
    }
    Outdated { before, after }
}

fn is_weight_file(name: &str) -> bool {
    let is_shard = name.strip_prefix("model-").and_then(|rest| rest.strip_suffix(".safetensors")).is_some_and(|rest| rest.contains("-of-"));
    is_shard || name == SINGLE_FILE || name == SHARD_INDEX
}

fn split(shapes: Vec<ParameterShape>, weight_type: WeightType, max_bytes: u64) -> Vec<Vec<ParameterShape>> {
    let mut shards = vec![Vec::new()];
    let mut filled = 0;
    for shape in shapes {
        let bytes = bytes(&shape, weight_type);
        if filled > 0 && filled + bytes > max_bytes {
            shards.push(Vec::new());
            filled = 0;
        }
        filled += bytes;
        if let Some(shard) = shards.last_mut() {
            shard.push(shape);
        }
    }
    shards
}

fn bytes(shape: &ParameterShape, weight_type: WeightType) -> u64 {
    shape.shape.iter().map(|&side| side as u64).product::<u64>() * weight_type.size() as u64
}

fn names(shards: usize) -> Vec<String> {
    match shards {
        1 => vec![SINGLE_FILE.to_owned()],
        _ => (1..=shards).map(|shard| format!("model-{shard:05}-of-{shards:05}.safetensors")).collect(),
    }
}

fn index_text(names: &[String], shards: &[Vec<ParameterShape>], weight_type: WeightType) -> String {
    let total: u64 = shards.iter().flatten().map(|shape| bytes(shape, weight_type)).sum();
    let mut map = Map::new();
    for (name, shapes) in names.iter().zip(shards) {
        map.extend(shapes.iter().map(|shape| (shape.name.clone(), Value::from(name.as_str()))));
    }
    format!("{:#}\n", json!({ "metadata": { "total_size": total }, "weight_map": map }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(sizes: &[usize], max_bytes: u64, expected: &[&[usize]]) {
        let shapes = sizes.iter().map(|&size| ParameterShape { name: size.to_string(), shape: vec![size] }).collect();
        let found: Vec<Vec<usize>> =
            split(shapes, WeightType::Bf16, max_bytes).iter().map(|shard| shard.iter().map(|s| s.shape[0]).collect()).collect();
        assert_eq!(found, expected, "{sizes:?} in {max_bytes}");
    }

    #[test]
    fn tensors_fill_a_shard_up_to_its_limit() {
        check(&[1, 2, 3, 4], 1_000, &[&[1, 2, 3, 4]]);
        check(&[1, 2, 3, 4], 12, &[&[1, 2, 3], &[4]]);
        check(&[1, 2, 3, 4], 11, &[&[1, 2], &[3], &[4]]);
        check(&[1, 9, 3], 4, &[&[1], &[9], &[3]]);
        check(&[9, 1, 1], 4, &[&[9], &[1, 1]]);
    }

    #[test]
    fn a_single_shard_has_no_number() {
        assert_eq!(names(1), [SINGLE_FILE]);
        assert_eq!(names(2), ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"]);
        assert!(names(2).iter().chain(&names(1)).all(|name| is_weight_file(name)));
        assert!(!is_weight_file("adapter_model.safetensors") && !is_weight_file("training_state.safetensors"));
    }
}
