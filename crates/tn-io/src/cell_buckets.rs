//! Expression that arrives in another order than cell by cell, held in a temporary file so that it can be read by cells.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::ops::Range;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use crate::ReadError;
use crate::section_reader::SparseRows;

/// Bytes of a value: cell within its bucket, gene, expression.
const ENTRY_BYTES: usize = 12;
/// Memory of all buffers together while values arrive.
const BUFFER_BYTES: usize = 32 << 20;
/// Values of the buffer of a bucket, where there are many or few buckets.
const FEWEST_ENTRIES: usize = 64;
const MOST_ENTRIES: usize = 8_192;

/// Takes values in any order. Cells that follow each other share a bucket, and each bucket is a row of pieces of one file,
/// so that memory depends on the number of buckets only.
pub(crate) struct CellBucketsWriter {
    file: File,
    n_cells: usize,
    cells_per_bucket: usize,
    buffer_bytes: usize,
    buckets: Vec<Bucket>,
    end: u64,
}

#[derive(Clone, Default)]
struct Bucket {
    buffer: Vec<u8>,
    /// Where its pieces start in the file, and how many bytes they have.
    pieces: Vec<(u64, usize)>,
}

impl CellBucketsWriter {
    /// Opens a temporary file, which has no name and vanishes with the value.
    pub(crate) fn new(n_cells: usize, cells_per_bucket: usize) -> io::Result<Self> {
        let cells_per_bucket = cells_per_bucket.max(1);
        let n_buckets = n_cells.div_ceil(cells_per_bucket);
        let entries = (BUFFER_BYTES / ENTRY_BYTES / n_buckets.max(1)).clamp(FEWEST_ENTRIES, MOST_ENTRIES);
        let file = tempfile::tempfile()?;
        Ok(Self {
            file,
            n_cells,
            cells_per_bucket,
            buffer_bytes: entries * ENTRY_BYTES,
            buckets: vec![Bucket::default(); n_buckets],
            end: 0,
        })
    }

    /// Takes a value. The values of a cell are given back in the order in which they came.
    ///
    /// # Panics
    ///
    /// Panics if there is no such cell.
    pub(crate) fn push(&mut self, cell: usize, gene: u32, value: f32) -> io::Result<()> {
        assert!(cell < self.n_cells, "cell {cell} of {}", self.n_cells);
        let bucket = &mut self.buckets[cell / self.cells_per_bucket];
        let place = (cell % self.cells_per_bucket) as u32;
        bucket.buffer.extend(place.to_le_bytes());
        bucket.buffer.extend(gene.to_le_bytes());
        bucket.buffer.extend(value.to_le_bytes());
        if bucket.buffer.len() < self.buffer_bytes {
            return Ok(());
        }
        self.end += bucket.write(&mut self.file, self.end)?;
        Ok(())
    }

    pub(crate) fn finish(mut self) -> io::Result<CellBuckets> {
        for bucket in &mut self.buckets {
            self.end += bucket.write(&mut self.file, self.end)?;
        }
        self.file.flush()?;
        let pieces = self.buckets.into_iter().map(|bucket| bucket.pieces).collect();
        Ok(CellBuckets { file: Mutex::new(self.file), n_cells: self.n_cells, cells_per_bucket: self.cells_per_bucket, pieces })
    }
}

impl Bucket {
    fn write(&mut self, file: &mut File, end: u64) -> io::Result<u64> {
        if self.buffer.is_empty() {
            return Ok(0);
        }
        file.write_all(&self.buffer)?;
        let bytes = self.buffer.len();
        self.pieces.push((end, bytes));
        self.buffer.clear();
        Ok(bytes as u64)
    }
}

/// Expression by cells, in a temporary file.
pub(crate) struct CellBuckets {
    file: Mutex<File>,
    n_cells: usize,
    cells_per_bucket: usize,
    pieces: Vec<Vec<(u64, usize)>>,
}

