//! Who counts as whose neighbor, and how much.

use thiserror::Error;

/// An error of building [`SpatialWeights`].
#[derive(Clone, Debug, PartialEq, Error)]
#[non_exhaustive]
pub enum SpatialWeightsError {
    /// A neighbor lies beyond the cells.
    #[error("cell {cell} has neighbor {neighbor}, but there are {n_cells} cells")]
    UnknownCell {
        /// The cell.
        cell: usize,
        /// Its neighbor.
        neighbor: u32,
        /// The number of cells.
        n_cells: usize,
    },
    /// A cell is no neighbor of itself.
    #[error("cell {cell} is its own neighbor")]
    OwnNeighbor {
        /// The cell.
        cell: usize,
    },
    /// A neighbor has one weight.
    #[error("cell {cell} has neighbor {neighbor} twice")]
    RepeatedNeighbor {
        /// The cell.
        cell: usize,
        /// Its neighbor.
        neighbor: u32,
    },
    /// A weight is a finite number of zero or more.
    #[error("the weight between cells {cell} and {neighbor} is {weight}; it must be 0 or more and finite")]
    InvalidWeight {
        /// The cell.
        cell: usize,
        /// Its neighbor.
        neighbor: u32,
        /// The weight.
        weight: f64,
    },
    /// Without neighbors nothing can go together.
    #[error("none of {n_cells} cells has a neighbor")]
    NoEdges {
        /// The number of cells.
        n_cells: usize,
    },
}

/// Weights `w_ij` of cell `j` as a neighbor of cell `i`, for statistics of spatial autocorrelation.
///
/// Twelve bytes for each neighbor. Weights need not be symmetric: lists of nearest neighbors are not. A cell without neighbors is
/// allowed; its row is 0, standardized or not.
///
/// ```
/// use tn_eval::distribution::SpatialWeights;
/// use tn_sentence::Position;
/// use tn_spatial::RadiusGraph;
///
/// let row = (0..4).map(|i| Position::new(f64::from(i) * 10.0, 0.0)).collect::<Result<Vec<_>, _>>()?;
/// let graph = RadiusGraph::new(&row, 10.0)?;
/// let weights = SpatialWeights::binary((0..graph.len()).map(|cell| graph.neighbors(cell)))?.row_standardized();
/// assert_eq!((weights.n_cells(), weights.n_edges()), (4, 6));
/// assert_eq!(weights.of(1), (&[0, 2][..], &[0.5, 0.5][..]));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct SpatialWeights {
    offsets: Vec<usize>,
    neighbors: Vec<u32>,
    weights: Vec<f64>,
}

impl SpatialWeights {
    /// Takes, for each cell, the indices of its neighbors, in any order: each has weight 1.
    ///
    /// # Errors
    ///
    /// A neighbor beyond the cells, a cell that is its own neighbor or is listed twice, and no neighbor at all are errors.
    pub fn binary<L: AsRef<[u32]>>(neighbors: impl IntoIterator<Item = L>) -> Result<Self, SpatialWeightsError> {
        let weighted = |list: L| list.as_ref().iter().map(|&neighbor| (neighbor, 1.0)).collect::<Vec<_>>();
        Self::new(neighbors.into_iter().map(weighted))
    }

    /// Takes, for each cell, its neighbors, in any order, and their weights. Weights of 0 are left out.
    ///
    /// # Errors
    ///
    /// As [`SpatialWeights::binary`]; and a weight that is negative, NaN or infinite is an error.
    pub fn new<R: IntoIterator<Item = (u32, f64)>>(rows: impl IntoIterator<Item = R>) -> Result<Self, SpatialWeightsError> {
        let mut built = Self { offsets: vec![0], neighbors: Vec::new(), weights: Vec::new() };
        for (cell, row) in rows.into_iter().enumerate() {
            let mut row: Vec<(u32, f64)> = row.into_iter().collect();
            row.sort_unstable_by_key(|&(neighbor, _)| neighbor);
            if let Some(pair) = row.windows(2).find(|pair| pair[0].0 == pair[1].0) {
                return Err(SpatialWeightsError::RepeatedNeighbor { cell, neighbor: pair[0].0 });
            }
            for (neighbor, weight) in row {
                if neighbor as usize == cell {
                    return Err(SpatialWeightsError::OwnNeighbor { cell });
                }
                if !(weight >= 0.0 && weight.is_finite()) {
                    return Err(SpatialWeightsError::InvalidWeight { cell, neighbor, weight });
                }
                if weight > 0.0 {
                    built.neighbors.push(neighbor);
                    built.weights.push(weight);
                }
            }
            built.offsets.push(built.neighbors.len());
        }
        let n_cells = built.n_cells();
        for cell in 0..n_cells {
            // Neighbors ascend.
            if let Some(&neighbor) = built.of(cell).0.last().filter(|&&neighbor| neighbor as usize >= n_cells) {
                return Err(SpatialWeightsError::UnknownCell { cell, neighbor, n_cells });
            }
        }
        if built.neighbors.is_empty() {
            return Err(SpatialWeightsError::NoEdges { n_cells });
        }
        Ok(built)
    }

