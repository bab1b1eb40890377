//! All comparisons of generated with observed cells in one table.

use std::fmt;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::{
    ClassifierOutcome, ClassifierTest, ClassifierTestError, Composition, CompositionError, CorrelationAgreement, Diversity,
    DiversityOptions, GeneMismatch, LabeledCells, MomentAgreement, SampleDistances, TwoSampleTest, class_composition, diversity,
    moment_agreement,
};
use crate::score::aligned;

/// How generated cells differ from observed ones as a whole, over all and by class.
///
/// [`Display`](fmt::Display) is an aligned table, a line for all cells and one for each class, with `-` where there are too few
/// cells; the columns are those of [`DistributionRow`]. To know what is large, compare two observed sections by the same report.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DistributionReport {
    /// All cells.
    pub overall: DistributionRow,
    /// The cells of each class that occurs on either side, in alphabetical order.
    pub by_class: Vec<DistributionRow>,
    /// How frequent the classes are.
    pub composition: Composition,
    /// How different generated cells are from each other; `None` for a single cell.
    pub generated_diversity: Option<Diversity>,
    /// How different observed cells are from each other; `None` for a single cell.
    pub observed_diversity: Option<Diversity>,
}

/// The comparisons of some cells. All are `None` where a class has too few cells on one side
/// ([`TwoSampleTest::with_min_cells`]).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DistributionRow {
    /// The class, or "all cells".
    pub class: String,
    /// Generated cells.
    pub generated_cells: usize,
    /// Observed cells.
    pub observed_cells: usize,
    /// Agreement of Pearson's correlations between genes; `None` also where fewer than three genes vary on both sides. Printed:
    /// its `pearson`, as `gene_correlation`.
    pub correlations: Option<CorrelationAgreement>,
    /// Agreement of means, variances and detection; `None` also where fewer than two genes do. Printed: Pearson's correlation of
    /// the log means as `mean`, and the mean difference of the log variances as `log_variance`.
    pub moments: Option<MomentAgreement>,
    /// Energy distance and maximum mean discrepancy. Printed: the unbiased forms as `energy` and `mmd2`, and the p-values.
    pub distances: Option<SampleDistances>,
    /// How well a classifier tells the sides apart; `None` also with fewer than two cells for each fold. Printed: the area under
    /// the curve as `auroc`, and its p-value.
    pub classifier: Option<ClassifierOutcome>,
}

