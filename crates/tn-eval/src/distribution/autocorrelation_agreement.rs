//! Are neighbors as similar in a generated section as in an observed one?

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::{Agreement, GeneAutocorrelation, GeneMismatch};

/// Moran's I of one gene on both sides; `None` where it is equal in all cells.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AutocorrelationPair {
    /// The gene.
    pub gene: String,
    /// I in the generated section.
    pub generated: Option<f64>,
    /// I in the observed section.
    pub observed: Option<f64>,
}

/// How well the spatial patterns of generated genes agree with the observed in strength.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AutocorrelationAgreement {
    /// Every gene.
    pub pairs: Vec<AutocorrelationPair>,
    /// Genes that have an I on both sides.
    pub genes: usize,
    /// The agreement over those genes; a mean difference below 0 is a section with weaker patterns.
    pub agreement: Agreement,
}

/// An error of [`autocorrelation_agreement`].
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum AutocorrelationAgreementError {
    /// The sides have different genes.
    #[error(transparent)]
    Genes(#[from] GeneMismatch),
    /// A correlation takes at least two genes.
    #[error("at least 2 genes have to vary in both sections, of {n_genes} do {genes}")]
    TooFewGenes {
        /// Genes that can be compared.
        genes: usize,
        /// All genes.
        n_genes: usize,
    },
}

/// Compares Moran's I of every gene between a generated and an observed section, each with its own weights.
///
/// # Errors
///
/// Different genes and fewer than two genes that vary in both sections are errors.
///
/// ```
/// use tn_eval::ExpressionMatrix;
/// use tn_eval::distribution::{MoransI, SpatialWeights, autocorrelation_agreement};
///
/// // Layers of cells, and what a model writes that forgets the place: every other cell of the other layer.
/// let weights = SpatialWeights::binary((0..20_u32).map(|cell| (0..20).filter(|other| cell.abs_diff(*other) == 1).collect::<Vec<_>>()))?;
/// let (mut generated, mut observed) = (ExpressionMatrix::new(["CUX2", "RORB"])?, ExpressionMatrix::new(["CUX2", "RORB"])?);
/// for cell in 0..20 {
///     observed.push_dense(if cell < 10 { &[2.0, 0.0] } else { &[0.0, 1.0] })?;
///     generated.push_dense(if cell % 2 == 0 { &[2.0, 0.0] } else { &[0.0, 1.0] })?;
/// }
/// let statistic = MoransI::new(&weights);
/// let compared = autocorrelation_agreement(&statistic.of(&generated)?, &statistic.of(&observed)?)?;
/// assert!(compared.agreement.mean_difference < -1.5);
/// assert!(compared.pairs[0].observed.unwrap() > 0.8);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn autocorrelation_agreement(
    generated: &[GeneAutocorrelation],
    observed: &[GeneAutocorrelation],
) -> Result<AutocorrelationAgreement, AutocorrelationAgreementError> {
    let names = |genes: &[GeneAutocorrelation]| genes.iter().map(|gene| gene.gene.clone()).collect::<Vec<_>>();
    GeneMismatch::check_names(&names(generated), &names(observed))?;
    let pair = |(generated, observed): (&GeneAutocorrelation, &GeneAutocorrelation)| AutocorrelationPair {
        gene: generated.gene.clone(),
        generated: generated.morans_i,
        observed: observed.morans_i,
    };
    let pairs: Vec<AutocorrelationPair> = generated.iter().zip(observed).map(pair).collect();
    let (x, y): (Vec<f64>, Vec<f64>) = pairs.iter().filter_map(|pair| pair.generated.zip(pair.observed)).unzip();
    if x.len() < 2 {
        return Err(AutocorrelationAgreementError::TooFewGenes { genes: x.len(), n_genes: pairs.len() });
    }
    Ok(AutocorrelationAgreement { genes: x.len(), agreement: Agreement::new(&x, &y), pairs })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn genes(values: &[(&str, Option<f64>)]) -> Vec<GeneAutocorrelation> {
        let gene = |(gene, morans_i): &(&str, Option<f64>)| GeneAutocorrelation {
            gene: (*gene).to_owned(),
            morans_i: *morans_i,
            z_score: None,
            p_value: None,
            permutation_p_value: None,
        };
        values.iter().map(gene).collect()
    }

    #[test]
    fn genes_that_vary_on_both_sides_are_compared() {
        let observed = genes(&[("A", Some(0.8)), ("B", Some(0.1)), ("C", None), ("D", Some(0.5))]);
        let generated = genes(&[("A", Some(0.3)), ("B", Some(0.1)), ("C", Some(0.2)), ("D", None)]);
        let compared = autocorrelation_agreement(&generated, &observed).unwrap();
        assert_eq!((compared.genes, compared.pairs.len(), compared.agreement.spearman), (2, 4, Some(1.0)));
        assert!((compared.agreement.mean_difference + 0.25).abs() < 1e-12);
        assert_eq!(compared.pairs[3], AutocorrelationPair { gene: "D".into(), generated: None, observed: Some(0.5) });
    }

    #[test]
    fn bad_input_is_an_error_with_its_values() {
        let (one, other) = (genes(&[("A", Some(0.8)), ("B", None)]), genes(&[("A", Some(0.8))]));
        let error = autocorrelation_agreement(&one, &one).unwrap_err();
        assert_eq!(error, AutocorrelationAgreementError::TooFewGenes { genes: 1, n_genes: 2 });
        let error = autocorrelation_agreement(&one, &other).unwrap_err();
        assert!(matches!(error, AutocorrelationAgreementError::Genes(GeneMismatch { index: 1, n_generated: 2, n_observed: 1, .. })));
    }
}
