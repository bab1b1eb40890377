//! The width of the kernel.

use rayon::prelude::*;

use super::pairs::{PairedRows, Row};
use crate::distribution::subsample::subsample;

/// Cells of both samples together from which the median distance is taken.
const MEDIAN_CELLS: usize = 1_000;

/// Returns the median of the distances other than 0 between some of the rows; 1 where there is none.
pub(super) fn median_distance(rows: &[Row], n_genes: usize, seed: u64) -> f64 {
    let drawn = PairedRows::new(subsample(rows.len(), MEDIAN_CELLS, seed).into_iter().map(|row| rows[row]), n_genes);
    let in_block = |block: usize| {
        let mut distances = Vec::new();
        drawn.visit(block, |_, _, distance| distances.extend((distance > 0.0).then_some(distance)));
        distances
    };
    let mut distances: Vec<f64> = (0..drawn.blocks()).into_par_iter().flat_map_iter(in_block).collect();
    if distances.is_empty() {
        return 1.0;
    }
    let middle = distances.len() / 2;
    let odd = distances.len() % 2 == 1;
    let (below, &mut upper, _) = distances.select_nth_unstable_by(middle, f64::total_cmp);
    if odd { upper } else { (below.iter().copied().fold(0.0, f64::max) + upper) / 2.0 }
}

#[cfg(test)]
mod tests {
    use super::super::pairs::tests::{cells, distance};
    use super::*;

    #[test]
    fn the_median_is_of_distances_other_than_zero() {
        let cells = cells(9, 0.0, 4);
        let rows: Vec<Row> = (0..9).map(|cell| cells.cell(cell)).collect();
        let pairs = (0..9).flat_map(|i| (i + 1..9).map(move |j| (i, j)));
        let mut distances: Vec<f64> = pairs.map(|(i, j)| distance(rows[i], rows[j], 12)).filter(|&distance| distance > 0.0).collect();
        distances.sort_by(f64::total_cmp);
        assert_eq!(distances.len(), 35);
        assert!((median_distance(&rows, 12, 0) - distances[17]).abs() < 1e-9);
        assert_eq!(median_distance(&rows[..2], 12, 0), 1.0);
        let even = (distance(rows[0], rows[2], 12) + distance(rows[1], rows[2], 12)) / 2.0;
        assert!((median_distance(&rows[..3], 12, 0) - even).abs() < 1e-9);
    }
}
