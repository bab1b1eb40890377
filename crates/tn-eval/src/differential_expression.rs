//! Which genes differ between groups of cells.

mod error;
mod fold_change;
mod grouping;
mod moments;
mod radix_sort;
mod rank_sum;
mod reference;
mod table;
mod welch;

pub use self::error::DifferentialExpressionError;
pub use self::fold_change::log2_fold_change;
pub use self::reference::Reference;
pub use self::table::{DifferentialGene, DifferentialTable, GeneOrder};

use std::collections::HashMap;

use rayon::prelude::*;
use tn_sentence::LogarithmBase;

use self::grouping::Grouping;
use self::moments::GroupMoments;
use self::rank_sum::{RankSums, Ties};
use crate::ExpressionMatrix;

/// The cells that a group and its reference need, each.
const MIN_CELLS_OF_GROUP: usize = 2;

/// A comparison of the expression of every gene between a group of cells and a reference.
///
/// Stands for `rank_genes_groups` of scanpy, whose scores, p-values, fold changes and order of genes it returns: Wilcoxon's rank
/// sum or Welch's t-test, false discovery rates by [`benjamini_hochberg`](crate::benjamini_hochberg) over the genes of the table,
/// and `log2` fold changes of the means by [`log2_fold_change`]. The expression is expected as logarithms, `log(1 + x)`; the
/// rank sum itself does not depend on the scale. The reference is all other cells unless a group is named.
///
/// ```
/// use tn_eval::{DifferentialExpression, ExpressionMatrix};
/// use tn_sentence::LogarithmBase;
///
/// let mut cells = ExpressionMatrix::new(["Gfap", "Mlc1"])?;
/// for values in [[1.0, 0.5], [1.2, 0.0], [0.9, 0.4], [0.0, 0.5], [0.1, 0.0], [0.0, 0.4]] {
///     cells.push_dense(&values)?; // log10(1 + x)
/// }
/// let labels = ["proximal", "proximal", "proximal", "control", "control", "control"];
///
/// let changed =
///     DifferentialExpression::wilcoxon().with_reference("control").with_log_base(LogarithmBase::Ten).compare(&cells, &labels, "proximal")?;
/// let gfap = &changed.genes()[0];
/// assert_eq!(gfap.gene, "Gfap");
/// assert!(gfap.log2_fold_change > 2.0 && gfap.p_value < 0.05);
/// assert_eq!((gfap.pct_nz_group, gfap.pct_nz_reference), (1.0, 1.0 / 3.0));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Cost
///
/// Zeros are counted, never stored or sorted: the time grows with the stored values. All groups are compared in one pass over the
/// values of a gene, genes in parallel; results have the same bits for any number of threads.
#[derive(Clone, Debug, PartialEq)]
pub struct DifferentialExpression {
    test: Test,
    reference: Reference,
    log_base: LogarithmBase,
    order: GeneOrder,
    genes: Option<Vec<String>>,
    min_cells: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Test {
    RankSum(Ties),
    Welch,
}

/// What a gene shows in a group and its reference.
#[derive(Clone, Copy, Debug)]
struct Difference {
    score: f64,
    p_value: f64,
    log2_fold_change: f64,
    detected_in_group: usize,
    detected_in_reference: usize,
}

impl DifferentialExpression {
    /// Creates the rank-sum test of Wilcoxon, and of Mann and Whitney, corrected for ties.
    ///
    /// With `R` the sum of the ranks of the group's `n` cells among those and the `m` of the reference, `N = n + m`, and ties
    /// sharing the mean of their ranks, the score is `z = (R - n(N + 1) / 2) / σ`, `σ² = n m (N + 1) / 12 · (1 - Σ (t³ - t) / (N³ - N))`
    /// with the sum over the sizes `t` of ties, and the two-sided p-value is that of the normal distribution, without continuity
    /// correction. A gene that is equal in all cells has the score 0 and the p-value 1. Equals scanpy's `method='wilcoxon',
    /// tie_correct=True` and SciPy's `mannwhitneyu(use_continuity=False, method='asymptotic')`. Wilcoxon, Biometrics Bulletin 1, 80
    /// (1945); Mann and Whitney, Annals of Mathematical Statistics 18, 50 (1947).
    #[must_use]
    pub fn wilcoxon() -> Self {
        Self::new(Test::RankSum(Ties::Corrected))
    }

