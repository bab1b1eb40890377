//! The distribution of the nearest-first traversal, by many seeds.

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use tn_spatial::Traversal;

use super::{golden, numbers, positions};

const RUNS: usize = 40_000;

#[test]
fn nearest_first_has_the_published_distribution() {
    for case in golden("traversal") {
        let coords = positions(&case["coords"]);
        let n = coords.len();
        let mut first = vec![0.0; n];
        let mut place = vec![0.0; n];
        let mut precedes = vec![vec![0.0; n]; n];
        // As bins draw: each with a seed of its own.
        for seed in 0..RUNS as u64 {
            let order = Traversal::nearest_first().order(&coords, &mut ChaCha8Rng::seed_from_u64(seed));
            first[order[0]] += 1.0;
            for (i, &cell) in order.iter().enumerate() {
                place[cell] += i as f64 / RUNS as f64;
                for &later in &order[i + 1..] {
                    precedes[cell][later] += 1.0 / RUNS as f64;
                }
            }
        }
        // The first probabilities are exact. Eight cells leave seven degrees of freedom: chance exceeds the bound once in a million.
        let first_probability = numbers(&case["expected_first_probability"]);
        let chi_square: f64 =
            first.iter().zip(&first_probability).map(|(found, p)| (found - p * RUNS as f64).powi(2) / (p * RUNS as f64)).sum();
        assert!(n == 8 && chi_square < 40.6, "{chi_square}");
        // The others were estimated from 6,000 reference runs. Four standard errors.
        assert_close(&place, &numbers(&case["reference_mean_position"]), 0.13);
        for (found, expected) in precedes.iter().zip(case["reference_precedence"].as_array().unwrap()) {
            assert_close(found, &numbers(expected), 0.028);
        }
    }
}

fn assert_close(found: &[f64], expected: &[f64], tolerance: f64) {
    assert_eq!(found.len(), expected.len());
    for (found, expected) in found.iter().zip(expected) {
        assert!((found - expected).abs() < tolerance, "{found} against {expected}");
    }
}
