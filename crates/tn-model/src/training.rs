//! Training a decoder on token sequences: from scratch or through LoRA adapters.

mod config;
mod error;
mod progress;
mod state;
mod trainer;

pub use config::{Schedule, TrainingConfig};
pub use error::TrainError;
pub use progress::{Control, EpochReport, Progress, StepReport};
pub use trainer::{Trainer, TrainingSummary};
