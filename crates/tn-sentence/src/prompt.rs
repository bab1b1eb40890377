//! From a task to the text that a model continues.

mod order;

use thiserror::Error;

pub use self::order::PromptOrder;
use crate::{
    CellHeader, CellSentence, CoordinateFormat, Metadata, MetadataError, ParseError, Position, PositionError, Skipped, SpatialSentence,
    TaskRecord, request_seed,
};

/// How much of the target cell and of its neighbors the model is shown.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "kebab-case"))]
pub enum Conditioning {
    /// Position and metadata of the target are given; the model writes the genes.
    #[default]
    Conditioned,
    /// Only the position of the target is given; the model writes the metadata and then the genes.
    Unconditioned,
    /// Only the position of the target is given, and no metadata is shown anywhere; the model writes the genes.
    PositionOnly,
}

/// Builds the text for a model from the row of a task.
///
/// The neighbors of the task are read leniently, ordered, cut to the last `max_cells`, and written in front of the
/// header of the target. Coordinates are whole micrometers in every mode, as in the training text.
///
/// The random orders draw from a hash of seed, target and the name of each neighbor. Two tasks of the same target that
/// differ in one neighbor, as a control and its perturbed twin do, therefore keep the others in the same order.
///
/// # Examples
///
/// ```
/// use tn_sentence::{Conditioning, PromptBuilder, PromptOrder, TaskRecord};
///
/// let task = TaskRecord {
///     prompt: "<pos> X: 1, Y: 1 <meta> class: A <cs> GFAP </cs> <pos> X: 9, Y: 9 <meta> class: B <cs> AQP4 </cs>".into(),
///     answer: "<pos> X: 0, Y: 0 <meta> class: A <cs> GFAP IGF2 </cs>".into(),
///     ..TaskRecord::default()
/// };
/// let text = |conditioning| {
///     let builder = PromptBuilder::new(conditioning).with_order(PromptOrder::FarToNear).with_max_cells(1);
///     builder.build(&task).map(|prompt| prompt.text)
/// };
/// assert_eq!(
///     text(Conditioning::Conditioned)?,
///     "<pos> X: 1, Y: 1 <meta> class: A <cs> GFAP </cs> <pos> X: 0, Y: 0 <meta> class: A <cs>",
/// );
/// assert_eq!(
///     text(Conditioning::Unconditioned)?,
///     "<pos> X: 1, Y: 1 <meta> class: A <cs> GFAP </cs> <pos> X: 0, Y: 0",
/// );
/// assert_eq!(
///     text(Conditioning::PositionOnly)?,
///     "<pos> X: 1, Y: 1 <cs> GFAP </cs> <pos> X: 0, Y: 0 <cs>",
/// );
/// # Ok::<(), tn_sentence::PromptError>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct PromptBuilder {
    conditioning: Conditioning,
    order: PromptOrder,
    max_cells: usize,
    nearest: usize,
    seed: u64,
}

impl PromptBuilder {
    /// Builds prompts far to near (weighted, tau 1), with at most 100 neighbors and seed 42.
    pub fn new(conditioning: Conditioning) -> Self {
        Self { conditioning, order: PromptOrder::default(), max_cells: 100, nearest: usize::MAX, seed: 42 }
    }

    /// Replaces the order of the neighbors.
    pub fn with_order(mut self, order: PromptOrder) -> Self {
        self.order = order;
        self
    }

    /// Keeps only the last `max_cells` neighbors of the order, 100 by default.
    pub fn with_max_cells(mut self, max_cells: usize) -> Self {
        self.max_cells = max_cells;
        self
    }

    /// Keeps, of the neighbors that would be shown, only the `nearest` ones to the target, all by default; of equally distant ones those
    /// that come first in the task. The order of those that stay is what it was.
    pub fn with_nearest(mut self, nearest: usize) -> Self {
        self.nearest = nearest;
        self
    }

    /// Replaces the seed of the random orders, 42 by default.
    pub fn with_seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// Returns how much the model is shown.
    pub fn conditioning(&self) -> Conditioning {
        self.conditioning
    }

