//! Training a decoder on token sequences: from scratch or through LoRA adapters.

mod batch_gradients;
mod collective;
mod config;
#[cfg(feature = "data-parallel")]
mod data_parallel;
mod device_passes;
mod error;
mod labelled;
mod memory_plan;
mod optimizer;
mod progress;
mod shared_gradients;
mod state;
mod trainer;

#[cfg(feature = "data-parallel")]
pub use collective::ThreadGroup;
pub use collective::{Collective, CollectiveError};
pub use config::{MomentFormat, Schedule, TrainingConfig};
pub use error::TrainError;
pub use labelled::visiting_order;
pub use memory_plan::{MemoryLine, MemoryPlan, PlanError, StepShape};
pub use progress::{Control, EpochReport, Progress, SkippedStep, StepReport};
pub use state::kept_states;
pub use trainer::{Trainer, TrainingSummary};
