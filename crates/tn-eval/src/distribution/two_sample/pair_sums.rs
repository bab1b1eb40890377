//! Sums of distances and of kernels within and between two samples, as they are labeled and with labels permuted.

use std::ops::Range;

use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;
use tn_sentence::draw;

use super::pairs::{LANES, PairedRows};

/// The pairs are divided into as many parts, whatever the number of threads, and these are added in order.
const PARTS: usize = 64;

/// A quantity for the distance, and one for the Gaussian kernel.
type Both = [f64; 2];

/// The same for each row of a block with one other row.
type BlockValues = [[f64; LANES]; 2];

const ZERO: BlockValues = [[0.0; LANES]; 2];

/// Sums over the pairs within and between two samples, each pair once.
#[derive(Clone, Copy, Default)]
pub(super) struct Sums {
    pub(super) within_first: f64,
    pub(super) within_second: f64,
    pub(super) between: f64,
}

/// Sums by the true labels, then by permuted ones.
pub(super) struct PairSums {
    pub(super) distance: Vec<Sums>,
    pub(super) kernel: Vec<Sums>,
}

impl PairSums {
    /// Sums over all pairs of rows, the first `n_first` of which are the first sample.
    ///
    /// A permutation needs one sum only, over the pairs within its own smaller sample: that between the samples follows from
    /// the sums of its rows over all others, the rest from the total. Distances are held for [`LANES`] rows of a part at a time.
    pub(super) fn new(rows: &PairedRows, n_first: usize, bandwidth: f64, permutations: usize, seed: u64) -> Self {
        let n_small = n_first.min(rows.len() - n_first);
        let drawn: Vec<Vec<u32>> = (0..permutations as u64)
            .into_par_iter()
            .map(|permutation| random_members(rows.len(), n_small, draw(seed, permutation)))
            .collect();
        let parts: Vec<Part> = (0..PARTS).into_par_iter().map(|part| Part::sum(part, rows, n_first, bandwidth, &drawn)).collect();
        let mut all = Part::empty(rows.len(), permutations);
        parts.iter().for_each(|part| all.add(part));
        let sums = |of: usize| {
            let true_sums = Sums { within_first: all.within_first[of], within_second: all.within_second[of], between: all.between[of] };
            let total = true_sums.within_first + true_sums.within_second + true_sums.between;
            let permuted = drawn.iter().zip(&all.permuted).map(|(members, within)| {
                let of_rows: f64 = members.iter().map(|&row| all.rows[row as usize][of]).sum();
                let between = of_rows - 2.0 * within[of];
                let (within, rest) = (within[of], total - within[of] - between);
                let (within_first, within_second) = if n_small == n_first { (within, rest) } else { (rest, within) };
                Sums { within_first, within_second, between }
            });
            std::iter::once(true_sums).chain(permuted).collect()
        };
        Self { distance: sums(0), kernel: sums(1) }
    }
}

/// Returns a random set of rows, ascending.
fn random_members(n: usize, members: usize, seed: u64) -> Vec<u32> {
    let mut order: Vec<u32> = (0..n as u32).collect();
    let (chosen, _) = order.partial_shuffle(&mut ChaCha8Rng::seed_from_u64(seed), members);
    chosen.sort_unstable();
    chosen.to_vec()
}

/// The pairs of every 64th block of rows.
struct Part {
    within_first: Both,
    within_second: Both,
    between: Both,
    /// Of each row with all others.
    rows: Vec<Both>,
    /// Within the members of each permutation.
    permuted: Vec<Both>,
}

impl Part {
    fn empty(rows: usize, permutations: usize) -> Self {
        let rows = if permutations == 0 { 0 } else { rows };
        let zero = [0.0; 2];
        Self { within_first: zero, within_second: zero, between: zero, rows: vec![zero; rows], permuted: vec![zero; permutations] }
    }

    fn sum(part: usize, rows: &PairedRows, n_first: usize, bandwidth: f64, drawn: &[Vec<u32>]) -> Self {
        let mut sums = Self::empty(rows.len(), drawn.len());
        let mut values = vec![ZERO; rows.len()];
        for block in (part..rows.blocks()).step_by(PARTS) {
            let block_rows = rows.block(block);
            // Pairs are taken once, so that a row has nothing with those before it.
            values[block_rows.clone()].fill(ZERO);
            rows.visit(block, |i, j, distance| {
                let lane = i - block_rows.start;
                values[j][0][lane] = distance;
                values[j][1][lane] = (-0.5 * (distance / bandwidth).powi(2)).exp();
            });
            sums.add_block(block_rows, &values, n_first, drawn);
        }
        sums
    }

