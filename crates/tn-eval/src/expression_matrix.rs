//! Cells by genes, without the zeros.

use std::collections::HashMap;
use std::ops::Range;

use rayon::prelude::*;
use thiserror::Error;

/// An error of building an [`ExpressionMatrix`].
#[derive(Clone, Debug, PartialEq, Error)]
#[non_exhaustive]
pub enum ExpressionMatrixError {
    /// A column has one name, and a name one column.
    #[error("gene {gene:?} is named twice, in columns {first} and {second}")]
    DuplicateGene {
        /// The name.
        gene: String,
        /// Its first column.
        first: usize,
        /// Its second column.
        second: usize,
    },
    /// Every gene index has its value.
    #[error("cell {cell} has {genes} gene indices and {values} values")]
    LengthMismatch {
        /// The cell that was to be added.
        cell: usize,
        /// Gene indices given.
        genes: usize,
        /// Values given.
        values: usize,
    },
    /// A gene index lies beyond the genes.
    #[error("cell {cell} has a value for gene {index}, but there are {n_genes} genes")]
    UnknownGene {
        /// The cell that was to be added.
        cell: usize,
        /// The index.
        index: u32,
        /// The genes of the matrix.
        n_genes: usize,
    },
    /// A cell has one value for a gene.
    #[error("cell {cell} has two values for {gene}")]
    RepeatedGene {
        /// The cell that was to be added.
        cell: usize,
        /// The gene.
        gene: String,
    },
    /// Expression is a finite number.
    #[error("{gene} of cell {cell} is {value}, which is not a finite number")]
    NotFinite {
        /// The cell that was to be added.
        cell: usize,
        /// The gene.
        gene: String,
        /// Its value.
        value: f32,
    },
}

/// The expression of cells: a row for each cell, a column for each gene, only values other than 0 stored.
///
/// Eight bytes for each stored value. Rows are added as they are read, so that a file streams in; [`ExpressionMatrix::by_gene`]
/// turns it round for statistics that go gene by gene. Values are on any scale, counts or logarithms, and may be negative;
/// what a statistic expects is in its documentation. Genes are named as their source spells them.
///
/// ```
/// use tn_eval::ExpressionMatrix;
///
/// let mut cells = ExpressionMatrix::new(["Gfap", "Aqp4", "Gad1"])?;
/// cells.push(&[1, 0], &[2.5, 1.0])?; // gene indices in any order, and values
/// cells.push_dense(&[0.0, 0.0, 3.0])?;
/// assert_eq!((cells.n_cells(), cells.n_genes(), cells.n_stored()), (2, 3, 3));
/// assert_eq!(cells.cell(0), (&[0, 1][..], &[1.0, 2.5][..]));
/// assert_eq!(cells.by_gene().gene(2), (&[1][..], &[3.0][..])); // Gad1: in cell 1
/// # Ok::<(), tn_eval::ExpressionMatrixError>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct ExpressionMatrix {
    names: Vec<String>,
    offsets: Vec<usize>,
    genes: Vec<u32>,
    values: Vec<f32>,
}

impl ExpressionMatrix {
    /// Creates a matrix of these genes without cells.
    ///
    /// # Errors
    ///
    /// Returns [`ExpressionMatrixError::DuplicateGene`] for a gene that is named twice. Names that differ in case are two genes.
    pub fn new<G: Into<String>>(genes: impl IntoIterator<Item = G>) -> Result<Self, ExpressionMatrixError> {
        let names: Vec<String> = genes.into_iter().map(Into::into).collect();
        let mut columns = HashMap::with_capacity(names.len());
        for (second, gene) in names.iter().enumerate() {
            if let Some(first) = columns.insert(gene.as_str(), second) {
                return Err(ExpressionMatrixError::DuplicateGene { gene: gene.clone(), first, second });
            }
        }
        Ok(Self { names, offsets: vec![0], genes: Vec::new(), values: Vec::new() })
    }

    /// Adds a cell: the indices of its genes, in any order, and their values. Zeros are not stored.
    ///
    /// # Errors
    ///
    /// Slices of unequal length, an index beyond the genes or given twice, and a value that is NaN or infinite are errors, and
    /// the cell is not added.
    pub fn push(&mut self, genes: &[u32], values: &[f32]) -> Result<(), ExpressionMatrixError> {
        let cell = self.n_cells();
        if genes.len() != values.len() {
            return Err(ExpressionMatrixError::LengthMismatch { cell, genes: genes.len(), values: values.len() });
        }
        let n_genes = self.n_genes();
        if let Some(&index) = genes.iter().find(|&&gene| gene as usize >= n_genes) {
            return Err(ExpressionMatrixError::UnknownGene { cell, index, n_genes });
        }
        if genes.windows(2).all(|pair| pair[0] < pair[1]) {
            return self.push_ascending(genes.iter().copied().zip(values.iter().copied()));
        }
        let mut entries: Vec<(u32, f32)> = genes.iter().copied().zip(values.iter().copied()).collect();
        entries.sort_by_key(|&(gene, _)| gene);
        if let Some(pair) = entries.windows(2).find(|pair| pair[0].0 == pair[1].0) {
            return Err(ExpressionMatrixError::RepeatedGene { cell, gene: self.names[pair[0].0 as usize].clone() });
        }
        self.push_ascending(entries.into_iter())
    }

