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
    /// `errors[r][g]`: standard error of the probability that gene `g` is among the ranks up to `r`.
    errors: Vec<Vec<f32>>,
    genes: usize,
    trajectories: u32,
}

/// Adds up what trajectories say about the genes at their ranks.
#[derive(Clone, Debug)]
pub(crate) struct RankingSum {
    at_rank: Vec<Vec<f32>>,
    /// `squares[r][g]`: sum over the trajectories of the squared presence of gene `g` among the ranks up to `r`, for ranks that are complete.
    squares: Vec<Vec<f64>>,
    genes: usize,
    trajectories: Vec<Presence>,
}

/// What one trajectory says.
#[derive(Clone, Debug, Default)]
struct Presence {
    /// The rank that is being written, once there is one.
    rank: Option<usize>,
    /// Presence of every gene among the ranks up to that one.
    of_gene: Vec<f32>,
}

impl RankingSum {
    pub(crate) fn new(genes: usize, trajectories: usize) -> Self {
        Self { at_rank: Vec::new(), squares: Vec::new(), genes, trajectories: vec![Presence::default(); trajectories] }
    }

    /// Goes on to a rank of a trajectory: those before it are complete.
    pub(crate) fn begin_rank(&mut self, trajectory: usize, rank: usize) {
        if self.at_rank.len() <= rank {
            self.at_rank.resize_with(rank + 1, || vec![0.0; self.genes]);
            self.squares.resize_with(rank + 1, || vec![0.0; self.genes]);
        }
        let presence = &mut self.trajectories[trajectory];
        presence.of_gene.resize(self.genes, 0.0);
        if let Some(before) = presence.rank {
            add_squares(&mut self.squares[before..rank], &presence.of_gene);
        }
        presence.rank = Some(rank);
    }

    /// Returns the rank that a trajectory has begun.
    pub(crate) fn rank(&self, trajectory: usize) -> Option<usize> {
        self.trajectories[trajectory].rank
    }

    /// Adds a probability of a gene at the rank that a trajectory has begun.
    pub(crate) fn add(&mut self, trajectory: usize, gene: usize, probability: f32) {
        let presence = &mut self.trajectories[trajectory];
        let Some(rank) = presence.rank else { return };
        self.at_rank[rank][gene] += probability;
        presence.of_gene[gene] += probability;
    }

    /// Divides by the number of trajectories that wrote genes.
    pub(crate) fn average(&self, trajectories: u32) -> ExpectedRanking {
        ExpectedRanking { errors: self.errors(trajectories), ..self.without_errors(trajectories) }
    }

    /// Returns the genes of the average in expected order, and spares its errors.
    pub(crate) fn order(&self, trajectories: u32) -> Vec<usize> {
        self.without_errors(trajectories).genes()
    }

    fn without_errors(&self, trajectories: u32) -> ExpectedRanking {
        let share = 1.0 / trajectories.max(1) as f32;
        let mut at_rank = self.at_rank.clone();
        at_rank.iter_mut().flatten().for_each(|p| *p *= share);
        ExpectedRanking { at_rank, errors: Vec::new(), genes: self.genes, trajectories }
    }

    fn errors(&self, trajectories: u32) -> Vec<Vec<f32>> {
        let mut squares = self.squares.clone();
        for presence in &self.trajectories {
            // The last rank, and those that only others have reached.
            presence.rank.into_iter().for_each(|rank| add_squares(&mut squares[rank..], &presence.of_gene));
        }
        let n = f64::from(trajectories);
        let mut sums = vec![0.0f64; self.genes];
        let error = |sum: f64, square: f64| match trajectories {
            0 | 1 => f32::INFINITY,
            _ => ((square / n - (sum / n).powi(2)).max(0.0) / (n - 1.0)).sqrt() as f32,
        };
        let ranks = self.at_rank.iter().zip(squares).map(|(rank, squares)| {
            sums.iter_mut().zip(rank).for_each(|(sum, &p)| *sum += f64::from(p));
            sums.iter().zip(squares).map(|(&sum, square)| error(sum, square)).collect()
        });
        ranks.collect()
    }
}

