//! Numbers, text and attributes of an HDF5 file, with errors that name the file and the object.

use std::path::{Path, PathBuf};

use hdf5_reader::filters::FilterRegistry;
use hdf5_reader::group::Group;
use hdf5_reader::messages::datatype::Datatype;
use hdf5_reader::{Dataset, Hdf5File, OpenOptions, SliceInfo, SliceInfoElem};

use super::lzf;
use crate::ReadError;

/// Largest decoded chunk that is accepted, to stay small beside damaged sizes.
const MAX_CHUNK_BYTES: usize = 1 << 30;
/// Decoded chunks that are kept, so that blocks that share a chunk decode it once.
const CHUNK_CACHE_BYTES: usize = 64 << 20;

const RESAVE_FILTER: &str = "save it again without that compression: anndata.read_h5ad(IN).write_h5ad(OUT, compression=\"gzip\")";

/// An open HDF5 file that knows its name.
pub(super) struct Storage {
    pub(super) path: PathBuf,
    file: Hdf5File,
}

impl Storage {
    pub(super) fn open(path: &Path) -> Result<Self, ReadError> {
        let mut filters = FilterRegistry::new();
        filters.register(
            lzf::FILTER,
            Box::new(|_, data, _| {
                lzf::decompress(data, MAX_CHUNK_BYTES)
                    .ok_or_else(|| hdf5_reader::error::Error::DecompressionError("invalid LZF stream".to_owned()))
            }),
        );
        // Opening first tells a missing file from a damaged one.
        let open_error = |source| ReadError::Open { path: path.to_owned(), source };
        let length = std::fs::metadata(path).map_err(open_error)?.len();
        let options = OpenOptions::default()
            .with_filter_registry(filters)
            .with_max_chunk_bytes(MAX_CHUNK_BYTES)
            .with_chunk_cache_bytes(CHUNK_CACHE_BYTES);
        let not_hdf5 = || ReadError::NotHdf5 { path: path.to_owned() };
        if length == 0 {
            return Err(not_hdf5());
        }
        match guard(|| Hdf5File::open_with_options(path, options)) {
            Ok(file) => Ok(Self { path: path.to_owned(), file }),
            Err(Failure::Hdf5(hdf5_reader::error::Error::InvalidMagic)) => Err(not_hdf5()),
            Err(Failure::Hdf5(hdf5_reader::error::Error::Io(source))) => Err(open_error(source)),
            Err(failure) => Err(failure.into_error(path, "the header")),
        }
    }

    pub(super) fn root(&self) -> Result<Group, ReadError> {
        self.read("the root group", || self.file.root_group())
    }

    /// Runs a call of the HDF5 layer; `object` names what it reads.
    pub(super) fn read<T>(&self, object: &str, call: impl FnOnce() -> hdf5_reader::error::Result<T>) -> Result<T, ReadError> {
        guard(call).map_err(|failure| failure.into_error(&self.path, object))
    }

    /// Returns the names of the groups and of the data sets of a group.
    pub(super) fn members(&self, group: &Group, object: &str) -> Result<(Vec<String>, Vec<String>), ReadError> {
        self.read(object, || group.member_names())
    }

    /// Returns a child, or nothing if there is none of that name.
    pub(super) fn child(&self, group: &Group, parent: &str, name: &str) -> Result<Option<Node>, ReadError> {
        let (groups, datasets) = self.members(group, parent)?;
        let object = if parent == "/" { name.to_owned() } else { format!("{parent}/{name}") };
        if groups.iter().any(|other| other == name) {
            return Ok(Some(Node::Group(self.read(&object, || group.group(name))?)));
        }
        if datasets.iter().any(|other| other == name) {
            return Ok(Some(Node::Dataset(Box::new(self.read(&object, || group.dataset(name))?))));
        }
        Ok(None)
    }

    /// Returns all numbers of a one-dimensional data set.
    pub(super) fn numbers<T: Number>(&self, dataset: &Dataset, object: &str) -> Result<Vec<T>, ReadError> {
        let length = dataset.shape().first().copied().unwrap_or(1);
        self.number_range(dataset, object, 0, length)
    }

