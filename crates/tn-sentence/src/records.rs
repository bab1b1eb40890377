//! The rows of the tables that pass between the steps: cells, sentences, tasks, generated cells and surprises.
//!
//! Reading and writing files is the business of `tn-io`; everyone else passes these values around.

mod cell;
mod generated;
mod sentence;
mod surprise;
mod task;

pub use self::{
    cell::CellRecord,
    generated::{FinishReason, GeneratedRecord, UnknownFinishReason},
    sentence::SentenceRecord,
    surprise::{CellLikelihood, SurpriseRecord},
    task::{ScenarioLabel, TaskRecord},
};