    /// Builds the text for one task.
    ///
    /// The header of the target has the position of the task and the metadata of its answer; where the answer is
    /// empty, the class of the task.
    ///
    /// # Errors
    ///
    /// Returns an error when the position of the task is not finite or when its answer is no cell. A neighbor that
    /// cannot be read is no error: it is skipped and reported.
    pub fn build(&self, task: &TaskRecord) -> Result<ModelPrompt, PromptError> {
        let (neighbors, skipped) = SpatialSentence::parse_lenient(&task.prompt);
        let head = neighbors.metadata().clone();
        let cells = neighbors.into_cells();
        let order = self.order_cells(task, &cells)?;
        let names = neighbor_names(task, cells.len());
        let neighbor_names = order.iter().filter_map(|&index| names.get(index).cloned()).collect();
        let mut cells: Vec<Option<CellSentence>> = cells.into_iter().map(Some).collect();
        let cells = order.iter().filter_map(|&index| cells[index].take()).collect();
        let neighbors =
            SpatialSentence::new(self.show_neighbors(cells)).with_metadata(if self.shows_metadata() { head } else { Metadata::new() });

        let target = target_header(task)?;
        let (header, header_text) = self.show_target(target);
        let mut text = neighbors.display(CoordinateFormat::Integer).to_string();
        if !text.is_empty() {
            text.push(' ');
        }
        text.push_str(&header_text);
        Ok(ModelPrompt { text, header, header_text, neighbors: neighbors.into_cells(), neighbor_names, skipped })
    }

    fn shows_metadata(&self) -> bool {
        self.conditioning != Conditioning::PositionOnly
    }

    /// Returns which neighbors are shown, in their order.
    fn order_cells(&self, task: &TaskRecord, cells: &[CellSentence]) -> Result<Vec<usize>, PromptError> {
        let target = Position::new(task.x, task.y)?;
        let distances: Vec<f64> = cells.iter().map(|cell| target.distance(&cell.position())).collect();
        let seed = request_seed(self.seed, &task.cell_name, 0);
        let names = neighbor_names(task, cells.len());
        let draws: Vec<u64> = (0..cells.len())
            .map(|i| match names.get(i) {
                Some(name) => request_seed(seed, name, 0),
                None => crate::draw(seed, i as u64),
            })
            .collect();
        let order = self.order.order(&distances, &draws);
        let shown = &order[order.len().saturating_sub(self.max_cells)..];
        let mut nearest = shown.to_vec();
        nearest.sort_by(|&a, &b| distances[a].total_cmp(&distances[b]).then(a.cmp(&b)));
        nearest.truncate(self.nearest);
        nearest.sort_unstable();
        Ok(shown.iter().copied().filter(|index| nearest.binary_search(index).is_ok()).collect())
    }

    fn show_neighbors(&self, cells: Vec<CellSentence>) -> Vec<CellSentence> {
        if self.shows_metadata() {
            return cells;
        }
        cells.into_iter().map(CellSentence::without_metadata).collect()
    }

    fn show_target(&self, target: CellHeader) -> (CellHeader, String) {
        let format = CoordinateFormat::Integer;
        match self.conditioning {
            Conditioning::Conditioned => {
                let text = target.display(format).to_string();
                (target, text)
            }
            Conditioning::Unconditioned => {
                let text = target.position_text(format);
                (CellHeader::new(target.position()), text)
            }
            Conditioning::PositionOnly => {
                let header = CellHeader::new(target.position());
                let text = header.display(format).to_string();
                (header, text)
            }
        }
    }
}

/// Returns the names of the neighbors of a task, none where it does not name each of the `cells` that can be read.
fn neighbor_names(task: &TaskRecord, cells: usize) -> &[String] {
    let names = &task.neighbor_cell_names;
    if names.len() == cells { names } else { &[] }
}