impl CellBuckets {
    /// Returns the expression of a range of cells; genes come in the order in which they arrived.
    pub(crate) fn rows(&self, range: Range<usize>) -> io::Result<SparseRows> {
        let range = range.start.min(self.n_cells)..range.end.min(self.n_cells);
        let mut counts = vec![0_usize; range.len() + 1];
        let mut entries: Vec<(usize, u32, f32)> = Vec::new();
        if !range.is_empty() {
            for bucket in range.start / self.cells_per_bucket..=(range.end - 1) / self.cells_per_bucket {
                let bytes = self.bucket_bytes(bucket)?;
                for entry in bytes.as_chunks::<ENTRY_BYTES>().0 {
                    let (words, _) = entry.as_chunks::<4>();
                    let cell = bucket * self.cells_per_bucket + u32::from_le_bytes(words[0]) as usize;
                    if range.contains(&cell) {
                        let row = cell - range.start;
                        counts[row + 1] += 1;
                        entries.push((row, u32::from_le_bytes(words[1]), f32::from_le_bytes(words[2])));
                    }
                }
            }
        }
        let offsets = counts
            .into_iter()
            .scan(0, |sum, count| {
                *sum += count;
                Some(*sum)
            })
            .collect();
        Ok(sort_by_row(offsets, &entries))
    }

    fn bucket_bytes(&self, bucket: usize) -> io::Result<Vec<u8>> {
        let pieces = &self.pieces[bucket];
        let mut bytes = vec![0; pieces.iter().map(|(_, length)| length).sum()];
        let mut rest = bytes.as_mut_slice();
        // A file that a panicking thread was reading is still whole.
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        for &(start, length) in pieces {
            let (piece, others) = rest.split_at_mut(length);
            file.seek(SeekFrom::Start(start))?;
            file.read_exact(piece)?;
            rest = others;
        }
        drop(file);
        Ok(bytes)
    }
}

/// Sorts by counting, so that the values of a row stay in their order.
fn sort_by_row(offsets: Vec<usize>, entries: &[(usize, u32, f32)]) -> SparseRows {
    let mut next = offsets.clone();
    let (mut genes, mut values) = (vec![0; entries.len()], vec![0.0; entries.len()]);
    for &(row, gene, value) in entries {
        genes[next[row]] = gene;
        values[next[row]] = value;
        next[row] += 1;
    }
    SparseRows::new(offsets, genes, values)
}

/// Makes an error of a temporary file one of the file that is being read.
pub(crate) fn temporary_file_error(path: &Path, source: io::Error) -> ReadError {
    ReadError::TemporaryFile { path: path.to_owned(), folder: std::env::temp_dir(), source }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_come_back_by_cells_in_their_order() {
        let (cells, genes) = (1_000_u32, 37_u32);
        let is_stored = |cell: u32, gene: u32| (cell * 7 + gene * 13).is_multiple_of(5) && !cell.is_multiple_of(11);
        let mut writer = CellBucketsWriter::new(cells as usize, 64).unwrap();
        // Gene by gene, as in a matrix by columns.
        for gene in 0..genes {
            for cell in (0..cells).filter(|&cell| is_stored(cell, gene)) {
                writer.push(cell as usize, gene, (cell * 100 + gene) as f32).unwrap();
            }
        }
        let buckets = writer.finish().unwrap();
        for range in [0..64, 60..200, 999..1_000, 0..1_000, 500..500] {
            let rows = buckets.rows(range.clone()).unwrap();
            assert_eq!(rows.len(), range.len(), "{range:?}");
            for (row, cell) in range.enumerate() {
                let cell = cell as u32;
                let expected: Vec<u32> = (0..genes).filter(|&gene| is_stored(cell, gene)).collect();
                let values: Vec<f32> = expected.iter().map(|gene| (cell * 100 + gene) as f32).collect();
                assert_eq!(rows.row(row), (expected.as_slice(), values.as_slice()), "cell {cell}");
            }
        }
    }

    #[test]
    fn there_may_be_no_cells() {
        let buckets = CellBucketsWriter::new(0, 64).unwrap().finish().unwrap();
        assert_eq!(buckets.rows(0..0).unwrap().len(), 0);
    }
}
