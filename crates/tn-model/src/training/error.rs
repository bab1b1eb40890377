//! What can stop a training run.

use std::path::PathBuf;

/// An error of a training run.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TrainError {
    /// A setting lies outside its range.
    #[error("{name} is {value}, but has to be {expected}")]
    InvalidSetting {
        /// The setting.
        name: &'static str,
        /// Its value.
        value: f64,
        /// Its range.
        expected: &'static str,
    },
    /// No training sequence has a token to learn.
    #[error("there is nothing to learn: none of the {sequences} training sequences has a labelled token")]
    NothingToLearn {
        /// Number of training sequences.
        sequences: usize,
    },
    /// A token does not exist in the model.
    #[error(
        "a training sequence contains token {token}, but the model's vocabulary has {vocabulary} tokens; the tokenizer is not the model's"
    )]
    TokenOutsideVocabulary {
        /// The token.
        token: u32,
        /// The model's vocabulary size.
        vocabulary: usize,
    },
    /// Loss or gradients stayed infinite or not a number.
    #[error("loss or gradients were not finite in the last {times} steps, up to step {step}; try a smaller learning rate")]
    Diverged {
        /// The last such step, from 0.
        step: u64,
        /// How many in a row.
        times: u32,
    },
    /// Loss or gradients were not finite too often, even though not in a row.
    #[error("loss or gradients were not finite in {skipped} steps up to step {step}, at most {limit} may be; try a smaller learning rate")]
    TooManySkipped {
        /// The last such step, from 0.
        step: u64,
        /// How many there were.
        skipped: u64,
        /// How many there may be: 3, or one in a hundred of the run's steps.
        limit: u64,
    },
    /// A saved state belongs to another run.
    #[error("the state in {path} belongs to a run with other data or settings ({found}, this run is {expected}); start without resuming")]
    OtherRun {
        /// The state's file.
        path: PathBuf,
        /// Fingerprint of the saved run.
        found: String,
        /// Fingerprint of this run.
        expected: String,
    },
    /// A saved state cannot be read.
    #[error("the training state in {path} cannot be read: {reason}; delete it to start anew")]
    MalformedState {
        /// The state's file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// A file cannot be read or written.
    #[error("cannot access {path}")]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
}
