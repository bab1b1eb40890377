//! Who says what to whom.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// A ligand of one group that a receptor of another, or of the same, could hear.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Interaction {
    /// The group that has the ligand.
    pub source: String,
    /// The group that has the receptor.
    pub target: String,
    /// The ligand, subunits joined by `_`.
    pub ligand: String,
    /// The receptor, subunits joined by `_`.
    pub receptor: String,
    /// The pathway; empty where none is known.
    pub pathway: String,
    /// The communication probability, above 0: a strength between 0 and 1, more with agonists.
    pub probability: f64,
    /// The share of permutations with at least this probability, itself counted.
    pub p_value: f64,
    /// Contacts from cells of the source to cells of the target, where only neighbors speak.
    pub contacts: Option<u64>,
}

/// A group and the number of its cells.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GroupSize {
    /// The group.
    pub group: String,
    /// Its cells.
    pub cells: usize,
}

/// All that a source says to a target in one pathway.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PathwayFlow {
    /// The group that has the ligands.
    pub source: String,
    /// The group that has the receptors.
    pub target: String,
    /// The pathway.
    pub pathway: String,
    /// The sum of the probabilities of its pairs.
    pub probability: f64,
    /// The pairs that are summed.
    pub pairs: usize,
}

/// What [`Communication`](super::Communication) found: interactions above 0, the strongest first.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CommunicationTable {
    interactions: Vec<Interaction>,
    groups: Vec<GroupSize>,
    left_out: Vec<GroupSize>,
    unmeasured: Vec<String>,
}

impl CommunicationTable {
    pub(super) fn new(interactions: Vec<Interaction>, groups: Vec<GroupSize>, left_out: Vec<GroupSize>, unmeasured: Vec<String>) -> Self {
        Self { interactions, groups, left_out, unmeasured }
    }

    /// Returns the interactions; of equal probability, in the order of pairs, sources and targets.
    #[must_use]
    pub fn interactions(&self) -> &[Interaction] {
        &self.interactions
    }

    /// Returns the groups, ascending.
    #[must_use]
    pub fn groups(&self) -> &[GroupSize] {
        &self.groups
    }

    /// Returns the groups that have too few cells.
    #[must_use]
    pub fn left_out(&self) -> &[GroupSize] {
        &self.left_out
    }

    /// Returns the pairs of which a gene is not in the matrix.
    #[must_use]
    pub fn unmeasured(&self) -> &[String] {
        &self.unmeasured
    }

    /// Sums interactions with a p-value of at most `max_p_value` by pathway, source and target. Pairs without a pathway are left out.
    #[must_use]
    pub fn pathways(&self, max_p_value: f64) -> Vec<PathwayFlow> {
        let mut flows: BTreeMap<(&str, &str, &str), (f64, usize)> = BTreeMap::new();
        for row in self.interactions.iter().filter(|row| row.p_value <= max_p_value && !row.pathway.is_empty()) {
            let flow = flows.entry((&row.pathway, &row.source, &row.target)).or_default();
            *flow = (flow.0 + row.probability, flow.1 + 1);
        }
        let flow = |((pathway, source, target), (probability, pairs)): ((&str, &str, &str), _)| PathwayFlow {
            source: source.to_string(),
            target: target.to_string(),
            pathway: pathway.to_string(),
            probability,
            pairs,
        };
        flows.into_iter().map(flow).collect()
    }

    /// Returns the sum of the probabilities of interactions with a p-value of at most `max_p_value`, from each group to each other, in
    /// the order of [`groups`](Self::groups): rows are sources.
    #[must_use]
    pub fn strengths(&self, max_p_value: f64) -> Vec<Vec<f64>> {
        let place: BTreeMap<&str, usize> = self.groups.iter().enumerate().map(|(place, group)| (group.group.as_str(), place)).collect();
        let mut strengths = vec![vec![0.0; self.groups.len()]; self.groups.len()];
        for row in self.interactions.iter().filter(|row| row.p_value <= max_p_value) {
            strengths[place[row.source.as_str()]][place[row.target.as_str()]] += row.probability;
        }
        strengths
    }
}
