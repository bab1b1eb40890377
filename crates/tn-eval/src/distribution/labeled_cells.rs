//! Cells with their classes.

use std::collections::{BTreeMap, BTreeSet};

use thiserror::Error;

use crate::ExpressionMatrix;

/// Every cell has its class.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("{cells} cells and {classes} classes cannot be paired")]
pub struct LabelMismatch {
    /// Number of cells.
    pub cells: usize,
    /// Number of classes.
    pub classes: usize,
}

/// The expression of cells with the class of each.
///
/// ```
/// use tn_eval::ExpressionMatrix;
/// use tn_eval::distribution::LabeledCells;
///
/// let mut cells = ExpressionMatrix::new(["GFAP", "GAD1"])?;
/// cells.push(&[0], &[1.5])?;
/// cells.push(&[1], &[2.0])?;
/// cells.push(&[0], &[1.0])?;
/// let labeled = LabeledCells::new(&cells, &["Astro", "Neuron", "Astro"])?;
/// assert_eq!(labeled.cells_of("Astro"), [0, 2]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct LabeledCells<'a> {
    matrix: &'a ExpressionMatrix,
    classes: Vec<&'a str>,
    by_class: BTreeMap<&'a str, Vec<usize>>,
}

impl<'a> LabeledCells<'a> {
    /// Pairs the cells with their classes. An empty class is a class like any other.
    ///
    /// # Errors
    ///
    /// Returns [`LabelMismatch`] unless there is one class for each cell.
    pub fn new<S: AsRef<str>>(matrix: &'a ExpressionMatrix, classes: &'a [S]) -> Result<Self, LabelMismatch> {
        if matrix.n_cells() != classes.len() {
            return Err(LabelMismatch { cells: matrix.n_cells(), classes: classes.len() });
        }
        let classes: Vec<&str> = classes.iter().map(AsRef::as_ref).collect();
        let mut by_class: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
        for (cell, class) in classes.iter().enumerate() {
            by_class.entry(class).or_default().push(cell);
        }
        Ok(Self { matrix, classes, by_class })
    }

    /// Returns the expression.
    #[must_use]
    pub fn matrix(&self) -> &'a ExpressionMatrix {
        self.matrix
    }

    /// Returns the class of each cell.
    #[must_use]
    pub fn classes(&self) -> &[&'a str] {
        &self.classes
    }

    /// Returns the cells of a class, ascending; none for a class that does not occur.
    #[must_use]
    pub fn cells_of(&self, class: &str) -> &[usize] {
        self.by_class.get(class).map_or(&[], Vec::as_slice)
    }

    /// Returns the classes that occur on either side, in alphabetical order, each with its cells on both.
    pub(super) fn paired_classes<'b>(&'b self, other: &'b Self) -> impl Iterator<Item = (&'a str, &'b [usize], &'b [usize])> {
        let names: BTreeSet<&'a str> = self.by_class.keys().chain(other.by_class.keys()).copied().collect();
        names.into_iter().map(|class| (class, self.cells_of(class), other.cells_of(class)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_of_either_side_are_paired() {
        let mut cells = ExpressionMatrix::new(["A"]).unwrap();
        (0..3).for_each(|_| cells.push(&[], &[]).unwrap());
        let (here, there) = (["b", "a", "b"], ["c", "b", "c"]);
        let (here, there) = (LabeledCells::new(&cells, &here).unwrap(), LabeledCells::new(&cells, &there).unwrap());
        let paired: Vec<_> = here.paired_classes(&there).collect();
        assert_eq!(paired, [("a", &[1][..], &[][..]), ("b", &[0, 2], &[1]), ("c", &[], &[0, 2])]);
        assert_eq!(here.classes(), ["b", "a", "b"]);
        assert!(here.cells_of("z").is_empty());
    }

    #[test]
    fn a_cell_without_a_class_is_an_error() {
        let cells = ExpressionMatrix::new(["A"]).unwrap();
        let error = LabeledCells::new(&cells, &["a"]).unwrap_err();
        assert_eq!(error.to_string(), "0 cells and 1 classes cannot be paired");
    }
}
