//! Tasks: a place, its neighbors, and the cell that was observed there.

use std::{
    borrow::Borrow,
    collections::{BTreeMap, BTreeSet},
    ops::Range,
};

use rayon::prelude::*;
use thiserror::Error;
use tn_sentence::{CellRecord, CellSentence, CoordinateFormat, SpatialSentence, TaskRecord, request_seed};

use crate::{KdTree, NeighborIndex, Section};

/// Which cells become targets, and what their prompts show.
///
/// | Option | Default |
/// |---|---|
/// | targets | every cell, of any split and class |
/// | neighbors | the 100 nearest, however far |
/// | neighbors of the target's class | kept |
/// | genes of each neighbor, and of the answer | the 100 highest |
/// | metadata of each cell | `class` |
/// | seed of the choice of targets | 42 |
#[derive(Clone, Debug, PartialEq)]
pub struct TaskOptions {
    split: Option<String>,
    class: Option<String>,
    neighbors: usize,
    radius: f64,
    same_class: SameClass,
    targets_per_class: Option<usize>,
    truncate: usize,
    answer_genes: Option<usize>,
    meta_keys: Vec<String>,
    seed: u64,
}

/// What happens to neighbors of the target's own class.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum SameClass {
    /// They are shown like any other.
    #[default]
    Keep,
    /// They are left out, and farther cells take their place: the cross-type setting.
    Exclude,
}

impl Default for TaskOptions {
    fn default() -> Self {
        Self {
            split: None,
            class: None,
            neighbors: 100,
            radius: f64::INFINITY,
            same_class: SameClass::Keep,
            targets_per_class: None,
            truncate: 100,
            answer_genes: None,
            meta_keys: vec!["class".to_owned()],
            seed: 42,
        }
    }
}

impl TaskOptions {
    /// Takes only cells of this split as targets, such as `test`. Their neighbors may be of any split.
    pub fn with_split(mut self, split: impl Into<String>) -> Self {
        self.split = Some(split.into());
        self
    }

    /// Takes only cells of this class as targets.
    pub fn with_class(mut self, class: impl Into<String>) -> Self {
        self.class = Some(class.into());
        self
    }

    /// Shows the nearest `neighbors` cells at most.
    pub fn with_neighbors(mut self, neighbors: usize) -> Self {
        self.neighbors = neighbors;
        self
    }

    /// Shows only neighbors at this distance or less, in micrometers.
    pub fn with_radius(mut self, radius: f64) -> Self {
        self.radius = radius;
        self
    }

    /// Replaces what happens to neighbors of the target's own class.
    pub fn with_same_class(mut self, same_class: SameClass) -> Self {
        self.same_class = same_class;
        self
    }

    /// Draws at most this many targets of each class.
    pub fn with_targets_per_class(mut self, targets: usize) -> Self {
        self.targets_per_class = Some(targets);
        self
    }

    /// Keeps only the `truncate` highest genes of each cell.
    pub fn with_truncate(mut self, truncate: usize) -> Self {
        self.truncate = truncate;
        self
    }

    /// Keeps this many genes of the answer, instead of as many as of each neighbor.
    pub fn with_answer_genes(mut self, genes: usize) -> Self {
        self.answer_genes = Some(genes);
        self
    }

    /// Replaces the metadata that is written for each cell; without any, cells have no `<meta>` part.
    pub fn with_meta<S: Into<String>>(mut self, keys: impl IntoIterator<Item = S>) -> Self {
        self.meta_keys = keys.into_iter().map(S::into).collect();
        self
    }

    /// Replaces the seed of the choice of targets.
    pub fn with_seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }
}

/// Builds the tasks of a table, in the order of their targets in it.
///
/// This holds all tasks at once; [`Tasks`] builds them in chunks.
///
/// # Errors
///
/// Returns an error when no cell is a target, and when the options need classes that a cell does not have.
///
/// # Examples
///
/// See the [front page](crate) of this crate.
pub fn build_tasks(cells: &[CellRecord], options: &TaskOptions) -> Result<Vec<TaskRecord>, TaskError> {
    let tasks = Tasks::plan(cells, options)?;
    Ok(tasks.build(0..tasks.len()))
}