fn add_squares(squares: &mut [Vec<f64>], presence: &[f32]) {
    for rank in squares {
        rank.iter_mut().zip(presence).for_each(|(square, &p)| *square += f64::from(p).powi(2));
    }
}

impl ExpectedRanking {
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

    /// Returns, for every gene of the panel, the standard error of [`ExpectedRanking::presence`]: the standard deviation of the presence over
    /// the trajectories, divided by the root of their number. It is infinite for fewer than two trajectories, which tell nothing about it,
    /// and zero where all agree.
    #[must_use]
    pub fn standard_error(&self, k: usize) -> Vec<f32> {
        match k.min(self.errors.len()).checked_sub(1) {
            Some(last) => self.errors[last].clone(),
            None => vec![if self.trajectories < 2 { f32::INFINITY } else { 0.0 }; self.genes],
        }
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

    /// Adds the distributions of one trajectory, rank by rank.
    fn add(sum: &mut RankingSum, trajectory: usize, ranks: &[&[(usize, f32)]]) {
        for (rank, distribution) in ranks.iter().enumerate() {
            sum.begin_rank(trajectory, rank);
            distribution.iter().for_each(|&(gene, p)| sum.add(trajectory, gene, p));
        }
    }

    fn ranking() -> ExpectedRanking {
        let mut sum = RankingSum::new(4, 3);
        add(&mut sum, 0, &[&[(0, 0.6), (1, 0.4)], &[(1, 1.0)]]);
        add(&mut sum, 1, &[&[(0, 0.2), (2, 0.8)], &[(1, 0.8), (0, 0.2)]]);
        // The third one has written no gene.
        sum.average(2)
    }

    fn check(found: &[f32], expected: &[f32]) {
        assert!(found.len() == expected.len() && found.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-6), "{found:?}");
    }

    #[test]
    fn presence_is_the_mean_probability_of_the_first_ranks() {
        check(&ranking().presence(1), &[0.4, 0.2, 0.4, 0.0]);
        check(&ranking().presence(2), &[0.5, 1.1, 0.4, 0.0]);
        assert!((ranking().expected_length() - 2.0).abs() < 1e-6);
    }

    #[test]
    fn the_standard_error_is_that_of_a_mean_over_trajectories() {
        // Of two values it is half their distance.
        check(&ranking().standard_error(1), &[0.2, 0.2, 0.4, 0.0]);
        check(&ranking().standard_error(2), &[0.1, 0.3, 0.4, 0.0]);
        assert_eq!(ranking().standard_error(9), ranking().standard_error(2));
        check(&ranking().standard_error(0), &[0.0; 4]);
    }

    #[test]
    fn a_trajectory_that_ends_early_keeps_its_presence() {
        let mut sum = RankingSum::new(2, 3);
        add(&mut sum, 0, &[&[(0, 1.0)]]);
        add(&mut sum, 1, &[&[(0, 1.0)], &[(1, 1.0)], &[]]);
        add(&mut sum, 2, &[&[(1, 1.0)], &[(0, 1.0)]]);
        let ranking = sum.average(3);
        check(&ranking.presence(3), &[1.0, 2.0 / 3.0]);
        // 1, 1, 0 has a standard deviation of 1 / sqrt(3), and the mean of three a third of sqrt(3) times that.
        check(&ranking.standard_error(1), &[1.0 / 3.0, 1.0 / 3.0]);
        check(&ranking.standard_error(3), &[0.0, 1.0 / 3.0]);
    }

    #[test]
    fn one_trajectory_tells_nothing_about_the_error() {
        let mut sum = RankingSum::new(2, 1);
        add(&mut sum, 0, &[&[(0, 1.0)]]);
        assert_eq!(sum.average(1).standard_error(1), [f32::INFINITY; 2]);
        assert_eq!(RankingSum::new(2, 0).average(0).standard_error(1), [f32::INFINITY; 2]);
    }

    #[test]
    fn every_prefix_lists_its_most_probable_genes() {
        assert_eq!(ranking().genes(), [0, 1, 2]);
        assert_eq!(RankingSum::new(3, 0).average(0).genes(), [0usize; 0]);
    }
}