    /// Returns the numbers `start..end` (along the first axis, with all of the others) of a data set.
    pub(super) fn number_range<T: Number>(&self, dataset: &Dataset, object: &str, start: u64, end: u64) -> Result<Vec<T>, ReadError> {
        if start == end {
            return Ok(Vec::new());
        }
        let mut selection = SliceInfo::all(dataset.ndim());
        if let Some(first) = selection.selections.first_mut() {
            *first = SliceInfoElem::Slice { start, end, step: 1 };
        }
        macro_rules! read {
            ($type:ty) => {
                self.read(object, || dataset.read_slice::<$type>(&selection))?
                    .into_raw_vec_and_offset()
                    .0
                    .into_iter()
                    .map(|value| T::from_f64(value as f64))
                    .collect()
            };
        }
        // Expression is almost always f32, and then it needs no conversion.
        if let (Datatype::FloatingPoint { size: 4, .. }, true) = (dataset.dtype(), T::IS_F32) {
            let values = self.read(object, || dataset.read_slice::<f32>(&selection))?.into_raw_vec_and_offset().0;
            return Ok(values.into_iter().map(T::from_f32).collect());
        }
        Ok(match dataset.dtype() {
            Datatype::FloatingPoint { size: 4, .. } => read!(f32),
            Datatype::FloatingPoint { size: 8, .. } => read!(f64),
            Datatype::FixedPoint { size: 1, signed: true, .. } => read!(i8),
            Datatype::FixedPoint { size: 1, signed: false, .. } => read!(u8),
            Datatype::FixedPoint { size: 2, signed: true, .. } => read!(i16),
            Datatype::FixedPoint { size: 2, signed: false, .. } => read!(u16),
            Datatype::FixedPoint { size: 4, signed: true, .. } => read!(i32),
            Datatype::FixedPoint { size: 4, signed: false, .. } => read!(u32),
            Datatype::FixedPoint { size: 8, signed: true, .. } => read!(i64),
            Datatype::FixedPoint { size: 8, signed: false, .. } => read!(u64),
            // numpy's bool is an enumeration over one byte.
            Datatype::Enum { .. } if self.element_size(dataset, object)? == 1 => {
                let bytes = self.read(object, || dataset.read_raw_bytes())?;
                let row: usize = dataset.shape().iter().skip(1).product::<u64>() as usize;
                let range = start as usize * row..end as usize * row;
                bytes.get(range).unwrap_or_default().iter().map(|&byte| T::from_f64(f64::from(byte))).collect()
            }
            _ => {
                return Err(ReadError::UnsupportedEncoding {
                    path: self.path.clone(),
                    object: object.to_owned(),
                    found: type_name(dataset).to_owned(),
                    remedy: "save it again as 32-bit floating-point numbers or integers",
                });
            }
        })
    }

    /// Returns all text of a data set.
    pub(super) fn strings(&self, dataset: &Dataset, object: &str) -> Result<Vec<String>, ReadError> {
        self.read(object, || dataset.read_strings())
    }

    fn element_size(&self, dataset: &Dataset, object: &str) -> Result<usize, ReadError> {
        self.read(object, || dataset.raw_element_size())
    }
}

/// A group or a data set.
pub(super) enum Node {
    Group(Group),
    Dataset(Box<Dataset>),
}

impl Node {
    /// Returns an attribute that is a single text, or nothing if there is none.
    pub(super) fn text_attribute(&self, name: &str) -> Option<String> {
        match self {
            Self::Group(group) => group.attribute(name),
            Self::Dataset(dataset) => dataset.attribute(name),
        }
        .and_then(|attribute| attribute.read_string())
        .ok()
    }
}

/// A number that any number of a file is converted to.
pub(super) trait Number: Sized {
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

/// Says what a data set holds, in words.
pub(super) fn type_name(dataset: &Dataset) -> &'static str {
    match dataset.dtype() {
        Datatype::FloatingPoint { size: 4, .. } => "float32",
        Datatype::FloatingPoint { size: 8, .. } => "float64",
        Datatype::FloatingPoint { .. } => "floating-point numbers of unusual size",
        Datatype::FixedPoint { signed: true, .. } => "integers",
        Datatype::FixedPoint { signed: false, .. } => "unsigned integers",
        Datatype::String { .. } | Datatype::VarLen { .. } => "text",
        Datatype::Enum { .. } => "booleans",
        Datatype::Compound { .. } => "records",
        _ => "an unusual data type",
    }
}

/// Why a call of the HDF5 layer failed.
enum Failure {
    Hdf5(hdf5_reader::error::Error),
    Panic(String),
}

impl Failure {
    fn into_error(self, path: &Path, object: &str) -> ReadError {
        let (path, object) = (path.to_owned(), object.to_owned());
        match self {
            Self::Hdf5(error) => match unsupported_filter(&error) {
                Some(filter) => ReadError::UnsupportedEncoding {
                    path,
                    object,
                    found: format!("chunks with an unknown compression ({filter})"),
                    remedy: RESAVE_FILTER,
                },
                None => ReadError::Damaged { path, object, source: Box::new(error) },
            },
            Self::Panic(message) => ReadError::Damaged { path, object, source: message.into() },
        }
    }
}

fn unsupported_filter(error: &hdf5_reader::error::Error) -> Option<&str> {
    match error {
        hdf5_reader::error::Error::UnsupportedFilter(filter) => Some(filter),
        hdf5_reader::error::Error::Context { source, .. } => unsupported_filter(source),
        _ => None,
    }
}

/// Runs a call of the HDF5 layer on bytes that may be damaged in any way: what it did not foresee becomes an error.
fn guard<T>(call: impl FnOnce() -> hdf5_reader::error::Result<T>) -> Result<T, Failure> {
    match std::panic::catch_unwind(std::panic::AssertUnwindSafe(call)) {
        Ok(result) => result.map_err(Failure::Hdf5),
        Err(payload) => {
            let message = payload
                .downcast_ref::<String>()
                .cloned()
                .or_else(|| payload.downcast_ref::<&str>().map(|text| (*text).to_owned()))
                .unwrap_or_default();
            Err(Failure::Panic(message))
        }
    }
}