    /// Adds a cell as one value for each gene, zeros included.
    ///
    /// # Errors
    ///
    /// A number of values other than that of the genes, and a value that is NaN or infinite are errors, and the cell is not
    /// added.
    pub fn push_dense(&mut self, values: &[f32]) -> Result<(), ExpressionMatrixError> {
        if values.len() != self.n_genes() {
            return Err(ExpressionMatrixError::LengthMismatch { cell: self.n_cells(), genes: self.n_genes(), values: values.len() });
        }
        self.push_ascending((0..).zip(values.iter().copied()))
    }

    fn push_ascending(&mut self, entries: impl Iterator<Item = (u32, f32)>) -> Result<(), ExpressionMatrixError> {
        let stored = self.values.len();
        for (gene, value) in entries {
            if !value.is_finite() {
                self.genes.truncate(stored);
                self.values.truncate(stored);
                let gene = self.names[gene as usize].clone();
                return Err(ExpressionMatrixError::NotFinite { cell: self.n_cells(), gene, value });
            }
            if value != 0.0 {
                self.genes.push(gene);
                self.values.push(value);
            }
        }
        self.offsets.push(self.values.len());
        Ok(())
    }

    /// Returns the names of the genes, in the order of the columns.
    #[must_use]
    pub fn genes(&self) -> &[String] {
        &self.names
    }

    /// Returns the number of genes.
    #[must_use]
    pub fn n_genes(&self) -> usize {
        self.names.len()
    }

    /// Returns the number of cells.
    #[must_use]
    pub fn n_cells(&self) -> usize {
        self.offsets.len() - 1
    }

    /// Returns the number of stored values.
    #[must_use]
    pub fn n_stored(&self) -> usize {
        self.values.len()
    }

    /// Returns the expressed genes of a cell, by ascending index, and their values.
    ///
    /// # Panics
    ///
    /// Panics if there is no such cell.
    #[must_use]
    pub fn cell(&self, index: usize) -> (&[u32], &[f32]) {
        let range = self.offsets[index]..self.offsets[index + 1];
        (&self.genes[range.clone()], &self.values[range])
    }

    /// Returns a matrix of some cells, in the given order; a cell may be taken several times.
    ///
    /// # Panics
    ///
    /// Panics if there is no such cell.
    #[must_use]
    pub fn select(&self, cells: &[usize]) -> Self {
        let mut selected = Self { names: self.names.clone(), offsets: vec![0], genes: Vec::new(), values: Vec::new() };
        for &cell in cells {
            let (genes, values) = self.cell(cell);
            selected.genes.extend_from_slice(genes);
            selected.values.extend_from_slice(values);
            selected.offsets.push(selected.values.len());
        }
        selected
    }

    /// Returns the same values gene by gene, turned round on all threads.
    #[must_use]
    pub fn by_gene(&self) -> GeneColumns {
        let mut offsets = vec![0; self.n_genes() + 1];
        for &gene in &self.genes {
            offsets[gene as usize + 1] += 1;
        }
        for gene in 0..self.n_genes() {
            offsets[gene + 1] += offsets[gene];
        }
        let mut cells = vec![0; self.values.len()];
        let mut values = vec![0.0; self.values.len()];
        let per_thread = self.n_genes().div_ceil(rayon::current_num_threads()).max(1);
        let mut parts = Vec::new();
        let (mut free_cells, mut free_values) = (&mut cells[..], &mut values[..]);
        for start in (0..self.n_genes()).step_by(per_thread) {
            let end = (start + per_thread).min(self.n_genes());
            let stored = offsets[end] - offsets[start];
            let (part_cells, rest_cells) = free_cells.split_at_mut(stored);
            let (part_values, rest_values) = free_values.split_at_mut(stored);
            (free_cells, free_values) = (rest_cells, rest_values);
            parts.push((start..end, part_cells, part_values));
        }
        let fill = |(genes, cells, values): (Range<usize>, &mut [u32], &mut [f32])| self.fill_columns(genes, &offsets, cells, values);
        parts.into_par_iter().for_each(fill);
        GeneColumns { n_cells: self.n_cells(), offsets, cells, values }
    }

    /// Writes the columns of consecutive genes, one after another.
    fn fill_columns(&self, genes: Range<usize>, offsets: &[usize], cells: &mut [u32], values: &mut [f32]) {
        let first = offsets[genes.start];
        let mut next: Vec<usize> = offsets[genes.clone()].iter().map(|offset| offset - first).collect();
        for cell in 0..self.n_cells() {
            let (row_genes, row_values) = self.cell(cell);
            let start = row_genes.partition_point(|&gene| (gene as usize) < genes.start);
            for (&gene, &value) in row_genes[start..].iter().zip(&row_values[start..]) {
                let Some(slot) = next.get_mut(gene as usize - genes.start) else { break };
                cells[*slot] = cell as u32;
                values[*slot] = value;
                *slot += 1;
            }
        }
    }
}

