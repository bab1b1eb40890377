//! How well the markers of a cell type tell its cells from others.

use std::collections::{BTreeMap, HashMap};

use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::{ExpressionMatrix, GeneColumns};

/// An error of [`marker_auroc`].
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum MarkerAurocError {
    /// Every cell has its label.
    #[error("{cells} cells and {labels} labels cannot be paired")]
    LengthMismatch {
        /// Cells of the matrix.
        cells: usize,
        /// Labels given.
        labels: usize,
    },
    /// There is no cell of a type, or no other.
    #[error("{cells} of {of} cells are of type {cell_type:?}: both they and others are needed; types are {}", types.join(", "))]
    OneKind {
        /// The type.
        cell_type: String,
        /// Its cells.
        cells: usize,
        /// All cells with a label.
        of: usize,
        /// The types that there are, ascending.
        types: Vec<String>,
    },
    /// None of the markers of a type is in the matrix.
    #[error("none of the markers of {cell_type:?} is in the matrix: {}", markers.join(", "))]
    NoMarkers {
        /// The type.
        cell_type: String,
        /// Its markers.
        markers: Vec<String>,
    },
}

/// How well the markers of a cell type tell its cells.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MarkerAuroc {
    /// The type.
    pub cell_type: String,
    /// Its cells.
    pub cells: usize,
    /// Mean over the markers that are measured.
    pub mean: f64,
    /// Each measured marker, in the given order.
    pub markers: Vec<(String, f64)>,
    /// Markers that are not in the matrix.
    pub unmeasured: Vec<String>,
}

/// Returns, for each cell type that has markers, the mean of their [`auroc`](crate::auroc): the probability that a cell of the type
/// has more of the marker than another cell, a tie counting one half.
///
/// One half says nothing, less than that the opposite. Cells with an empty label take no part. Zeros are one tie and are counted, never
/// sorted; negative values rank below them. Symbols are compared as they are spelled; a marker that is named twice counts twice.
///
/// ```
/// use std::collections::BTreeMap;
/// use tn_eval::{ExpressionMatrix, marker_auroc};
///
/// let mut cells = ExpressionMatrix::new(["CD14", "CD3E"])?;
/// for values in [[2.1, 0.0], [1.8, 0.0], [0.0, 1.0], [1.9, 0.0]] {
///     cells.push_dense(&values)?;
/// }
/// let markers = BTreeMap::from([("monocyte".to_string(), vec!["CD14".to_string(), "LYZ".to_string()])]);
/// let scores = marker_auroc(&cells, &["monocyte", "monocyte", "T cell", "T cell"], &markers)?;
/// assert_eq!((scores[0].mean, &scores[0].unmeasured[..]), (0.75, &["LYZ".to_string()][..]));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
///
/// A number of labels other than that of the cells, a type without cells or without others, and one of whose markers none is measured
/// are errors.
pub fn marker_auroc<L: AsRef<str> + Sync>(
    cells: &ExpressionMatrix,
    labels: &[L],
    markers: &BTreeMap<String, Vec<String>>,
) -> Result<Vec<MarkerAuroc>, MarkerAurocError> {
    if labels.len() != cells.n_cells() {
        return Err(MarkerAurocError::LengthMismatch { cells: cells.n_cells(), labels: labels.len() });
    }
    let genes: HashMap<&str, usize> = cells.genes().iter().enumerate().map(|(index, gene)| (gene.as_str(), index)).collect();
    let columns = cells.by_gene();
    markers.par_iter().map(|(cell_type, markers)| of_type(&columns, &genes, labels, cell_type, markers)).collect()
}

