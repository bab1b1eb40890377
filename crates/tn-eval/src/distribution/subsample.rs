//! Some of many cells, by a seed.

use rand::SeedableRng;
use rand::seq::index;
use rand_chacha::ChaCha8Rng;

/// Returns `limit` of the numbers below `n`, each set equally likely, ascending; all of them if there are no more.
pub(super) fn subsample(n: usize, limit: usize, seed: u64) -> Vec<usize> {
    if n <= limit {
        return (0..n).collect();
    }
    let mut drawn = index::sample(&mut ChaCha8Rng::seed_from_u64(seed), n, limit).into_vec();
    drawn.sort_unstable();
    drawn
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_is_drawn_equally_often() {
        assert_eq!(subsample(3, 3, 1), [0, 1, 2]);
        let mut counts = [0; 10];
        for seed in 0..1_000 {
            let drawn = subsample(10, 3, seed);
            assert!(drawn.len() == 3 && drawn.is_sorted_by(|a, b| a < b));
            drawn.into_iter().for_each(|number| counts[number] += 1);
        }
        // 300 expected, a standard deviation of 14.5.
        assert!(counts.iter().all(|count| (240..360).contains(count)), "{counts:?}");
    }
}
