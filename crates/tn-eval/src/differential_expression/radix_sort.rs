//! Sorts values that carry a code.

/// Values this few are sorted by comparison.
const FEW: usize = 128;
const DIGITS: usize = 4;
const BUCKETS: usize = 256;

/// A value and a code in 64 bits: the upper half orders as the value does.
pub(super) fn entry(value: f32, code: u32) -> u64 {
    let bits = value.to_bits();
    // Negative values have the sign bit set and grow with the remaining bits; positive ones have to come behind them.
    let key = if value.is_sign_negative() { !bits } else { bits | 1 << 31 };
    u64::from(key) << 32 | u64::from(code)
}

/// The part of an entry that two entries of equal value share, also with another code.
pub(super) fn key(entry: u64) -> u32 {
    (entry >> 32) as u32
}

pub(super) fn code(entry: u64) -> usize {
    entry as u32 as usize
}

/// Sorts entries by their value. `spare` is memory for it.
///
/// From the lowest byte of the key to the highest, with one pass over the entries that counts all bytes beforehand, and none for a
/// byte that is the same everywhere.
pub(super) fn sort(entries: &mut Vec<u64>, spare: &mut Vec<u64>) {
    if entries.len() <= FEW {
        entries.sort_unstable();
        return;
    }
    let mut counts = [[0_usize; BUCKETS]; DIGITS];
    for &entry in entries.iter() {
        for (digit, counts) in counts.iter_mut().enumerate() {
            counts[byte(entry, digit)] += 1;
        }
    }
    spare.resize(entries.len(), 0);
    for (digit, counts) in counts.iter_mut().enumerate() {
        if counts[byte(entries[0], digit)] == entries.len() {
            continue;
        }
        let mut start = 0;
        for count in counts.iter_mut() {
            start += std::mem::replace(count, start);
        }
        for &entry in entries.iter() {
            let place = &mut counts[byte(entry, digit)];
            spare[*place] = entry;
            *place += 1;
        }
        std::mem::swap(entries, spare);
    }
}

fn byte(entry: u64, digit: usize) -> usize {
    (entry >> (32 + 8 * digit)) as u8 as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_are_ordered_as_their_values() {
        let mut values: Vec<f32> = (0..1_000_u32).map(|i| (i.wrapping_mul(2_654_435_761) as i32) as f32 / 1e8).collect();
        values.extend([f32::MIN, f32::MAX, f32::MIN_POSITIVE, -f32::MIN_POSITIVE, 1.0, 1.0, -1.0, 1e-45]);
        for n in [0, 1, FEW, values.len()] {
            let values = &values[values.len() - n..];
            let mut entries: Vec<u64> = values.iter().zip(0..).map(|(&value, code)| entry(value, code)).collect();
            sort(&mut entries, &mut Vec::new());
            let mut expected = values.to_vec();
            expected.sort_by(f32::total_cmp);
            assert_eq!(entries.iter().map(|&entry| values[code(entry)]).collect::<Vec<_>>(), expected);
        }
    }
}
