//! Zarr folders, format 2 or 3.

use std::path::Path;
use std::sync::Arc;

use serde_json::{Map, Value};
use zarrs::array::chunk_cache::{ChunkCache, ChunkCacheDecodedLruSizeLimit};
use zarrs::array::{Array as ZarrArray, ArrayCreateError, ArraySubset, CodecOptions, ElementOwned};
use zarrs::filesystem::FilesystemStore;
use zarrs::group::Group as ZarrGroup;
use zarrs::node::Node;
use zarrs::plugin::{ExtensionName, ZarrVersion};
use zarrs::storage::{ReadableListableStorage, ReadableListableStorageTraits};

use super::{CHUNK_CACHE_BYTES, ElementType, Number};
use crate::ReadError;

const RESAVE_ZARR: &str = "save it again with a current anndata: anndata.read_zarr(IN).write_zarr(OUT)";

type Storage = dyn ReadableListableStorageTraits;

/// A folder with a hierarchy of groups and arrays.
pub(super) struct Store {
    store: ReadableListableStorage,
}

/// A group of the hierarchy.
#[derive(Clone)]
pub(crate) struct Group {
    group: Arc<ZarrGroup<Storage>>,
    store: ReadableListableStorage,
}

/// An array of the hierarchy, with the chunks that were decoded last.
pub(crate) struct Array {
    array: Arc<ZarrArray<dyn zarrs::storage::ReadableStorageTraits>>,
    chunks: ChunkCacheDecodedLruSizeLimit,
}

impl Store {
    pub(super) fn open(path: &Path) -> Result<Self, ReadError> {
        let store = FilesystemStore::new(path).map_err(|source| damaged(path, "the folder", source))?;
        Ok(Self { store: Arc::new(store) })
    }

    pub(super) fn root(&self, path: &Path) -> Result<Group, ReadError> {
        match ZarrGroup::open(Arc::clone(&self.store), "/") {
            Ok(group) => Ok(Group { group: Arc::new(group), store: Arc::clone(&self.store) }),
            Err(zarrs::group::GroupCreateError::MissingMetadata) => Err(ReadError::NotZarr { path: path.to_owned() }),
            Err(source) => Err(damaged(path, "the root group", source)),
        }
    }
}

impl Group {
    /// Returns the names of the groups and of the arrays of the group.
    pub(super) fn members(&self, path: &Path, object: &str) -> Result<(Vec<String>, Vec<String>), ReadError> {
        let children = self.group.children(false).map_err(|source| damaged(path, object, source))?;
        let is_group = |node: &&Node| matches!(node.metadata(), zarrs::node::NodeMetadata::Group(_));
        let names = |wanted: bool| {
            let nodes = children.iter().filter(|node| is_group(node) == wanted);
            nodes.map(|node| node.name().as_str().to_owned()).collect()
        };
        Ok((names(true), names(false)))
    }

    fn child_path(&self, name: &str) -> String {
        format!("{}/{name}", self.group.path().as_str().trim_end_matches('/'))
    }

    pub(super) fn child_group(&self, path: &Path, object: &str, name: &str) -> Result<Self, ReadError> {
        let group = ZarrGroup::open(Arc::clone(&self.store), &self.child_path(name));
        let group = group.map_err(|source| damaged(path, object, source))?;
        Ok(Self { group: Arc::new(group), store: Arc::clone(&self.store) })
    }

    pub(super) fn child_array(&self, path: &Path, object: &str, name: &str) -> Result<Array, ReadError> {
        let store = Arc::clone(&self.store).readable();
        let array = ZarrArray::open(store, &self.child_path(name)).map_err(|source| match source {
            ArrayCreateError::DataTypeCreateError(_)
            | ArrayCreateError::CodecsCreateError(_)
            | ArrayCreateError::UnsupportedZarrV2Array(_) => ReadError::UnsupportedEncoding {
                path: path.to_owned(),
                object: object.to_owned(),
                found: format!("something unknown ({source})"),
                remedy: RESAVE_ZARR,
            },
            other => damaged(path, object, other),
        })?;
        let array = Arc::new(array);
        let chunks = ChunkCacheDecodedLruSizeLimit::new(Arc::clone(&array), CHUNK_CACHE_BYTES as u64);
        Ok(Array { array, chunks })
    }

    pub(super) fn text_attribute(&self, name: &str) -> Option<String> {
        text(self.group.attributes(), name)
    }

