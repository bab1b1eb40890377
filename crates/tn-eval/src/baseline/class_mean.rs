//! The genes that a class expresses most.

use std::collections::HashMap;

use tn_sentence::{CellPredictor, CellSentence, GeneRanking, TaskRecord};

use super::{BaselineError, ClassMeanTable, most_common_class, prompt_cells, written_cell};

/// What [`ClassMean`] writes for a class that its table does not have, or where there is no class.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum UnknownClass {
    /// The genes by mean expression over all cells.
    #[default]
    OverallMean,
    /// No genes, as published.
    Empty,
}

/// Writes the genes of a class by mean expression in the training cells, 100 by default.
///
/// The class is the target's own ([`ClassMean::of_target`], beside conditioned generation), or the most common one among
/// the cells of the prompt ([`ClassMean::of_neighbors`], beside unconditioned generation; of equally common classes the one
/// met first). The prediction names it.
///
/// ```
/// use tn_eval::baseline::{ClassMean, ClassMeanTable};
/// use tn_sentence::{CellPredictor, Vocabulary};
///
/// # let task = tn_sentence::TaskRecord {
/// #     cell_name: "cell-7".into(), answer: String::new(), x: 0.0, y: 0.0, section: "bulb".into(), prompt: String::new(),
/// #     neighbor_cell_names: vec![], class: "Astro".into(), split: "test".into(), scenario: None,
/// # };
/// let mut table = ClassMeanTable::new(Vocabulary::new(["AQP4", "GFAP", "GAD1"])?);
/// table.add("Astro", &[0, 1], &[0.5, 1.0])?;
/// let astrocyte = ClassMean::of_target(table).predict(&task)?;
/// assert_eq!(astrocyte.ranking().to_string(), "GFAP AQP4");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct ClassMean {
    table: ClassMeanTable,
    source: ClassSource,
    max_genes: usize,
    unknown: UnknownClass,
}

#[derive(Clone, Debug)]
enum ClassSource {
    Target,
    Neighbors { classes_by_name: HashMap<String, String> },
}

impl ClassMean {
    /// The published length of the rankings.
    pub const DEFAULT_MAX_GENES: usize = 100;

    /// Takes the target's own class.
    #[must_use]
    pub fn of_target(table: ClassMeanTable) -> Self {
        Self::new(table, ClassSource::Target)
    }

    /// Takes the most common class among the cells of the prompt, by their `class` metadata.
    #[must_use]
    pub fn of_neighbors(table: ClassMeanTable) -> Self {
        Self::new(table, ClassSource::Neighbors { classes_by_name: HashMap::new() })
    }

    /// As [`ClassMean::of_neighbors`], for prompts that may lack metadata: where no cell of the prompt has a class, the
    /// named neighbors of the task have a vote, by a table from cell name to class. Names not in the table have none.
    #[must_use]
    pub fn of_named_neighbors(table: ClassMeanTable, classes_by_name: HashMap<String, String>) -> Self {
        Self::new(table, ClassSource::Neighbors { classes_by_name })
    }

    fn new(table: ClassMeanTable, source: ClassSource) -> Self {
        Self { table, source, max_genes: Self::DEFAULT_MAX_GENES, unknown: UnknownClass::default() }
    }

    /// Sets the length of the rankings.
    #[must_use]
    pub fn with_max_genes(mut self, max_genes: usize) -> Self {
        self.max_genes = max_genes;
        self
    }

    /// Sets what is written for a class that the table does not have.
    #[must_use]
    pub fn with_unknown_class(mut self, unknown: UnknownClass) -> Self {
        self.unknown = unknown;
        self
    }

    fn class(&self, task: &TaskRecord) -> Option<String> {
        match &self.source {
            ClassSource::Target => Some(task.class.clone()),
            ClassSource::Neighbors { classes_by_name } => {
                let cells = prompt_cells(task);
                let named = task.neighbor_cell_names.iter().filter_map(|name| classes_by_name.get(name));
                most_common_class(cells.iter().filter_map(CellSentence::class))
                    .or_else(|| most_common_class(named.map(String::as_str)))
                    .map(str::to_string)
            }
        }
    }
}

impl CellPredictor for ClassMean {
    type Error = BaselineError;

    fn predict(&mut self, task: &TaskRecord) -> Result<CellSentence, Self::Error> {
        let class = self.class(task);
        let ranking = class.as_deref().and_then(|class| self.table.ranking(class, self.max_genes)).unwrap_or_else(|| match self.unknown {
            UnknownClass::OverallMean => self.table.overall_ranking(self.max_genes),
            UnknownClass::Empty => GeneRanking::default(),
        });
        written_cell(task, ranking, class.as_deref())
    }
}

#[cfg(test)]
mod tests {
    use tn_sentence::Vocabulary;

    use super::super::task;
    use super::*;

    const PROMPT: &str = "<pos> X: 1, Y: 1 <meta> class: Peri <cs> A </cs> \
                          <pos> X: 2, Y: 2 <meta> class: OEC <cs> A </cs> \
                          <pos> X: 3, Y: 3 <meta> class: oec <cs> A </cs>";

    fn table() -> ClassMeanTable {
        let mut table = ClassMeanTable::new(Vocabulary::new(["A", "B", "C"]).unwrap());
        table.add("OEC", &[0, 1], &[1.0, 2.0]).unwrap();
        table.add("Peri", &[2, 0], &[4.0, 0.5]).unwrap();
        table
    }

    #[track_caller]
    fn check(mut baseline: ClassMean, task: &TaskRecord, genes: &str, class: Option<&str>) {
        let cell = baseline.predict(task).unwrap();
        assert_eq!(cell.ranking().to_string(), genes);
        assert_eq!(cell.class(), class);
    }

    #[test]
    fn the_class_comes_from_where_it_was_asked_of() {
        let mut peri = task(PROMPT, "Peri");
        peri.neighbor_cell_names = vec!["p".to_string(), "q".to_string(), "r".to_string()];
        check(ClassMean::of_target(table()), &peri, "C A", Some("Peri"));
        check(ClassMean::of_neighbors(table()), &peri, "B A", Some("OEC"));
        let names = HashMap::from([("q".to_string(), "oec".to_string())]);
        check(ClassMean::of_named_neighbors(table(), names.clone()), &peri, "B A", Some("OEC"));
        peri.prompt = String::new();
        check(ClassMean::of_named_neighbors(table(), names), &peri, "B A", Some("oec"));
    }

    #[test]
    fn an_unknown_class_gets_the_overall_mean() {
        let mural = task("", "Mural");
        check(ClassMean::of_target(table()), &mural, "C B A", Some("Mural"));
        check(ClassMean::of_target(table()).with_max_genes(1), &mural, "C", Some("Mural"));
        check(ClassMean::of_neighbors(table()), &mural, "C B A", None);
        let published = ClassMean::of_target(table()).with_unknown_class(UnknownClass::Empty);
        check(published, &mural, "", Some("Mural"));
    }
}