    /// Adds the pairs of the rows of a block with those behind each.
    fn add_block(&mut self, block: Range<usize>, values: &[BlockValues], n_first: usize, drawn: &[Vec<u32>]) {
        let behind = block.start..values.len();
        let with_first = lane_sums(&values[behind.start.min(n_first)..n_first]);
        let with_second = lane_sums(&values[behind.start.max(n_first)..]);
        for (lane, i) in block.clone().enumerate() {
            let (with_first, with_second) = (of_lane(&with_first, lane), of_lane(&with_second, lane));
            if i < n_first {
                add(&mut self.within_first, &with_first);
                add(&mut self.between, &with_second);
            } else {
                add(&mut self.within_second, &with_second);
            }
            if !drawn.is_empty() {
                add(&mut self.rows[i], &with_first);
                add(&mut self.rows[i], &with_second);
            }
        }
        if drawn.is_empty() {
            return;
        }
        for (sum, values) in self.rows[behind.clone()].iter_mut().zip(&values[behind]) {
            add(sum, &[values[0].iter().sum(), values[1].iter().sum()]);
        }
        for (sum, members) in self.permuted.iter_mut().zip(drawn) {
            let behind = &members[members.partition_point(|&row| (row as usize) < block.start)..];
            let inside = behind.partition_point(|&row| (row as usize) < block.end);
            if inside > 0 {
                let lanes = lane_sums(behind.iter().map(|&row| &values[row as usize]));
                behind[..inside].iter().for_each(|&row| add(sum, &of_lane(&lanes, row as usize - block.start)));
            }
        }
    }

    fn add(&mut self, other: &Self) {
        add(&mut self.within_first, &other.within_first);
        add(&mut self.within_second, &other.within_second);
        add(&mut self.between, &other.between);
        self.rows.iter_mut().zip(&other.rows).for_each(|(sum, value)| add(sum, value));
        self.permuted.iter_mut().zip(&other.permuted).for_each(|(sum, value)| add(sum, value));
    }
}

fn add(sum: &mut Both, value: &Both) {
    sum[0] += value[0];
    sum[1] += value[1];
}

/// Adds row by row, the lanes of a block side by side.
fn lane_sums<'a>(values: impl IntoIterator<Item = &'a BlockValues>) -> BlockValues {
    let mut sums = ZERO;
    for values in values {
        for (sums, values) in sums.iter_mut().zip(values) {
            sums.iter_mut().zip(values).for_each(|(sum, value)| *sum += value);
        }
    }
    sums
}

fn of_lane(values: &BlockValues, lane: usize) -> Both {
    [values[0][lane], values[1][lane]]
}

#[cfg(test)]
mod tests {
    use super::super::pairs::tests::{cells, distance};
    use super::*;

    #[test]
    fn permuted_sums_equal_those_over_relabeled_pairs() {
        let cells = cells(23, 0.0, 3);
        let rows = PairedRows::new((0..23).map(|cell| cells.cell(cell)), 12);
        for n_first in [9, 17] {
            let sums = PairSums::new(&rows, n_first, 2.0, 5, 8);
            for permutation in 0..6 {
                let n_small = n_first.min(23 - n_first);
                let members = match permutation {
                    0 => (0..n_first as u32).collect(),
                    _ => random_members(23, n_small, draw(8, permutation as u64 - 1)),
                };
                let members_are_first = permutation == 0 || n_small == n_first;
                let mut expected = [Sums::default(); 2];
                for (i, j) in (0..23).flat_map(|i| (i + 1..23).map(move |j| (i, j))) {
                    let d = distance(cells.cell(i), cells.cell(j), 12);
                    let first = |row: usize| members.contains(&(row as u32)) == members_are_first;
                    for (sums, value) in expected.iter_mut().zip([d, (-d * d / 8.0).exp()]) {
                        match (first(i), first(j)) {
                            (true, true) => sums.within_first += value,
                            (false, false) => sums.within_second += value,
                            _ => sums.between += value,
                        }
                    }
                }
                for (actual, expected) in [(sums.distance[permutation], expected[0]), (sums.kernel[permutation], expected[1])] {
                    assert!((actual.within_first - expected.within_first).abs() < 1e-6);
                    assert!((actual.within_second - expected.within_second).abs() < 1e-6);
                    assert!((actual.between - expected.between).abs() < 1e-6);
                }
            }
        }
    }
}
