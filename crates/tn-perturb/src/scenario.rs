//! A change of many neighborhoods, as data.

mod insertion;
mod removal;

use std::fmt;

use serde::{Deserialize, Serialize};
use thiserror::Error;
use tn_sentence::{CellRecord, PositionError, ScenarioLabel};
use tn_spatial::{TaskError, TaskOptions, Tasks};

use self::insertion::Donors;
use crate::{Change, Edit, TaskPair, pair};

/// An [`Edit`] of the neighborhoods of a class of cells.
///
/// [`Display`](fmt::Display) says it in words: `Astro: insert 1 OEC at 15 um`.
///
/// # Examples
///
/// A scenario is data, and comes back from a file as it was:
///
/// ```
/// use tn_perturb::{Edit, Scenario};
///
/// let scenario = Scenario::new("T cell", Edit::RemoveNeighbors { class: "Tumor".to_owned(), radius_um: 30.0 });
/// let text = serde_json::to_string(&scenario)?;
/// assert_eq!(text, r#"{"focal_class":"T cell","edit":"remove-neighbors","class":"Tumor","radius_um":30.0,"seed":42}"#);
/// assert_eq!(serde_json::from_str::<Scenario>(&text)?, scenario);
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Scenario {
    focal_class: String,
    #[serde(flatten)]
    edit: Edit,
    #[serde(default = "default_seed")]
    seed: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    donor_split: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    clear_radius_um: Option<f64>,
}

fn default_seed() -> u64 {
    42
}

impl Scenario {
    /// Builds a scenario for targets of `focal_class`, with seed 42.
    pub fn new(focal_class: impl Into<String>, edit: Edit) -> Self {
        Self { focal_class: focal_class.into(), edit, seed: default_seed(), donor_split: None, clear_radius_um: None }
    }

    /// Replaces the seed, from which inserted cells and their directions are drawn.
    pub fn with_seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// Takes inserted cells only from this split, such as `train`; by default from any.
    pub fn with_donor_split(mut self, split: impl Into<String>) -> Self {
        self.donor_split = Some(split.into());
        self
    }

    /// Leaves out targets that already have a neighbor of the edited class at this distance or less, in micrometers.
    ///
    /// For insertions: the control then shows no such cell near the target, and the perturbed twin does.
    pub fn with_clear_radius(mut self, radius_um: f64) -> Self {
        self.clear_radius_um = Some(radius_um);
        self
    }

    /// Returns the class of the targets.
    pub fn focal_class(&self) -> &str {
        &self.focal_class
    }

    /// Returns what is changed.
    pub fn edit(&self) -> &Edit {
        &self.edit
    }

    /// Builds the matched pairs of all targets, in the order of the table.
    ///
    /// `options` choose the targets among the cells of the focal class and say what their prompts show, as for
    /// [`build_tasks`](tn_spatial::build_tasks). The control is exactly the task that `build_tasks` builds.
    ///
    /// - Inserted cells are real cells of their class from anywhere in the table, each drawn from the seed and the name
    ///   of the target; never the target or a cell that the control shows. They keep their genes and metadata and are
    ///   put at the given distance in a drawn direction. No other cell gives way: the perturbed prompt has `count` more
    ///   cells, so a prompt builder that keeps fewer cells than that would drop one of the others.
    /// - Removed cells are not replaced by farther ones. A target without a cell to remove yields no pair.
    ///
    /// Prompts are far to near, like those of all tasks.
    ///
    /// # Errors
    ///
    /// Returns an error for a scenario that says nothing (a distance that is negative or no number, no cell to insert),
    /// when there is no target, when there are fewer cells to insert than wanted, and when no target is changed.
    pub fn pairs(&self, cells: &[CellRecord], options: &TaskOptions) -> Result<Vec<TaskPair>, ScenarioError> {
        self.validate()?;
        let tasks = Tasks::plan(cells, &options.clone().with_class(&self.focal_class))?;
        let donors = Donors::find(cells, self.edit.class(), self.donor_split.as_deref());
        let mut pairs = Vec::new();
        for task in 0..tasks.len() {
            let neighbors = tasks.neighbors(task);
            if self.is_occupied(tasks.target(task), &neighbors) {
                continue;
            }
            let (edited, changes) = self.apply(tasks.target(task), &neighbors, &donors)?;
            if !changes.is_empty() {
                pairs.push(self.pair(&tasks, task, &neighbors, &edited, changes));
            }
        }
        if pairs.is_empty() {
            return Err(ScenarioError::NothingChanged { scenario: self.to_string(), targets: tasks.len() });
        }
        Ok(pairs)
    }

