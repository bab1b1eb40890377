//! Which class was written where another was true.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::score::aligned;

/// How often each class was written for cells of each true class.
///
/// Equals `sklearn.metrics.confusion_matrix`: rows are true classes, columns written ones, both in alphabetical order of all
/// classes that occur on either side. A cell for which no class was written gets an empty name, which is a class like any other
/// and right for no cell. [`Display`](fmt::Display) is an aligned table.
///
/// ```
/// use tn_eval::distribution::ClassConfusion;
///
/// let confusion = ClassConfusion::new(&["Astro", "Astro", "Neuron", "Astro"], &["Astro", "OEC", "Neuron", "OEC"])?;
/// assert_eq!(confusion.count("OEC", "Astro"), 2); // both OECs became astrocytes
/// assert_eq!((confusion.accuracy(), confusion.recall("OEC"), confusion.precision("Astro")), (0.5, Some(0.0), Some(1.0 / 3.0)));
/// # Ok::<(), tn_eval::distribution::ClassConfusionError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ClassConfusion {
    classes: Vec<String>,
    /// By true, then by written class.
    counts: Vec<Vec<usize>>,
}

/// An error of [`ClassConfusion::new`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ClassConfusionError {
    /// Every written class has its true one.
    #[error("{written} written and {truth} true classes cannot be paired")]
    LengthMismatch {
        /// Written classes.
        written: usize,
        /// True classes.
        truth: usize,
    },
    /// No cell has no accuracy.
    #[error("there are no cells to compare")]
    NoCells,
}

impl ClassConfusion {
    /// Counts the pairs of written and true class, one for each cell.
    ///
    /// # Errors
    ///
    /// Lists of unequal length and empty lists are errors.
    pub fn new<W: AsRef<str>, T: AsRef<str>>(written: &[W], truth: &[T]) -> Result<Self, ClassConfusionError> {
        if written.len() != truth.len() {
            return Err(ClassConfusionError::LengthMismatch { written: written.len(), truth: truth.len() });
        }
        if written.is_empty() {
            return Err(ClassConfusionError::NoCells);
        }
        let names: BTreeSet<&str> = written.iter().map(AsRef::as_ref).chain(truth.iter().map(AsRef::as_ref)).collect();
        let index: BTreeMap<&str, usize> = names.iter().enumerate().map(|(index, name)| (*name, index)).collect();
        let mut counts = vec![vec![0; names.len()]; names.len()];
        for (written, truth) in written.iter().zip(truth) {
            counts[index[truth.as_ref()]][index[written.as_ref()]] += 1;
        }
        Ok(Self { classes: names.into_iter().map(str::to_owned).collect(), counts })
    }

    /// Returns the classes in alphabetical order.
    #[must_use]
    pub fn classes(&self) -> &[String] {
        &self.classes
    }

    /// Returns the number of cells of a true class for which a class was written; 0 for a class that does not occur.
    #[must_use]
    pub fn count(&self, truth: &str, written: &str) -> usize {
        self.index(truth).zip(self.index(written)).map_or(0, |(truth, written)| self.counts[truth][written])
    }

    /// Returns the share of cells whose written class is the true one.
    #[must_use]
    pub fn accuracy(&self) -> f64 {
        let right: usize = (0..self.classes.len()).map(|class| self.counts[class][class]).sum();
        right as f64 / self.counts.iter().flatten().sum::<usize>() as f64
    }

    /// Returns the share of the cells of a true class for which it was written; `None` without such cells.
    #[must_use]
    pub fn recall(&self, truth: &str) -> Option<f64> {
        let class = self.index(truth)?;
        share(self.counts[class][class], self.counts[class].iter().sum())
    }

    /// Returns the share of the cells for which a class was written that are of it; `None` without such cells.
    #[must_use]
    pub fn precision(&self, written: &str) -> Option<f64> {
        let class = self.index(written)?;
        share(self.counts[class][class], self.counts.iter().map(|row| row[class]).sum())
    }

    fn index(&self, class: &str) -> Option<usize> {
        self.classes.binary_search_by(|name| name.as_str().cmp(class)).ok()
    }
}

fn share(part: usize, whole: usize) -> Option<f64> {
    (whole > 0).then(|| part as f64 / whole as f64)
}

impl fmt::Display for ClassConfusion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let header = std::iter::once("true \\ written".to_owned()).chain(self.classes.iter().cloned()).collect();
        let rows = self.classes.iter().zip(&self.counts);
        let rows = rows.map(|(class, counts)| std::iter::once(class.clone()).chain(counts.iter().map(usize::to_string)).collect());
        f.write_str(&aligned(&std::iter::once(header).chain(rows).collect::<Vec<_>>()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_class_on_one_side_only_has_no_share_on_the_other() {
        let confusion = ClassConfusion::new(&["b", "b", ""], &["a", "b", "b"]).unwrap();
        assert_eq!(confusion.classes(), ["", "a", "b"]);
        assert_eq!((confusion.precision("a"), confusion.recall("a")), (None, Some(0.0)));
        assert_eq!((confusion.recall(""), confusion.precision("")), (None, Some(0.0)));
        assert_eq!((confusion.recall("c"), confusion.precision("c"), confusion.count("c", "a")), (None, None, 0));
    }

    #[test]
    fn text_is_aligned() {
        let text = ClassConfusion::new(&["a", "b"], &["a", "a"]).unwrap().to_string();
        assert_eq!(text, "true \\ written  a  b\na               1  1\nb               0  0\n");
    }

    #[test]
    fn bad_input_is_an_error_with_its_values() {
        let error = ClassConfusion::new(&["a"], &["a", "b"]).unwrap_err();
        assert_eq!(error, ClassConfusionError::LengthMismatch { written: 1, truth: 2 });
        assert_eq!(ClassConfusion::new::<&str, &str>(&[], &[]), Err(ClassConfusionError::NoCells));
    }
}
