//! Tables of the truth behind simulated cells.

use tn_sentence::GeneRanking;

use super::{ColumnSpec, RowReader, RowWriter, TableError, TableRecord};
use crate::ColumnKind;

/// What is true about one simulated cell. What was planted in the whole tissue is in the file's metadata under
/// [`TRUTH_KEY`](crate::TRUTH_KEY).
#[derive(Clone, Debug, PartialEq)]
pub struct TruthRecord {
    /// Name of the cell.
    pub cell_name: String,
    /// Genes by descending true mean.
    pub oracle: GeneRanking,
    /// Genes of a second draw of the same cell, highest first.
    pub replicate: GeneRanking,
    /// Class of the cell.
    pub class: String,
    /// Split of the cell.
    pub split: String,
    /// Whether the cell has a partner of the proximity effect in reach.
    pub proximal: bool,
    /// Whether the cell has a knocked-out cell in reach and answers to it.
    pub knockout_neighbor: bool,
}

/// Columns `cell_name, oracle, replicate, class, split, proximal, knockout_neighbor`.
impl TableRecord for TruthRecord {
    fn columns() -> Vec<ColumnSpec> {
        vec![
            ColumnSpec::required("cell_name", ColumnKind::Text),
            ColumnSpec::required("oracle", ColumnKind::Text),
            ColumnSpec::required("replicate", ColumnKind::Text),
            ColumnSpec::required("class", ColumnKind::Text),
            ColumnSpec::required("split", ColumnKind::Text),
            ColumnSpec::required("proximal", ColumnKind::Flag),
            ColumnSpec::required("knockout_neighbor", ColumnKind::Flag),
        ]
    }

    fn write(&self, row: &mut RowWriter<'_>) {
        row.text("cell_name", &self.cell_name);
        row.text_with("oracle", |text| self.oracle.append_to(text));
        row.text_with("replicate", |text| self.replicate.append_to(text));
        row.text("class", &self.class);
        row.text("split", &self.split);
        row.flag("proximal", self.proximal);
        row.flag("knockout_neighbor", self.knockout_neighbor);
    }

    fn read(row: &RowReader<'_>) -> Result<Self, TableError> {
        let ranking = |column| {
            let text = row.optional_text(column).unwrap_or_default();
            GeneRanking::parse(text).map_err(|source| row.invalid(column, text, source))
        };
        Ok(Self {
            cell_name: row.text("cell_name")?.to_owned(),
            oracle: ranking("oracle")?,
            replicate: ranking("replicate")?,
            class: row.text("class")?.to_owned(),
            split: row.text("split")?.to_owned(),
            proximal: row.flag("proximal")?,
            knockout_neighbor: row.flag("knockout_neighbor")?,
        })
    }
}
