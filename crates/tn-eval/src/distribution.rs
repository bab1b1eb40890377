//! Are generated cells, taken together, like observed ones?

mod correlation_agreement;
mod gene_correlation;
mod gene_mismatch;
mod gene_moments;

pub use correlation_agreement::{CorrelationAgreement, CorrelationAgreementError};
pub use gene_correlation::GeneCorrelations;
pub use gene_mismatch::GeneMismatch;
pub use gene_moments::{Agreement, GeneMoments, GeneMomentsError, MomentAgreement, gene_moments, moment_agreement};
