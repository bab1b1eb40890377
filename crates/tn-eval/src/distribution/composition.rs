//! Are the classes of generated cells as frequent as those of observed ones?

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// How frequent one class is on both sides.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ClassShare {
    /// The class.
    pub class: String,
    /// Its share of the generated cells.
    pub generated: f64,
    /// Its share of the observed cells.
    pub observed: f64,
}

impl ClassShare {
    /// Returns generated minus observed.
    #[must_use]
    pub fn difference(&self) -> f64 {
        self.generated - self.observed
    }
}

/// How far the proportions of classes are apart.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Composition {
    /// The classes that occur on either side, in alphabetical order.
    pub classes: Vec<ClassShare>,
    /// `Σ |p - q| / 2`: the share of cells that would have to be of another class. 0 to 1.
    pub total_variation: f64,
    /// The Jensen-Shannon divergence in bits. 0 to 1.
    pub jensen_shannon: f64,
}

/// An error of [`class_composition`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum CompositionError {
    /// No cell has no proportions.
    #[error("both sides need cells, there are {generated} generated and {observed} observed")]
    NoCells {
        /// Generated cells.
        generated: usize,
        /// Observed cells.
        observed: usize,
    },
}

/// Compares the proportions of classes among generated and observed cells, which need not be paired or equally many.
///
/// Total variation, and the Jensen-Shannon divergence `H((p + q) / 2) - (H(p) + H(q)) / 2` with Shannon's entropy H in bits (Lin,
/// IEEE Transactions on Information Theory 37, 145 (1991)): the square of `scipy.spatial.distance.jensenshannon(base=2)`. For
/// generation without a given class, where a model that writes common classes only can still score well cell by cell. Names are
/// compared exactly; an empty one is a class like any other.
///
/// # Errors
///
/// Returns [`CompositionError::NoCells`] when a side is empty.
///
/// ```
/// use tn_eval::distribution::class_composition;
///
/// let composition = class_composition(&["Astro", "Astro", "Astro", "Neuron"], &["Astro", "Neuron"])?;
/// assert_eq!(composition.total_variation, 0.25);
/// assert_eq!(composition.classes[1].difference(), -0.25); // too few neurons
/// # Ok::<(), tn_eval::distribution::CompositionError>(())
/// ```
pub fn class_composition<G: AsRef<str>, O: AsRef<str>>(generated: &[G], observed: &[O]) -> Result<Composition, CompositionError> {
    let (n, m) = (generated.len(), observed.len());
    if n == 0 || m == 0 {
        return Err(CompositionError::NoCells { generated: n, observed: m });
    }
    let mut counts: BTreeMap<&str, (usize, usize)> = BTreeMap::new();
    generated.iter().for_each(|class| counts.entry(class.as_ref()).or_default().0 += 1);
    observed.iter().for_each(|class| counts.entry(class.as_ref()).or_default().1 += 1);
    let share = |(class, (generated, observed)): (&str, (usize, usize))| ClassShare {
        class: class.to_owned(),
        generated: generated as f64 / n as f64,
        observed: observed as f64 / m as f64,
    };
    let classes: Vec<ClassShare> = counts.into_iter().map(share).collect();
    let divergence = |class: &ClassShare| {
        let (p, q) = (class.generated, class.observed);
        (relative_entropy(p, (p + q) / 2.0) + relative_entropy(q, (p + q) / 2.0)) / 2.0
    };
    Ok(Composition {
        total_variation: classes.iter().map(|class| class.difference().abs()).sum::<f64>() / 2.0,
        jensen_shannon: classes.iter().map(divergence).sum::<f64>().clamp(0.0, 1.0),
        classes,
    })
}

fn relative_entropy(p: f64, q: f64) -> f64 {
    if p == 0.0 { 0.0 } else { p * (p / q).log2() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_proportions_are_no_distance_and_disjoint_classes_the_largest() {
        let same = class_composition(&["a", "b"], &["b", "a", "a", "b"]).unwrap();
        assert_eq!((same.total_variation, same.jensen_shannon), (0.0, 0.0));
        let apart = class_composition(&["a"], &["b", "c"]).unwrap();
        assert_eq!((apart.total_variation, apart.jensen_shannon), (1.0, 1.0));
        assert_eq!(apart.classes[2], ClassShare { class: "c".into(), generated: 0.0, observed: 0.5 });
    }

    #[test]
    fn a_side_without_cells_is_an_error() {
        let error = class_composition::<&str, _>(&[], &["a"]).unwrap_err();
        assert_eq!(error, CompositionError::NoCells { generated: 0, observed: 1 });
    }
}
