//! The order of tokens: the larger logit first, the lower id among equals.

use cubecl::prelude::*;

/// The key of negative infinity; smaller are those of NaN, 1, and of no token, 0.
pub(super) const NOTHING_BELOW: u32 = 0x007f_ffff;

/// The key of infinity.
pub(super) const INFINITE: u32 = 0xff80_0000;

const SIGN: u32 = 0x8000_0000;

/// Returns a number that is larger for larger logits, equal for equal ones, and not zero. Bits are compared, because shaders may take it that
/// there are no NaN.
#[cube]
pub(super) fn key(logit: f32) -> u32 {
    let bits = u32::reinterpret(logit);
    let magnitude = bits & 0x7fff_ffff;
    let is_negative = bits >= SIGN && magnitude > 0;
    let ordered = select(is_negative, !bits, magnitude | SIGN);
    select(magnitude > 0x7f80_0000, 1u32, ordered)
}

/// Returns the logit of a key.
#[cube]
pub(super) fn logit(key: u32) -> f32 {
    f32::reinterpret(select(key >= SIGN, key & 0x7fff_ffff, !key))
}

/// Returns whether a token comes before another one.
#[cube]
pub(super) fn is_before(key: u32, id: u32, other_key: u32, other_id: u32) -> bool {
    key > other_key || (key == other_key && id < other_id)
}

/// Puts the first of one token of each unit at the front of `keys` and `ids`, which have a place for each unit, a power of two.
#[cube]
pub(super) fn first_of_cube(key: u32, id: u32, keys: &mut [u32], ids: &mut [u32], #[comptime] units: u32) {
    let unit = UNIT_POS as usize;
    // What an earlier call left may still be read.
    sync_cube();
    keys[unit] = key;
    ids[unit] = id;
    sync_cube();
    let steps = comptime![units.ilog2()];
    #[unroll]
    for step in 0..steps {
        let half = comptime![(units >> (step + 1)) as usize];
        if unit < half && is_before(keys[unit + half], ids[unit + half], keys[unit], ids[unit]) {
            keys[unit] = keys[unit + half];
            ids[unit] = ids[unit + half];
        }
        sync_cube();
    }
}
