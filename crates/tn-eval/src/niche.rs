//! What is around a cell.

use std::collections::BTreeMap;

use thiserror::Error;
use tn_spatial::RadiusGraph;

/// An error of describing neighborhoods.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum NicheError {
    /// Every cell has its label and its place.
    #[error("{cells} cells with neighbors and {labels} labels cannot be paired")]
    LengthMismatch {
        /// Cells of the graph.
        cells: usize,
        /// Labels given.
        labels: usize,
    },
    /// No cell is of a class.
    #[error("no cell is of the class {class:?}; classes are {}", classes.join(", "))]
    UnknownClass {
        /// The class that was asked for.
        class: String,
        /// Those that there are, ascending.
        classes: Vec<String>,
    },
}

/// The classes among the neighbors of each cell.
#[derive(Clone, Debug, PartialEq)]
pub struct NeighborhoodComposition {
    classes: Vec<String>,
    counts: Vec<u32>,
}

impl NeighborhoodComposition {
    /// Counts the classes of the neighbors of each cell, itself not among them. Neighbors with an empty label are not counted.
    ///
    /// ```
    /// use tn_eval::NeighborhoodComposition;
    /// use tn_sentence::Position;
    /// use tn_spatial::RadiusGraph;
    ///
    /// let places = [0.0, 5.0, 9.0].map(|x| Position::new(x, 0.0).unwrap());
    /// let graph = RadiusGraph::new(&places, 6.0)?;
    /// let composition = NeighborhoodComposition::new(&graph, &["T cell", "tumor", "T cell"])?;
    /// assert_eq!(composition.classes(), ["T cell", "tumor"]);
    /// assert_eq!(composition.counts(1), [2, 0]);
    /// assert_eq!(composition.shares(0), [0.0, 1.0]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// A number of labels other than that of the cells is an error.
    pub fn new<L: AsRef<str>>(graph: &RadiusGraph, labels: &[L]) -> Result<Self, NicheError> {
        if graph.len() != labels.len() {
            return Err(NicheError::LengthMismatch { cells: graph.len(), labels: labels.len() });
        }
        let mut codes: BTreeMap<&str, usize> =
            labels.iter().map(|label| (label.as_ref(), 0)).filter(|(label, _)| !label.is_empty()).collect();
        codes.values_mut().enumerate().for_each(|(place, code)| *code = place);
        let cell_codes: Vec<Option<usize>> = labels.iter().map(|label| codes.get(label.as_ref()).copied()).collect();
        let mut counts = vec![0; labels.len() * codes.len()];
        for cell in 0..labels.len() {
            for code in graph.neighbors(cell).iter().filter_map(|&other| cell_codes[other as usize]) {
                counts[cell * codes.len() + code] += 1;
            }
        }
        Ok(Self { classes: codes.into_keys().map(str::to_string).collect(), counts })
    }

    /// Returns the classes, ascending.
    #[must_use]
    pub fn classes(&self) -> &[String] {
        &self.classes
    }

    /// Returns how many neighbors of a cell are of each class.
    ///
    /// # Panics
    ///
    /// Panics if there is no such cell.
    #[must_use]
    pub fn counts(&self, cell: usize) -> &[u32] {
        &self.counts[cell * self.classes.len()..(cell + 1) * self.classes.len()]
    }

    /// Returns which share of the neighbors of a cell is of each class; zeros for a cell without neighbors.
    ///
    /// # Panics
    ///
    /// Panics if there is no such cell.
    #[must_use]
    pub fn shares(&self, cell: usize) -> Vec<f64> {
        let counts = self.counts(cell);
        let all: u32 = counts.iter().sum();
        counts.iter().map(|&count| f64::from(count) / f64::from(all.max(1))).collect()
    }

    /// Returns how many neighbors of each cell are of a class: its niche score, such as the malignant cells around an immune cell.
    ///
    /// # Errors
    ///
    /// Returns [`NicheError::UnknownClass`] with the classes that there are.
    pub fn of_class(&self, class: &str) -> Result<Vec<u32>, NicheError> {
        let code = self.classes.iter().position(|other| other == class);
        let code = code.ok_or_else(|| NicheError::UnknownClass { class: class.to_string(), classes: self.classes.clone() })?;
        Ok((0..self.counts.len() / self.classes.len()).map(|cell| self.counts(cell)[code]).collect())
    }
}