/// An error of a [`DistributionReport`].
#[derive(Clone, Debug, PartialEq, Error)]
#[non_exhaustive]
pub enum DistributionReportError {
    /// The sides have different genes.
    #[error(transparent)]
    Genes(#[from] GeneMismatch),
    /// A side is empty.
    #[error(transparent)]
    Composition(#[from] CompositionError),
    /// The classifier has no fit.
    #[error(transparent)]
    Classifier(#[from] ClassifierTestError),
}

impl DistributionReport {
    /// Compares the cells by the default tests.
    ///
    /// # Errors
    ///
    /// Different genes, a side without cells, and a classifier that does not converge are errors.
    pub fn new(generated: &LabeledCells, observed: &LabeledCells) -> Result<Self, DistributionReportError> {
        Self::with_tests(generated, observed, &TwoSampleTest::new(), &ClassifierTest::new())
    }

    /// Compares the cells by these tests.
    ///
    /// # Errors
    ///
    /// As [`DistributionReport::new`].
    pub fn with_tests(
        generated: &LabeledCells,
        observed: &LabeledCells,
        two_sample: &TwoSampleTest,
        classifier: &ClassifierTest,
    ) -> Result<Self, DistributionReportError> {
        let distances = two_sample.compare_by_class(generated, observed)?;
        let composition = class_composition(generated.classes(), observed.classes())?;
        let outcomes = classifier.compare_by_class(generated, observed)?;
        let by_class = distances.into_iter().zip(outcomes).map(|(class, classifier)| {
            let (written, measured) = (generated.cells_of(&class.class), observed.cells_of(&class.class));
            let mut row = DistributionRow {
                generated_cells: class.generated_cells,
                observed_cells: class.observed_cells,
                class: class.class,
                correlations: None,
                moments: None,
                distances: class.distances,
                classifier: None,
            };
            if row.distances.is_some() {
                let (written, measured) = (generated.matrix().select(written), observed.matrix().select(measured));
                row.correlations = CorrelationAgreement::pearson(&written, &measured).ok();
                row.moments = moment_agreement(&written, &measured).ok();
                row.classifier = classifier.outcome;
            }
            row
        });
        let by_class = by_class.collect();

        // Genes are the same, so that only too few cells or genes is left to go wrong.
        let (generated, observed) = (generated.matrix(), observed.matrix());
        let overall = DistributionRow {
            class: "all cells".to_owned(),
            generated_cells: generated.n_cells(),
            observed_cells: observed.n_cells(),
            correlations: CorrelationAgreement::pearson(generated, observed).ok(),
            moments: moment_agreement(generated, observed).ok(),
            distances: two_sample.compare(generated, observed).ok(),
            classifier: match classifier.compare(generated, observed) {
                Err(ClassifierTestError::TooFewCells { .. }) => None,
                outcome => Some(outcome?),
            },
        };
        let diversity = |cells| diversity(cells, &DiversityOptions::new()).ok();
        let (generated_diversity, observed_diversity) = (diversity(generated), diversity(observed));
        Ok(Self { overall, by_class, composition, generated_diversity, observed_diversity })
    }
}

impl fmt::Display for DistributionReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut lines = vec![COLUMNS.map(str::to_owned).to_vec()];
        lines.extend(std::iter::once(&self.overall).chain(&self.by_class).map(DistributionRow::cells));
        f.write_str(&aligned(&lines))?;
        let Composition { total_variation, jensen_shannon, .. } = self.composition;
        writeln!(f, "classes: total variation {total_variation:.3}, Jensen-Shannon divergence {jensen_shannon:.3} bits")?;
        for (side, diversity) in [("generated", self.generated_diversity), ("observed", self.observed_diversity)] {
            if let Some(Diversity { duplicates, panel_coverage, usage_entropy, mean_jaccard, .. }) = diversity {
                writeln!(
                    f,
                    "{side} cells: {duplicates:.3} duplicates, {panel_coverage:.3} of the panel used, {usage_entropy:.2} bits of gene \
                     usage, mean Jaccard index {mean_jaccard:.3}"
                )?;
            }
        }
        Ok(())
    }
}

const COLUMNS: [&str; 12] =
    ["class", "generated", "observed", "gene_correlation", "mean", "log_variance", "energy", "p", "mmd2", "p", "auroc", "p"];

impl DistributionRow {
    fn cells(&self) -> Vec<String> {
        let number = |value: Option<f64>| value.map_or_else(|| "-".to_owned(), |value| format!("{value:.3}"));
        let p_value = |value: Option<f64>| value.map_or_else(|| "-".to_owned(), |value| format!("{value:.2e}"));
        let (moments, distances) = (self.moments.as_ref(), self.distances.as_ref());
        vec![
            self.class.clone(),
            self.generated_cells.to_string(),
            self.observed_cells.to_string(),
            number(self.correlations.and_then(|agreement| agreement.pearson)),
            number(moments.and_then(|agreement| agreement.log_mean.pearson)),
            number(moments.map(|agreement| agreement.log_variance.mean_difference)),
            number(distances.map(|distances| distances.energy.unbiased)),
            p_value(distances.and_then(|distances| distances.energy.p_value)),
            number(distances.map(|distances| distances.mmd.unbiased)),
            p_value(distances.and_then(|distances| distances.mmd.p_value)),
            number(self.classifier.map(|outcome| outcome.auroc)),
            p_value(self.classifier.map(|outcome| outcome.p_value)),
        ]
    }
}

#[cfg(test)]
mod tests {
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::*;
    use crate::ExpressionMatrix;

    const CLASSES: [&str; 3] = ["Astro", "Neuron", "OEC"];

