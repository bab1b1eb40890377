//! The rows of the tables that pass between the steps: cells, sentences, tasks and generated cells.
//!
//! Reading and writing files is the business of `tn-io`; everyone else passes these values around.

mod cell;
mod generated;
mod sentence;
mod task;

pub use self::{
    cell::CellRecord,
    generated::{FinishReason, GeneratedRecord, UnknownFinishReason},
    sentence::SentenceRecord,
    task::{ScenarioLabel, TaskRecord},
};
