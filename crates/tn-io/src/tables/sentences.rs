//! Tables of spatial sentences.

use tn_sentence::SentenceRecord;

use super::{ColumnSpec, RowReader, RowWriter, TableError, TableRecord};
use crate::ColumnKind;

/// Columns `spatial_bin_id, section, sentence, cell_names, cell_meta, n_cells, traversal, repeat_idx, split`. Only
/// `sentence` is needed to read one; what is missing is empty, and `n_cells` is then the number of cell names.
impl TableRecord for SentenceRecord {
    fn columns() -> Vec<ColumnSpec> {
        vec![
            ColumnSpec::optional("spatial_bin_id", ColumnKind::Text),
            ColumnSpec::optional("section", ColumnKind::Text),
            ColumnSpec::required("sentence", ColumnKind::Text),
            ColumnSpec::optional("cell_names", ColumnKind::List),
            ColumnSpec::optional("cell_meta", ColumnKind::List),
            ColumnSpec::optional("n_cells", ColumnKind::Integer),
            ColumnSpec::optional("traversal", ColumnKind::Text),
            ColumnSpec::optional("repeat_idx", ColumnKind::Integer),
            ColumnSpec::optional("split", ColumnKind::Text),
        ]
    }

    fn write(&self, row: &mut RowWriter<'_>) {
        row.text("spatial_bin_id", &self.spatial_bin_id);
        row.text("section", &self.section);
        row.text("sentence", &self.sentence);
        row.list("cell_names", &self.cell_names);
        row.list("cell_meta", &self.cell_meta);
        row.integer("n_cells", self.n_cells);
        row.text("traversal", &self.traversal);
        row.integer("repeat_idx", self.repeat_idx);
        row.text("split", &self.split);
    }

    fn read(row: &RowReader<'_>) -> Result<Self, TableError> {
        let text = |column| row.optional_text(column).unwrap_or_default().to_owned();
        let cell_names = row.list("cell_names");
        Ok(Self {
            spatial_bin_id: text("spatial_bin_id"),
            section: text("section"),
            sentence: row.text("sentence")?.to_owned(),
            n_cells: row.optional_integer("n_cells")?.unwrap_or(cell_names.len() as u32),
            cell_names,
            cell_meta: row.list("cell_meta"),
            traversal: text("traversal"),
            repeat_idx: row.optional_integer("repeat_idx")?.unwrap_or(0),
            split: text("split"),
        })
    }
}