    fn validate(&self) -> Result<(), ScenarioError> {
        let (distance, count) = match self.edit {
            Edit::InsertNeighbor { distance_um, count, .. } => (distance_um, count),
            Edit::RemoveNeighbors { radius_um, .. } => (radius_um, 1),
        };
        for distance_um in [Some(distance), self.clear_radius_um].into_iter().flatten() {
            if !(distance_um >= 0.0 && distance_um.is_finite()) {
                return Err(ScenarioError::InvalidDistance { distance_um });
            }
        }
        if count == 0 {
            return Err(ScenarioError::NothingToInsert);
        }
        Ok(())
    }

    fn is_occupied(&self, target: &CellRecord, neighbors: &[&CellRecord]) -> bool {
        self.clear_radius_um.is_some_and(|radius| neighbors.iter().any(|cell| is_near(target, cell, self.edit.class(), radius)))
    }

    fn apply(
        &self,
        target: &CellRecord,
        neighbors: &[&CellRecord],
        donors: &Donors<'_>,
    ) -> Result<(Vec<CellRecord>, Vec<Change>), ScenarioError> {
        match &self.edit {
            Edit::InsertNeighbor { distance_um, count, .. } => donors.insert(target, neighbors, *distance_um, *count as usize, self.seed),
            Edit::RemoveNeighbors { class, radius_um } => Ok(removal::remove(target, neighbors, class, *radius_um)),
        }
    }

    fn pair(&self, tasks: &Tasks<'_>, task: usize, neighbors: &[&CellRecord], edited: &[CellRecord], changes: Vec<Change>) -> TaskPair {
        let label = |condition: &str| {
            let scenario = self.to_string();
            let pair_id = format!("{scenario}: {}", tasks.target(task).cell_name);
            Some(ScenarioLabel { scenario, condition: condition.to_owned(), pair_id })
        };
        let mut control = tasks.write(task, neighbors);
        control.scenario = label(pair::CONTROL);
        let mut perturbed = tasks.write(task, edited);
        perturbed.scenario = label(pair::PERTURBED);
        TaskPair { control, perturbed, changes }
    }
}

/// Returns whether a cell is of a class and within a radius of the target.
fn is_near(target: &CellRecord, cell: &CellRecord, class: &str, radius_um: f64) -> bool {
    cell.class() == Some(class) && target.position.distance(&cell.position) <= radius_um
}

impl fmt::Display for Scenario {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.focal_class, self.edit)
    }
}

