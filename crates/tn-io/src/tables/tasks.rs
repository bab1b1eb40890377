//! Tables of tasks: target, neighbors, answer.

use tn_sentence::{CellSentence, ScenarioLabel, TaskRecord};

use super::{ColumnSpec, RowReader, RowWriter, TableError, TableRecord};
use crate::ColumnKind;

/// Columns `cell_name, prompt, answer, x, y, section, neighbor_cell_names, class, split, scenario, condition, pair_id`.
///
/// Published tables hold less. Only `cell_name`, `prompt` and `answer` are needed to read one: where `x`, `y` or `class`
/// is missing, it is taken from the header of the answer; the others are then empty. A row has a scenario if `scenario`,
/// `condition` and `pair_id` are all there.
impl TableRecord for TaskRecord {
    fn columns() -> Vec<ColumnSpec> {
        vec![
            ColumnSpec::required("cell_name", ColumnKind::Text),
            ColumnSpec::required("prompt", ColumnKind::Text),
            ColumnSpec::required("answer", ColumnKind::Text),
            ColumnSpec::optional("x", ColumnKind::Number),
            ColumnSpec::optional("y", ColumnKind::Number),
            ColumnSpec::optional("section", ColumnKind::Text),
            ColumnSpec::optional("neighbor_cell_names", ColumnKind::List),
            ColumnSpec::optional("class", ColumnKind::Text),
            ColumnSpec::optional("split", ColumnKind::Text),
            ColumnSpec::optional("scenario", ColumnKind::Text),
            ColumnSpec::optional("condition", ColumnKind::Text),
            ColumnSpec::optional("pair_id", ColumnKind::Text),
        ]
    }

    fn write(&self, row: &mut RowWriter<'_>) {
        row.text("cell_name", &self.cell_name);
        row.text("prompt", &self.prompt);
        row.text("answer", &self.answer);
        row.number("x", self.x);
        row.number("y", self.y);
        row.text("section", &self.section);
        row.list("neighbor_cell_names", &self.neighbor_cell_names);
        row.text("class", &self.class);
        row.text("split", &self.split);
        if let Some(label) = &self.scenario {
            row.text("scenario", &label.scenario);
            row.text("condition", &label.condition);
            row.text("pair_id", &label.pair_id);
        }
    }

    fn read(row: &RowReader<'_>) -> Result<Self, TableError> {
        let text = |column| row.optional_text(column).unwrap_or_default().to_owned();
        let answer = row.text("answer")?;
        let (x, y, class) = (row.optional_number("x"), row.optional_number("y"), row.optional_text("class"));
        let (x, y, class) = match (x, y, class) {
            (Some(x), Some(y), Some(class)) => (x, y, class.to_owned()),
            _ => {
                let cell: CellSentence = answer.parse().map_err(|source| row.invalid("answer", answer, source))?;
                let class = class.or(cell.class()).unwrap_or_default().to_owned();
                (x.unwrap_or(cell.position().x()), y.unwrap_or(cell.position().y()), class)
            }
        };
        let label = |column| row.optional_text(column).map(str::to_owned);
        let scenario = match (label("scenario"), label("condition"), label("pair_id")) {
            (Some(scenario), Some(condition), Some(pair_id)) => Some(ScenarioLabel { scenario, condition, pair_id }),
            _ => None,
        };
        Ok(Self {
            cell_name: row.text("cell_name")?.to_owned(),
            // A target without neighbors has an empty prompt, which CSV files cannot tell from a missing one.
            prompt: text("prompt"),
            answer: answer.to_owned(),
            x,
            y,
            section: text("section"),
            neighbor_cell_names: row.list("neighbor_cell_names"),
            class,
            split: text("split"),
            scenario,
        })
    }
}
