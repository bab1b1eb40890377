//! A distance between two samples from sums over their pairs.

use serde::{Deserialize, Serialize};

use super::pair_sums::Sums;

/// A distance between two samples, in both forms.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct TwoSampleStatistic {
    /// The V-statistic, 0 or more.
    pub biased: f64,
    /// The U-statistic, 0 on average for samples from one distribution.
    pub unbiased: f64,
    /// The p-value of the permutation test; `None` without permutations.
    pub p_value: Option<f64>,
}

impl TwoSampleStatistic {
    /// Returns the discrepancy of `sign` times a kernel, whose value for a cell with itself is `same`, from the sums over two samples
    /// of `n` and `m` cells: by the true labels, then by permuted ones.
    pub(super) fn new(sums: &[Sums], n: usize, m: usize, same: f64, sign: f64) -> Self {
        let (n, m) = (n as f64, m as f64);
        let between = |sums: &Sums| 2.0 * sums.between / (n * m);
        let biased = |sums: &Sums| {
            let (first, second) = (2.0 * sums.within_first + n * same, 2.0 * sums.within_second + m * same);
            sign * (first / (n * n) + second / (m * m) - between(sums))
        };
        let unbiased = |sums: &Sums| {
            let (first, second) = (2.0 * sums.within_first / (n * (n - 1.0)), 2.0 * sums.within_second / (m * (m - 1.0)));
            sign * (first + second - between(sums))
        };
        // A permutation that leaves the samples as they are sums them in another order.
        let rounding = 1e-12 * (biased(&sums[0]).abs() + between(&sums[0]));
        let reached = sums[1..].iter().filter(|permuted| biased(permuted) >= biased(&sums[0]) - rounding).count();
        Self {
            biased: biased(&sums[0]).max(0.0),
            unbiased: unbiased(&sums[0]),
            p_value: (sums.len() > 1).then(|| (1 + reached) as f64 / sums.len() as f64),
        }
    }
}
