//! The result of a comparison.

use serde::{Deserialize, Serialize};

use super::grouping::Grouping;
use super::{Difference, DifferentialExpression, DifferentialExpressionError, Reference};
use crate::benjamini_hochberg;
use crate::number_or_nan::number_or_nan;

/// What the genes of a [`DifferentialTable`] are sorted by, descending; equal genes stand in the order of the matrix.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum GeneOrder {
    /// The score: what is highest in the group comes first.
    #[default]
    Score,
    /// The size of the score: what differs most comes first, scanpy's `rankby_abs`.
    AbsoluteScore,
}

/// How a gene differs between a group and its reference: a row of a [`DifferentialTable`].
///
/// Fields are serialized under the names of scanpy, which are also those of the columns that `tn de` writes. A score or fold change that
/// is not finite is `null` as JSON, and read as NaN.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DifferentialGene {
    /// The gene.
    #[serde(rename = "names")]
    pub gene: String,
    /// The statistic of the test, above 0 for a gene that is higher in the group: a standard normal z, or Student's t.
    #[serde(rename = "scores", deserialize_with = "number_or_nan")]
    pub score: f64,
    /// Fold change of the mean, as [`log2_fold_change`](crate::log2_fold_change).
    #[serde(rename = "logfoldchanges", deserialize_with = "number_or_nan")]
    pub log2_fold_change: f64,
    /// Two-sided p-value, accurate far into the tail: as small as the smallest number.
    #[serde(rename = "pvals")]
    pub p_value: f64,
    /// False discovery rate by Benjamini and Hochberg over the genes of the table.
    #[serde(rename = "pvals_adj")]
    pub adjusted_p_value: f64,
    /// Share of the group's cells in which the gene is other than 0.
    pub pct_nz_group: f64,
    /// Share of the reference's cells in which the gene is other than 0.
    pub pct_nz_reference: f64,
}

/// The genes of a comparison, by [`GeneOrder`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DifferentialTable {
    group: String,
    reference: Reference,
    n_group: usize,
    n_reference: usize,
    genes: Vec<DifferentialGene>,
}

impl DifferentialTable {
    /// Returns the name of the group.
    #[must_use]
    pub fn group(&self) -> &str {
        &self.group
    }

    /// Returns what the group was compared with.
    #[must_use]
    pub fn reference(&self) -> &Reference {
        &self.reference
    }

    /// Returns the number of cells of the group.
    #[must_use]
    pub fn n_group(&self) -> usize {
        self.n_group
    }

    /// Returns the number of cells of the reference.
    #[must_use]
    pub fn n_reference(&self) -> usize {
        self.n_reference
    }

    /// Returns a row for each gene.
    #[must_use]
    pub fn genes(&self) -> &[DifferentialGene] {
        &self.genes
    }

    /// Returns the row of a gene, if it has one.
    #[must_use]
    pub fn gene(&self, name: &str) -> Option<&DifferentialGene> {
        self.genes.iter().find(|row| row.gene == name)
    }

    /// Returns the genes with their scores, as enrichment takes them.
    #[must_use]
    pub fn scores(&self) -> Vec<(&str, f64)> {
        self.genes.iter().map(|row| (row.gene.as_str(), row.score)).collect()
    }

    /// Returns the genes with their fold changes, as [`fold_change_agreement`](crate::fold_change_agreement) takes them.
    #[must_use]
    pub fn log2_fold_changes(&self) -> Vec<(&str, f64)> {
        self.genes.iter().map(|row| (row.gene.as_str(), row.log2_fold_change)).collect()
    }

    /// Returns the genes beyond the lines of a volcano plot: a fold change of at least `min_log2_fold_change` in size, and a
    /// false discovery rate of at most `max_false_discovery_rate`.
    ///
    /// The published figure of tumor infiltration has 0.5 and 0.001. A gene whose fold change is NaN is not among them.
    pub fn significant(&self, min_log2_fold_change: f64, max_false_discovery_rate: f64) -> impl Iterator<Item = &DifferentialGene> {
        self.genes
            .iter()
            .filter(move |row| row.log2_fold_change.abs() >= min_log2_fold_change && row.adjusted_p_value <= max_false_discovery_rate)
    }
}

