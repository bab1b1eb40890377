//! Are generated cells, taken together, like observed ones?

mod autocorrelation_agreement;
mod correlation_agreement;
mod gene_correlation;
mod gene_mismatch;
mod gene_moments;
mod labeled_cells;
mod morans_i;
mod spatial_weights;
mod subsample;
mod two_sample;

pub use autocorrelation_agreement::{
    AutocorrelationAgreement, AutocorrelationAgreementError, AutocorrelationPair, autocorrelation_agreement,
};
pub use correlation_agreement::{CorrelationAgreement, CorrelationAgreementError};
pub use gene_correlation::GeneCorrelations;
pub use gene_mismatch::GeneMismatch;
pub use gene_moments::{Agreement, GeneMoments, GeneMomentsError, MomentAgreement, gene_moments, moment_agreement};
pub use labeled_cells::{LabelMismatch, LabeledCells};
pub use morans_i::{GeneAutocorrelation, MoransI, MoransIError};
pub use spatial_weights::{SpatialWeights, SpatialWeightsError};
pub use two_sample::{ClassDistances, SampleDistances, TwoSampleError, TwoSampleStatistic, TwoSampleTest};
