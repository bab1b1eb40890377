//! Agreement of predicted with observed log fold changes.

use std::collections::HashMap;

use crate::correlation::{Correlation, CorrelationError, spearman};

/// The cap of the published comparison; its Perturb-FISH figures use 15.
pub const DEFAULT_FOLD_CHANGE_CAP: f64 = 10.0;

/// Computes Spearman's correlation between predicted and observed log fold changes over the genes that have both.
///
/// Genes whose change exceeds `cap` in size on either side are left out: such values come from a group in which the gene
/// is all but absent. Values that are not finite are left out too. A gene listed twice counts with its first value.
/// The order of the lists does not matter; symbols are compared exactly.
///
/// # Errors
///
/// Fewer than two shared genes, or one side constant over them, is a [`CorrelationError`].
///
/// ```
/// use tn_eval::{DEFAULT_FOLD_CHANGE_CAP, fold_change_agreement};
///
/// let predicted = [("SPP1", 1.2), ("GFAP", 0.4), ("AQP4", -0.3), ("OMP", 25.0)];
/// let observed = [("AQP4", -0.9), ("GFAP", 0.1), ("SPP1", 2.0), ("OMP", 0.0)];
/// let agreement = fold_change_agreement(&predicted, &observed, DEFAULT_FOLD_CHANGE_CAP)?;
/// assert_eq!((agreement.n, agreement.coefficient), (3, 1.0));
/// # Ok::<(), tn_eval::CorrelationError>(())
/// ```
pub fn fold_change_agreement<P: AsRef<str>, O: AsRef<str>>(
    predicted: &[(P, f64)],
    observed: &[(O, f64)],
    cap: f64,
) -> Result<Correlation, CorrelationError> {
    let mut changes: HashMap<&str, f64> = HashMap::new();
    for (gene, change) in observed {
        changes.entry(gene.as_ref()).or_insert(*change);
    }
    let (mut x, mut y) = (Vec::new(), Vec::new());
    for (gene, change) in predicted {
        // Removing the entry leaves a gene's later mentions without a partner.
        let Some(observed) = changes.remove(gene.as_ref()) else {
            continue;
        };
        if change.abs() <= cap && observed.abs() <= cap {
            x.push(*change);
            y.push(observed);
        }
    }
    spearman(&x, &y)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn genes_beyond_the_cap_and_nan_are_left_out() {
        let predicted = [("A", 1.0), ("B", 2.0), ("C", f64::NAN), ("D", -11.0), ("E", 10.0)];
        let observed = [("A", 1.0), ("B", 5.0), ("C", 1.0), ("D", 1.0), ("E", f64::INFINITY)];
        assert_eq!(fold_change_agreement(&predicted, &observed, 10.0).unwrap().n, 2);
    }

    #[test]
    fn a_repeated_gene_counts_with_its_first_value() {
        let predicted = [("A", 1.0), ("A", -9.0), ("B", 2.0), ("C", 3.0)];
        let observed = [("C", 3.0), ("B", 2.0), ("A", 1.0), ("A", 9.0)];
        let agreement = fold_change_agreement(&predicted, &observed, 10.0).unwrap();
        assert_eq!((agreement.n, agreement.coefficient), (3, 1.0));
    }

    #[test]
    fn no_shared_gene_is_an_error() {
        assert_eq!(fold_change_agreement(&[("A", 1.0)], &[("B", 1.0)], 10.0), Err(CorrelationError::TooFew { n: 0 }));
    }
}
