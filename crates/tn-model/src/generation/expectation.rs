//! The distribution of the next gene, over all the ways in which its tokens may go on.
//!
//! Where every gene is one token, one row of logits is the distribution of the next gene. Otherwise its probability is the product of the
//! probabilities of its tokens, along the tree of all genes. The branches that hold the mass are *expanded*: the model looks at them all in
//! one pass, level by level, without going there. The others are left to sampling: when a trajectory happens to enter such a branch, with
//! probability `p`, it counts in full there, and otherwise not at all, which is right on average.

use super::expected_ranking::RankingSum;
use super::grammar::{Grammar, GrammarState, Outcome};
use super::trajectory::Trajectory;
use crate::kernels::attention::softmax_in_place;
use crate::qwen3::Branch;

/// Branches looked at in one pass: their logits are in memory together.
const BRANCHES: usize = 64;

/// Adds up the distributions of the genes that trajectories write next.
pub(super) struct Expectation<'a> {
    grammar: &'a Grammar,
    expand_above: f32,
    sum: RankingSum,
    /// The nodes of its present gene at which each trajectory is accounted for already.
    expanded: Vec<Vec<usize>>,
    frontier: Vec<Frontier>,
    /// The branches that the model looks at.
    level: Vec<Frontier>,
}

/// A branch that is to be expanded.
#[derive(Clone, Copy)]
struct Frontier {
    trajectory: usize,
    node: usize,
    /// Its probability, given the trajectory so far.
    weight: f32,
}

impl<'a> Expectation<'a> {
    /// Prepares for some trajectories; branches more probable than `expand_above` are expanded.
    pub(super) fn new(grammar: &'a Grammar, trajectories: usize, expand_above: f32) -> Self {
        let sum = RankingSum::new(grammar.panel().len(), trajectories);
        Self { grammar, expand_above, sum, expanded: vec![Vec::new(); trajectories], frontier: Vec::new(), level: Vec::new() }
    }

    /// Returns what was added up so far.
    pub(super) fn sum(&self) -> &RankingSum {
        &self.sum
    }

    /// Adds what the logits of the next token say about the gene that a trajectory writes.
    pub(super) fn observe(&mut self, index: usize, trajectory: &Trajectory, logits: &[f32]) {
        let Some((state, node)) = trajectory.state().and_then(|state| state.node().map(|node| (state, node))) else { return };
        if self.sum.rank(index) != Some(state.genes()) {
            // A gene begins: at the root, or below it where all genes have their first tokens in common and those were not drawn.
            self.expanded[index].clear();
            self.sum.begin_rank(index, state.genes());
        } else if self.expanded[index].contains(&node) || state.allowed(self.grammar).len() < 2 {
            return;
        }
        self.add(state, Frontier { trajectory: index, node, weight: 1.0 }, logits);
    }

    /// Returns branches that were found worth it, of the trajectories of some continuations; none when there are no more. What the model
    /// says of them goes to [`Expectation::seen`], which may find others.
    pub(super) fn branches(&mut self, continuations: &[usize], trajectories: &[Trajectory]) -> Vec<Branch> {
        let mut branches = Vec::new();
        self.level.clear();
        while branches.is_empty() && !self.frontier.is_empty() {
            let later = self.frontier.split_off(self.frontier.len().min(BRANCHES));
            for open in std::mem::replace(&mut self.frontier, later) {
                let continuation = continuations.iter().position(|&trajectory| trajectory == open.trajectory);
                if let Some((continuation, state)) = continuation.zip(trajectories[open.trajectory].state()) {
                    branches.push(self.branch(continuation, state, open.node));
                    self.level.push(open);
                }
            }
        }
        branches
    }

    /// Adds what the model says of the branches that were returned last.
    pub(super) fn seen(&mut self, trajectories: &[Trajectory], logits: &[f32]) {
        let level = std::mem::take(&mut self.level);
        let vocabulary = logits.len() / level.len().max(1);
        for (open, logits) in level.into_iter().zip(logits.chunks_exact(vocabulary.max(1))) {
            if let Some(state) = trajectories[open.trajectory].state() {
                self.add(state, open, logits);
            }
        }
    }

    /// Returns the way from where a trajectory is to a node.
    fn branch(&self, continuation: usize, state: &GrammarState, node: usize) -> Branch {
        let genes = self.grammar.genes();
        let written = state.node().map_or(0, |node| genes.path(node).len());
        Branch { continuation, tokens: genes.path(node)[written..].to_vec() }
    }

    /// Distributes the weight of a node over what is below it.
    fn add(&mut self, state: &GrammarState, at: Frontier, logits: &[f32]) {
        let (grammar, index) = (self.grammar, at.trajectory);
        let children: Vec<usize> = state.open_children(grammar, at.node).collect();
        let mut tokens: Vec<u32> = children.iter().map(|&child| grammar.genes().token(child)).collect();
        tokens.extend(state.ends(grammar, at.node));
        let probabilities = self.probabilities(&tokens, logits);
        let (going_on, ending) = probabilities.split_at(children.len());
        if let Some(gene) = state.gene_at(grammar, at.node) {
            self.sum.add(index, gene, at.weight * ending.iter().sum::<f32>());
        }
        for (child, p) in children.into_iter().zip(going_on) {
            let weight = at.weight * p;
            match state.outcome(grammar, child) {
                Outcome::Gene(gene) => self.sum.add(index, gene, weight),
                Outcome::Open(node) if weight > self.expand_above => {
                    self.expanded[index].push(node);
                    self.frontier.push(Frontier { trajectory: index, node, weight });
                }
                Outcome::Open(_) | Outcome::Close => {}
            }
        }
    }

    /// Returns the probabilities of some tokens, as if there were no others.
    fn probabilities(&self, tokens: &[u32], logits: &[f32]) -> Vec<f32> {
        let logit = |&token: &u32| logits[token as usize];
        if !self.grammar.has_one_token_genes() {
            let mut probabilities: Vec<f32> = tokens.iter().map(logit).collect();
            softmax_in_place(&mut probabilities);
            return probabilities;
        }
        // In the places that they have in the vocabulary: the last bit of a sum depends on the order.
        let mut all = vec![f32::NEG_INFINITY; logits.len()];
        tokens.iter().for_each(|token| all[*token as usize] = logit(token));
        softmax_in_place(&mut all);
        tokens.iter().map(|&token| all[token as usize]).collect()
    }
}
