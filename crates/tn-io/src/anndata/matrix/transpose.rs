//! A matrix by genes (compressed sparse columns), read by cells.

use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use super::Compressed;
use crate::ReadError;
use crate::cell_buckets::{CellBuckets, CellBucketsWriter, temporary_file_error};
use crate::section_reader::SparseRows;
use crate::storage::Storage;

/// Stored values that are read at once.
const READ_VALUES: u64 = 1 << 20;

/// A matrix by genes, once it has been turned.
///
/// The first pass reads the matrix in its own order and drops each value into the bucket of its cell, in a temporary file;
/// the second sorts one bucket at a time. Memory holds the pointers of the genes, one piece of the matrix, and one bucket.
#[derive(Default)]
pub(crate) struct Transposed {
    buckets: Mutex<Option<Arc<CellBuckets>>>,
}

impl Transposed {
    /// Returns a range of rows of a matrix of `(cells, genes)`, turning it first if that has not happened yet.
    pub(super) fn rows(
        &self,
        range: Range<usize>,
        cells_per_bucket: usize,
        storage: &Storage,
        object: &str,
        matrix: &Compressed,
        (cells, genes): (usize, usize),
    ) -> Result<SparseRows, ReadError> {
        let buckets = {
            // A panic cannot leave half of the buckets behind: they are stored when they are complete.
            let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
            match buckets.as_ref() {
                Some(buckets) => Arc::clone(buckets),
                None => {
                    let writer = CellBucketsWriter::new(cells, cells_per_bucket);
                    let writer = writer.map_err(|source| temporary_file_error(&storage.path, source))?;
                    let complete = Arc::new(distribute(writer, storage, object, matrix, (cells, genes))?);
                    Arc::clone(buckets.insert(complete))
                }
            }
        };
        buckets.rows(range).map_err(|source| temporary_file_error(&storage.path, source))
    }
}

fn distribute(
    mut writer: CellBucketsWriter,
    storage: &Storage,
    object: &str,
    matrix: &Compressed,
    (cells, genes): (usize, usize),
) -> Result<CellBuckets, ReadError> {
    let io_error = |source| temporary_file_error(&storage.path, source);
    let pointers = matrix.pointers(storage, object, 0..genes)?;
    let end = pointers.last().copied().unwrap_or(0);
    let mut start = pointers.first().copied().unwrap_or(0);
    while start < end {
        let stop = end.min(start + READ_VALUES);
        let gene_of = |place: usize| pointers.partition_point(|&pointer| pointer <= start + place as u64).saturating_sub(1);
        let (columns, values) = matrix.values(storage, object, start..stop, cells, gene_of)?;
        let mut gene = gene_of(0);
        for (place, (&cell, &value)) in columns.iter().zip(&values).enumerate() {
            while pointers[gene + 1] <= start + place as u64 {
                gene += 1;
            }
            if value != 0.0 {
                writer.push(cell as usize, gene as u32, value).map_err(io_error)?;
            }
        }
        start = stop;
    }
    writer.finish().map_err(io_error)
}
