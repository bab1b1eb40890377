//! Expression by rank without a line, and by gene.

use serde::{Deserialize, Serialize};
use tn_sentence::Vocabulary;

use super::{ExpressionFitError, ExpressionModel};

/// Expression as a function of rank, and perhaps of the gene.
///
/// Three are compared in the documentation of [`GeneTable`].
pub trait RankedExpression {
    /// Returns the expression of a gene at a rank, counted from 0.
    fn expression(&self, rank: usize, gene: &str) -> f64;

    /// Returns the expression of every gene of the panel for a ranked list, highest first; genes not in the list have 0.
    ///
    /// Every word of the list takes up a rank, also one outside the panel; a gene that is listed twice has the value of its last
    /// mention. An empty list gives zeros.
    fn reconstructed<G: AsRef<str>>(&self, genes: &[G], panel: &Vocabulary) -> Vec<f32>
    where
        Self: Sized,
    {
        let mut expression = vec![0.0; panel.len()];
        for (rank, gene) in genes.iter().enumerate() {
            if let Some(index) = panel.index_of(gene.as_ref()) {
                expression[index] = self.expression(rank, panel.symbol(index)) as f32;
            }
        }
        expression
    }
}

impl RankedExpression for ExpressionModel {
    fn expression(&self, rank: usize, _gene: &str) -> f64 {
        self.at_rank(rank)
    }
}

/// The mean expression at each rank, made never to rise.
///
/// Means that rise from one rank to the next, by chance, are pooled: the weighted least-squares fit among all that never rise (pool
/// adjacent violators; Ayer et al., Annals of Mathematical Statistics 26, 641, 1955). Beyond the last rank that was seen, its value.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RankTable {
    means: Vec<f64>,
}

impl RankTable {
    /// Returns the expression at a rank, counted from 0; 0 of an empty table, which only a file can hold.
    #[must_use]
    pub fn at_rank(&self, rank: usize) -> f64 {
        self.means.get(rank).or(self.means.last()).copied().unwrap_or(0.0)
    }

    /// Returns how many ranks were seen.
    #[must_use]
    pub fn n_ranks(&self) -> usize {
        self.means.len()
    }
}

impl RankedExpression for RankTable {
    fn expression(&self, rank: usize, _gene: &str) -> f64 {
        self.at_rank(rank)
    }
}

/// A [`RankTable`] with an offset for each gene: some genes are expressed more than others at the same rank.
///
/// The offset is the mean of what the table misses for the gene, shrunk by `n / (n + k)` for a gene seen `n` times, `k` =
/// [`GeneTable::SHRINKAGE`]: a gene that was never seen has none.
///
/// # How much it helps
///
/// Fitted to the training cells and compared on the test cells of two real sections, all genes of a cell (`tests/real_data.rs`):
///
/// | section | measure | line | table | table and genes |
/// |---|---|---|---|---|
/// | mouse hypothalamus, 135 genes | R² | .930 | .932 | .943 |
/// | | root mean square error | .0889 | .0872 | .0800 |
/// | human lung tumour, 479 genes | R² | .800 | .822 | .865 |
/// | | root mean square error | .1006 | .0950 | .0826 |
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct GeneTable {
    table: RankTable,
    panel: Vocabulary,
    offsets: Vec<f64>,
}

impl GeneTable {
    /// How often a gene has to be seen for half of its offset.
    pub const SHRINKAGE: f64 = 20.0;

    /// Returns the table without offsets.
    #[must_use]
    pub fn table(&self) -> &RankTable {
        &self.table
    }

    /// Returns the offset of a gene; 0 for one outside the panel.
    #[must_use]
    pub fn offset(&self, gene: &str) -> f64 {
        self.panel.index_of(gene).map_or(0.0, |index| self.offsets[index])
    }
}

impl RankedExpression for GeneTable {
    fn expression(&self, rank: usize, gene: &str) -> f64 {
        self.table.at_rank(rank) + self.offset(gene)
    }
}