/// How a cell's niche score compares with its lineage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NicheLevel {
    /// Above the median of its lineage: infiltrating, where the score counts malignant neighbors.
    High,
    /// At the median or below.
    Low,
}

/// Compares each cell's niche score with the median of its lineage: the published grouping of infiltrating immune cells.
///
/// A cell is [`NicheLevel::High`] if its score is **above** the median, of an even number of cells the mean of the two in the middle; so
/// a lineage whose cells all have one score is low throughout. A cell with an empty lineage has no level.
///
/// ```
/// use tn_eval::{NicheLevel, niche_levels};
///
/// let malignant_neighbors = [0, 3, 1, 5];
/// let levels = niche_levels(&malignant_neighbors, &["T cell", "T cell", "T cell", ""])?;
/// assert_eq!(levels, [Some(NicheLevel::Low), Some(NicheLevel::High), Some(NicheLevel::Low), None]);
/// # Ok::<(), tn_eval::NicheError>(())
/// ```
///
/// # Errors
///
/// A number of lineages other than that of the scores is an error.
pub fn niche_levels<L: AsRef<str>>(scores: &[u32], lineages: &[L]) -> Result<Vec<Option<NicheLevel>>, NicheError> {
    if scores.len() != lineages.len() {
        return Err(NicheError::LengthMismatch { cells: scores.len(), labels: lineages.len() });
    }
    let mut of_lineage: BTreeMap<&str, Vec<u32>> = BTreeMap::new();
    scores.iter().zip(lineages).for_each(|(&score, lineage)| of_lineage.entry(lineage.as_ref()).or_default().push(score));
    let twice_median = |mut scores: Vec<u32>| {
        scores.sort_unstable();
        u64::from(scores[(scores.len() - 1) / 2]) + u64::from(scores[scores.len() / 2])
    };
    let medians: BTreeMap<&str, u64> = of_lineage.into_iter().map(|(lineage, scores)| (lineage, twice_median(scores))).collect();
    let level = |(&score, lineage): (&u32, &L)| match lineage.as_ref() {
        "" => None,
        lineage if 2 * u64::from(score) > medians[lineage] => Some(NicheLevel::High),
        _ => Some(NicheLevel::Low),
    };
    Ok(scores.iter().zip(lineages).map(level).collect())
}

#[cfg(test)]
mod tests {
    use tn_sentence::Position;

    use super::*;

    fn line(n: usize) -> RadiusGraph {
        let places: Vec<Position> = (0..n).map(|cell| Position::new(cell as f64, 0.0).unwrap()).collect();
        RadiusGraph::new(&places, 1.0).unwrap()
    }

    #[test]
    fn neighbors_are_counted_by_class() {
        let composition = NeighborhoodComposition::new(&line(4), &["b", "a", "", "a"]).unwrap();
        assert_eq!(composition.classes(), ["a", "b"]);
        let counts: Vec<&[u32]> = (0..4).map(|cell| composition.counts(cell)).collect();
        assert_eq!(counts, [&[1, 0], &[0, 1], &[2, 0], &[0, 0]]);
        assert_eq!(composition.shares(3), [0.0, 0.0]);
        assert_eq!(composition.of_class("a").unwrap(), [1, 0, 2, 0]);
    }

    #[test]
    fn nothing_is_above_the_median_of_equal_scores() {
        let levels = niche_levels(&[2, 2, 0, 1, 3, 4], &["T", "T", "B", "B", "B", "B"]).unwrap();
        let high: Vec<bool> = levels.into_iter().map(|level| level == Some(NicheLevel::High)).collect();
        assert_eq!(high, [false, false, false, false, true, true]);
        assert!(niche_levels(&[], &[] as &[&str]).unwrap().is_empty());
    }

    #[test]
    fn bad_input_is_an_error_with_its_values() {
        let error = NeighborhoodComposition::new(&line(2), &["a"]).unwrap_err();
        assert_eq!(error, NicheError::LengthMismatch { cells: 2, labels: 1 });
        assert!(niche_levels(&[1], &[] as &[&str]).is_err());
        let composition = NeighborhoodComposition::new(&line(2), &["a", "b"]).unwrap();
        assert_eq!(composition.of_class("c").unwrap_err().to_string(), "no cell is of the class \"c\"; classes are a, b");
    }
}
