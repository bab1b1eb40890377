//! What a run reports while it goes on.

/// Report of one optimiser step.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct StepReport {
    /// The step, from 0.
    pub step: u64,
    /// Steps of the whole run.
    pub steps: u64,
    /// Mean loss of the step's labelled tokens by their weights, in nats.
    pub loss: f64,
    /// Norm of the gradient before clipping.
    pub gradient_norm: f64,
    /// Learning rate of the step.
    pub learning_rate: f64,
    /// Tokens read in the step, labelled or not.
    pub tokens: usize,
    /// Seconds that the step took.
    pub seconds: f64,
}

/// Report of a step that was left out, because its loss or its gradients were infinite or not a number.
#[derive(Clone, Debug, PartialEq)]
pub struct SkippedStep {
    /// The step, from 0.
    pub step: u64,
    /// Mean loss of the step's labelled tokens by their weights, in nats.
    pub loss: f64,
    /// Norm of the gradient.
    pub gradient_norm: f64,
    /// The sequences that are to blame, by their places among the training sequences, from 0: those whose own loss or gradients are not
    /// finite, or all of the step where each by itself is.
    pub sequences: Vec<usize>,
    /// The first parameter whose gradient is not finite, by its key in a checkpoint.
    pub parameter: Option<String>,
}

/// Report at the end of an epoch, or of the run when it ends inside one.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct EpochReport {
    /// The epoch, from 0.
    pub epoch: u64,
    /// Mean loss of the labelled tokens of the validation sequences, without weights, in nats; `None` without validation sequences.
    pub validation_loss: Option<f64>,
}

/// Whether a run goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Control {
    /// The run goes on.
    Continue,
    /// The run saves its state and ends after this step.
    Stop,
}

/// Receives the reports of a run. `()` ignores them.
pub trait Progress {
    /// Is called after every step and decides whether the run goes on.
    fn step(&mut self, report: &StepReport) -> Control {
        let _ = report;
        Control::Continue
    }

    /// Is called for a step that was left out, before the run goes on or ends with an error.
    fn skipped(&mut self, report: &SkippedStep) {
        let _ = report;
    }

    /// Is called after every epoch.
    fn epoch(&mut self, report: &EpochReport) {
        let _ = report;
    }
}

impl Progress for () {}
