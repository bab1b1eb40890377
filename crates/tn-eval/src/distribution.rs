//! Are generated cells, taken together, like observed ones?

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
pub use spatial_weights::{SpatialWeights, SpatialWeightsError};
pub use two_sample::{ClassDistances, SampleDistances, TwoSampleError, TwoSampleStatistic, TwoSampleTest};