    /// Cells of two classes, the last one of a third; `spread` scales the distances from the mean of the class.
    fn section(n: usize, spread: f32, seed: u64) -> (ExpressionMatrix, Vec<&'static str>) {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let mut cells = ExpressionMatrix::new((0..6).map(|gene| format!("G{gene}"))).unwrap();
        let class_of = |cell: usize| if cell + 1 == n { 2 } else { cell % 2 };
        for cell in 0..n {
            let shared = rng.random_range(-1.0..1.0_f32);
            let mut value = |gene: usize| 2.0 + (gene + class_of(cell)) as f32 % 3.0 + spread * (shared + rng.random_range(-0.5..0.5));
            cells.push_dense(&(0..6).map(&mut value).collect::<Vec<_>>()).unwrap();
        }
        (cells, (0..n).map(|cell| CLASSES[class_of(cell)]).collect())
    }

    fn report(spread: f32) -> DistributionReport {
        let ((generated, written), (observed, measured)) = (section(81, spread, 1), section(81, 1.0, 2));
        let (generated, observed) = (LabeledCells::new(&generated, &written).unwrap(), LabeledCells::new(&observed, &measured).unwrap());
        let two_sample = TwoSampleTest::new().with_permutations(99);
        DistributionReport::with_tests(&generated, &observed, &two_sample, &ClassifierTest::new()).unwrap()
    }

    #[test]
    fn a_model_without_spread_is_found_out_in_every_class() {
        let (good, narrow) = (report(1.0), report(0.2));
        for row in 0..2 {
            let (good, narrow) = (&good.by_class[row], &narrow.by_class[row]);
            assert!(good.distances.unwrap().energy.p_value.unwrap() > 0.02 && narrow.distances.unwrap().energy.p_value == Some(0.01));
            assert!(narrow.moments.unwrap().log_variance.mean_difference < -1.0);
            assert!(good.moments.unwrap().log_variance.mean_difference.abs() < 0.3);
            // Means are those of the class, so that a linear classifier sees nothing.
            assert!(narrow.classifier.unwrap().auroc < 0.7);
        }
        assert_eq!(narrow.composition.total_variation, 0.0);
    }

    #[test]
    fn a_class_with_too_few_cells_keeps_its_line() {
        let report = report(1.0);
        let row = &report.by_class[2];
        assert_eq!((row.class.as_str(), row.generated_cells, row.observed_cells), ("OEC", 1, 1));
        assert!(row.correlations.is_none() && row.moments.is_none() && row.distances.is_none() && row.classifier.is_none());
        let text = report.to_string();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 1 + 4 + 1 + 2);
        assert_eq!(lines[4].split_whitespace().collect::<Vec<_>>(), ["OEC", "1", "1", "-", "-", "-", "-", "-", "-", "-", "-", "-"]);
        assert!(lines[1].starts_with("all cells         81        81"), "{text}");
    }

    #[test]
    fn a_report_survives_json() {
        let report = report(1.0);
        let text = serde_json::to_string(&report).unwrap();
        assert_eq!(serde_json::from_str::<DistributionReport>(&text).unwrap(), report);
    }

    #[test]
    fn few_cells_leave_a_report_without_numbers() {
        let (cells, labels) = section(1, 1.0, 1);
        let labeled = LabeledCells::new(&cells, &labels).unwrap();
        let overall = DistributionReport::new(&labeled, &labeled).unwrap().overall;
        assert!(overall.correlations.is_none() && overall.distances.is_none() && overall.classifier.is_none());
    }

    #[test]
    fn bad_input_is_an_error_with_its_values() {
        let (cells, labels) = section(30, 1.0, 1);
        let labeled = LabeledCells::new(&cells, &labels).unwrap();
        let (empty, other) = (cells.select(&[]), ExpressionMatrix::new(["G0"]).unwrap());
        let none: [&str; 0] = [];
        let error = DistributionReport::new(&LabeledCells::new(&empty, &none).unwrap(), &labeled).unwrap_err();
        assert_eq!(error.to_string(), "both sides need cells, there are 0 generated and 30 observed");
        let error = DistributionReport::new(&LabeledCells::new(&other, &none).unwrap(), &labeled).unwrap_err();
        assert!(matches!(error, DistributionReportError::Genes(_)));
    }
}
