//! Training a decoder on token sequences: from scratch or through LoRA adapters.

mod config;
mod device_passes;
mod error;
mod memory_plan;
mod optimizer;
mod progress;
mod state;
mod trainer;

pub use config::{MomentFormat, Schedule, TrainingConfig};
pub use error::TrainError;
pub use memory_plan::{MemoryLine, MemoryPlan, PlanError, StepShape};
pub use progress::{Control, EpochReport, Progress, SkippedStep, StepReport};
pub use state::kept_states;
pub use trainer::{Trainer, TrainingSummary};
