//! Tables of cells.

use tn_sentence::{CellRecord, GeneRanking, Metadata, Position};

use super::{ColumnSpec, RowReader, RowWriter, TableError, TableRecord};
use crate::ColumnKind;

/// A column as the published program spells it.
const MISSPELLED: &str = "neigbor_class";
/// What it means.
const NEIGHBOR_CLASS: &str = "neighbor_class";

/// Columns `cell_name, sentence, x, y, section`; all others are metadata. A missing metadata value is left out. The
/// published program's column `neigbor_class` is read as `neighbor_class`, unless the table has that too.
impl TableRecord for CellRecord {
    fn columns() -> Vec<ColumnSpec> {
        vec![
            ColumnSpec::required("cell_name", ColumnKind::Text),
            ColumnSpec::required("sentence", ColumnKind::Text),
            ColumnSpec::required("x", ColumnKind::Number),
            ColumnSpec::required("y", ColumnKind::Number),
            ColumnSpec::required("section", ColumnKind::Text),
        ]
    }

    fn keeps_other_columns() -> bool {
        true
    }

    fn write(&self, row: &mut RowWriter<'_>) {
        row.text("cell_name", &self.cell_name);
        row.text("sentence", &self.ranking.to_string());
        row.number("x", self.position.x());
        row.number("y", self.position.y());
        row.text("section", &self.section);
        for column in row.columns().iter().skip(Self::columns().len()) {
            if let Some(value) = self.metadata.get(column) {
                row.text(column, value);
            }
        }
    }

    fn read(row: &RowReader<'_>) -> Result<Self, TableError> {
        let own = Self::columns();
        let mut metadata = Metadata::new();
        for column in row.columns().filter(|column| own.iter().all(|spec| spec.name != *column)) {
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
            ranking: GeneRanking::parse(sentence).map_err(|source| row.invalid("sentence", sentence, source))?,
            position: Position::new(x, y).map_err(|source| row.invalid("x, y", &format!("{x}, {y}"), source))?,
            section: row.text("section")?.to_owned(),
            metadata,
        })
    }
}
