//! The genes of a cell nearby.

use tn_sentence::{CellPredictor, CellSentence, TaskRecord, UnreadCell};

use super::{BaselineError, class_key, most_common_class, target_position, written_cell};

/// Copies the genes of a cell in the prompt.
///
/// Distances are between the place of the target and the places written in the prompt; of two cells equally far the one
/// that comes first is taken, and of two classes equally common the one met first. Classes are compared without case and
/// surrounding blanks; a cell without a class has no vote. The prediction names the class of the copied cell, except
/// in the variant that was given the class of the target.
///
/// ```
/// use tn_eval::baseline::NearestNeighbor;
/// use tn_sentence::CellPredictor;
/// # let task = tn_sentence::TaskRecord {
/// #     cell_name: "cell-7".into(), answer: String::new(), x: 0.0, y: 0.0, section: "bulb".into(),
/// #     prompt: "<pos> X: 3, Y: 4 <meta> class: OEC <cs> FRZB NPY </cs> <pos> X: 9, Y: 0 <meta> class: Astro <cs> AQP4 </cs>".into(),
/// #     neighbor_cell_names: vec![], class: "Astro".into(), split: "test".into(), scenario: None,
/// # };
///
/// // An OEC lies 5 micrometers from the target, an astrocyte 9 micrometers.
/// let closest = NearestNeighbor::closest().predict(&task)?;
/// assert_eq!(closest.ranking().to_string(), "FRZB NPY");
/// let astrocyte = NearestNeighbor::same_class().predict(&task)?;
/// assert_eq!(astrocyte.ranking().to_string(), "AQP4");
/// # Ok::<(), tn_eval::baseline::BaselineError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct NearestNeighbor {
    rule: Rule,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Rule {
    Closest,
    Majority { radius: f64 },
    SameClass,
}

impl NearestNeighbor {
    /// The radius of the published majority vote, in micrometers.
    pub const DEFAULT_RADIUS: f64 = 50.0;

    /// Copies the closest cell.
    #[must_use]
    pub fn closest() -> Self {
        Self { rule: Rule::Closest }
    }

    /// Copies the closest cell of the most common class within `radius` micrometers (the rim included); the closest cell
    /// where none within has a class.
    #[must_use]
    pub fn majority_within(radius: f64) -> Self {
        Self { rule: Rule::Majority { radius } }
    }

    /// Copies the closest cell of the target's own class; the closest cell where there is none.
    #[must_use]
    pub fn same_class() -> Self {
        Self { rule: Rule::SameClass }
    }

    fn wanted_class(&self, cells: &[Neighbor<'_>], task: &TaskRecord) -> Option<String> {
        match self.rule {
            Rule::Closest => None,
            Rule::SameClass => class_key(&task.class),
            Rule::Majority { radius } => {
                let near = cells.iter().filter(|neighbor| neighbor.distance <= radius);
                let classes: Vec<String> = near.filter_map(Neighbor::class).collect();
                most_common_class(classes.iter().map(String::as_str)).and_then(class_key)
            }
        }
    }
}

impl CellPredictor for NearestNeighbor {
    type Error = BaselineError;

    fn predict(&mut self, task: &TaskRecord) -> Result<CellSentence, Self::Error> {
        let target = target_position(task)?;
        // The genes of a hundred neighbors are not read to copy those of one.
        let cells: Vec<Neighbor<'_>> =
            UnreadCell::all_of(&task.prompt).map(|cell| Neighbor { distance: target.distance(&cell.position()), cell }).collect();
        let of_class = self.wanted_class(&cells, task).and_then(|wanted| {
            let is_wanted = |neighbor: &&Neighbor<'_>| neighbor.class().as_deref().and_then(class_key).as_ref() == Some(&wanted);
            closest(cells.iter().filter(is_wanted))
        });
        let copied = of_class
            .or_else(|| closest(cells.iter()))
            .ok_or_else(|| BaselineError::NoNeighbors { cell_name: task.cell_name.clone() })?
            .cell
            .read();
        let class = match self.rule {
            Rule::SameClass => Some(task.class.as_str()),
            Rule::Closest | Rule::Majority { .. } => copied.class(),
        };
        written_cell(task, copied.ranking().clone(), class)
    }
}

/// A cell of a prompt, and how far it is from the target.
struct Neighbor<'t> {
    distance: f64,
    cell: UnreadCell<'t>,
}

impl Neighbor<'_> {
    fn class(&self) -> Option<String> {
        self.cell.metadata().get("class").map(str::to_owned)
    }
}

/// `min_by` returns the first of several equally close cells.
fn closest<'n, 't: 'n>(cells: impl Iterator<Item = &'n Neighbor<'t>>) -> Option<&'n Neighbor<'t>> {
    cells.min_by(|a, b| a.distance.total_cmp(&b.distance))
}

#[cfg(test)]
mod tests {
    use super::super::task;
    use super::*;

    const PROMPT: &str = "<pos> X: 30, Y: 40 <meta> class: Astro <cs> A </cs> \
                          <pos> X: 0, Y: 5 <meta> class: OEC <cs> B </cs> \
                          <pos> X: 5, Y: 0 <meta> class: Peri <cs> C </cs> \
                          <pos> X: 20, Y: 0 <meta> class: astro <cs> D </cs>";

    #[track_caller]
    fn check(mut nearest: NearestNeighbor, class: &str, genes: &str, written_class: &str) {
        let cell = nearest.predict(&task(PROMPT, class)).unwrap();
        assert_eq!(cell.ranking().to_string(), genes);
        assert_eq!(cell.class(), Some(written_class));
    }

    #[test]
    fn the_first_of_equally_close_cells_is_copied() {
        check(NearestNeighbor::closest(), "Peri", "B", "OEC");
    }

    #[test]
    fn the_majority_is_counted_up_to_the_rim() {
        check(NearestNeighbor::majority_within(50.0), "Peri", "D", "astro");
        check(NearestNeighbor::majority_within(49.9), "Peri", "B", "OEC");
        check(NearestNeighbor::majority_within(1.0), "Peri", "B", "OEC");
    }

    #[test]
    fn the_own_class_falls_back_to_the_closest() {
        check(NearestNeighbor::same_class(), " PERI", "C", "PERI");
        check(NearestNeighbor::same_class(), "Mural", "B", "Mural");
    }

    #[test]
    fn a_prompt_without_cells_is_an_error() {
        assert_eq!(
            NearestNeighbor::closest().predict(&task("no cell", "OEC")),
            Err(BaselineError::NoNeighbors { cell_name: "target".to_string() })
        );
    }
}
