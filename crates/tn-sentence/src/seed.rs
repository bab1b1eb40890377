//! Stable seeds: the same words give the same draws, on any machine and in any order.

/// Returns the seed of one request: a hash of the run's seed, the cell and the number of the sample.
///
/// Requests must not share a seed, or all cells would be drawn with the same luck; and the seed must not depend on the
/// order of the requests, or a resumed run would differ. The hash is FNV-1a (64 bits) over the UTF-8 bytes of
/// `cell_name`, mixed with `seed` and `sample` by the finalizer of SplitMix64:
///
/// ```text
/// request_seed = mix(mix(seed + G) ^ fnv1a(cell_name)) + G * (sample + 1), mixed once more
/// ```
///
/// with G = 0x9e3779b97f4a7c15 and wrapping arithmetic. The values are part of the file formats: they never change.
///
/// # Examples
///
/// ```
/// use tn_sentence::request_seed;
///
/// assert_eq!(request_seed(42, "cell-7", 0), request_seed(42, "cell-7", 0));
/// assert_ne!(request_seed(42, "cell-7", 0), request_seed(42, "cell-7", 1));
/// assert_ne!(request_seed(42, "cell-7", 0), request_seed(42, "cell-8", 0));
/// ```
pub fn request_seed(seed: u64, cell_name: &str, sample: u32) -> u64 {
    let cell = mix(mix(seed.wrapping_add(GOLDEN)) ^ fnv1a(cell_name.as_bytes()));
    draw(cell, u64::from(sample))
}

/// Returns the `index`-th uniform 64-bit number of the stream that belongs to `seed`.
///
/// Streams are addressed by index, so that a value does not depend on which others were drawn before it.
pub fn draw(seed: u64, index: u64) -> u64 {
    mix(seed.wrapping_add(GOLDEN.wrapping_mul(index.wrapping_add(1))))
}

const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

/// The finalizer of SplitMix64 (Steele, Lea and Flood, 2014).
fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// FNV-1a with 64 bits (Fowler, Noll and Vo).
pub(crate) fn fnv1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, &byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn the_hashes_are_the_published_ones() {
        assert_eq!(fnv1a(b""), 0xcbf2_9ce4_8422_2325);
        assert_eq!(fnv1a(b"foobar"), 0x8594_4171_f739_67e8);
        // First output of SplitMix64 seeded with 0.
        assert_eq!(draw(0, 0), 0xe220_a839_7b1d_cdaf);
    }

    #[test]
    fn requests_do_not_share_a_seed() {
        let mut seeds = HashSet::new();
        for seed in 0..4 {
            for cell in 0..50 {
                for sample in 0..20 {
                    assert!(seeds.insert(request_seed(seed, &format!("c{cell}"), sample)));
                }
            }
        }
    }
}
