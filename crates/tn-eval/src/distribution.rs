//! Are generated cells, taken together, like observed ones?
//!
//! A ranking that is right for each cell says little about the cells as a population: a model that writes the typical cell of
//! every class over and over scores well, and its tissue has no spread, no genes that go together, no patterns. What is compared
//! here are distributions; cells need be neither paired nor equally many.
//!
//! ```
//! use tn_eval::ExpressionMatrix;
//! use tn_eval::distribution::{DistributionReport, LabeledCells};
//!
//! // GFAP and AQP4 go together in measured astrocytes; the model writes each for itself, and no neuron at all.
//! let genes = ["GFAP", "AQP4", "APOE", "GAD1"];
//! let (mut generated, mut observed) = (ExpressionMatrix::new(genes)?, ExpressionMatrix::new(genes)?);
//! let (mut written, mut measured) = (Vec::new(), Vec::new());
//! for cell in 0..60 {
//!     let (a, b) = ((cell % 6) as f32, (cell * 7 % 10) as f32);
//!     generated.push_dense(&[a, 5.0 - a, b, 0.0])?;
//!     written.push("Astro");
//!     let neuron = cell % 10 == 0;
//!     observed.push_dense(&if neuron { [0.0, 0.0, 0.0, 5.0] } else { [a, a + 0.1 * b, b, 0.0] })?;
//!     measured.push(if neuron { "Neuron" } else { "Astro" });
//! }
//! let report = DistributionReport::new(&LabeledCells::new(&generated, &written)?, &LabeledCells::new(&observed, &measured)?)?;
//! println!("{report}"); // one line for all cells, one for each class
//!
//! let astrocytes = &report.by_class[0];
//! assert!(astrocytes.correlations.unwrap().pearson.unwrap() < 0.0);
//! assert!(astrocytes.distances.unwrap().energy.p_value.unwrap() < 0.05);
//! assert_eq!(report.by_class[1].distances, None); // six neurons against none
//! assert!((report.composition.total_variation - 0.1).abs() < 1e-12);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Which item do I need?
//!
//! | You ask | Use |
//! |---|---|
//! | for all of it in one table | [`DistributionReport`] |
//! | which genes go together | [`CorrelationAgreement`], [`GeneCorrelations`] |
//! | whether genes vary as much, and are detected as often | [`moment_agreement`], [`gene_moments`] |
//! | how far two samples are apart, with a p-value | [`TwoSampleTest`] |
//! | whether a classifier tells them apart | [`ClassifierTest`], [`LogisticRegression`] |
//! | whether neighbors are as similar | [`MoransI`], [`autocorrelation_agreement`] |
//! | whether the classes are as frequent | [`class_composition`] |
//! | which class was written for which | [`ClassConfusion`] |
//! | whether cells differ from each other, and from those known | [`diversity`], [`novelty`] |
//!
//! Both sides have the same genes in the same order, and values on the same scale; distances and correlations are usually taken
//! of logarithms. Rankings become expression by [`ExpressionModel`](crate::ExpressionModel); to compare like with like, rank and
//! reconstruct the observed cells too, or what is compared is the reconstruction. What is drawn comes from a seed; results have
//! the same bytes on any number of threads.

mod autocorrelation_agreement;
mod class_confusion;
mod classifier_test;
mod composition;
mod correlation_agreement;
mod diversity;
mod gene_correlation;
mod gene_mismatch;
mod gene_moments;
mod labeled_cells;
mod logistic_regression;
mod morans_i;
mod novelty;
mod ranked_genes;
mod report;
mod spatial_weights;
mod subsample;
mod two_sample;

pub use autocorrelation_agreement::{
    AutocorrelationAgreement, AutocorrelationAgreementError, AutocorrelationPair, autocorrelation_agreement,
};
pub use class_confusion::{ClassConfusion, ClassConfusionError};
pub use classifier_test::{ClassOutcome, ClassifierOutcome, ClassifierTest, ClassifierTestError};
pub use composition::{ClassShare, Composition, CompositionError, class_composition};
pub use correlation_agreement::{CorrelationAgreement, CorrelationAgreementError};
pub use diversity::{Diversity, DiversityError, DiversityOptions, diversity};
pub use gene_correlation::GeneCorrelations;
pub use gene_mismatch::GeneMismatch;
pub use gene_moments::{Agreement, GeneMoments, GeneMomentsError, MomentAgreement, gene_moments, moment_agreement};
pub use labeled_cells::{LabelMismatch, LabeledCells};
pub use logistic_regression::{LogisticRegression, LogisticRegressionError};
pub use morans_i::{GeneAutocorrelation, MoransI, MoransIError};
pub use novelty::{Novelty, NoveltyError, novelty};
pub use report::{DistributionReport, DistributionReportError, DistributionRow};
pub use spatial_weights::{SpatialWeights, SpatialWeightsError};
pub use two_sample::{ClassDistances, SampleDistances, TwoSampleError, TwoSampleStatistic, TwoSampleTest};
