//! Are generated cells, taken together, like observed ones?

mod correlation_agreement;
mod gene_correlation;
mod gene_mismatch;
mod gene_moments;
mod labeled_cells;
mod subsample;
mod two_sample;

pub use correlation_agreement::{CorrelationAgreement, CorrelationAgreementError};
pub use gene_correlation::GeneCorrelations;
pub use gene_mismatch::GeneMismatch;
pub use gene_moments::{Agreement, GeneMoments, GeneMomentsError, MomentAgreement, gene_moments, moment_agreement};
pub use labeled_cells::{LabelMismatch, LabeledCells};
pub use two_sample::{ClassDistances, SampleDistances, TwoSampleError, TwoSampleStatistic, TwoSampleTest};