/// The tasks of a table, built when they are asked for.
///
/// The prompt of a task is the spatial sentence of the target's neighbors, far to near: the nearest stands last, cells
/// at equal distance by falling row, and `neighbor_cell_names` is in the same order. Coordinates are whole micrometers,
/// absolute in the frame of the section. The answer is the target's own cell sentence.
///
/// Neighbors are of the target's section, but may be of any split, as in the published tasks: what is held out is the
/// target, not what surrounds it. Sections that are split as a whole, as in the published data, make this no matter.
pub struct Tasks<'a> {
    cells: &'a [CellRecord],
    options: TaskOptions,
    targets: Vec<usize>,
    sections: Vec<(Section<'a>, KdTree)>,
    /// Of each cell: its section, and its index there.
    places: Vec<(usize, usize)>,
}

impl<'a> Tasks<'a> {
    /// Chooses the targets and prepares the search for their neighbors.
    ///
    /// # Errors
    ///
    /// Returns an error when no cell is a target, and when the options need classes that a cell does not have.
    pub fn plan(cells: &'a [CellRecord], options: &TaskOptions) -> Result<Self, TaskError> {
        let targets = choose_targets(cells, options)?;
        let sections: Vec<(Section<'a>, KdTree)> = Section::of_table(cells)
            .into_par_iter()
            .map(|section| {
                let index = section.index();
                (section, index)
            })
            .collect();
        let mut places = vec![(0, 0); cells.len()];
        for (number, (section, _)) in sections.iter().enumerate() {
            for (index, &row) in section.rows().iter().enumerate() {
                places[row] = (number, index);
            }
        }
        Ok(Self { cells, options: options.clone(), targets, sections, places })
    }

    /// Returns the number of tasks.
    pub fn len(&self) -> usize {
        self.targets.len()
    }

    /// Returns whether there is no task.
    pub fn is_empty(&self) -> bool {
        self.targets.is_empty()
    }

    /// Returns the rows of the targets, ascending.
    pub fn targets(&self) -> &[usize] {
        &self.targets
    }

    /// Builds a range of the tasks.
    ///
    /// # Panics
    ///
    /// Panics when the range does not lie within `0..len()`.
    pub fn build(&self, range: Range<usize>) -> Vec<TaskRecord> {
        assert!(range.end <= self.len(), "tasks {range:?} are outside the {} tasks", self.len());
        range.into_par_iter().map(|task| self.write(task, &self.neighbors(task))).collect()
    }

    /// Builds all tasks, `size` at a time.
    pub fn chunks(&self, size: usize) -> impl Iterator<Item = Vec<TaskRecord>> + '_ {
        let size = size.max(1);
        (0..self.len()).step_by(size).map(move |start| self.build(start..(start + size).min(self.len())))
    }

    /// Returns the target of a task.
    ///
    /// # Panics
    ///
    /// Panics when `task` is not less than [`Tasks::len`].
    pub fn target(&self, task: usize) -> &'a CellRecord {
        &self.cells[self.targets[task]]
    }

    /// Returns the neighbors that a task shows, far to near.
    ///
    /// # Panics
    ///
    /// Panics when `task` is not less than [`Tasks::len`].
    pub fn neighbors(&self, task: usize) -> Vec<&'a CellRecord> {
        let target = self.target(task);
        let (number, own_index) = self.places[self.targets[task]];
        let (section, tree) = &self.sections[number];
        let keeps_all = self.options.same_class == SameClass::Keep;
        let keep = |index: usize| index != own_index && (keeps_all || section.cell(index).class() != target.class());
        let mut neighbors = tree.k_nearest_where(&target.position, self.options.neighbors, &keep);
        neighbors.retain(|neighbor| neighbor.distance <= self.options.radius);
        neighbors.into_iter().rev().map(|neighbor| section.cell(neighbor.index)).collect()
    }

    /// Writes a task with the given neighbors, in the given order, instead of its own.
    ///
    /// # Panics
    ///
    /// Panics when `task` is not less than [`Tasks::len`].
    pub fn write<C: Borrow<CellRecord>>(&self, task: usize, neighbors: &[C]) -> TaskRecord {
        let target = self.target(task);
        let keys = &self.options.meta_keys;
        let neighbors = neighbors.iter().map(C::borrow);
        let prompt: SpatialSentence = neighbors.clone().map(|cell| cell.cell_sentence(keys, self.options.truncate)).collect();
        let answer: CellSentence = target.cell_sentence(keys, self.options.answer_genes.unwrap_or(self.options.truncate));
        TaskRecord {
            cell_name: target.cell_name.clone(),
            prompt: prompt.display(CoordinateFormat::Integer).to_string(),
            answer: answer.display(CoordinateFormat::Integer).to_string(),
            x: target.position.x(),
            y: target.position.y(),
            section: target.section.clone(),
            neighbor_cell_names: neighbors.map(|cell| cell.cell_name.clone()).collect(),
            class: target.class().unwrap_or_default().to_owned(),
            split: target.split().unwrap_or_default().to_owned(),
            scenario: None,
        }
    }
}