/// An [`ExpressionMatrix`] gene by gene.
#[derive(Clone, Debug, PartialEq)]
pub struct GeneColumns {
    n_cells: usize,
    offsets: Vec<usize>,
    cells: Vec<u32>,
    values: Vec<f32>,
}

impl GeneColumns {
    /// Returns the number of genes.
    #[must_use]
    pub fn n_genes(&self) -> usize {
        self.offsets.len() - 1
    }

    /// Returns the number of cells, those without the gene included.
    #[must_use]
    pub fn n_cells(&self) -> usize {
        self.n_cells
    }

    /// Returns the cells in which a gene is other than 0, ascending, and its values there.
    ///
    /// # Panics
    ///
    /// Panics if there is no such gene.
    #[must_use]
    pub fn gene(&self, index: usize) -> (&[u32], &[f32]) {
        let range = self.offsets[index]..self.offsets[index + 1];
        (&self.cells[range.clone()], &self.values[range])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matrix() -> ExpressionMatrix {
        ExpressionMatrix::new(["A", "B", "C"]).unwrap()
    }

    #[test]
    fn rows_and_columns_hold_the_same_values() {
        let mut cells = matrix();
        cells.push(&[2, 0], &[3.0, -1.0]).unwrap();
        cells.push(&[], &[]).unwrap();
        cells.push(&[0, 1], &[2.0, 0.0]).unwrap();
        assert_eq!(cells.cell(0), (&[0, 2][..], &[-1.0, 3.0][..]));
        assert_eq!(cells.cell(1), (&[][..], &[][..]));
        let columns = cells.by_gene();
        assert_eq!((columns.n_genes(), columns.n_cells()), (3, 3));
        assert_eq!(columns.gene(0), (&[0, 2][..], &[-1.0, 2.0][..]));
        assert_eq!(columns.gene(1), (&[][..], &[][..]));
        assert_eq!(columns.gene(2), (&[0][..], &[3.0][..]));
    }

    #[test]
    fn the_number_of_threads_changes_nothing() {
        let names: Vec<String> = (0..23).map(|gene| format!("G{gene}")).collect();
        let mut cells = ExpressionMatrix::new(names).unwrap();
        for cell in 0..50_u64 {
            let row: Vec<f32> = (0..23).map(|gene| (tn_sentence::draw(cell, gene) % 3) as f32).collect();
            cells.push_dense(&row).unwrap();
        }
        let of = |threads| rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap().install(|| cells.by_gene());
        let one = of(1);
        assert_eq!(one, of(2));
        assert_eq!(one, of(40));
        for gene in 0..23 {
            let (rows, values) = one.gene(gene);
            for (&row, &value) in rows.iter().zip(values) {
                let (genes, row_values) = cells.cell(row as usize);
                assert_eq!(row_values[genes.binary_search(&(gene as u32)).unwrap()], value);
            }
        }
    }

    #[test]
    fn cells_are_selected_in_order_and_repeatedly() {
        let mut cells = matrix();
        cells.push_dense(&[1.0, 0.0, 0.0]).unwrap();
        cells.push_dense(&[0.0, 2.0, 0.0]).unwrap();
        let selected = cells.select(&[1, 0, 1]);
        assert_eq!(selected.n_cells(), 3);
        assert_eq!(selected.cell(2), (&[1][..], &[2.0][..]));
        assert_eq!(cells.select(&[]).by_gene().n_cells(), 0);
    }

    #[test]
    fn a_cell_that_is_refused_leaves_nothing_behind() {
        let mut cells = matrix();
        let check = |cells: &mut ExpressionMatrix, genes: &[u32], values: &[f32], expected: &str| {
            assert_eq!(cells.push(genes, values).unwrap_err().to_string(), expected);
            assert_eq!((cells.n_cells(), cells.n_stored()), (0, 0));
        };
        check(&mut cells, &[0], &[], "cell 0 has 1 gene indices and 0 values");
        check(&mut cells, &[3], &[1.0], "cell 0 has a value for gene 3, but there are 3 genes");
        check(&mut cells, &[1, 1], &[1.0, 1.0], "cell 0 has two values for B");
        check(&mut cells, &[0, 2], &[1.0, f32::NAN], "C of cell 0 is NaN, which is not a finite number");
        let error = cells.push_dense(&[1.0]).unwrap_err().to_string();
        assert_eq!(error, "cell 0 has 3 gene indices and 1 values");
    }

    #[test]
    fn a_gene_named_twice_is_an_error() {
        let error = ExpressionMatrix::new(["A", "a", "A"]).unwrap_err().to_string();
        assert_eq!(error, "gene \"A\" is named twice, in columns 0 and 2");
    }
}
