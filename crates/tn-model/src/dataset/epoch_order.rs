//! The order in which an epoch visits its sequences.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Returns a permutation of `0..n`, drawn uniformly by the seed and the epoch: the same two numbers give the same order, on every
/// machine and with any number of threads.
///
/// Fisher and Yates' shuffle, from the last element down.
///
/// ```
/// use tn_model::epoch_order;
///
/// assert_eq!(epoch_order(100, 42, 0), epoch_order(100, 42, 0));
/// assert_ne!(epoch_order(100, 42, 0), epoch_order(100, 42, 1));
/// ```
pub fn epoch_order(n: usize, seed: u64, epoch: u64) -> Vec<usize> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    rng.set_stream(epoch);
    let mut order: Vec<usize> = (0..n).collect();
    for last in (1..n).rev() {
        // u64, because the range of a usize is drawn differently on 32-bit machines.
        let other = rng.random_range(0..=last as u64) as usize;
        order.swap(last, other);
    }
    order
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_order_is_a_permutation() {
        for n in [0, 1, 2, 17, 1000] {
            let mut order = epoch_order(n, 7, 3);
            order.sort_unstable();
            assert_eq!(order, (0..n).collect::<Vec<_>>());
        }
    }

    #[test]
    fn the_order_does_not_change_between_releases() {
        assert_eq!(epoch_order(8, 42, 0), [4, 7, 0, 1, 3, 2, 6, 5]);
    }

    #[test]
    fn every_position_is_equally_likely() {
        let mut counts = [[0u32; 4]; 4];
        for epoch in 0..4000 {
            for (position, item) in epoch_order(4, 1, epoch).into_iter().enumerate() {
                counts[item][position] += 1;
            }
        }
        // 1,000 expected, standard deviation 27.
        assert!(counts.as_flattened().iter().all(|count| (890..1110).contains(count)), "{counts:?}");
    }
}
