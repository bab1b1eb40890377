//! Seeds for independent parts of a simulation, derived from one seed.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

/// What a generator is for. Two purposes never share a stream of random numbers.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Purpose {
    Baseline = 1,
    Markers = 2,
    Domains = 3,
    Gradient = 4,
    Proximity = 5,
    Knockout = 6,
    Layout = 7,
    Placement = 8,
    Counts = 9,
    Replicate = 10,
    Splits = 11,
}

/// Returns the generator of one part of a simulation.
///
/// The seed, the purpose and the two indices (for example section and cell) are mixed with SplitMix64, so that what a
/// tile or a cell draws does not depend on the order in which tiles and cells are made.
pub(crate) fn generator(seed: u64, purpose: Purpose, first: u64, second: u64) -> ChaCha8Rng {
    let mixed = [purpose as u64, first, second].into_iter().fold(split_mix(seed), |state, part| split_mix(state ^ split_mix(part)));
    ChaCha8Rng::seed_from_u64(mixed)
}

/// One step of SplitMix64 (Steele, Lea & Flood 2014).
fn split_mix(state: u64) -> u64 {
    let mut z = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}
