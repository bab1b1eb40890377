//! Counts as a feature-barcode matrix in HDF5 (10x Genomics): by cells, with features that are no genes among them.

use std::ops::Range;
use std::path::Path;

use super::cell_table::CellTable;
use crate::ReadError;
use crate::anndata::matrix::{BLOCK_CELLS, BLOCK_VALUES, Compressed};
use crate::section_reader::SparseRows;
use crate::storage::{Group, Node, Storage};

const GENE: &str = "Gene Expression";

/// A feature-barcode matrix whose barcodes are the cells of a table.
pub(super) struct FeatureMatrix {
    storage: Storage,
    matrix: Compressed,
    /// For every feature its place among the genes, if it is one.
    gene_of_feature: Vec<Option<u32>>,
    genes: Vec<String>,
    /// The row of every cell of the table, if the two are not in the same order.
    rows: Option<Vec<u32>>,
    n_cells: usize,
}

impl FeatureMatrix {
    /// Opens a matrix and finds the rows of the cells.
    pub(super) fn open(path: &Path, cells: &CellTable) -> Result<Self, ReadError> {
        let storage = Storage::open(path)?;
        let root = storage.root()?;
        let matrix = group(&storage, &root, "/", "matrix")?;
        let features = group(&storage, &matrix, "matrix", "features")?;
        let strings =
            |parent: &Group, object: &str, name: &str| storage.strings(&storage.array(parent, object, name)?, &format!("{object}/{name}"));
        let names = strings(&features, "matrix/features", "name")?;
        let kinds = strings(&features, "matrix/features", "feature_type")?;
        if names.len() != kinds.len() {
            return Err(ReadError::WrongLength {
                path: path.to_owned(),
                object: "matrix/features/feature_type".to_owned(),
                expected: names.len(),
                found: kinds.len(),
            });
        }
        let barcodes = strings(&matrix, "matrix", "barcodes")?;
        let compressed = Compressed::open(&storage, &matrix, "matrix", barcodes.len())?;

        let mut genes = Vec::new();
        let mut gene_of_feature = Vec::with_capacity(names.len());
        for (name, kind) in names.into_iter().zip(kinds) {
            gene_of_feature.push((kind == GENE).then_some(genes.len() as u32));
            if kind == GENE {
                genes.push(name);
            }
        }
        let n_cells = barcodes.len();
        let rows = match_rows(path, barcodes, cells)?;
        Ok(Self { storage, matrix: compressed, gene_of_feature, genes, rows, n_cells })
    }

    pub(super) fn path(&self) -> &Path {
        &self.storage.path
    }

    pub(super) fn genes(&self) -> &[String] {
        &self.genes
    }

    pub(super) fn rows_per_block(&self) -> usize {
        let values_per_row = self.matrix.stored() as usize / self.n_cells.max(1);
        (BLOCK_VALUES / values_per_row.max(1)).clamp(1, BLOCK_CELLS)
    }

    pub(super) fn rows(&self, range: Range<usize>) -> Result<SparseRows, ReadError> {
        let (mut offsets, mut genes, mut values) = (vec![0], Vec::new(), Vec::new());
        let mut take = |lines: &SparseRows| {
            for line in 0..lines.len() {
                let (features, counts) = lines.row(line);
                for (&feature, &count) in features.iter().zip(counts) {
                    if let Some(gene) = self.gene_of_feature[feature as usize] {
                        genes.push(gene);
                        values.push(count);
                    }
                }
                offsets.push(values.len());
            }
        };
        match &self.rows {
            None => take(&self.lines(range)?),
            Some(rows) => {
                for &row in &rows[range] {
                    take(&self.lines(row as usize..row as usize + 1)?);
                }
            }
        }
        Ok(SparseRows::new(offsets, genes, values))
    }

    fn lines(&self, range: Range<usize>) -> Result<SparseRows, ReadError> {
        self.matrix.lines(&self.storage, "matrix", range, self.gene_of_feature.len())
    }
}

fn group(storage: &Storage, parent: &Group, object: &str, name: &str) -> Result<Group, ReadError> {
    match storage.child(parent, object, name)? {
        Some(Node::Group(group)) => Ok(group),
        _ => {
            let (groups, arrays) = storage.members(parent, object)?;
            Err(ReadError::MissingObject { path: storage.path.clone(), object: name.to_owned(), found: [groups, arrays].concat() })
        }
    }
}

/// Returns the row of every cell of the table, or nothing if row and cell are the same everywhere.
fn match_rows(path: &Path, barcodes: Vec<String>, cells: &CellTable) -> Result<Option<Vec<u32>>, ReadError> {
    let cell_of_name = cells.rows_by_name()?;
    let mut rows: Vec<Option<u32>> = vec![None; cells.n_cells()];
    let mut is_same_order = true;
    for (row, barcode) in (0_u32..).zip(barcodes) {
        let Some(&cell) = cell_of_name.get(&barcode) else {
            return Err(ReadError::UnmatchedCell { path: path.to_owned(), other: cells.path().to_owned(), cell: barcode });
        };
        if rows[cell as usize].replace(row).is_some() {
            return Err(ReadError::RepeatedCell { path: path.to_owned(), cell: barcode });
        }
        is_same_order &= cell == row;
    }
    let complete: Option<Vec<u32>> = rows.iter().copied().collect();
    match complete {
        Some(_) if is_same_order => Ok(None),
        Some(rows) => Ok(Some(rows)),
        None => {
            let lost = rows.iter().position(Option::is_none).unwrap_or_default() as u32;
            let cell = cell_of_name.into_iter().find(|(_, cell)| *cell == lost).map(|(name, _)| name).unwrap_or_default();
            Err(ReadError::UnmatchedCell { path: cells.path().to_owned(), other: path.to_owned(), cell })
        }
    }
}
