//! `model.safetensors.index.json`: which shard holds which tensor.

use std::fmt;
use std::path::Path;

use serde::Deserialize;
use serde::de::{MapAccess, Visitor};

use super::CheckpointError;

/// Tensors and the files that should hold them, by the name of the tensor.
pub(super) fn read(path: &Path) -> Result<Vec<(String, String)>, CheckpointError> {
    let text = std::fs::read_to_string(path).map_err(|source| CheckpointError::read(path, source))?;
    let index: ShardIndex = serde_json::from_str(&text).map_err(|source| CheckpointError::Json { path: path.to_owned(), source })?;
    let Pairs(mut pairs) = index.weight_map;
    pairs.sort();
    if let Some(pair) = pairs.windows(2).find(|pair| pair[0].0 == pair[1].0) {
        return Err(CheckpointError::ListedTwice { path: path.to_owned(), name: pair[0].0.clone() });
    }
    // A path would reach outside the folder.
    if let Some((_, shard)) = pairs.iter().find(|(_, shard)| Path::new(shard).file_name() != Some(shard.as_ref())) {
        return Err(CheckpointError::ShardName { path: path.to_owned(), shard: shard.clone() });
    }
    Ok(pairs)
}

#[derive(Deserialize)]
struct ShardIndex {
    weight_map: Pairs,
}

/// The keys and values of an object, duplicates included.
struct Pairs(Vec<(String, String)>);

impl<'de> Deserialize<'de> for Pairs {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(PairsVisitor)
    }
}

struct PairsVisitor;

impl<'de> Visitor<'de> for PairsVisitor {
    type Value = Pairs;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of file names")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Pairs, A::Error> {
        let mut pairs = Vec::new();
        while let Some(pair) = map.next_entry()? {
            pairs.push(pair);
        }
        Ok(Pairs(pairs))
    }
}
