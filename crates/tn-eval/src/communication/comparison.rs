//! Communication in one condition against another.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::CommunicationTable;

/// What a source says to a target in one pathway, in two conditions.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PathwayChange {
    /// The group that has the ligands.
    pub source: String,
    /// The group that has the receptors.
    pub target: String,
    /// The pathway.
    pub pathway: String,
    /// The sum of its probabilities in the first condition; 0 where it is silent.
    pub first: f64,
    /// The same in the second condition.
    pub second: f64,
}

impl PathwayChange {
    /// Returns `second - first`.
    #[must_use]
    pub fn difference(&self) -> f64 {
        self.second - self.first
    }

    /// Returns `log2(second / first)`: infinite for what is heard in one condition only.
    #[must_use]
    pub fn log2_ratio(&self) -> f64 {
        (self.second / self.first).log2()
    }
}

/// Compares the pathways of two conditions, each summed over interactions with a p-value of at most `max_p_value`, the largest
/// difference first.
///
/// The groups of both are compared by name. A pathway that is silent in both has no row.
#[must_use]
pub fn compare_pathways(first: &CommunicationTable, second: &CommunicationTable, max_p_value: f64) -> Vec<PathwayChange> {
    let mut flows: BTreeMap<(String, String, String), [f64; 2]> = BTreeMap::new();
    for (condition, table) in [first, second].into_iter().enumerate() {
        for flow in table.pathways(max_p_value) {
            flows.entry((flow.pathway, flow.source, flow.target)).or_default()[condition] = flow.probability;
        }
    }
    let changes = flows.into_iter();
    let mut changes: Vec<PathwayChange> =
        changes.map(|((pathway, source, target), [first, second])| PathwayChange { source, target, pathway, first, second }).collect();
    changes.sort_by(|a, b| b.difference().abs().total_cmp(&a.difference().abs()));
    changes
}