    /// Creates the rank-sum test without the correction for ties, the default of scanpy.
    ///
    /// As [`wilcoxon`](Self::wilcoxon) with `σ² = n m (N + 1) / 12`. Where most cells lack a gene, their zeros are one tie, `σ` is
    /// too large, and the test misses what it could find.
    #[must_use]
    pub fn wilcoxon_uncorrected() -> Self {
        Self::new(Test::RankSum(Ties::Uncorrected))
    }

    /// Creates the t-test of Welch, which allows the groups unequal variances.
    ///
    /// The score is `t = (x̄ - ȳ) / √(s² / n + u² / m)` with the variances `s²` and `u²` (divisors `n - 1`, `m - 1`), and the
    /// two-sided p-value is that of Student's t with the degrees of freedom of Welch and Satterthwaite. A gene that is equal in
    /// all cells has the score 0 and the p-value 1; one with a value for each group has an infinite score and the p-value 0. Equals
    /// scanpy's `method='t-test'` and SciPy's `ttest_ind(equal_var=False)`. Welch, Biometrika 34, 28 (1947).
    #[must_use]
    pub fn welch() -> Self {
        Self::new(Test::Welch)
    }

    fn new(test: Test) -> Self {
        let (reference, log_base, order) = (Reference::default(), LogarithmBase::E, GeneOrder::default());
        Self { test, reference, log_base, order, genes: None, min_cells: 0 }
    }

    /// Compares with the cells of this group, or with [`Reference::Rest`], the default.
    #[must_use]
    pub fn with_reference(mut self, reference: impl Into<Reference>) -> Self {
        self.reference = reference.into();
        self
    }

    /// Takes the expression for logarithms of this base where fold changes are concerned; the default is e, as in scanpy.
    #[must_use]
    pub fn with_log_base(mut self, log_base: LogarithmBase) -> Self {
        self.log_base = log_base;
        self
    }

    /// Sorts the genes by this; the default is the score.
    #[must_use]
    pub fn with_order(mut self, order: GeneOrder) -> Self {
        self.order = order;
        self
    }

    /// Compares these genes only, such as the most variable ones; the default is all genes of the matrix.
    ///
    /// The others have no row, and do not count among the tests whose false discovery rate is controlled.
    #[must_use]
    pub fn with_genes<G: Into<String>>(mut self, genes: impl IntoIterator<Item = G>) -> Self {
        self.genes = Some(genes.into_iter().map(Into::into).collect());
        self
    }

    /// Leaves out genes that are detected, other than 0, in fewer cells of the group and its reference together.
    ///
    /// They have no row, and do not count among the tests either. The default is 0.
    #[must_use]
    pub fn with_min_cells(mut self, min_cells: usize) -> Self {
        self.min_cells = min_cells;
        self
    }

    /// Compares one group, the cells with this label, with the reference.
    ///
    /// With a reference that is named, cells with other labels take no part.
    ///
    /// # Errors
    ///
    /// A number of labels other than that of the cells, a group or reference that does not exist or has fewer than two cells, a group
    /// that is its own reference, a chosen gene that the matrix lacks, and no gene that is detected often enough are errors.
    pub fn compare<L: AsRef<str>>(
        &self,
        cells: &ExpressionMatrix,
        labels: &[L],
        group: &str,
    ) -> Result<DifferentialTable, DifferentialExpressionError> {
        Ok(self.compare_groups(cells, labels, &[group])?.remove(0))
    }

    /// Compares each of some groups with the reference, in one pass over the genes: a table for each, in their order.
    ///
    /// The tables are those that [`compare`](Self::compare) returns, to the last bit.
    ///
    /// # Errors
    ///
    /// As [`compare`](Self::compare), for any of the groups.
    pub fn compare_groups<L: AsRef<str>, G: AsRef<str>>(
        &self,
        cells: &ExpressionMatrix,
        labels: &[L],
        groups: &[G],
    ) -> Result<Vec<DifferentialTable>, DifferentialExpressionError> {
        let grouping = Grouping::new(cells.n_cells(), labels)?;
        let tested = groups.iter().map(|group| grouping.code(group.as_ref())).collect::<Result<Vec<_>, _>>()?;
        self.compare_codes(cells, grouping, &tested)
    }