fn of_type<L: AsRef<str>>(
    columns: &GeneColumns,
    genes: &HashMap<&str, usize>,
    labels: &[L],
    cell_type: &str,
    markers: &[String],
) -> Result<MarkerAuroc, MarkerAurocError> {
    let kinds: Vec<Kind> = labels
        .iter()
        .map(|label| match label.as_ref() {
            "" => Kind::None,
            label if label == cell_type => Kind::Own,
            _ => Kind::Other,
        })
        .collect();
    let count = |kind| kinds.iter().filter(|&&other| other == kind).count();
    let (own, others) = (count(Kind::Own), count(Kind::Other));
    if own == 0 || others == 0 {
        let mut types: Vec<String> = labels.iter().map(|label| label.as_ref().to_string()).filter(|label| !label.is_empty()).collect();
        types.sort_unstable();
        types.dedup();
        return Err(MarkerAurocError::OneKind { cell_type: cell_type.to_string(), cells: own, of: own + others, types });
    }
    let (measured, unmeasured): (Vec<&String>, Vec<&String>) = markers.iter().partition(|gene| genes.contains_key(gene.as_str()));
    if measured.is_empty() {
        return Err(MarkerAurocError::NoMarkers { cell_type: cell_type.to_string(), markers: markers.to_vec() });
    }
    let scores: Vec<(String, f64)> =
        measured.into_iter().map(|gene| (gene.clone(), sparse_auroc(columns.gene(genes[gene.as_str()]), &kinds, own, others))).collect();
    Ok(MarkerAuroc {
        cell_type: cell_type.to_string(),
        cells: own,
        mean: scores.iter().map(|(_, score)| score).sum::<f64>() / scores.len() as f64,
        markers: scores,
        unmeasured: unmeasured.into_iter().cloned().collect(),
    })
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Own,
    Other,
    None,
}

/// Counts how many pairs of an own and another cell are in the right order, block by block of equal values; zeros are one block.
fn sparse_auroc((cells, values): (&[u32], &[f32]), kinds: &[Kind], own: usize, others: usize) -> f64 {
    let mut sorted: Vec<(f32, Kind)> = cells.iter().zip(values).map(|(&cell, &value)| (value, kinds[cell as usize])).collect();
    sorted.retain(|(_, kind)| *kind != Kind::None);
    sorted.sort_by(|a, b| a.0.total_cmp(&b.0));
    let count = |block: &[(f32, Kind)], kind| block.iter().filter(|(_, other)| *other == kind).count();
    let zeros = (own - count(&sorted, Kind::Own), others - count(&sorted, Kind::Other));
    let (negative, positive) = sorted.split_at(sorted.partition_point(|(value, _)| *value < 0.0));
    let blocks = |part: &[(f32, Kind)]| -> Vec<(usize, usize)> {
        part.chunk_by(|a, b| a.0 == b.0).map(|block| (count(block, Kind::Own), count(block, Kind::Other))).collect()
    };
    let (mut below, mut twice_right) = (0, 0_u64);
    for (own, others) in blocks(negative).into_iter().chain([zeros]).chain(blocks(positive)) {
        twice_right += own as u64 * (2 * below + others) as u64;
        below += others;
    }
    twice_right as f64 / (2.0 * own as f64 * others as f64)
}

#[cfg(test)]
mod tests {
    use tn_sentence::draw;

    use super::*;
    use crate::auroc;

    #[test]
    fn counting_blocks_is_the_area_under_the_curve() {
        for case in 0..40 {
            let n = 3 + (draw(case, 0) % 60) as usize;
            let value = |cell: usize| (draw(case, 1 + cell as u64) % 9) as f32 - 4.0;
            let mut cells = ExpressionMatrix::new(["A"]).unwrap();
            (0..n).for_each(|cell| cells.push_dense(&[value(cell)]).unwrap());
            let labels: Vec<&str> = (0..n).map(|cell| if cell % 3 == 0 { "own" } else { "other" }).collect();
            let markers = BTreeMap::from([("own".to_string(), vec!["A".to_string()])]);
            let scores: Vec<f64> = (0..n).map(|cell| f64::from(value(cell))).collect();
            let is_own: Vec<bool> = labels.iter().map(|label| *label == "own").collect();
            let expected = auroc(&scores, &is_own).unwrap();
            assert!((marker_auroc(&cells, &labels, &markers).unwrap()[0].mean - expected).abs() < 1e-12);
        }
    }

    #[test]
    fn bad_input_is_an_error_with_its_values() {
        let mut cells = ExpressionMatrix::new(["A"]).unwrap();
        (0..3).for_each(|_| cells.push_dense(&[1.0]).unwrap());
        let markers = |cell_type: &str, gene: &str| BTreeMap::from([(cell_type.to_string(), vec![gene.to_string()])]);
        let error = |labels: &[&str], markers| marker_auroc(&cells, labels, &markers).unwrap_err().to_string();
        assert_eq!(error(&["T"], markers("T", "A")), "3 cells and 1 labels cannot be paired");
        let expected = "0 of 2 cells are of type \"T\": both they and others are needed; types are B, NK";
        assert_eq!(error(&["NK", "B", ""], markers("T", "A")), expected);
        assert_eq!(error(&["T", "B", "B"], markers("T", "a")), "none of the markers of \"T\" is in the matrix: a");
    }
}