/// Collects the cells that a [`RankTable`] or a [`GeneTable`] is fitted to.
///
/// ```
/// use tn_eval::{RankTableFitter, RankedExpression};
/// use tn_sentence::Vocabulary;
///
/// let mut fitter = RankTableFitter::new(Vocabulary::new(["AQP4", "GFAP"])?);
/// for _ in 0..100 {
///     fitter.add(&[0, 1], &[1.0, 2.0])?; // gene indices and expression
/// }
/// assert_eq!(fitter.rank_table()?.at_rank(0), 2.0);
/// assert!(fitter.gene_table()?.expression(0, "GFAP") >= 2.0);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct RankTableFitter {
    panel: Vocabulary,
    max_genes: usize,
    sums: Vec<f64>,
    counts: Vec<u64>,
    /// For each gene, the sum of its values and how often it was at each rank.
    gene_sums: Vec<f64>,
    gene_ranks: Vec<Vec<u32>>,
}

impl RankTableFitter {
    /// Creates a fitter without cells that takes all expressed genes of each.
    #[must_use]
    pub fn new(panel: Vocabulary) -> Self {
        let genes = panel.len();
        Self {
            panel,
            max_genes: usize::MAX,
            sums: Vec::new(),
            counts: Vec::new(),
            gene_sums: vec![0.0; genes],
            gene_ranks: vec![Vec::new(); genes],
        }
    }

    /// Takes the `max_genes` highest genes of each cell only.
    #[must_use]
    pub fn with_max_genes(mut self, max_genes: usize) -> Self {
        self.max_genes = max_genes;
        self
    }

    /// Adds a cell: the indices of its genes in the panel and their expression; zeros may be left out. Genes of equal expression rank in
    /// the order given.
    ///
    /// # Errors
    ///
    /// Slices of unequal length, an index beyond the panel, and values that are negative, NaN or infinite are errors, and the cell is not
    /// added.
    pub fn add(&mut self, genes: &[u32], values: &[f32]) -> Result<(), ExpressionFitError> {
        if genes.len() != values.len() {
            return Err(ExpressionFitError::LengthMismatch { genes: genes.len(), values: values.len() });
        }
        let mut entries: Vec<(usize, f64)> = Vec::with_capacity(genes.len());
        for (index, (&gene, &value)) in genes.iter().zip(values).enumerate() {
            if gene as usize >= self.panel.len() {
                return Err(ExpressionFitError::UnknownGene { index: gene, genes: self.panel.len() });
            }
            if !value.is_finite() || value < 0.0 {
                return Err(ExpressionFitError::InvalidValue { index, value: f64::from(value) });
            }
            if value > 0.0 {
                entries.push((gene as usize, f64::from(value)));
            }
        }
        entries.sort_by(|a, b| b.1.total_cmp(&a.1));
        entries.truncate(self.max_genes);
        if entries.len() > self.sums.len() {
            self.sums.resize(entries.len(), 0.0);
            self.counts.resize(entries.len(), 0);
        }
        for (rank, (gene, value)) in entries.into_iter().enumerate() {
            self.sums[rank] += value;
            self.counts[rank] += 1;
            self.gene_sums[gene] += value;
            let ranks = &mut self.gene_ranks[gene];
            if ranks.len() <= rank {
                ranks.resize(rank + 1, 0);
            }
            ranks[rank] += 1;
        }
        Ok(())
    }

    /// Fits the table.
    ///
    /// # Errors
    ///
    /// Returns [`ExpressionFitError::Undetermined`] when no cell had an expressed gene.
    pub fn rank_table(&self) -> Result<RankTable, ExpressionFitError> {
        if self.counts.is_empty() {
            return Err(ExpressionFitError::Undetermined { n_points: 0, n_ranks: 0 });
        }
        let values: Vec<f64> = self.sums.iter().zip(&self.counts).map(|(sum, &count)| sum / count as f64).collect();
        let weights: Vec<f64> = self.counts.iter().map(|&count| count as f64).collect();
        Ok(RankTable { means: never_rising(&values, &weights) })
    }

