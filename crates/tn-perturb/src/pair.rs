//! A control and its perturbed twin.

use serde::{Deserialize, Serialize};
use tn_sentence::TaskRecord;

use crate::Change;

/// The condition of a control, as in the column `condition`.
pub const CONTROL: &str = "control";

/// The condition of a perturbed task, as in the column `condition`.
pub const PERTURBED: &str = "perturbed";

/// Two tasks of the same target that differ in exactly the listed changes of its neighborhood.
///
/// Both have the same cell name, place, answer and `pair_id`. A request's seed depends on the cell name
/// ([`request_seed`](tn_sentence::request_seed)), so both are written with the same luck; and the random orders of a
/// prompt depend on the names of the neighbors, so the cells that both share come in the same order.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct TaskPair {
    pub(crate) control: TaskRecord,
    pub(crate) perturbed: TaskRecord,
    pub(crate) changes: Vec<Change>,
}

impl TaskPair {
    /// Returns the task as it was observed.
    pub fn control(&self) -> &TaskRecord {
        &self.control
    }

    /// Returns the task with the changed neighborhood.
    pub fn perturbed(&self) -> &TaskRecord {
        &self.perturbed
    }

    /// Returns what was changed.
    pub fn changes(&self) -> &[Change] {
        &self.changes
    }

    /// Returns control and perturbed task, in this order.
    pub fn into_tasks(self) -> [TaskRecord; 2] {
        [self.control, self.perturbed]
    }
}
