//! The ranking that a model expects, rather than one that it happens to draw.
//!
//! A sampled cell is one draw from what the model believes. Drawing `k` trajectories at temperature 1 and, at each step, adding up the whole
//! distribution of the next gene instead of the one gene drawn gives an estimate of each gene's probability of being among the first ranks
//! with a smaller variance (the Rao-Blackwell argument: each step's draw is replaced by its conditional expectation).

/// The expected presence of every gene at every rank, averaged over trajectories.
#[derive(Clone, Debug, PartialEq)]
pub struct ExpectedRanking {
    /// `at_rank[r][g]`: probability that rank `r` (from 0) holds gene `g`; below 1 in sum where trajectories have ended before.
    at_rank: Vec<Vec<f32>>,
    genes: usize,
    trajectories: u32,
}

impl ExpectedRanking {
    pub(crate) fn new(genes: usize) -> Self {
        Self { at_rank: Vec::new(), genes, trajectories: 0 }
    }

    /// Adds one trajectory's distribution of the gene at a rank.
    pub(crate) fn add(&mut self, rank: usize, distribution: impl Iterator<Item = (usize, f32)>) {
        if self.at_rank.len() <= rank {
            self.at_rank.resize_with(rank + 1, || vec![0.0; self.genes]);
        }
        for (gene, probability) in distribution {
            self.at_rank[rank][gene] += probability;
        }
    }

    /// Divides by the number of trajectories.
    pub(crate) fn average(mut self, trajectories: u32) -> Self {
        let share = 1.0 / trajectories.max(1) as f32;
        self.at_rank.iter_mut().flatten().for_each(|p| *p *= share);
        self.trajectories = trajectories;
        self
    }

    /// Returns how many trajectories were averaged.
    #[must_use]
    pub fn trajectories(&self) -> u32 {
        self.trajectories
    }

    /// Returns, for every gene of the panel, the probability that it is among the first `k` ranks.
    #[must_use]
    pub fn presence(&self, k: usize) -> Vec<f32> {
        let mut presence = vec![0.0; self.genes];
        for rank in self.at_rank.iter().take(k) {
            presence.iter_mut().zip(rank).for_each(|(sum, p)| *sum += p);
        }
        presence
    }

    /// Returns genes (indices into the panel) in the order of their expected presence: rank `r` goes to the gene, among those not yet
    /// listed, that is most probably among the first `r + 1`. So the first `k` genes are a good guess of the first `k` for every `k`, not
    /// for one chosen `k`. Equal genes keep the order of the panel.
    ///
    /// After the last rank that any trajectory reached, the remaining genes follow by their presence overall; genes that were never
    /// possible are left out.
    #[must_use]
    pub fn genes(&self) -> Vec<usize> {
        let mut presence = vec![0.0f32; self.genes];
        let mut listed = vec![false; self.genes];
        let mut order = Vec::new();
        for rank in &self.at_rank {
            presence.iter_mut().zip(rank).for_each(|(sum, p)| *sum += p);
            let open = (0..self.genes).filter(|&gene| !listed[gene] && presence[gene] > 0.0);
            let Some(best) = open.reduce(|best, gene| if presence[gene] > presence[best] { gene } else { best }) else { break };
            listed[best] = true;
            order.push(best);
        }
        let mut rest: Vec<usize> = (0..self.genes).filter(|&gene| !listed[gene] && presence[gene] > 0.0).collect();
        rest.sort_by(|&a, &b| presence[b].total_cmp(&presence[a]).then(a.cmp(&b)));
        order.extend(rest);
        order
    }

    /// Returns the expected number of genes that a trajectory writes.
    #[must_use]
    pub fn expected_length(&self) -> f32 {
        self.at_rank.iter().flatten().sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ranking() -> ExpectedRanking {
        let mut ranking = ExpectedRanking::new(4);
        ranking.add(0, [(0, 0.6), (1, 0.4)].into_iter());
        ranking.add(0, [(0, 0.2), (2, 0.8)].into_iter());
        ranking.add(1, [(1, 1.0)].into_iter());
        ranking.add(1, [(1, 0.8), (0, 0.2)].into_iter());
        ranking.average(2)
    }

    #[test]
    fn presence_is_the_mean_probability_of_the_first_ranks() {
        let close = |found: Vec<f32>, expected: [f32; 4]| {
            assert!(found.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-6), "{found:?}");
        };
        close(ranking().presence(1), [0.4, 0.2, 0.4, 0.0]);
        close(ranking().presence(2), [0.5, 1.1, 0.4, 0.0]);
        assert!((ranking().expected_length() - 2.0).abs() < 1e-6);
    }

    #[test]
    fn every_prefix_lists_its_most_probable_genes() {
        assert_eq!(ranking().genes(), [0, 1, 2]);
        assert_eq!(ExpectedRanking::new(3).average(0).genes(), [0usize; 0]);
    }
}
