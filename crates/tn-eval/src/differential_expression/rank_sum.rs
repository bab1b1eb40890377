//! Wilcoxon's rank-sum test of a gene in all groups at once.

use statrs::function::erf::erfc;

use super::grouping::Grouping;
use super::moments::GroupMoments;
use super::radix_sort::{code, entry, key, sort};

/// Whether the variance of a rank sum allows for ties.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ties {
    Corrected,
    Uncorrected,
}

/// The ranks of a gene's values, summed for each group.
///
/// Values are sorted once for all groups. In that order each value of a group counts the values of the *pool* below it, ties by one
/// half; the pool is the reference or, where that is the rest, all cells, from whose count a group's own cells are taken again. All
/// counts are integers, doubled for the halves: nothing is rounded before the score.
pub(super) struct RankSums {
    entries: Vec<u64>,
    spare: Vec<u64>,
    /// Cells of the pool below those met next.
    below: u64,
    /// For each group, twice the pairs of one of its cells and a lower cell of the pool, plus the pairs of equal ones.
    twice_pairs: Vec<u64>,
    /// `Σ (t³ - t)` over the ties within the pool.
    pool_ties: u128,
    /// What the cells of each group add to that by ties with the reference and among themselves; 0 where the pool is all cells.
    more_ties: Vec<u128>,
    /// Cells of each group in a tie.
    tied: Vec<u64>,
}

impl RankSums {
    pub(super) fn new(grouping: &Grouping) -> Self {
        let n = grouping.n_groups();
        Self {
            entries: Vec::new(),
            spare: Vec::new(),
            below: 0,
            twice_pairs: vec![0; n],
            pool_ties: 0,
            more_ties: vec![0; n],
            tied: vec![0; n],
        }
    }

    /// Ranks the values of a gene; `moments` know how many cells of each group have none.
    pub(super) fn rank(&mut self, grouping: &Grouping, moments: &GroupMoments, cells: &[u32], values: &[f32]) {
        self.below = 0;
        self.pool_ties = 0;
        self.twice_pairs.fill(0);
        self.more_ties.fill(0);

        let mut entries = std::mem::take(&mut self.entries);
        entries.clear();
        entries.extend(grouping.members(cells, values).map(|(code, value)| entry(value, code)));
        sort(&mut entries, &mut self.spare);
        let zero = key(entry(0.0, 0));
        let (negative, positive) = entries.split_at(entries.partition_point(|&entry| key(entry) < zero));
        self.add(grouping, negative);
        self.add_zeros(grouping, moments);
        self.add(grouping, positive);
        self.entries = entries;
    }

    /// Adds sorted values above all that were added before.
    fn add(&mut self, grouping: &Grouping, entries: &[u64]) {
        for tie in entries.chunk_by(|a, b| key(*a) == key(*b)) {
            match (grouping.reference(), tie) {
                (None, &[entry]) => {
                    self.twice_pairs[code(entry)] += 2 * self.below + 1;
                    self.below += 1;
                }
                (Some(reference), &[entry]) if code(entry) == reference => self.below += 1,
                (Some(_), &[entry]) => self.twice_pairs[code(entry)] += 2 * self.below,
                (None, tie) => {
                    let in_pool = tie.len() as u64;
                    tie.iter().for_each(|&entry| self.twice_pairs[code(entry)] += 2 * self.below + in_pool);
                    self.add_pool(in_pool);
                }
                (Some(reference), tie) => {
                    tie.iter().for_each(|&entry| self.tied[code(entry)] += 1);
                    let in_pool = std::mem::take(&mut self.tied[reference]);
                    for &entry in tie {
                        let of_group = std::mem::take(&mut self.tied[code(entry)]);
                        self.add_group(code(entry), of_group, in_pool);
                    }
                    self.add_pool(in_pool);
                }
            }
        }
    }

    /// Adds the tie of all cells without the gene.
    fn add_zeros(&mut self, grouping: &Grouping, moments: &GroupMoments) {
        let zeros = |code: usize| (moments.of(code).cells - moments.of(code).detected) as u64;
        match grouping.reference() {
            None => {
                let in_pool = (0..grouping.n_groups()).map(zeros).sum();
                for code in 0..grouping.n_groups() {
                    self.twice_pairs[code] += zeros(code) * (2 * self.below + in_pool);
                }
                self.add_pool(in_pool);
            }
            Some(reference) => {
                let in_pool = zeros(reference);
                for code in (0..grouping.n_groups()).filter(|&code| code != reference) {
                    self.add_group(code, zeros(code), in_pool);
                }
                self.add_pool(in_pool);
            }
        }
    }

