//! A row of the table of cells.

use crate::cell_sentence::writer::{write_genes, write_metadata, write_position};
use crate::{CellHeader, CellSentence, CoordinateFormat, GeneRanking, Metadata, Position};

/// Bytes of a cell sentence without its genes, at least for most.
const TYPICAL_HEADER: usize = 96;

/// One measured cell.
///
/// # Examples
///
/// ```
/// use tn_sentence::{CellRecord, CoordinateFormat, GeneRanking, Metadata, Position};
///
/// let cell = CellRecord {
///     cell_name: "cell-7".to_owned(),
///     ranking: GeneRanking::parse("GDA DLK1 RREB1")?,
///     position: Position::new(4768.2, 6093.0)?,
///     section: "S1".to_owned(),
///     metadata: Metadata::from_pairs([("class", "HY GABA"), ("split", "train")])?,
/// };
/// let sentence = cell.cell_sentence(&["class", "layer"], 2);
/// assert_eq!(
///     sentence.display(CoordinateFormat::Integer).to_string(),
///     "<pos> X: 4768, Y: 6093 <meta> class: HY GABA, layer: N/A <cs> GDA DLK1 </cs>",
/// );
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct CellRecord {
    /// The name of the cell, unique in its data set.
    pub cell_name: String,
    /// Its expressed genes, highest first.
    pub ranking: GeneRanking,
    /// Where it is, in micrometers.
    pub position: Position,
    /// The section in whose coordinate frame it lies.
    pub section: String,
    /// The other columns: `class`, `split`, `spatial_domain` and so on.
    pub metadata: Metadata,
}

impl CellRecord {
    /// Returns the class of the cell, if the table has the column.
    pub fn class(&self) -> Option<&str> {
        self.metadata.get("class")
    }

    /// Returns the split of the cell, such as `train`, if the table has the column.
    pub fn split(&self) -> Option<&str> {
        self.metadata.get("split")
    }

    /// Returns the cell as text, with the given metadata and its `truncate` highest genes.
    ///
    /// A key that the cell does not have is written `N/A`.
    pub fn cell_sentence<S: AsRef<str>>(&self, meta_keys: &[S], truncate: usize) -> CellSentence {
        let header = CellHeader::new(self.position).with_metadata(self.metadata.select(meta_keys));
        CellSentence::from_header(header, self.ranking.top(truncate))
    }

    /// Returns what [`CellRecord::cell_sentence`] displays, without making that.
    #[expect(clippy::missing_panics_doc, reason = "writing to a string does not fail")]
    pub fn sentence_text<S: AsRef<str>>(&self, meta_keys: &[S], truncate: usize, format: CoordinateFormat) -> String {
        let genes = self.ranking.genes();
        let genes = &genes[..truncate.min(genes.len())];
        let mut text = String::with_capacity(TYPICAL_HEADER + genes.iter().map(|gene| gene.len() + 1).sum::<usize>());
        write_position(&mut text, self.position, format)
            .and_then(|()| write_metadata(&mut text, &self.metadata.select(meta_keys)))
            .and_then(|()| write_genes(&mut text, genes))
            .expect("writing to a string does not fail");
        text
    }
}
