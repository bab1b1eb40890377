//! What can stop a training run.

use std::path::PathBuf;

use super::collective::CollectiveError;

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
    #[error(
        "loss or gradients were not finite in the last {times} steps, up to step {step} (training sequences {}); try a smaller learning rate \
         and look at these sequences",
        listed(sequences)
    )]
    Diverged {
        /// The last such step, from 0.
        step: u64,
        /// How many in a row.
        times: u32,
        /// The sequences to blame in that step, by their places among the training sequences, from 0.
        sequences: Vec<usize>,
    },
    /// Loss or gradients were not finite too often, even though not in a row.
    #[error(
        "loss or gradients were not finite in {skipped} steps up to step {step} (there: training sequences {}), at most {limit} may be; \
         try a smaller learning rate and look at these sequences",
        listed(sequences)
    )]
    TooManySkipped {
        /// The last such step, from 0.
        step: u64,
        /// How many there were.
        skipped: u64,
        /// How many there may be: 3, or one in a hundred of the run's steps.
        limit: u64,
        /// The sequences to blame in that step, by their places among the training sequences, from 0.
        sequences: Vec<usize>,
    },
    /// A step is too large for the memory of the device.
    #[error(transparent)]
    DoesNotFit(#[from] super::PlanError),
    /// The device failed, and asking it for less memory did not help.
    #[error("the device failed in a pass over a single sequence: {reason}")]
    Device {
        /// What the device says.
        reason: String,
    },
    /// The workers of a data-parallel run cannot go on together.
    #[error("the workers cannot go on together")]
    Workers(#[from] CollectiveError),
    /// A worker of a data-parallel run other than the first one failed, and with it the run.
    #[error("worker {worker} failed")]
    Worker {
        /// Its rank.
        worker: usize,
        /// What happened to it.
        source: Box<TrainError>,
    },
    /// A worker of a data-parallel run panicked, and with it ended the run.
    #[error("worker {worker} panicked: {message}")]
    WorkerPanicked {
        /// Its rank.
        worker: usize,
        /// The message of the panic.
        message: String,
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

/// Sequences that a message lists.
const LISTED: usize = 8;

/// Lists the first sequences, and says how many more there are.
fn listed(sequences: &[usize]) -> String {
    let first: Vec<String> = sequences.iter().take(LISTED).map(usize::to_string).collect();
    let more = sequences.len().saturating_sub(LISTED);
    if more == 0 { first.join(", ") } else { format!("{} and {more} more", first.join(", ")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_lists_some_sequences_and_counts_the_others() {
        assert_eq!(listed(&[3]), "3");
        assert_eq!(listed(&[7, 1, 40, 2, 9, 5, 6, 8]), "7, 1, 40, 2, 9, 5, 6, 8");
        assert_eq!(listed(&(0..20).collect::<Vec<_>>()), "0, 1, 2, 3, 4, 5, 6, 7 and 12 more");
    }
}
