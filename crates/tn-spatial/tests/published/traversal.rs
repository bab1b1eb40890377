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
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        for _ in 0..RUNS {
            let order = Traversal::nearest_first().order(&coords, &mut rng);
            first[order[0]] += 1.0 / RUNS as f64;
            for (i, &cell) in order.iter().enumerate() {
                place[cell] += i as f64 / RUNS as f64;
                for &later in &order[i + 1..] {
                    precedes[cell][later] += 1.0 / RUNS as f64;
                }
            }
        }
        // The first probabilities are exact; the others were estimated from 6,000 reference runs. Four standard errors.
        assert_close(&first, &numbers(&case["expected_first_probability"]), 0.01);
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
