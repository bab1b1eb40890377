//! The expression matrix of an AnnData file: dense, or compressed sparse rows or columns.

mod transpose;

use std::ops::Range;

use self::transpose::Transposed;
use crate::ReadError;
use crate::section_reader::SparseRows;
use crate::storage::{Array, Group, Node, Storage};

/// Values of a block that are good to hold at once.
pub(crate) const BLOCK_VALUES: usize = 2 << 20;
/// Cells of a block that are good to hold at once.
pub(crate) const BLOCK_CELLS: usize = 2_048;

const RESAVE_MATRIX: &str = "save it again with a current anndata: anndata.read_h5ad(IN).write_h5ad(OUT)";

/// The expression matrix.
pub(crate) enum Matrix {
    Dense(Array),
    Csr(Compressed),
    /// By genes; turned when rows are first asked for.
    Csc(Compressed, Transposed),
}

/// A compressed sparse matrix: the values of line `i` (a cell or a gene) are `indptr[i]..indptr[i + 1]`.
pub(crate) struct Compressed {
    data: Array,
    indices: Array,
    indptr: Array,
}

impl Matrix {
    /// Opens a matrix; `object` is its name in messages, for example `layers/counts`.
    pub(crate) fn open(storage: &Storage, node: Node, object: &str, cells: usize, genes: usize) -> Result<Self, ReadError> {
        let encoding = node.text_attribute("encoding-type").or_else(|| node.text_attribute("h5sparse_format"));
        match (node, encoding.as_deref()) {
            (Node::Array(array), _) => {
                check_shape(storage, object, array.shape(), cells, genes)?;
                Ok(Self::Dense(array))
            }
            (Node::Group(group), Some("csr_matrix" | "csr_array" | "csr")) => {
                Ok(Self::Csr(Compressed::open(storage, &group, object, cells)?))
            }
            (Node::Group(group), Some("csc_matrix" | "csc_array" | "csc")) => {
                Ok(Self::Csc(Compressed::open(storage, &group, object, genes)?, Transposed::default()))
            }
            (Node::Group(_), found) => Err(ReadError::UnsupportedEncoding {
                path: storage.path.clone(),
                object: object.to_owned(),
                found: found.unwrap_or("a group without an encoding").to_owned(),
                remedy: RESAVE_MATRIX,
            }),
        }
    }

    /// Says how the matrix is stored.
    pub(crate) fn encoding(&self) -> String {
        let (form, data) = match self {
            Self::Dense(array) => ("dense", array),
            Self::Csr(parts) => ("compressed sparse rows", &parts.data),
            Self::Csc(parts, _) => ("compressed sparse columns", &parts.data),
        };
        format!("{form}, {}", data.element_type().name())
    }

    pub(crate) fn rows_per_block(&self, cells: usize, genes: usize) -> usize {
        let values_per_row = match self {
            Self::Dense(_) => genes,
            Self::Csr(parts) | Self::Csc(parts, _) => parts.stored() as usize / cells.max(1),
        };
        (BLOCK_VALUES / values_per_row.max(1)).clamp(1, BLOCK_CELLS)
    }

    /// Returns the rows of a range of the `cells` cells.
    pub(crate) fn rows(
        &self,
        storage: &Storage,
        object: &str,
        range: Range<usize>,
        (cells, genes): (usize, usize),
    ) -> Result<SparseRows, ReadError> {
        match self {
            Self::Dense(array) => {
                let values: Vec<f32> = storage.number_range(array, object, range.start as u64, range.end as u64)?;
                Ok(SparseRows::from_dense(&values, genes))
            }
            Self::Csr(parts) => parts.lines(storage, object, range, genes),
            Self::Csc(parts, transposed) => {
                transposed.rows(range, self.rows_per_block(cells, genes), storage, object, parts, (cells, genes))
            }
        }
    }
}