fn choose_targets(cells: &[CellRecord], options: &TaskOptions) -> Result<Vec<usize>, TaskError> {
    let fits = |wanted: &Option<String>, found: Option<&str>| wanted.as_deref().is_none_or(|wanted| found == Some(wanted));
    let is_target = |cell: &CellRecord| fits(&options.split, cell.split()) && fits(&options.class, cell.class());
    let targets: Vec<usize> = (0..cells.len()).filter(|&row| is_target(&cells[row])).collect();
    if targets.is_empty() {
        return Err(TaskError::NoTargets {
            split: options.split.clone(),
            class: options.class.clone(),
            splits: values_of(cells, CellRecord::split),
            classes: values_of(cells, CellRecord::class),
        });
    }
    let needs_class = options.targets_per_class.is_some() || options.same_class == SameClass::Exclude;
    if needs_class && let Some(&row) = targets.iter().find(|&&row| cells[row].class().is_none()) {
        return Err(TaskError::MissingClass { cell_name: cells[row].cell_name.clone() });
    }
    Ok(match options.targets_per_class {
        Some(per_class) => draw_targets(cells, &targets, per_class, options.seed),
        None => targets,
    })
}

/// Returns the distinct values of a column, ascending.
fn values_of<'a>(cells: &'a [CellRecord], column: impl Fn(&'a CellRecord) -> Option<&'a str>) -> Vec<String> {
    let values: BTreeSet<&str> = cells.iter().filter_map(column).collect();
    values.into_iter().map(str::to_owned).collect()
}

/// Draws up to `per_class` targets of each class; whether a cell is drawn depends on its name, not on its row.
fn draw_targets(cells: &[CellRecord], targets: &[usize], per_class: usize, seed: u64) -> Vec<usize> {
    let mut classes: BTreeMap<&str, Vec<(u64, usize)>> = BTreeMap::new();
    for &row in targets {
        let ticket = request_seed(seed, &cells[row].cell_name, 0);
        classes.entry(cells[row].class().unwrap_or_default()).or_default().push((ticket, row));
    }
    let mut drawn = Vec::new();
    for mut tickets in classes.into_values() {
        tickets.sort_unstable();
        drawn.extend(tickets.into_iter().take(per_class).map(|(_, row)| row));
    }
    drawn.sort_unstable();
    drawn
}

/// A table that gives no tasks.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
#[non_exhaustive]
pub enum TaskError {
    /// No cell is a target.
    #[error(
        "no cell to build a task for: wanted split {} and class {}, the table has splits {splits:?} and classes {classes:?}",
        split.as_deref().unwrap_or("any"), class.as_deref().unwrap_or("any")
    )]
    NoTargets {
        /// The split that was wanted, if any.
        split: Option<String>,
        /// The class that was wanted, if any.
        class: Option<String>,
        /// The splits of the table.
        splits: Vec<String>,
        /// The classes of the table.
        classes: Vec<String>,
    },
    /// A target has no class, but the options need it.
    #[error("cell {cell_name:?} has no class")]
    MissingClass {
        /// The name of the cell.
        cell_name: String,
    },
}

#[cfg(test)]
mod tests {
    use tn_sentence::{GeneRanking, Metadata, Position};

    use super::*;

    fn cell(name: &str, x: f64, class: &str, split: &str) -> CellRecord {
        CellRecord {
            cell_name: name.into(),
            ranking: GeneRanking::parse("A B C").unwrap(),
            position: Position::new(x, 0.0).unwrap(),
            section: "S".into(),
            metadata: Metadata::from_pairs([("class", class), ("split", split)]).unwrap(),
        }
    }

    fn table() -> Vec<CellRecord> {
        let mut other = cell("o", 1.0, "a", "test");
        other.section = "T".into();
        vec![cell("p", 0.0, "a", "train"), cell("q", 10.4, "b", "test"), cell("r", 20.0, "a", "test"), cell("s", 25.0, "b", "train"), other]
    }

    fn names(task: &TaskRecord) -> Vec<&str> {
        task.neighbor_cell_names.iter().map(String::as_str).collect()
    }