    pub(super) fn texts_attribute(&self, name: &str) -> Vec<String> {
        let values = self.group.attributes().get(name).and_then(Value::as_array);
        values.into_iter().flatten().filter_map(|value| value.as_str().map(str::to_owned)).collect()
    }
}

impl Array {
    pub(super) fn shape(&self) -> &[u64] {
        self.array.shape()
    }

    pub(super) fn text_attribute(&self, name: &str) -> Option<String> {
        text(self.array.attributes(), name)
    }

    pub(super) fn element_type(&self) -> ElementType {
        let name = self.array.data_type().name(ZarrVersion::V3).unwrap_or_default();
        match name.as_ref() {
            "float16" => ElementType::Float { bytes: 2 },
            "float32" => ElementType::Float { bytes: 4 },
            "float64" => ElementType::Float { bytes: 8 },
            "int8" => ElementType::Integer { bytes: 1 },
            "int16" => ElementType::Integer { bytes: 2 },
            "int32" => ElementType::Integer { bytes: 4 },
            "int64" => ElementType::Integer { bytes: 8 },
            "uint8" => ElementType::Unsigned { bytes: 1 },
            "uint16" => ElementType::Unsigned { bytes: 2 },
            "uint32" => ElementType::Unsigned { bytes: 4 },
            "uint64" => ElementType::Unsigned { bytes: 8 },
            "bool" => ElementType::Flag,
            "string" | "fixed_length_utf32" => ElementType::Text,
            _ => ElementType::Other,
        }
    }

    fn is_fixed_length_text(&self) -> bool {
        self.array.data_type().name(ZarrVersion::V3).as_deref() == Some("fixed_length_utf32")
    }

    /// Returns the numbers of rows `start..end`, or nothing if the array holds something else.
    pub(super) fn number_range<T: Number>(&self, path: &Path, object: &str, start: u64, end: u64) -> Result<Option<Vec<T>>, ReadError> {
        macro_rules! read {
            ($type:ty) => {
                self.elements::<$type>(path, object, start, end)?.into_iter().map(|value| T::from_f64(value as f64)).collect()
            };
        }
        Ok(Some(match self.element_type() {
            ElementType::Float { bytes: 4 } => self.elements::<f32>(path, object, start, end)?.into_iter().map(T::from_f32).collect(),
            ElementType::Float { bytes: 8 } => read!(f64),
            ElementType::Integer { bytes: 1 } => read!(i8),
            ElementType::Integer { bytes: 2 } => read!(i16),
            ElementType::Integer { bytes: 4 } => read!(i32),
            ElementType::Integer { bytes: 8 } => read!(i64),
            ElementType::Unsigned { bytes: 1 } => read!(u8),
            ElementType::Unsigned { bytes: 2 } => read!(u16),
            ElementType::Unsigned { bytes: 4 } => read!(u32),
            ElementType::Unsigned { bytes: 8 } => read!(u64),
            ElementType::Flag => {
                let flags = self.elements::<bool>(path, object, start, end)?;
                flags.into_iter().map(|flag| T::from_f64(f64::from(u8::from(flag)))).collect()
            }
            _ => return Ok(None),
        }))
    }

    pub(super) fn strings(&self, path: &Path, object: &str) -> Result<Vec<String>, ReadError> {
        let end = self.array.shape().first().copied().unwrap_or(1);
        if self.is_fixed_length_text() {
            let texts = self.elements::<Vec<char>>(path, object, 0, end)?;
            return Ok(texts.into_iter().map(String::from_iter).collect());
        }
        self.elements::<String>(path, object, 0, end)
    }

    fn elements<T: ElementOwned>(&self, path: &Path, object: &str, start: u64, end: u64) -> Result<Vec<T>, ReadError> {
        let mut ranges: Vec<std::ops::Range<u64>> = self.array.shape().iter().map(|&length| 0..length).collect();
        if let Some(first) = ranges.first_mut() {
            *first = start..end;
        }
        let subset = ArraySubset::new_with_ranges(&ranges);
        let elements = self.chunks.retrieve_array_subset::<Vec<T>>(&subset, &CodecOptions::default());
        elements.map_err(|source| damaged(path, object, source))
    }
}

fn text(attributes: &Map<String, Value>, name: &str) -> Option<String> {
    attributes.get(name).and_then(Value::as_str).map(str::to_owned)
}

fn damaged(path: &Path, object: &str, source: impl std::error::Error + Send + Sync + 'static) -> ReadError {
    ReadError::Damaged { path: path.to_owned(), object: object.to_owned(), source: Box::new(source) }
}
