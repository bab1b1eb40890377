//! Groups, arrays and attributes, whatever container holds them: an HDF5 file or, with the feature `zarr`, a Zarr folder.
//!
//! Errors name the file and the object.

pub(crate) mod hdf5;
mod lzf;
#[cfg(feature = "zarr")]
pub(crate) mod zarr;

use std::path::{Path, PathBuf};

use crate::ReadError;

/// Decoded chunks that are kept, so that blocks that share a chunk decode it once.
const CHUNK_CACHE_BYTES: usize = 64 << 20;

/// An open container that knows its name.
pub(crate) struct Storage {
    pub(crate) path: PathBuf,
    container: Container,
}

enum Container {
    Hdf5(hdf5::File),
    #[cfg(feature = "zarr")]
    Zarr(zarr::Store),
}

/// A group.
#[derive(Clone)]
pub(crate) enum Group {
    Hdf5(hdf5_reader::group::Group),
    #[cfg(feature = "zarr")]
    Zarr(zarr::Group),
}

/// An array.
pub(crate) enum Array {
    Hdf5(Box<hdf5_reader::Dataset>),
    #[cfg(feature = "zarr")]
    Zarr(Box<zarr::Array>),
}

/// A group or an array.
pub(crate) enum Node {
    Group(Group),
    Array(Array),
}

/// What the elements of an array are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ElementType {
    Float { bytes: usize },
    Integer { bytes: usize },
    Unsigned { bytes: usize },
    Flag,
    Text,
    Records,
    Other,
}

impl ElementType {
    /// Says what it is, in words.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Float { bytes: 4 } => "float32",
            Self::Float { bytes: 8 } => "float64",
            Self::Float { .. } => "floating-point numbers of unusual size",
            Self::Integer { .. } => "integers",
            Self::Unsigned { .. } => "unsigned integers",
            Self::Flag => "booleans",
            Self::Text => "text",
            Self::Records => "records",
            Self::Other => "an unusual data type",
        }
    }
}

impl Storage {
    /// Opens an HDF5 file or, with the feature `zarr`, a Zarr folder.
    pub(crate) fn open(path: &Path) -> Result<Self, ReadError> {
        if path.is_dir() {
            return Self::open_folder(path);
        }
        Ok(Self { path: path.to_owned(), container: Container::Hdf5(hdf5::File::open(path)?) })
    }

    #[cfg(feature = "zarr")]
    fn open_folder(path: &Path) -> Result<Self, ReadError> {
        Ok(Self { path: path.to_owned(), container: Container::Zarr(zarr::Store::open(path)?) })
    }

    #[cfg(not(feature = "zarr"))]
    fn open_folder(path: &Path) -> Result<Self, ReadError> {
        Err(ReadError::ZarrNotBuilt { path: path.to_owned() })
    }

    /// Says what the container is, in words.
    pub(crate) fn container_name(&self) -> &'static str {
        match &self.container {
            Container::Hdf5(_) => "HDF5",
            #[cfg(feature = "zarr")]
            Container::Zarr(_) => "Zarr",
        }
    }

    pub(crate) fn root(&self) -> Result<Group, ReadError> {
        match &self.container {
            Container::Hdf5(file) => file.root(&self.path).map(Group::Hdf5),
            #[cfg(feature = "zarr")]
            Container::Zarr(store) => store.root(&self.path).map(Group::Zarr),
        }
    }

    /// Returns the names of the groups and of the arrays of a group.
    pub(crate) fn members(&self, group: &Group, object: &str) -> Result<(Vec<String>, Vec<String>), ReadError> {
        match group {
            Group::Hdf5(group) => hdf5::read(&self.path, object, || group.member_names()),
            #[cfg(feature = "zarr")]
            Group::Zarr(group) => group.members(&self.path, object),
        }
    }

    /// Returns a child, or nothing if there is none of that name.
    pub(crate) fn child(&self, group: &Group, parent: &str, name: &str) -> Result<Option<Node>, ReadError> {
        let (groups, arrays) = self.members(group, parent)?;
        let object = if parent == "/" { name.to_owned() } else { format!("{parent}/{name}") };
        if groups.iter().any(|other| other == name) {
            return self.child_group(group, &object, name).map(|group| Some(Node::Group(group)));
        }
        if arrays.iter().any(|other| other == name) {
            return self.child_array(group, &object, name).map(|array| Some(Node::Array(array)));
        }
        Ok(None)
    }

    fn child_group(&self, group: &Group, object: &str, name: &str) -> Result<Group, ReadError> {
        match group {
            Group::Hdf5(group) => hdf5::read(&self.path, object, || group.group(name)).map(Group::Hdf5),
            #[cfg(feature = "zarr")]
            Group::Zarr(group) => group.child_group(&self.path, object, name).map(Group::Zarr),
        }
    }

    fn child_array(&self, group: &Group, object: &str, name: &str) -> Result<Array, ReadError> {
        match group {
            Group::Hdf5(group) => hdf5::read(&self.path, object, || group.dataset(name)).map(|array| Array::Hdf5(Box::new(array))),
            #[cfg(feature = "zarr")]
            Group::Zarr(group) => group.child_array(&self.path, object, name).map(|array| Array::Zarr(Box::new(array))),
        }
    }

    /// Returns a child that must be an array.
    pub(crate) fn array(&self, group: &Group, parent: &str, name: &str) -> Result<Array, ReadError> {
        match self.child(group, parent, name)? {
            Some(Node::Array(array)) => Ok(array),
            _ => {
                let (groups, arrays) = self.members(group, parent)?;
                Err(ReadError::MissingObject {
                    path: self.path.clone(),
                    object: format!("{parent}/{name}"),
                    found: [groups, arrays].concat(),
                })
            }
        }
    }

    /// Returns all numbers of an array, row after row.
    pub(crate) fn numbers<T: Number>(&self, array: &Array, object: &str) -> Result<Vec<T>, ReadError> {
        self.number_range(array, object, 0, array.length())
    }

    /// Returns the numbers `start..end` (along the first axis, with all of the others) of an array.
    pub(crate) fn number_range<T: Number>(&self, array: &Array, object: &str, start: u64, end: u64) -> Result<Vec<T>, ReadError> {
        if start >= end {
            return Ok(Vec::new());
        }
        let numbers = match array {
            Array::Hdf5(dataset) => hdf5::number_range(&self.path, dataset, object, start, end)?,
            #[cfg(feature = "zarr")]
            Array::Zarr(array) => array.number_range(&self.path, object, start, end)?,
        };
        numbers.ok_or_else(|| ReadError::UnsupportedEncoding {
            path: self.path.clone(),
            object: object.to_owned(),
            found: array.element_type().name().to_owned(),
            remedy: "save it again as 32-bit floating-point numbers or integers",
        })
    }

    /// Returns all text of an array.
    pub(crate) fn strings(&self, array: &Array, object: &str) -> Result<Vec<String>, ReadError> {
        match array {
            Array::Hdf5(dataset) => hdf5::read(&self.path, object, || dataset.read_strings()),
            #[cfg(feature = "zarr")]
            Array::Zarr(array) => array.strings(&self.path, object),
        }
    }
}

