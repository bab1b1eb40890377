//! In which order a model reads the neighbors.

use crate::weighted_order;

/// The order of the neighbors in a prompt, by their distance to the target.
///
/// Equal distances keep the order of the task.
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "kebab-case"))]
pub enum PromptOrder {
    /// Drawn without replacement with weight `(d + 1e-8)^tau`, d the distance in micrometers: the nearest cells tend
    /// to come last.
    FarToNearWeighted {
        /// How strongly distance counts; 0 is a random order.
        tau: f64,
    },
    /// By falling distance.
    FarToNear,
    /// By rising distance.
    NearToFar,
    /// At random.
    Random,
    /// As in the task.
    AsGiven,
}

impl Default for PromptOrder {
    fn default() -> Self {
        Self::FarToNearWeighted { tau: 1.0 }
    }
}

impl PromptOrder {
    /// Returns the order of cells at the given distances from the target: a permutation of their indices.
    ///
    /// `draws` are uniform 64-bit numbers, one for each cell; only the random orders look at them.
    ///
    /// # Panics
    ///
    /// Panics when the two slices differ in length.
    ///
    /// # Examples
    ///
    /// ```
    /// use tn_sentence::PromptOrder;
    ///
    /// let distances = [5.0, 30.0, 1.0];
    /// assert_eq!(PromptOrder::FarToNear.order(&distances, &[0; 3]), [1, 0, 2]);
    /// assert_eq!(PromptOrder::NearToFar.order(&distances, &[0; 3]), [2, 0, 1]);
    /// ```
    pub fn order(self, distances: &[f64], draws: &[u64]) -> Vec<usize> {
        assert_eq!(distances.len(), draws.len(), "one draw is needed for each cell");
        let mut order: Vec<usize> = (0..distances.len()).collect();
        match self {
            Self::FarToNearWeighted { tau } => {
                let log_weights: Vec<f64> = distances.iter().map(|d| tau * (d + 1e-8).ln()).collect();
                return weighted_order(&log_weights, draws);
            }
            Self::Random => return weighted_order(&vec![0.0; distances.len()], draws),
            Self::FarToNear => order.sort_by(|&a, &b| distances[b].total_cmp(&distances[a])),
            Self::NearToFar => order.sort_by(|&a, &b| distances[a].total_cmp(&distances[b])),
            Self::AsGiven => {}
        }
        order
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_distances_keep_their_order() {
        for order in [PromptOrder::FarToNear, PromptOrder::NearToFar] {
            assert_eq!(order.order(&[5.0; 4], &[9, 1, 5, 0]), [0, 1, 2, 3]);
        }
    }

    #[test]
    fn as_given_changes_nothing() {
        let order = PromptOrder::AsGiven.order(&[1.0, 3.0, 2.0], &[0; 3]);
        assert_eq!(order, [0, 1, 2]);
    }

    #[test]
    fn a_large_tau_is_far_to_near() {
        let order = PromptOrder::FarToNearWeighted { tau: 1e4 };
        assert_eq!(order.order(&[1.0, 3.0, 2.0], &[1 << 40, 1 << 50, 1 << 60]), [1, 2, 0]);
    }
}
