//! One safetensors file: mapped into memory for reading, streamed when written.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use memmap2::Mmap;

use super::header::{self, TensorEntry};
use super::{CheckpointError, WeightType};
use crate::ParameterShape;

/// A safetensors file whose header has been checked. Data is read from disk when a tensor is asked for.
#[derive(Debug)]
pub(crate) struct TensorFile {
    path: PathBuf,
    map: Mmap,
    entries: Vec<TensorEntry>,
    index: HashMap<String, usize>,
}

impl TensorFile {
    pub(crate) fn open(path: &Path) -> Result<Self, CheckpointError> {
        let file = File::open(path).map_err(|source| CheckpointError::read(path, source))?;
        // SAFETY: the map is only read. A file that another process cuts short meanwhile would end this one with a
        // bus error, which no check here can prevent; checkpoints are replaced by renaming, never rewritten in place.
        let map = unsafe { Mmap::map(&file) }.map_err(|source| CheckpointError::read(path, source))?;
        let entries = header::parse(&map).map_err(|source| CheckpointError::Header { path: path.to_owned(), source })?;
        let index = entries.iter().enumerate().map(|(i, entry)| (entry.name.clone(), i)).collect();
        Ok(Self { path: path.to_owned(), map, entries, index })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn entries(&self) -> &[TensorEntry] {
        &self.entries
    }

    pub(crate) fn entry(&self, name: &str) -> Option<&TensorEntry> {
        self.index.get(name).map(|&i| &self.entries[i])
    }

    pub(crate) fn bytes(&self, entry: &TensorEntry) -> &[u8] {
        &self.map[entry.start..entry.start + entry.length]
    }

    pub(crate) fn values(&self, entry: &TensorEntry) -> Vec<f32> {
        entry.weight_type.decode(self.bytes(entry))
    }
}

/// Writes a safetensors file whose tensors are known beforehand and arrive one by one, in any order.
///
/// The file is open only while a tensor is written: a checkpoint may have hundreds of shards.
pub(crate) struct TensorFileWriter {
    path: PathBuf,
    data_start: usize,
    weight_type: WeightType,
    entries: HashMap<String, (TensorEntry, Written)>,
}

#[derive(Clone, Copy, PartialEq)]
enum Written {
    NotYet,
    Done,
}

impl TensorFileWriter {
    pub(crate) fn create(path: &Path, shapes: Vec<ParameterShape>, weight_type: WeightType) -> Result<Self, CheckpointError> {
        let mut start = 0;
        let mut entries = Vec::with_capacity(shapes.len());
        for ParameterShape { name, shape } in shapes {
            let length = shape.iter().product::<usize>() * weight_type.size();
            entries.push(TensorEntry { name, weight_type, shape, start, length });
            start += length;
        }
        let header = header::render(&entries);
        File::create(path).and_then(|mut file| file.write_all(&header)).map_err(|source| CheckpointError::write(path, source))?;
        let entries = entries.into_iter().map(|entry| (entry.name.clone(), (entry, Written::NotYet))).collect();
        Ok(Self { path: path.to_owned(), data_start: header.len(), weight_type, entries })
    }

    pub(crate) fn write(&mut self, name: &str, shape: &[usize], values: &[f32]) -> Result<(), CheckpointError> {
        let Some((entry, written)) = self.entries.get_mut(name) else {
            return Err(CheckpointError::UnexpectedTensor { path: self.path.clone(), name: name.to_owned() });
        };
        if *written == Written::Done {
            return Err(CheckpointError::DuplicateTensor { path: self.path.clone(), name: name.to_owned() });
        }
        if entry.shape != shape || entry.length != values.len() * self.weight_type.size() {
            return Err(CheckpointError::Shape {
                path: self.path.clone(),
                name: name.to_owned(),
                found: if entry.shape == shape { vec![values.len()] } else { shape.to_vec() },
                expected: entry.shape.clone(),
            });
        }
        if let Some(&value) = values.iter().find(|&&value| self.weight_type.overflows(value)) {
            let (path, name, weight_type) = (self.path.clone(), name.to_owned(), self.weight_type);
            return Err(CheckpointError::Overflow { path, name, value, weight_type });
        }
        *written = Written::Done;
        let position = self.data_start + entry.start;
        put(&self.path, position, values, self.weight_type).map_err(|source| CheckpointError::write(&self.path, source))
    }

    /// Checks that every tensor has arrived and forces the file to disk.
    pub(crate) fn finish(self) -> Result<(), CheckpointError> {
        let missing = self.entries.values().filter(|(_, written)| *written == Written::NotYet);
        if let Some((entry, _)) = missing.min_by_key(|(entry, _)| entry.start) {
            return Err(CheckpointError::MissingTensor { path: self.path, name: entry.name.clone() });
        }
        let file = File::options().write(true).open(&self.path);
        file.and_then(|file| file.sync_all()).map_err(|source| CheckpointError::write(&self.path, source))
    }
}

fn put(path: &Path, position: usize, values: &[f32], weight_type: WeightType) -> io::Result<()> {
    let mut file = File::options().write(true).open(path)?;
    file.seek(SeekFrom::Start(position as u64))?;
    let mut bytes = Vec::new();
    for piece in values.chunks(1 << 16) {
        bytes.clear();
        piece.iter().for_each(|&value| weight_type.encode(value, &mut bytes));
        file.write_all(&bytes)?;
    }
    Ok(())
}