    /// Fits the table and the offsets of the genes.
    ///
    /// # Errors
    ///
    /// As [`rank_table`](Self::rank_table).
    pub fn gene_table(&self) -> Result<GeneTable, ExpressionFitError> {
        let table = self.rank_table()?;
        let offset = |(ranks, sum): (&Vec<u32>, &f64)| {
            let (mut n, mut expected) = (0.0, 0.0);
            for (rank, &count) in ranks.iter().enumerate() {
                n += f64::from(count);
                expected += f64::from(count) * table.at_rank(rank);
            }
            // The mean of what is missed, shrunk: (sum - expected) / n · n / (n + k).
            (sum - expected) / (n + GeneTable::SHRINKAGE)
        };
        let offsets = self.gene_ranks.iter().zip(&self.gene_sums).map(offset).collect();
        Ok(GeneTable { table, panel: self.panel.clone(), offsets })
    }
}

/// Pools adjacent values that rise, by their weights.
fn never_rising(values: &[f64], weights: &[f64]) -> Vec<f64> {
    let mut blocks: Vec<(f64, f64, usize)> = Vec::new();
    for (&value, &weight) in values.iter().zip(weights) {
        let mut block = (value, weight, 1);
        while let Some(&(before, before_weight, length)) = blocks.last().filter(|before| before.0 < block.0) {
            let weight = before_weight + block.1;
            block = ((before * before_weight + block.0 * block.1) / weight, weight, length + block.2);
            blocks.pop();
        }
        blocks.push(block);
    }
    blocks.into_iter().flat_map(|(value, _, length)| std::iter::repeat_n(value, length)).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    #[test]
    fn tables_never_rise_as_in_scikit_learn() {
        let golden: Value = serde_json::from_str(include_str!("../../../../data-fixtures/golden/models.json")).unwrap();
        for case in golden["isotonic"].as_array().unwrap() {
            let numbers = |name: &str| case[name].as_array().unwrap().iter().map(|value| value.as_f64().unwrap()).collect::<Vec<f64>>();
            let fitted = never_rising(&numbers("values"), &numbers("weights"));
            assert!(fitted.iter().zip(numbers("fitted")).all(|(found, expected)| (found - expected).abs() < 1e-9));
            assert!(fitted.windows(2).all(|pair| pair[0] >= pair[1]));
        }
    }

    #[test]
    fn offsets_are_shrunk_by_how_often_a_gene_was_seen() {
        let panel = Vocabulary::new(["A", "B", "C", "D"]).unwrap();
        let mut fitter = RankTableFitter::new(panel.clone());
        for cell in 0..100 {
            let (gene, value) = if cell % 2 == 0 { (0, 3.0) } else { (1, 2.0) };
            fitter.add(&[gene, 2], &[value, 1.0]).unwrap();
        }
        let model = fitter.gene_table().unwrap();
        assert_eq!((model.table().at_rank(0), model.table().at_rank(1), model.table().at_rank(9)), (2.5, 1.0, 1.0));
        assert!((model.offset("A") - 0.5 * 50.0 / 70.0).abs() < 1e-12 && (model.offset("B") + 0.5 * 50.0 / 70.0).abs() < 1e-12);
        assert_eq!((model.offset("D"), model.offset("unknown")), (0.0, 0.0));
        let expression = model.reconstructed(&["X", "c"], &panel);
        assert_eq!(expression[..2], [0.0, 0.0]);
        assert_eq!(expression[2], model.expression(1, "C") as f32);
    }

    #[test]
    fn bad_input_is_an_error_and_leaves_the_fitter_as_it_was() {
        let mut fitter = RankTableFitter::new(Vocabulary::new(["A"]).unwrap());
        assert_eq!(fitter.add(&[0], &[]).unwrap_err(), ExpressionFitError::LengthMismatch { genes: 1, values: 0 });
        assert_eq!(fitter.add(&[1], &[1.0]).unwrap_err().to_string(), "there is a value for gene 1, but the panel has 1 genes");
        assert_eq!(fitter.add(&[0], &[-1.0]).unwrap_err(), ExpressionFitError::InvalidValue { index: 0, value: -1.0 });
        assert!(matches!(fitter.rank_table(), Err(ExpressionFitError::Undetermined { .. })));
    }
}