    /// Compares every group with the reference, in one pass over the genes: a table for each, by ascending label. A group that is
    /// the reference has none.
    ///
    /// # Errors
    ///
    /// As [`compare`](Self::compare), for any of the groups.
    pub fn compare_all<L: AsRef<str>>(
        &self,
        cells: &ExpressionMatrix,
        labels: &[L],
    ) -> Result<Vec<DifferentialTable>, DifferentialExpressionError> {
        let grouping = Grouping::new(cells.n_cells(), labels)?;
        let reference = self.reference.name().map(|name| grouping.code(name)).transpose()?;
        let tested: Vec<usize> = (0..grouping.n_groups()).filter(|&code| Some(code) != reference).collect();
        self.compare_codes(cells, grouping, &tested)
    }

    fn compare_codes(
        &self,
        cells: &ExpressionMatrix,
        grouping: Grouping,
        tested: &[usize],
    ) -> Result<Vec<DifferentialTable>, DifferentialExpressionError> {
        let grouping = grouping.against(&self.reference, tested)?;
        let chosen = self.chosen(cells.genes())?;
        let columns = cells.by_gene();
        let new_worker = || (GroupMoments::new(&grouping), RankSums::new(&grouping));
        let genes: Vec<Vec<Difference>> = chosen
            .par_iter()
            .map_init(new_worker, |(moments, rank_sums), &gene| {
                let (cells, values) = columns.gene(gene);
                self.differences(&grouping, tested, moments, rank_sums, cells, values)
            })
            .collect();
        let table = |(place, &code)| {
            let rows = chosen.iter().zip(&genes).map(|(&gene, differences)| (cells.genes()[gene].as_str(), differences[place])).collect();
            self.table(&grouping, code, rows)
        };
        tested.par_iter().enumerate().map(table).collect()
    }

    /// Returns the columns that are compared, ascending.
    fn chosen(&self, names: &[String]) -> Result<Vec<usize>, DifferentialExpressionError> {
        let Some(genes) = &self.genes else { return Ok((0..names.len()).collect()) };
        let columns: HashMap<&str, usize> = names.iter().map(String::as_str).zip(0..).collect();
        let column = |gene: &String| {
            columns.get(gene.as_str()).copied().ok_or_else(|| DifferentialExpressionError::UnknownGene { gene: gene.clone() })
        };
        let mut chosen = genes.iter().map(column).collect::<Result<Vec<_>, _>>()?;
        chosen.sort_unstable();
        chosen.dedup();
        Ok(chosen)
    }

