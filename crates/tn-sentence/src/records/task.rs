//! A row of the table of tasks.

/// One cell to be written: its neighbors, its place, and the observed answer.
#[derive(Clone, Debug, Default, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct TaskRecord {
    /// The name of the target cell.
    pub cell_name: String,
    /// The spatial sentence of the neighbors.
    pub prompt: String,
    /// The cell sentence of the target as it was observed.
    pub answer: String,
    /// Where the target is: horizontal coordinate in micrometers.
    pub x: f64,
    /// Where the target is: vertical coordinate in micrometers.
    pub y: f64,
    /// The section of the target and its neighbors.
    pub section: String,
    /// The names of the neighbors, in the order of the prompt.
    pub neighbor_cell_names: Vec<String>,
    /// The class of the target, empty where unknown.
    pub class: String,
    /// The split of the target, empty where unknown.
    pub split: String,
    /// The scenario that the task belongs to, if any.
    pub scenario: Option<ScenarioLabel>,
}

/// Says which side of which pair a task of a scenario is.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct ScenarioLabel {
    /// The scenario in words.
    pub scenario: String,
    /// `control` or `perturbed`.
    pub condition: String,
    /// Names the pair: equal for a control and its perturbed twin.
    pub pair_id: String,
}