    /// Divides the weights of each cell by their sum, so that every cell with neighbors counts the same.
    #[must_use]
    pub fn row_standardized(mut self) -> Self {
        for cell in 0..self.n_cells() {
            let row = &mut self.weights[self.offsets[cell]..self.offsets[cell + 1]];
            let sum: f64 = row.iter().sum();
            row.iter_mut().for_each(|weight| *weight /= sum);
        }
        self
    }

    /// Returns the number of cells.
    #[must_use]
    pub fn n_cells(&self) -> usize {
        self.offsets.len() - 1
    }

    /// Returns the number of weights above 0; a pair of mutual neighbors has two.
    #[must_use]
    pub fn n_edges(&self) -> usize {
        self.neighbors.len()
    }

    /// Returns the number of cells without a neighbor of their own.
    #[must_use]
    pub fn n_isolated(&self) -> usize {
        self.offsets.windows(2).filter(|pair| pair[0] == pair[1]).count()
    }

    /// Returns the neighbors of a cell, ascending, and their weights.
    ///
    /// # Panics
    ///
    /// Panics if there is no such cell.
    #[must_use]
    pub fn of(&self, cell: usize) -> (&[u32], &[f64]) {
        let range = self.offsets[cell]..self.offsets[cell + 1];
        (&self.neighbors[range.clone()], &self.weights[range])
    }

    /// Returns `w_ij`, 0 for cells that are no neighbors.
    fn between(&self, i: usize, j: usize) -> f64 {
        let (neighbors, weights) = self.of(i);
        neighbors.binary_search(&(j as u32)).map_or(0.0, |place| weights[place])
    }

    /// Returns, for each cell, the sum of its row and its column, `w_i. + w_.i`.
    pub(super) fn row_and_column_sums(&self) -> Vec<f64> {
        let mut sums = vec![0.0; self.n_cells()];
        for cell in 0..self.n_cells() {
            let (neighbors, weights) = self.of(cell);
            for (&neighbor, weight) in neighbors.iter().zip(weights) {
                sums[cell] += weight;
                sums[neighbor as usize] += weight;
            }
        }
        sums
    }

    /// Returns `S0 = Σ w_ij` and `S1 = Σ (w_ij + w_ji)² / 2`, the latter as `Σ w_ij² + Σ w_ij w_ji`.
    pub(super) fn sums(&self) -> (f64, f64) {
        let (mut s0, mut s1) = (0.0, 0.0);
        for cell in 0..self.n_cells() {
            let (neighbors, weights) = self.of(cell);
            for (&neighbor, weight) in neighbors.iter().zip(weights) {
                s0 += weight;
                s1 += weight * weight + weight * self.between(neighbor as usize, cell);
            }
        }
        (s0, s1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_equal_those_of_the_dense_matrix() {
        let rows = [vec![(2, 0.5), (1, 2.0)], vec![(0, 1.0)], vec![(3, 4.0)], vec![(0, 0.0)]];
        let weights = SpatialWeights::new(rows).unwrap();
        assert_eq!((weights.n_cells(), weights.n_edges(), weights.n_isolated()), (4, 4, 1));
        let dense = |i, j| weights.between(i, j);
        let pairs = || (0..4).flat_map(|i| (0..4).map(move |j| (i, j)));
        let s0: f64 = pairs().map(|(i, j)| dense(i, j)).sum();
        let s1: f64 = pairs().map(|(i, j)| (dense(i, j) + dense(j, i)).powi(2) / 2.0).sum();
        assert_eq!(weights.sums(), (s0, s1));
        let both: Vec<f64> = (0..4).map(|i| (0..4).map(|j| dense(i, j) + dense(j, i)).sum()).collect();
        assert_eq!(weights.row_and_column_sums(), both);
    }

    #[test]
    fn rows_are_standardized_and_isolated_cells_stay() {
        let weights = SpatialWeights::new([vec![(1, 1.0), (2, 3.0)], vec![], vec![(0, 7.0)]]).unwrap().row_standardized();
        assert_eq!(weights.of(0), (&[1, 2][..], &[0.25, 0.75][..]));
        assert_eq!(weights.of(1), (&[][..], &[][..]));
        assert_eq!(weights.of(2).1, [1.0]);
    }

    #[test]
    fn bad_input_is_an_error_with_its_values() {
        let check = |rows: &[&[(u32, f64)]], expected: &str| {
            let error = SpatialWeights::new(rows.iter().map(|row| row.iter().copied())).unwrap_err();
            assert_eq!(error.to_string(), expected);
        };
        check(&[&[(1, 1.0)]], "cell 0 has neighbor 1, but there are 1 cells");
        check(&[&[(0, 1.0)]], "cell 0 is its own neighbor");
        check(&[&[], &[(0, 1.0), (2, 1.0), (0, 2.0)]], "cell 1 has neighbor 0 twice");
        check(&[&[(1, -0.5)]], "the weight between cells 0 and 1 is -0.5; it must be 0 or more and finite");
        check(&[&[(1, f64::NAN)]], "the weight between cells 0 and 1 is NaN; it must be 0 or more and finite");
        check(&[&[(1, 0.0)], &[]], "none of 2 cells has a neighbor");
        check(&[], "none of 0 cells has a neighbor");
        assert_eq!(SpatialWeights::binary([[1], [1]]), Err(SpatialWeightsError::OwnNeighbor { cell: 1 }));
    }
}
