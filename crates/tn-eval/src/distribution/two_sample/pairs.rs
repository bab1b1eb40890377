//! Distances of all pairs of sparse rows, some rows at a time.

/// Rows that are multiplied with another at once: their values of a gene lie side by side, so that one vector operation serves all.
pub(super) const LANES: usize = 8;

/// A sparse row: indices of genes, ascending, and values.
pub(super) type Row<'a> = (&'a [u32], &'a [f32]);

/// Rows of which pairs are taken.
pub(super) struct PairedRows<'a> {
    rows: Vec<Row<'a>>,
    squares: Vec<f64>,
    n_genes: usize,
}

impl<'a> PairedRows<'a> {
    pub(super) fn new(rows: impl IntoIterator<Item = Row<'a>>, n_genes: usize) -> Self {
        let rows: Vec<Row> = rows.into_iter().collect();
        let square = |(_, values): &Row| values.iter().map(|&value| f64::from(value) * f64::from(value)).sum();
        let squares = rows.iter().map(square).collect();
        Self { rows, squares, n_genes }
    }

    pub(super) fn len(&self) -> usize {
        self.rows.len()
    }

    pub(super) fn blocks(&self) -> usize {
        self.len().div_ceil(LANES)
    }

    /// Returns the rows of a block.
    pub(super) fn block(&self, block: usize) -> std::ops::Range<usize> {
        block * LANES..self.len().min((block + 1) * LANES)
    }

    /// Visits all pairs `i < j` with `i` in a block, and their Euclidean distance, `√(|a|² + |b|² - 2ab)`.
    ///
    /// All in 64 bits and in one order of genes: equal rows have distance 0 exactly, other distances carry an error of about
    /// `1e-8 |a|` at most.
    pub(super) fn visit(&self, block: usize, mut pair: impl FnMut(usize, usize, f64)) {
        let range = self.block(block);
        let mut lanes = vec![[0.0; LANES]; self.n_genes];
        for (lane, (genes, values)) in self.rows[range.clone()].iter().enumerate() {
            genes.iter().zip(*values).for_each(|(&gene, &value)| lanes[gene as usize][lane] = f64::from(value));
        }
        for (j, (genes, values)) in self.rows.iter().enumerate().skip(range.start + 1) {
            let mut products = [0.0; LANES];
            for (&gene, &value) in genes.iter().zip(*values) {
                let value = f64::from(value);
                products.iter_mut().zip(&lanes[gene as usize]).for_each(|(sum, other)| *sum += value * other);
            }
            for (i, product) in range.clone().zip(products).take_while(|(i, _)| *i < j) {
                let square = self.squares[i] + self.squares[j] - 2.0 * product;
                pair(i, j, square.max(0.0).sqrt());
            }
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::*;
    use crate::ExpressionMatrix;

    /// Sparse cells, the second a copy of the first.
    pub(in super::super) fn cells(n: usize, shift: f32, seed: u64) -> ExpressionMatrix {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let mut cells = ExpressionMatrix::new((0..12).map(|gene| format!("G{gene}"))).unwrap();
        let mut first = None;
        for cell in 0..n {
            let row: Vec<f32> = (0..12)
                .map(|gene| if rng.random_bool(0.4) { rng.random_range(0.5..3.0) + shift * (gene % 2) as f32 } else { 0.0 })
                .collect();
            let row = if cell == 1 { first.clone().unwrap() } else { row };
            cells.push_dense(&row).unwrap();
            first.get_or_insert(row);
        }
        cells
    }

    /// The distance of two cells, gene by gene.
    pub(in super::super) fn distance(a: Row, b: Row, n_genes: usize) -> f64 {
        let dense = |(genes, values): Row| {
            let mut dense = vec![0.0; n_genes];
            genes.iter().zip(values).for_each(|(&gene, &value)| dense[gene as usize] = f64::from(value));
            dense
        };
        dense(a).iter().zip(dense(b)).map(|(a, b)| (a - b).powi(2)).sum::<f64>().sqrt()
    }

    #[test]
    fn every_pair_is_visited_once_with_its_distance() {
        for n in [0, 1, 2, 7, 8, 9, 21] {
            let cells = cells(n, 0.0, 1);
            let rows = PairedRows::new((0..n).map(|cell| cells.cell(cell)), 12);
            let mut seen = vec![];
            for block in 0..rows.blocks() {
                rows.visit(block, |i, j, found| {
                    assert!((found - distance(cells.cell(i), cells.cell(j), 12)).abs() < 1e-7);
                    assert!((found == 0.0) == (cells.cell(i) == cells.cell(j)));
                    seen.push((i, j));
                });
            }
            seen.sort_unstable();
            let expected: Vec<_> = (0..n).flat_map(|i| (i + 1..n).map(move |j| (i, j))).collect();
            assert_eq!(seen, expected);
        }
    }
}
