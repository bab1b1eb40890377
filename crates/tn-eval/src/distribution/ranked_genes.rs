//! Cells as rankings and sets of genes.

use rayon::prelude::*;

use crate::ExpressionMatrix;

/// Returns the genes of each cell with a value above 0, highest first.
pub(super) fn rankings(cells: &ExpressionMatrix) -> Vec<Vec<u32>> {
    let ranking = |cell: usize| {
        let (genes, values) = cells.cell(cell);
        let mut ranked: Vec<(u32, f32)> = genes.iter().copied().zip(values.iter().copied()).filter(|&(_, value)| value > 0.0).collect();
        ranked.sort_by(|a, b| b.1.total_cmp(&a.1));
        ranked.into_iter().map(|(gene, _)| gene).collect()
    };
    (0..cells.n_cells()).into_par_iter().map(ranking).collect()
}

/// Returns the beginning of each ranking.
pub(super) fn first_genes(rankings: &[Vec<u32>], top: usize) -> Vec<&[u32]> {
    rankings.iter().map(|ranking| &ranking[..ranking.len().min(top)]).collect()
}

/// Genes that those of other cells are compared with.
pub(super) struct GeneSet {
    contains: Vec<bool>,
    len: usize,
}

impl GeneSet {
    pub(super) fn new(genes: &[u32], n_genes: usize) -> Self {
        let mut contains = vec![false; n_genes];
        genes.iter().for_each(|&gene| contains[gene as usize] = true);
        Self { contains, len: genes.len() }
    }

    /// Returns shared genes over all genes; 1 where there is none.
    pub(super) fn jaccard(&self, other: &[u32]) -> f64 {
        let shared: usize = other.iter().map(|&gene| usize::from(self.contains[gene as usize])).sum();
        let all = self.len + other.len() - shared;
        if all == 0 { 1.0 } else { shared as f64 / all as f64 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rankings_hold_what_is_expressed_highest_first() {
        let mut cells = ExpressionMatrix::new(["A", "B", "C", "D", "E"]).unwrap();
        cells.push_dense(&[1.0, 3.0, -2.0, 3.0, 0.0]).unwrap();
        cells.push(&[], &[]).unwrap();
        let rankings = rankings(&cells);
        assert_eq!(rankings, [vec![1, 3, 0], vec![]]);
        assert_eq!(first_genes(&rankings, 2), [&[1, 3][..], &[]]);
    }

    #[test]
    fn sets_share_genes_in_any_order() {
        let genes = GeneSet::new(&[2, 0], 4);
        assert_eq!((genes.jaccard(&[0, 2]), genes.jaccard(&[3, 2]), genes.jaccard(&[])), (1.0, 1.0 / 3.0, 0.0));
        assert_eq!(GeneSet::new(&[], 4).jaccard(&[]), 1.0);
    }
}
