//! Tables of generated cells.

use tn_sentence::{FinishReason, GeneratedRecord, TaskRecord};

use super::{ColumnSpec, RowReader, RowWriter, TableError, TableRecord};
use crate::ColumnKind;

/// The columns of tasks, then `sample, model_prompt, generated_text, generated_block, finish_reason, n_tokens, repairs`.
///
/// Predictions of other programs can be read and scored as well: beyond what a task needs, only `generated_block` is
/// needed. What is missing is 0, empty or `closed`; a missing `generated_text` is the block.
impl TableRecord for GeneratedRecord {
    fn columns() -> Vec<ColumnSpec> {
        let mut columns = TaskRecord::columns();
        columns.extend([
            ColumnSpec::optional("sample", ColumnKind::Integer),
            ColumnSpec::optional("model_prompt", ColumnKind::Text),
            ColumnSpec::optional("generated_text", ColumnKind::Text),
            ColumnSpec::required("generated_block", ColumnKind::Text),
            ColumnSpec::optional("finish_reason", ColumnKind::Text),
            ColumnSpec::optional("n_tokens", ColumnKind::Integer),
            ColumnSpec::optional("repairs", ColumnKind::Integer),
        ]);
        columns
    }

    fn write(&self, row: &mut RowWriter<'_>) {
        self.task.write(row);
        row.integer("sample", self.sample);
        row.text("model_prompt", &self.model_prompt);
        row.text("generated_text", &self.generated_text);
        row.text("generated_block", &self.generated_block);
        row.text("finish_reason", self.finish_reason.as_str());
        row.integer("n_tokens", self.n_tokens);
        row.integer("repairs", self.repairs);
    }

    fn read(row: &RowReader<'_>) -> Result<Self, TableError> {
        let block = row.optional_text("generated_block").unwrap_or_default();
        let finish_reason = match row.optional_text("finish_reason") {
            Some(text) => text.parse().map_err(|source| row.invalid("finish_reason", text, source))?,
            None => FinishReason::Closed,
        };
        let has_text = row.columns().any(|column| column == "generated_text");
        let generated_text = row.optional_text("generated_text").unwrap_or(if has_text { "" } else { block });
        Ok(Self {
            task: TaskRecord::read(row)?,
            sample: row.optional_integer("sample")?.unwrap_or(0),
            model_prompt: row.optional_text("model_prompt").unwrap_or_default().to_owned(),
            generated_text: generated_text.to_owned(),
            generated_block: block.to_owned(),
            finish_reason,
            n_tokens: row.optional_integer("n_tokens")?.unwrap_or(0),
            repairs: row.optional_integer("repairs")?.unwrap_or(0),
        })
    }
}
