//! Tables of cells.

use tn_sentence::{CellRecord, GeneRanking, Metadata, Position};

use super::{ColumnSpec, RowReader, RowWriter, TableError, TableRecord};
use crate::ColumnKind;

/// A column as the published program spells it.
const MISSPELLED: &str = "neigbor_class";
/// What it means.
const NEIGHBOR_CLASS: &str = "neighbor_class";

/// The columns of every table of cells.
const COLUMNS: [(&str, ColumnKind); 5] = [
    ("cell_name", ColumnKind::Text),
    ("sentence", ColumnKind::Text),
    ("x", ColumnKind::Number),
    ("y", ColumnKind::Number),
    ("section", ColumnKind::Text),
];

/// Columns `cell_name, sentence, x, y, section`; all others are metadata. A missing metadata value is left out. The
/// published program's column `neigbor_class` is read as `neighbor_class`, unless the table has that too.
impl TableRecord for CellRecord {
    fn columns() -> Vec<ColumnSpec> {
        COLUMNS.map(|(name, kind)| ColumnSpec::required(name, kind)).to_vec()
    }

    fn keeps_other_columns() -> bool {
        true
    }

    fn write(&self, row: &mut RowWriter<'_>) {
        row.text("cell_name", &self.cell_name);
        row.text_with("sentence", |text| self.ranking.append_to(text));
        row.number("x", self.position.x());
        row.number("y", self.position.y());
        row.text("section", &self.section);
        row.other_texts(COLUMNS.len(), |column| self.metadata.get(column));
    }

    fn read(row: &RowReader<'_>) -> Result<Self, TableError> {
        let mut metadata = Metadata::new();
        for column in row.columns().filter(|column| COLUMNS.iter().all(|(own, _)| own != column)) {
            if let Some(value) = row.optional_text(column) {
                let is_misspelled = column == MISSPELLED && row.columns().all(|other| other != NEIGHBOR_CLASS);
                let key = if is_misspelled { NEIGHBOR_CLASS } else { column };
                metadata.insert(key, value).map_err(|source| row.invalid(column, value, source))?;
            }
        }
        let sentence = row.optional_text("sentence").unwrap_or_default();
        let (x, y) = (row.number("x")?, row.number("y")?);
        Ok(Self {
            cell_name: row.text("cell_name")?.to_owned(),
            ranking: GeneRanking::parse_top(sentence, row.max_genes).map_err(|source| row.invalid("sentence", sentence, source))?,
            position: Position::new(x, y).map_err(|source| row.invalid("x, y", &format!("{x}, {y}"), source))?,
            section: row.text("section")?.to_owned(),
            metadata,
        })
    }
}