/// Returns what is known about the target of a task, however much of it a prompt shows.
fn target_header(task: &TaskRecord) -> Result<CellHeader, PromptError> {
    let header = CellHeader::new(Position::new(task.x, task.y)?);
    if task.answer.trim().is_empty() {
        let mut metadata = Metadata::new();
        if !task.class.is_empty() {
            metadata.insert("class", &task.class)?;
        }
        return Ok(header.with_metadata(metadata));
    }
    let answer = CellSentence::parse(&task.answer)?;
    Ok(header.with_metadata(answer.metadata().clone()))
}

/// The text that a model continues, and what it consists of.
#[derive(Clone, Debug, PartialEq)]
pub struct ModelPrompt {
    /// The text: the neighbors, then the header of the target as far as the mode shows it.
    ///
    /// It ends in ` <cs>` when the model shall write genes, and in the coordinates (`Y: 6093`) when it shall write
    /// ` <meta> class: ... <cs> ...` itself. There is no blank at the end.
    pub text: String,
    /// What the model is shown of the target.
    pub header: CellHeader,
    /// The end of [`ModelPrompt::text`] that belongs to the target. With the continuation it makes up the whole cell.
    pub header_text: String,
    /// The neighbors, in the order of the text.
    pub neighbors: Vec<CellSentence>,
    /// The names of the neighbors, in the order of the text; empty where the task does not name each of them.
    pub neighbor_names: Vec<String>,
    /// What of the prompt of the task could not be read, by bytes of that prompt.
    pub skipped: Vec<Skipped>,
}