    /// Adds the cells of a group in a tie with so many of the reference.
    fn add_group(&mut self, code: usize, of_group: u64, in_pool: u64) {
        self.twice_pairs[code] += of_group * (2 * self.below + in_pool);
        self.more_ties[code] += cube_less_one(of_group + in_pool) - cube_less_one(in_pool);
    }

    fn add_pool(&mut self, in_pool: u64) {
        self.pool_ties += cube_less_one(in_pool);
        self.below += in_pool;
    }

    /// Returns the score of a group and its two-sided p-value.
    pub(super) fn test(&self, grouping: &Grouping, code: usize, ties: Ties) -> (f64, f64) {
        let (n, m) = (grouping.size(code) as u64, grouping.size_against(code) as u64);
        let own = if grouping.reference().is_none() { n * n } else { 0 };
        let score = z_score(self.twice_pairs[code] - own, n, m, ties, self.pool_ties + self.more_ties[code]);
        (score, erfc(score.abs() / std::f64::consts::SQRT_2))
    }
}

/// The score of `n` cells that have so many pairs, doubled, with lower cells among `m`.
fn z_score(twice_pairs: u64, n: u64, m: u64, ties: Ties, tied: u128) -> f64 {
    let untied = cube_less_one(n + m);
    let share = match ties {
        Ties::Corrected => (untied - tied) as f64 / untied as f64,
        Ties::Uncorrected => 1.0,
    };
    // Twice the difference from the expected sum is a difference of integers.
    let difference = (i128::from(twice_pairs) - i128::from(n) * i128::from(m)) as f64 / 2.0;
    if difference == 0.0 {
        return 0.0;
    }
    difference / (share * n as f64 * m as f64 * (n + m + 1) as f64 / 12.0).sqrt()
}

/// `t³ - t`, for the size of a tie.
fn cube_less_one(t: u64) -> u128 {
    let t = u128::from(t);
    t * t * t - t
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::differential_expression::Reference;

    /// The score of group a, the first three cells.
    fn score(values: [f32; 7], reference: Reference, ties: Ties) -> f64 {
        let grouping = Grouping::new(7, &["a", "a", "a", "b", "b", "c", "c"]).unwrap().against(&reference, &[0]).unwrap();
        let (cells, values): (Vec<u32>, Vec<f32>) = (0..).zip(values).filter(|&(_, value)| value != 0.0).unzip();
        let (mut moments, mut rank_sums) = (GroupMoments::new(&grouping), RankSums::new(&grouping));
        moments.count(&grouping, &cells, &values);
        rank_sums.rank(&grouping, &moments, &cells, &values);
        rank_sums.test(&grouping, 0, ties).0
    }

    #[track_caller]
    fn check(values: [f32; 7], reference: &str, ties: Ties, expected: f64) {
        let reference = if reference == "rest" { Reference::Rest } else { Reference::from(reference) };
        let actual = score(values, reference, ties);
        assert!((actual - expected).abs() < 1e-12, "{actual}, expected {expected}");
    }

    #[test]
    fn zeros_rank_between_negative_and_positive_values() {
        // Ranks 2, 4, 5 of a, and 1, 3 of b: a rank sum of 11 where 9 is expected.
        check([-1.0, 1.0, 2.0, -2.0, 0.0, 9.0, 9.0], "b", Ties::Corrected, 2.0 / 3_f64.sqrt());
        // Ranks 2, 4, 5 among 7: 11, expected 12, and two that are equal.
        check([-1.0, 1.0, 2.0, -2.0, 0.0, 9.0, 9.0], "rest", Ties::Uncorrected, -1.0 / 8_f64.sqrt());
        check([-1.0, 1.0, 2.0, -2.0, 0.0, 9.0, 9.0], "rest", Ties::Corrected, -1.0 / (8.0 * (1.0 - 6.0 / 336.0_f64)).sqrt());
    }

    #[test]
    fn ties_share_the_mean_of_their_ranks() {
        // Ranks 2, 2, 5 of a, and 2, 4 of b: a rank sum of 9, as expected.
        check([0.0, 0.0, 2.0, 0.0, 1.0, 0.0, 0.0], "b", Ties::Corrected, 0.0);
        // Ranks 2, 4.5, 4.5 of a, and 2, 2 of b: 11 where 9 is expected; ties of 3 and 2.
        let corrected = 2.0 / (3.0 * (1.0 - 30.0 / 120.0_f64)).sqrt();
        check([0.0, 1.0, 1.0, 0.0, 0.0, 0.0, 0.0], "b", Ties::Corrected, corrected);
    }

    #[test]
    fn a_gene_that_is_equal_everywhere_scores_zero() {
        for ties in [Ties::Corrected, Ties::Uncorrected] {
            check([0.0; 7], "rest", ties, 0.0);
            check([1.5; 7], "b", ties, 0.0);
        }
    }
}
