//! The expression matrix of an AnnData file, dense or as compressed sparse rows.

use std::ops::Range;

use hdf5_reader::Dataset;
use hdf5_reader::group::Group;

use super::storage::{Node, Storage, type_name};
use crate::ReadError;
use crate::section_reader::SparseRows;

/// Values of a block that are good to hold at once.
const BLOCK_VALUES: usize = 2 << 20;

const RESAVE_CSC: &str = "save it again by rows: adata.X = adata.X.tocsr(); adata.write_h5ad(OUT)";
const RESAVE_MATRIX: &str = "save it again with a current anndata: anndata.read_h5ad(IN).write_h5ad(OUT)";

/// The expression matrix.
pub(super) enum Matrix {
    Dense(Box<Dataset>),
    Csr { data: Box<Dataset>, indices: Box<Dataset>, indptr: Box<Dataset> },
}

impl Matrix {
    /// Opens a matrix; `object` is its name in messages, for example `layers/counts`.
    pub(super) fn open(storage: &Storage, node: Node, object: &str, cells: usize, genes: usize) -> Result<Self, ReadError> {
        let encoding = node.text_attribute("encoding-type").or_else(|| node.text_attribute("h5sparse_format"));
        match (node, encoding.as_deref()) {
            (Node::Dataset(dataset), _) => {
                let shape = dataset.shape();
                if shape != [cells as u64, genes as u64] {
                    let (expected, found) = match shape {
                        [rows, columns] if *rows == cells as u64 => (genes, *columns as usize),
                        [rows, ..] => (cells, *rows as usize),
                        [] => (cells, 1),
                    };
                    return Err(ReadError::WrongLength { path: storage.path.clone(), object: object.to_owned(), expected, found });
                }
                Ok(Self::Dense(dataset))
            }
            (Node::Group(group), Some("csr_matrix" | "csr_array" | "csr")) => Self::open_csr(storage, &group, object, cells),
            (Node::Group(_), Some(found @ ("csc_matrix" | "csc_array" | "csc"))) => Err(ReadError::UnsupportedEncoding {
                path: storage.path.clone(),
                object: object.to_owned(),
                found: format!("{found} (by genes)"),
                remedy: RESAVE_CSC,
            }),
            (Node::Group(_), found) => Err(ReadError::UnsupportedEncoding {
                path: storage.path.clone(),
                object: object.to_owned(),
                found: found.unwrap_or("a group without an encoding").to_owned(),
                remedy: RESAVE_MATRIX,
            }),
        }
    }

    fn open_csr(storage: &Storage, group: &Group, object: &str, cells: usize) -> Result<Self, ReadError> {
        let part = |name: &str| match storage.child(group, object, name)? {
            Some(Node::Dataset(dataset)) => Ok(dataset),
            _ => Err(ReadError::MissingObject {
                path: storage.path.clone(),
                object: format!("{object}/{name}"),
                found: storage.members(group, object)?.1,
            }),
        };
        let (data, indices, indptr) = (part("data")?, part("indices")?, part("indptr")?);
        let check = |dataset: &Dataset, name: &str, expected: usize| {
            let found = dataset.shape().iter().product::<u64>() as usize;
            if found == expected {
                return Ok(());
            }
            Err(ReadError::WrongLength { path: storage.path.clone(), object: format!("{object}/{name}"), expected, found })
        };
        check(&indptr, "indptr", cells + 1)?;
        check(&indices, "indices", data.shape().iter().product::<u64>() as usize)?;
        Ok(Self::Csr { data, indices, indptr })
    }

    /// Says how the matrix is stored.
    pub(super) fn encoding(&self) -> String {
        match self {
            Self::Dense(dataset) => format!("dense, {}", type_name(dataset)),
            Self::Csr { data, .. } => format!("compressed sparse rows, {}", type_name(data)),
        }
    }

    pub(super) fn rows_per_block(&self, cells: usize, genes: usize) -> usize {
        let values_per_row = match self {
            Self::Dense(_) => genes,
            Self::Csr { data, .. } => data.shape().iter().product::<u64>() as usize / cells.max(1),
        };
        (BLOCK_VALUES / values_per_row.max(1)).clamp(1, 4_096)
    }

    pub(super) fn rows(&self, storage: &Storage, object: &str, range: Range<usize>, genes: usize) -> Result<SparseRows, ReadError> {
        let (start, end) = (range.start as u64, range.end as u64);
        match self {
            Self::Dense(dataset) => {
                let values: Vec<f32> = storage.number_range(dataset, object, start, end)?;
                Ok(SparseRows::from_dense(&values, genes))
            }
            Self::Csr { data, indices, indptr } => {
                let pointers: Vec<i64> = storage.number_range(indptr, object, start, end + 1)?;
                let stored = data.shape().iter().product::<u64>();
                let offsets = row_offsets(storage, object, &pointers, range.start, stored)?;
                let first = pointers.first().copied().unwrap_or(0) as u64;
                let last = first + offsets.last().copied().unwrap_or(0) as u64;
                let columns: Vec<i64> = storage.number_range(indices, object, first, last)?;
                let values: Vec<f32> = storage.number_range(data, object, first, last)?;
                let columns = gene_indices(storage, object, &columns, &offsets, range.start, genes)?;
                Ok(SparseRows::new(offsets, columns, values))
            }
        }
    }
}

/// Turns row pointers into offsets within a block, checking that they ascend and end within the stored values.
fn row_offsets(storage: &Storage, object: &str, pointers: &[i64], first_row: usize, stored: u64) -> Result<Vec<usize>, ReadError> {
    let base = pointers.first().copied().unwrap_or(0);
    let mut previous = 0.max(base);
    pointers
        .iter()
        .enumerate()
        .map(|(i, &pointer)| {
            if base < 0 || pointer < previous || pointer as u64 > stored {
                return Err(ReadError::InvalidIndex {
                    path: storage.path.clone(),
                    object: format!("{object}/indptr"),
                    row: first_row + i,
                    found: pointer,
                    max: stored as usize,
                });
            }
            previous = pointer;
            Ok((pointer - base) as usize)
        })
        .collect()
}

fn gene_indices(
    storage: &Storage,
    object: &str,
    columns: &[i64],
    offsets: &[usize],
    first_row: usize,
    genes: usize,
) -> Result<Vec<u32>, ReadError> {
    columns
        .iter()
        .enumerate()
        .map(|(i, &column)| match u32::try_from(column) {
            Ok(gene) if (gene as usize) < genes => Ok(gene),
            _ => Err(ReadError::InvalidIndex {
                path: storage.path.clone(),
                object: format!("{object}/indices"),
                row: first_row + offsets.partition_point(|&offset| offset <= i).saturating_sub(1),
                found: column,
                max: genes.saturating_sub(1),
            }),
        })
        .collect()
}
