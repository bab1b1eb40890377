//! A row of the table of sentences.

/// One spatial sentence: the cells of a bin or neighborhood as text for training.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct SentenceRecord {
    /// Names the bin: `{section}__{i}_{j}`.
    pub spatial_bin_id: String,
    /// The section of the cells.
    pub section: String,
    /// The text.
    pub sentence: String,
    /// The names of the cells, in the order of the text.
    pub cell_names: Vec<String>,
    /// The metadata of the cells as text, in the order of the text.
    pub cell_meta: Vec<String>,
    /// The number of cells.
    pub n_cells: u32,
    /// The traversal that ordered the cells.
    pub traversal: String,
    /// Counts the traversals of the same bin, from 0.
    pub repeat_idx: u32,
    /// The split of the cells, empty where the table of cells has none.
    pub split: String,
}