/// A scenario that yields no pairs.
#[derive(Clone, Debug, Error, PartialEq)]
#[non_exhaustive]
pub enum ScenarioError {
    /// A distance is negative or no finite number.
    #[error("distance is {distance_um} um, expected a finite number that is not negative")]
    InvalidDistance {
        /// The distance found, in micrometers.
        distance_um: f64,
    },
    /// An insertion inserts no cell.
    #[error("expected at least one cell to insert, found a count of 0")]
    NothingToInsert,
    /// There is no target.
    #[error("no target for the scenario")]
    NoTargets(#[from] TaskError),
    /// The table has too few cells to insert.
    #[error("expected {wanted} cells of class {class:?} to insert next to {target:?}, found {found}")]
    NotEnoughDonors {
        /// The class of the cells.
        class: String,
        /// The name of the target.
        target: String,
        /// The number of cells wanted.
        wanted: usize,
        /// The number of cells found, without those that the control shows.
        found: usize,
    },
    /// An inserted cell would have no position.
    #[error("an inserted cell would have no position")]
    Position(#[from] PositionError),
    /// No neighborhood is changed.
    #[error("{scenario:?} changes the neighborhood of none of {targets} targets")]
    NothingChanged {
        /// The scenario in words.
        scenario: String,
        /// The number of targets.
        targets: usize,
    },
}

#[cfg(test)]
mod tests {
    use tn_sentence::{GeneRanking, Metadata, Position};

    use super::*;

    fn cell(name: &str, x: f64, class: &str) -> CellRecord {
        CellRecord {
            cell_name: name.into(),
            ranking: GeneRanking::parse("A B").unwrap(),
            position: Position::new(x, 0.0).unwrap(),
            section: "S".into(),
            metadata: Metadata::from_pairs([("class", class), ("split", if x < 100.0 { "test" } else { "train" })]).unwrap(),
        }
    }

    fn table() -> Vec<CellRecord> {
        vec![cell("t", 0.0, "T"), cell("n1", 10.0, "N"), cell("n2", 30.0, "N"), cell("m", 40.0, "M"), cell("far", 500.0, "M")]
    }

    fn insert(count: u32) -> Scenario {
        Scenario::new("T", Edit::InsertNeighbor { class: "M".into(), distance_um: 15.0, count })
    }

    fn remove(radius_um: f64) -> Scenario {
        Scenario::new("T", Edit::RemoveNeighbors { class: "N".into(), radius_um })
    }

    fn check_error(scenario: &Scenario, expected: ScenarioError) {
        assert_eq!(scenario.pairs(&table(), &TaskOptions::default().with_neighbors(3)), Err(expected));
    }

    #[test]
    fn the_radius_of_a_removal_is_inclusive() {
        let pairs = remove(30.0).pairs(&table(), &TaskOptions::default()).unwrap();
        assert_eq!(pairs[0].perturbed().neighbor_cell_names, ["far", "m"]);
        let pairs = remove(29.9).pairs(&table(), &TaskOptions::default()).unwrap();
        assert_eq!(pairs[0].perturbed().neighbor_cell_names, ["far", "m", "n2"]);
    }

    #[test]
    fn an_inserted_cell_stands_where_its_distance_puts_it() {
        let pairs = insert(1).pairs(&table(), &TaskOptions::default().with_neighbors(3)).unwrap();
        assert_eq!(pairs[0].perturbed().neighbor_cell_names, ["m", "n2", "far", "n1"]);
    }

    #[test]
    fn a_target_that_has_such_a_neighbor_can_be_left_out() {
        let options = TaskOptions::default().with_neighbors(3);
        assert_eq!(insert(1).with_clear_radius(39.0).pairs(&table(), &options).unwrap().len(), 1);
        assert!(matches!(
            insert(1).with_clear_radius(40.0).pairs(&table(), &options),
            Err(ScenarioError::NothingChanged { targets: 1, .. })
        ));
    }

    #[test]
    fn donors_can_be_limited_to_a_split() {
        let options = TaskOptions::default().with_neighbors(1);
        for seed in 0..20 {
            let pairs = insert(1).with_seed(seed).with_donor_split("train").pairs(&table(), &options).unwrap();
            assert_eq!(pairs[0].perturbed().neighbor_cell_names, ["far", "n1"]);
        }
    }

    #[test]
    fn a_scenario_must_say_something() {
        check_error(&insert(0), ScenarioError::NothingToInsert);
        check_error(&remove(-1.0), ScenarioError::InvalidDistance { distance_um: -1.0 });
        assert!(remove(f64::NAN).pairs(&table(), &TaskOptions::default()).is_err());
    }

    #[test]
    fn too_few_donors_are_an_error() {
        check_error(&insert(2), ScenarioError::NotEnoughDonors { class: "M".into(), target: "t".into(), wanted: 2, found: 1 });
    }

    #[test]
    fn a_missing_class_is_an_error() {
        let scenario = Scenario::new("X", Edit::RemoveNeighbors { class: "N".into(), radius_um: 1.0 });
        assert!(matches!(scenario.pairs(&table(), &TaskOptions::default()), Err(ScenarioError::NoTargets(_))));
    }

    #[test]
    fn nothing_to_remove_is_an_error() {
        check_error(&remove(5.0), ScenarioError::NothingChanged { scenario: "T: remove N within 5 um".into(), targets: 1 });
    }
}