fn check_shape(storage: &Storage, object: &str, shape: &[u64], cells: usize, genes: usize) -> Result<(), ReadError> {
    let (expected, found) = match shape {
        [rows, columns] if (*rows, *columns) == (cells as u64, genes as u64) => return Ok(()),
        [rows, columns] if *rows == cells as u64 => (genes, *columns as usize),
        [rows, ..] => (cells, *rows as usize),
        [] => (cells, 1),
    };
    Err(ReadError::WrongLength { path: storage.path.clone(), object: object.to_owned(), expected, found })
}

impl Compressed {
    /// Opens the three arrays of a matrix of `lines` lines.
    pub(crate) fn open(storage: &Storage, group: &Group, object: &str, lines: usize) -> Result<Self, ReadError> {
        let part = |name: &str| storage.array(group, object, name);
        let (data, indices, indptr) = (part("data")?, part("indices")?, part("indptr")?);
        let check = |array: &Array, name: &str, expected: u64| {
            // Values are read along the first axis: there must be no other.
            let found = if array.size() == expected { array.length() } else { array.size() };
            if found == expected {
                return Ok(());
            }
            let (expected, found) = (expected as usize, found as usize);
            Err(ReadError::WrongLength { path: storage.path.clone(), object: format!("{object}/{name}"), expected, found })
        };
        check(&indptr, "indptr", (lines as u64).saturating_add(1))?;
        check(&indices, "indices", data.size())?;
        check(&data, "data", data.size())?;
        Ok(Self { data, indices, indptr })
    }

    /// Returns the number of stored values.
    pub(crate) fn stored(&self) -> u64 {
        self.data.size()
    }

    /// Returns a range of lines, whose indices are below `across`.
    pub(crate) fn lines(&self, storage: &Storage, object: &str, range: Range<usize>, across: usize) -> Result<SparseRows, ReadError> {
        let pointers = self.pointers(storage, object, range.clone())?;
        let (first, last) = (pointers.first().copied().unwrap_or(0), pointers.last().copied().unwrap_or(0));
        let offsets: Vec<usize> = pointers.iter().map(|pointer| (pointer - first) as usize).collect();
        let line_of = |place: usize| range.start + offsets.partition_point(|&offset| offset <= place).saturating_sub(1);
        let (indices, values) = self.values(storage, object, first..last, across, line_of)?;
        Ok(SparseRows::new(offsets, indices, values))
    }

    /// Returns the pointers of a range of lines and the one after them, checked to ascend within the stored values.
    fn pointers(&self, storage: &Storage, object: &str, range: Range<usize>) -> Result<Vec<u64>, ReadError> {
        let stored = self.stored();
        let pointers: Vec<i64> = storage.number_range(&self.indptr, object, range.start as u64, range.end as u64 + 1)?;
        let mut previous = 0;
        let checked = pointers.iter().enumerate().map(|(i, &pointer)| match u64::try_from(pointer) {
            Ok(pointer) if (previous..=stored).contains(&pointer) => {
                previous = pointer;
                Ok(pointer)
            }
            _ => Err(ReadError::InvalidIndex {
                path: storage.path.clone(),
                object: format!("{object}/indptr"),
                row: range.start + i,
                found: pointer,
                max: stored as usize,
            }),
        });
        checked.collect()
    }

    /// Returns a range of the stored values with their indices; `line_of` names the line of a place in the range.
    fn values(
        &self,
        storage: &Storage,
        object: &str,
        range: Range<u64>,
        across: usize,
        line_of: impl Fn(usize) -> usize,
    ) -> Result<(Vec<u32>, Vec<f32>), ReadError> {
        let indices: Vec<i64> = storage.number_range(&self.indices, object, range.start, range.end)?;
        let values: Vec<f32> = storage.number_range(&self.data, object, range.start, range.end)?;
        let indices = indices.iter().enumerate().map(|(place, &index)| match u32::try_from(index) {
            Ok(valid) if (valid as usize) < across => Ok(valid),
            _ => Err(ReadError::InvalidIndex {
                path: storage.path.clone(),
                object: format!("{object}/indices"),
                row: line_of(place),
                found: index,
                max: across.saturating_sub(1),
            }),
        });
        Ok((indices.collect::<Result<_, _>>()?, values))
    }
}