/// A task that no text can be built for.
#[derive(Clone, Debug, Error, PartialEq)]
#[non_exhaustive]
pub enum PromptError {
    /// The position of the target is not finite.
    #[error("the target has no position")]
    Position(#[from] PositionError),
    /// The answer, whose header the target has, is no cell.
    #[error("the answer is no cell sentence")]
    Answer(#[from] ParseError),
    /// The class of the target cannot be written.
    #[error("the class of the target cannot be written")]
    Class(#[from] MetadataError),
}

#[cfg(test)]
mod tests {
    use super::*;

    fn task() -> TaskRecord {
        TaskRecord {
            cell_name: "t".into(),
            prompt: "section: S1 <pos> X: 3, Y: 0 <meta> class: A <cs> G1 </cs> junk <pos> X: 1, Y: 0 <meta> class: B <cs> G2 </cs>".into(),
            answer: "<pos> X: 0, Y: 0 <meta> class: C, layer: L1 <cs> G3 </cs>".into(),
            x: 0.4,
            y: -0.4,
            ..TaskRecord::default()
        }
    }

    fn check(conditioning: Conditioning, task: &TaskRecord, expected: &str) {
        let builder = PromptBuilder::new(conditioning).with_order(PromptOrder::NearToFar);
        let prompt = builder.build(task).unwrap();
        assert_eq!(prompt.text, expected);
        assert!(prompt.text.ends_with(&prompt.header_text));
    }

    #[test]
    fn the_head_is_kept_where_metadata_is_shown() {
        check(
            Conditioning::Conditioned,
            &task(),
            "section: S1 <pos> X: 1, Y: 0 <meta> class: B <cs> G2 </cs> <pos> X: 3, Y: 0 <meta> class: A <cs> G1 </cs> <pos> X: 0, Y: 0 <meta> class: C, layer: L1 <cs>",
        );
    }

    #[test]
    fn the_unconditioned_header_ends_in_whole_coordinates() {
        check(
            Conditioning::Unconditioned,
            &task(),
            "section: S1 <pos> X: 1, Y: 0 <meta> class: B <cs> G2 </cs> <pos> X: 3, Y: 0 <meta> class: A <cs> G1 </cs> <pos> X: 0, Y: 0",
        );
    }

    #[test]
    fn position_only_shows_no_metadata_anywhere() {
        check(Conditioning::PositionOnly, &task(), "<pos> X: 1, Y: 0 <cs> G2 </cs> <pos> X: 3, Y: 0 <cs> G1 </cs> <pos> X: 0, Y: 0 <cs>");
    }

    #[test]
    fn without_neighbors_the_text_is_the_header() {
        let task = TaskRecord { prompt: String::new(), ..task() };
        check(Conditioning::PositionOnly, &task, "<pos> X: 0, Y: 0 <cs>");
    }

    #[test]
    fn without_an_answer_the_class_of_the_task_is_shown() {
        let task = TaskRecord { prompt: String::new(), answer: " ".into(), class: "OEC".into(), ..task() };
        check(Conditioning::Conditioned, &task, "<pos> X: 0, Y: 0 <meta> class: OEC <cs>");
    }

    #[test]
    fn unreadable_text_is_reported() {
        let prompt = PromptBuilder::new(Conditioning::Conditioned).build(&task()).unwrap();
        assert_eq!(prompt.skipped.len(), 1);
        assert_eq!(prompt.neighbors.len(), 2);
    }

    #[test]
    fn a_target_needs_a_position_and_a_readable_answer() {
        let builder = PromptBuilder::new(Conditioning::Conditioned);
        let nowhere = TaskRecord { x: f64::NAN, ..task() };
        assert!(matches!(builder.build(&nowhere), Err(PromptError::Position(_))));
        let unreadable = TaskRecord { answer: "GAD1".into(), ..task() };
        assert!(matches!(builder.build(&unreadable), Err(PromptError::Answer(_))));
    }

    #[test]
    fn the_nearest_of_those_that_are_shown_stay_in_their_order() {
        let cells: Vec<String> = [9, 2, 7, 2, 4].iter().enumerate().map(|(i, x)| format!("<pos> X: {x}, Y: 0 <cs> G{i} </cs>")).collect();
        let task = TaskRecord { prompt: cells.join(" "), ..task() };
        let genes = |nearest: usize, max_cells: usize| -> String {
            let builder = PromptBuilder::new(Conditioning::PositionOnly).with_order(PromptOrder::AsGiven);
            let prompt = builder.with_max_cells(max_cells).with_nearest(nearest).build(&task).unwrap();
            prompt.neighbors.iter().map(|cell| cell.ranking().to_string()).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(genes(5, 5), "G0 G1 G2 G3 G4");
        assert_eq!(genes(3, 5), "G1 G3 G4");
        assert_eq!(genes(1, 5), "G1");
        assert_eq!(genes(2, 3), "G3 G4");
        assert_eq!(genes(0, 5), "");
    }

    #[test]
    fn names_follow_their_neighbors() {
        let named = |names: &[&str]| TaskRecord { neighbor_cell_names: names.iter().map(|&name| name.into()).collect(), ..task() };
        let names = |task: &TaskRecord, nearest| {
            let builder = PromptBuilder::new(Conditioning::Conditioned).with_order(PromptOrder::NearToFar);
            builder.with_nearest(nearest).build(task).unwrap().neighbor_names
        };
        assert_eq!(names(&named(&["far", "near"]), 2), ["near", "far"]);
        assert_eq!(names(&named(&["far", "near"]), 1), ["near"]);
        assert!(names(&named(&["far", "near", "unreadable"]), 2).is_empty());
    }

    #[test]
    fn an_added_neighbor_leaves_the_order_of_the_others() {
        let cells: Vec<String> = (0..30).map(|i| format!("<pos> X: {i}, Y: 1 <cs> G{i} </cs>")).collect();
        let names: Vec<String> = (0..30).map(|i| format!("n{i}")).collect();
        let order = |from: usize| {
            let task = TaskRecord {
                cell_name: "t".into(),
                prompt: cells[from..].join(" "),
                answer: "<pos> X: 0, Y: 0 <cs> A </cs>".into(),
                neighbor_cell_names: names[from..].to_vec(),
                ..TaskRecord::default()
            };
            let prompt = PromptBuilder::new(Conditioning::Conditioned).build(&task);
            prompt.unwrap().neighbors
        };
        let mut all = order(0);
        all.retain(|cell| cell.ranking().to_string() != "G0");
        assert_eq!(all, order(1));
    }
}