    /// Compares one gene in each tested group.
    fn differences(
        &self,
        grouping: &Grouping,
        tested: &[usize],
        moments: &mut GroupMoments,
        rank_sums: &mut RankSums,
        cells: &[u32],
        values: &[f32],
    ) -> Vec<Difference> {
        match self.test {
            Test::RankSum(_) => {
                moments.count(grouping, cells, values);
                rank_sums.rank(grouping, moments, cells, values);
            }
            Test::Welch => moments.measure(grouping, cells, values),
        }
        let difference = |&code: &usize| {
            let (group, reference) = (moments.of(code), moments.against(code));
            let (score, p_value) = match self.test {
                Test::RankSum(ties) => rank_sums.test(grouping, code, ties),
                Test::Welch => welch::test(group, reference),
            };
            Difference {
                score,
                p_value,
                log2_fold_change: log2_fold_change(group.mean(), reference.mean(), self.log_base),
                detected_in_group: group.detected,
                detected_in_reference: reference.detected,
            }
        };
        tested.iter().map(difference).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LABELS: [&str; 5] = ["near", "near", "far", "far", "alone"];

    /// Five cells; the first gene is in the first two.
    fn cells() -> ExpressionMatrix {
        let mut cells = ExpressionMatrix::new(["Mlc1", "Aqp4", "Gad1"]).unwrap();
        for values in [[1.0, 0.5, 0.0], [2.0, 0.0, 0.0], [0.0, 0.5, 0.0], [0.0, 1.5, 0.0], [0.0, 0.0, 3.0]] {
            cells.push_dense(&values).unwrap();
        }
        cells
    }

    #[test]
    fn bad_input_is_an_error_with_its_values() {
        let test = DifferentialExpression::wilcoxon;
        let check = |test: DifferentialExpression, labels: &[&str], group: &str, expected: &str| {
            assert_eq!(test.compare(&cells(), labels, group).unwrap_err().to_string(), expected);
        };
        check(test(), &LABELS[1..], "near", "5 cells and 4 labels cannot be paired");
        check(test(), &LABELS, "close", "there is no group \"close\"; groups are alone, far, near");
        check(test().with_reference("control"), &LABELS, "near", "there is no group \"control\"; groups are alone, far, near");
        check(test().with_reference("near"), &LABELS, "near", "group \"near\" is compared with itself");
        check(test(), &LABELS, "alone", "group \"alone\" has 1 cells, at least 2 are needed");
        check(test().with_reference("alone"), &LABELS, "far", "group \"alone\" has 1 cells, at least 2 are needed");
        check(test(), &["near"; 5], "near", "there are 0 cells outside group \"near\", at least 2 are needed");
        check(test().with_genes(["Gfap"]), &LABELS, "near", "there is no gene \"Gfap\"");
        let none = "none of 3 genes is detected in 4 cells of group \"near\" and its reference";
        check(test().with_min_cells(4), &LABELS, "near", none);
        let none = "none of 0 genes is detected in 0 cells of group \"near\" and its reference";
        check(test().with_genes(Vec::<String>::new()), &LABELS, "near", none);
        let error = test().compare_all(&cells(), &LABELS).unwrap_err().to_string();
        assert_eq!(error, "group \"alone\" has 1 cells, at least 2 are needed");
    }

    #[test]
    fn genes_that_are_left_out_are_no_tests() {
        let genes = |test: DifferentialExpression| {
            let table = test.with_reference("far").compare(&cells(), &LABELS, "near").unwrap();
            table.genes().iter().map(|row| (row.gene.clone(), row.adjusted_p_value / row.p_value)).collect::<Vec<_>>()
        };
        let name = |gene: &str, tests: f64| (gene.to_string(), tests);
        // Gad1 is detected in a cell that takes no part.
        assert_eq!(genes(DifferentialExpression::wilcoxon().with_min_cells(2)), [name("Mlc1", 2.0), name("Aqp4", 1.0)]);
        assert_eq!(genes(DifferentialExpression::wilcoxon().with_genes(["Mlc1", "Mlc1"])), [name("Mlc1", 1.0)]);
    }

    #[test]
    fn groups_have_tables_in_the_order_asked_for() {
        let test = DifferentialExpression::wilcoxon().with_reference("far");
        let tables = test.compare_groups(&cells(), &LABELS, &["near", "near"]).unwrap();
        assert_eq!(tables[0], tables[1]);
        assert!(test.compare_groups(&cells(), &LABELS, &[""; 0]).unwrap().is_empty());
        let all = test.compare_all(&cells(), &["near", "near", "far", "far", "far"]).unwrap();
        assert_eq!(all.iter().map(DifferentialTable::group).collect::<Vec<_>>(), ["near"]);
    }

    #[test]
    fn equal_genes_stand_in_the_order_of_the_matrix() {
        let mut cells = ExpressionMatrix::new(["C", "B", "A", "D"]).unwrap();
        for values in [[1.0, 0.0, 1.0, 0.0], [2.0, 0.0, 2.0, 0.0], [0.0, 1.0, 0.0, 0.0], [0.0, 2.0, 0.0, 0.0]] {
            cells.push_dense(&values).unwrap();
        }
        let labels = ["near", "near", "far", "far"];
        let genes = |test: DifferentialExpression| {
            let table = test.compare(&cells, &labels, "near").unwrap();
            table.genes().iter().map(|row| row.gene.clone()).collect::<String>()
        };
        assert_eq!(genes(DifferentialExpression::wilcoxon()), "CADB");
        assert_eq!(genes(DifferentialExpression::wilcoxon().with_order(GeneOrder::AbsoluteScore)), "CBAD");
    }
}