impl DifferentialExpression {
    /// Makes the table of a group from its genes and their differences.
    pub(super) fn table(
        &self,
        grouping: &Grouping,
        code: usize,
        mut rows: Vec<(&str, Difference)>,
    ) -> Result<DifferentialTable, DifferentialExpressionError> {
        let (group, genes) = (grouping.name(code).to_string(), rows.len());
        let (n_group, n_reference) = (grouping.size(code), grouping.size_against(code));
        rows.retain(|(_, row)| row.detected_in_group + row.detected_in_reference >= self.min_cells);
        if rows.is_empty() {
            return Err(DifferentialExpressionError::NoGenes { group, genes, min_cells: self.min_cells });
        }
        let adjusted = benjamini_hochberg(&rows.iter().map(|(_, row)| row.p_value).collect::<Vec<_>>());
        let gene = |((name, row), adjusted_p_value): ((&str, Difference), f64)| DifferentialGene {
            gene: name.to_string(),
            score: row.score,
            log2_fold_change: row.log2_fold_change,
            p_value: row.p_value,
            adjusted_p_value,
            pct_nz_group: row.detected_in_group as f64 / n_group as f64,
            pct_nz_reference: row.detected_in_reference as f64 / n_reference as f64,
        };
        let mut genes: Vec<DifferentialGene> = rows.into_iter().zip(adjusted).map(gene).collect();
        let key = |row: &DifferentialGene| match self.order {
            GeneOrder::Score => row.score,
            GeneOrder::AbsoluteScore => row.score.abs(),
        };
        genes.sort_by(|a, b| key(b).total_cmp(&key(a)));
        Ok(DifferentialTable { group, reference: self.reference.clone(), n_group, n_reference, genes })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> DifferentialTable {
        let row = |gene: &str, score, log2_fold_change, adjusted_p_value| DifferentialGene {
            gene: gene.to_string(),
            score,
            log2_fold_change,
            p_value: adjusted_p_value / 2.0,
            adjusted_p_value,
            pct_nz_group: 0.5,
            pct_nz_reference: 0.25,
        };
        let genes = vec![
            row("SPP1", 6.0, 1.5, 1e-8),
            row("APOE", 4.0, 0.4, 1e-4),
            row("MT1G", 1.0, f64::NAN, 1e-9),
            row("CD3E", -4.0, -0.5, 0.001),
        ];
        DifferentialTable { group: "near".to_string(), reference: Reference::Rest, n_group: 10, n_reference: 20, genes }
    }

    #[test]
    fn genes_beyond_the_lines_are_significant() {
        let table = table();
        let genes = |change, rate| table.significant(change, rate).map(|row| row.gene.as_str()).collect::<Vec<_>>();
        assert_eq!(genes(0.5, 0.001), ["SPP1", "CD3E"]);
        assert_eq!(genes(0.0, 1e-4), ["SPP1", "APOE"]);
        assert!(genes(2.0, 1.0).is_empty());
    }

    #[test]
    fn rows_have_the_names_of_scanpy() {
        let text = serde_json::to_string(&table().genes()[0]).unwrap();
        let expected = r#"{"names":"SPP1","scores":6.0,"logfoldchanges":1.5,"pvals":5e-9,"pvals_adj":1e-8,"pct_nz_group":0.5,"pct_nz_reference":0.25}"#;
        assert_eq!(text, expected);
        let again: DifferentialTable = serde_json::from_str(&serde_json::to_string(&table()).unwrap()).unwrap();
        assert_eq!(again.genes()[0], table().genes()[0]);
        assert!(again.genes()[2].log2_fold_change.is_nan());
        assert_eq!(table().scores()[3], ("CD3E", -4.0));
        assert_eq!(table().log2_fold_changes()[1], ("APOE", 0.4));
    }
}