    #[test]
    fn a_task_shows_neighbors_of_any_split_far_to_near() {
        let options = TaskOptions::default().with_split("test").with_truncate(2);
        let tasks = build_tasks(&table(), &options).unwrap();
        assert_eq!(tasks.len(), 3);
        assert_eq!(names(&tasks[0]), ["s", "p", "r"]);
        assert_eq!(
            tasks[0].prompt,
            "<pos> X: 25, Y: 0 <meta> class: b <cs> A B </cs> <pos> X: 0, Y: 0 <meta> class: a <cs> A B </cs> <pos> X: 20, Y: 0 <meta> class: a <cs> A B </cs>"
        );
        assert_eq!(tasks[0].answer, "<pos> X: 10, Y: 0 <meta> class: b <cs> A B </cs>");
        assert_eq!((tasks[0].x, tasks[0].class.as_str(), tasks[0].split.as_str()), (10.4, "b", "test"));
        assert_eq!(names(&tasks[2]), [""; 0]);
    }

    #[test]
    fn neighbors_are_limited_by_number_and_radius() {
        let options = TaskOptions::default().with_split("test");
        let tasks = |options: TaskOptions| build_tasks(&table(), &options).unwrap();
        assert_eq!(names(&tasks(options.clone().with_neighbors(1))[0]), ["r"]);
        assert_eq!(names(&tasks(options.with_radius(10.4))[0]), ["p", "r"]);
    }

    #[test]
    fn the_own_class_can_be_left_out() {
        let options = TaskOptions::default().with_same_class(SameClass::Exclude).with_neighbors(1);
        let tasks = build_tasks(&table()[..4], &options).unwrap();
        assert_eq!(names(&tasks[2]), ["s"]);
        assert_eq!(names(&tasks[3]), ["r"]);
    }

    #[test]
    fn the_answer_can_keep_more_genes() {
        let options = TaskOptions::default().with_truncate(1).with_answer_genes(3).with_meta([""; 0]);
        let tasks = build_tasks(&table(), &options).unwrap();
        assert_eq!(tasks[0].answer, "<pos> X: 0, Y: 0 <cs> A B C </cs>");
        assert!(tasks[0].prompt.ends_with("<pos> X: 10, Y: 0 <cs> A </cs>"));
    }

    #[test]
    fn targets_can_be_of_one_class() {
        let tasks = build_tasks(&table(), &TaskOptions::default().with_class("b")).unwrap();
        assert_eq!(tasks.iter().map(|task| task.cell_name.as_str()).collect::<Vec<_>>(), ["q", "s"]);
    }

    #[test]
    fn targets_are_drawn_by_class_whatever_the_order_of_rows() {
        let mut cells: Vec<CellRecord> =
            (0..60).map(|i| cell(&format!("c{i}"), f64::from(i), ["a", "b", "c"][i as usize % 3], "test")).collect();
        let options = TaskOptions::default().with_targets_per_class(4).with_neighbors(0);
        let drawn = |cells: &[CellRecord]| {
            let mut names: Vec<String> = build_tasks(cells, &options).unwrap().into_iter().map(|task| task.cell_name).collect();
            names.sort();
            names
        };
        let first = drawn(&cells);
        assert_eq!(first.len(), 12);
        cells.reverse();
        assert_eq!(first, drawn(&cells));
    }

    #[test]
    fn chunks_are_the_whole() {
        let cells = table();
        let tasks = Tasks::plan(&cells, &TaskOptions::default()).unwrap();
        assert_eq!(tasks.chunks(2).flatten().collect::<Vec<_>>(), build_tasks(&cells, &TaskOptions::default()).unwrap());
    }

    #[test]
    fn a_split_that_is_not_there_names_those_that_are() {
        assert_eq!(
            build_tasks(&table(), &TaskOptions::default().with_split("val")),
            Err(TaskError::NoTargets {
                split: Some("val".into()),
                class: None,
                splits: vec!["test".into(), "train".into()],
                classes: vec!["a".into(), "b".into()],
            })
        );
        assert!(matches!(build_tasks(&[], &TaskOptions::default()), Err(TaskError::NoTargets { split: None, .. })));
    }

    #[test]
    fn a_target_without_class_is_named_where_classes_are_needed() {
        let mut cells = table();
        cells[1].metadata = Metadata::new();
        let missing = Err(TaskError::MissingClass { cell_name: "q".into() });
        assert_eq!(build_tasks(&cells, &TaskOptions::default().with_targets_per_class(1)), missing);
        assert_eq!(build_tasks(&cells, &TaskOptions::default().with_same_class(SameClass::Exclude)), missing);
        assert!(build_tasks(&cells, &TaskOptions::default()).is_ok());
    }
}
