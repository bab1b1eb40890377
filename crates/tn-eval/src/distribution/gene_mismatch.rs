//! Two matrices that are compared have the same genes.

use thiserror::Error;

use crate::ExpressionMatrix;

/// The genes of the generated and of the observed cells are not the same, in the same order.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error(
    "gene {index} is {} among the {n_generated} of the generated cells, {} among the {n_observed} of the observed",
    named(.generated), named(.observed)
)]
pub struct GeneMismatch {
    /// The first column that differs.
    pub index: usize,
    /// Its gene among the generated cells; `None` behind their last.
    pub generated: Option<String>,
    /// Its gene among the observed cells; `None` behind their last.
    pub observed: Option<String>,
    /// Number of genes of the generated cells.
    pub n_generated: usize,
    /// Number of genes of the observed cells.
    pub n_observed: usize,
}

impl GeneMismatch {
    /// Checks that both matrices have the same genes in the same order.
    pub(super) fn check(generated: &ExpressionMatrix, observed: &ExpressionMatrix) -> Result<(), Self> {
        Self::check_names(generated.genes(), observed.genes())
    }

    pub(super) fn check_names<G: AsRef<str>>(generated: &[G], observed: &[G]) -> Result<(), Self> {
        let (n_generated, n_observed) = (generated.len(), observed.len());
        let name = |genes: &[G], index: usize| genes.get(index).map(|gene| gene.as_ref().to_owned());
        match (0..n_generated.max(n_observed)).find(|&index| name(generated, index) != name(observed, index)) {
            Some(index) => Err(Self { index, generated: name(generated, index), observed: name(observed, index), n_generated, n_observed }),
            None => Ok(()),
        }
    }
}

fn named(gene: &Option<String>) -> String {
    gene.as_ref().map_or_else(|| "missing".to_owned(), |gene| format!("{gene:?}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_gene_that_differs_is_named() {
        assert_eq!(GeneMismatch::check_names(&["A", "B"], &["A", "B"]), Ok(()));
        let check = |observed: &[&str], expected: &str| {
            assert_eq!(GeneMismatch::check_names(&["A", "B"], observed).unwrap_err().to_string(), expected);
        };
        check(&["A", "b", "C"], "gene 1 is \"B\" among the 2 of the generated cells, \"b\" among the 3 of the observed");
        check(&["A"], "gene 1 is \"B\" among the 2 of the generated cells, missing among the 1 of the observed");
    }
}