impl Group {
    /// Returns an attribute that is a single text, or nothing if there is none.
    pub(crate) fn text_attribute(&self, name: &str) -> Option<String> {
        match self {
            Self::Hdf5(group) => hdf5::read_if_present(|| group.attribute(name)?.read_string()),
            #[cfg(feature = "zarr")]
            Self::Zarr(group) => group.text_attribute(name),
        }
    }

    /// Returns an attribute that is a list of texts, or an empty list if there is none.
    pub(crate) fn texts_attribute(&self, name: &str) -> Vec<String> {
        match self {
            Self::Hdf5(group) => hdf5::read_if_present(|| group.attribute(name)?.read_strings()).unwrap_or_default(),
            #[cfg(feature = "zarr")]
            Self::Zarr(group) => group.texts_attribute(name),
        }
    }
}

impl Array {
    pub(crate) fn shape(&self) -> &[u64] {
        match self {
            Self::Hdf5(dataset) => dataset.shape(),
            #[cfg(feature = "zarr")]
            Self::Zarr(array) => array.shape(),
        }
    }

    /// Returns the length of the first axis; that of a single value is 1.
    pub(crate) fn length(&self) -> u64 {
        self.shape().first().copied().unwrap_or(1)
    }

    /// Returns the number of values; that of a damaged shape may be too large to count.
    pub(crate) fn size(&self) -> u64 {
        self.shape().iter().fold(1, |size, &length| size.saturating_mul(length))
    }

    pub(crate) fn element_type(&self) -> ElementType {
        match self {
            Self::Hdf5(dataset) => hdf5::element_type(dataset),
            #[cfg(feature = "zarr")]
            Self::Zarr(array) => array.element_type(),
        }
    }

    fn text_attribute(&self, name: &str) -> Option<String> {
        match self {
            Self::Hdf5(dataset) => hdf5::read_if_present(|| dataset.attribute(name)?.read_string()),
            #[cfg(feature = "zarr")]
            Self::Zarr(array) => array.text_attribute(name),
        }
    }
}

impl Node {
    /// Returns an attribute that is a single text, or nothing if there is none.
    pub(crate) fn text_attribute(&self, name: &str) -> Option<String> {
        match self {
            Self::Group(group) => group.text_attribute(name),
            Self::Array(array) => array.text_attribute(name),
        }
    }
}

/// A number that any number of a file is converted to.
pub(crate) trait Number: Sized {
    /// Whether a vector of `f32` is a vector of this type, so that nothing has to be converted.
    const IS_F32: bool = false;
    fn from_f64(value: f64) -> Self;
    fn from_f32(value: f32) -> Self {
        Self::from_f64(f64::from(value))
    }
}

impl Number for f32 {
    const IS_F32: bool = true;
    fn from_f64(value: f64) -> Self {
        value as Self
    }
    fn from_f32(value: f32) -> Self {
        value
    }
}

impl Number for f64 {
    fn from_f64(value: f64) -> Self {
        value
    }
}

impl Number for i64 {
    // Indices and codes are integers well below 2^53, so nothing is lost on the way.
    fn from_f64(value: f64) -> Self {
        value as Self
    }
}
