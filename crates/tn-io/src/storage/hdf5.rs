//! HDF5 files.

use std::path::Path;

use hdf5_reader::filters::FilterRegistry;
use hdf5_reader::group::Group;
use hdf5_reader::messages::datatype::Datatype;
use hdf5_reader::{Dataset, Hdf5File, OpenOptions, SliceInfo, SliceInfoElem};

use super::{CHUNK_CACHE_BYTES, ElementType, Number, lzf};
use crate::{ReadError, unforeseen};

/// Largest decoded chunk that is accepted, to stay small beside damaged sizes.
const MAX_CHUNK_BYTES: usize = 1 << 30;
/// Bytes that one read may decode whatever the size of the file: several times the largest block of rows.
const MAX_READ_BYTES: u64 = 64 << 20;
/// Bytes that one read may decode for each byte of the file. A column takes a few for each cell, whose name alone takes one.
const MAX_EXPANSION: u64 = 2_048;
/// Number of the filter of `hdf5plugin.Zstd`, which anndata's manual recommends.
const ZSTD_FILTER: u16 = 32_015;

const RESAVE_FILTER: &str = "save it again without that compression: anndata.read_h5ad(IN).write_h5ad(OUT, compression=\"gzip\")";

/// An open HDF5 file.
pub(super) struct File {
    file: Hdf5File,
}

impl File {
    pub(super) fn open(path: &Path) -> Result<Self, ReadError> {
        // Opening first tells a missing file from a damaged one.
        let open_error = |source| ReadError::Open { path: path.to_owned(), source };
        let length = std::fs::metadata(path).map_err(open_error)?.len();
        let not_hdf5 = || ReadError::NotHdf5 { path: path.to_owned() };
        if length == 0 {
            return Err(not_hdf5());
        }
        // A damaged shape is refused before memory is taken for it.
        let max_read_bytes = MAX_READ_BYTES.saturating_add(length.saturating_mul(MAX_EXPANSION));
        let options = OpenOptions::default()
            .with_filter_registry(filters())
            .with_max_chunk_bytes(MAX_CHUNK_BYTES)
            .with_max_read_bytes(usize::try_from(max_read_bytes).unwrap_or(usize::MAX))
            .with_chunk_cache_bytes(CHUNK_CACHE_BYTES);
        match guard(|| Hdf5File::open_with_options(path, options)) {
            Ok(file) => Ok(Self { file }),
            Err(Failure::Hdf5(hdf5_reader::error::Error::InvalidMagic)) => Err(not_hdf5()),
            Err(Failure::Hdf5(hdf5_reader::error::Error::Io(source))) => Err(open_error(source)),
            Err(failure) => Err(failure.into_error(path, "the header")),
        }
    }

    pub(super) fn root(&self, path: &Path) -> Result<Group, ReadError> {
        read(path, "the root group", || self.file.root_group())
    }
}

/// Returns the filters of the HDF5 layer and those that it leaves to others.
fn filters() -> FilterRegistry {
    let mut filters = FilterRegistry::new();
    let failed = |what: &str| hdf5_reader::error::Error::DecompressionError(format!("invalid {what} stream"));
    filters.register(lzf::FILTER, Box::new(move |_, data, _| lzf::decompress(data, MAX_CHUNK_BYTES).ok_or_else(|| failed("LZF"))));
    filters.register(ZSTD_FILTER, Box::new(move |_, data, _| zstd_decompress(data).map_err(|_| failed("zstd"))));
    filters
}

fn zstd_decompress(data: &[u8]) -> std::io::Result<Vec<u8>> {
    use std::io::Read;
    let mut output = Vec::new();
    zstd::Decoder::new(data)?.take(MAX_CHUNK_BYTES as u64 + 1).read_to_end(&mut output)?;
    if output.len() > MAX_CHUNK_BYTES { Err(std::io::ErrorKind::InvalidData.into()) } else { Ok(output) }
}

/// Runs a call of the HDF5 layer; `object` names what it reads.
pub(super) fn read<T>(path: &Path, object: &str, call: impl FnOnce() -> hdf5_reader::error::Result<T>) -> Result<T, ReadError> {
    guard(call).map_err(|failure| failure.into_error(path, object))
}

/// Runs a call of the HDF5 layer that reads what may be absent: nothing is returned for what cannot be read.
pub(super) fn read_if_present<T>(call: impl FnOnce() -> hdf5_reader::error::Result<T>) -> Option<T> {
    guard(call).ok()
}

pub(super) fn element_type(dataset: &Dataset) -> ElementType {
    match dataset.dtype() {
        Datatype::FloatingPoint { size, .. } => ElementType::Float { bytes: *size as usize },
        Datatype::FixedPoint { size, signed: true, .. } => ElementType::Integer { bytes: *size as usize },
        Datatype::FixedPoint { size, signed: false, .. } => ElementType::Unsigned { bytes: *size as usize },
        Datatype::String { .. } | Datatype::VarLen { .. } => ElementType::Text,
        // numpy's bool is an enumeration over one byte.
        Datatype::Enum { .. } => ElementType::Flag,
        Datatype::Compound { .. } => ElementType::Records,
        _ => ElementType::Other,
    }
}

/// Returns the numbers of rows `start..end`, or nothing if the data set holds something else.
pub(super) fn number_range<T: Number>(
    path: &Path,
    dataset: &Dataset,
    object: &str,
    start: u64,
    end: u64,
) -> Result<Option<Vec<T>>, ReadError> {
    let mut selection = SliceInfo::all(dataset.ndim());
    if let Some(first) = selection.selections.first_mut() {
        *first = SliceInfoElem::Slice { start, end, step: 1 };
    }
    macro_rules! read {
        ($type:ty) => {
            read(path, object, || dataset.read_slice::<$type>(&selection))?
                .into_raw_vec_and_offset()
                .0
                .into_iter()
                .map(|value| T::from_f64(value as f64))
                .collect()
        };
    }
    Ok(Some(match element_type(dataset) {
        // Expression is almost always f32, and then it needs no conversion.
        ElementType::Float { bytes: 4 } if T::IS_F32 => {
            let values = read(path, object, || dataset.read_slice::<f32>(&selection))?.into_raw_vec_and_offset().0;
            values.into_iter().map(T::from_f32).collect()
        }
        ElementType::Float { bytes: 4 } => read!(f32),
        ElementType::Float { bytes: 8 } => read!(f64),
        ElementType::Integer { bytes: 1 } => read!(i8),
        ElementType::Unsigned { bytes: 1 } => read!(u8),
        ElementType::Integer { bytes: 2 } => read!(i16),
        ElementType::Unsigned { bytes: 2 } => read!(u16),
        ElementType::Integer { bytes: 4 } => read!(i32),
        ElementType::Unsigned { bytes: 4 } => read!(u32),
        ElementType::Integer { bytes: 8 } => read!(i64),
        ElementType::Unsigned { bytes: 8 } => read!(u64),
        ElementType::Flag if read(path, object, || dataset.raw_element_size())? == 1 => {
            let bytes = read(path, object, || dataset.read_raw_bytes())?;
            let row: usize = dataset.shape().iter().skip(1).product::<u64>() as usize;
            let range = start as usize * row..end as usize * row;
            bytes.get(range).unwrap_or_default().iter().map(|&byte| T::from_f64(f64::from(byte))).collect()
        }
        _ => return Ok(None),
    }))
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
    unforeseen::catch(call).map_err(Failure::Panic)?.map_err(Failure::Hdf5)
}
