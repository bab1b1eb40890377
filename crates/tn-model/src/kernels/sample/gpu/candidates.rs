//! The best tokens of each block of the vocabulary.

use cubecl::ir::ElemType;
use cubecl::prelude::*;

use super::order::{first_of_cube, key};
use super::{BLOCK, OF_UNIT, SETTINGS, UNITS};

/// One cube for each row and block.
#[cube(launch, address_type = "dynamic")]
pub(super) fn candidates<F: Float>(
    logits: &[F],
    options: &[u32],
    masks: &[u32],
    found: &mut [u32],
    cubes: u32,
    vocabulary: u32,
    blocks: u32,
    kept: u32,
    #[define(F)] _type: ElemType,
) {
    if CUBE_POS >= cubes as usize {
        terminate!();
    }
    let unit = UNIT_POS as usize;
    let (row, block) = (CUBE_POS / blocks as usize, CUBE_POS % blocks as usize);
    let mask = options[row * SETTINGS + 5] as usize;
    let of_mask = (vocabulary as usize).div_ceil(32);
    let mut shared_keys = Shared::<[u32]>::new_slice(comptime![UNITS as usize]);
    let mut shared_ids = Shared::<[u32]>::new_slice(comptime![UNITS as usize]);

    // The keys of the allowed tokens that this unit looks at, zero for the others.
    let mut keys = Array::<u32>::new(OF_UNIT);
    let mut best_key = 0u32;
    let mut best_id = 0u32;
    #[unroll]
    for i in 0..OF_UNIT {
        let id = block * BLOCK + i * comptime![UNITS as usize] + unit;
        keys[i] = 0u32;
        if id < vocabulary as usize {
            let of_token = key(f32::cast_from(logits[row * vocabulary as usize + id]));
            if of_token > best_key {
                best_key = of_token;
                best_id = id as u32;
            }
            let mut is_allowed = true;
            if mask > 0 {
                is_allowed = (masks[(mask - 1) * of_mask + id / 32] >> (id % 32) as u32) & 1u32 == 1u32;
            }
            if is_allowed {
                keys[i] = of_token;
            }
        }
    }
    first_of_cube(best_key, best_id, shared_keys.as_mut_slice(), shared_ids.as_mut_slice(), UNITS);
    let start = CUBE_POS * (kept as usize + 1) * 2;
    if unit == 0 {
        found[start] = shared_keys[0];
        found[start + 1] = shared_ids[0];
    }

    for place in 1..kept as usize + 1 {
        best_key = 0u32;
        best_id = 0u32;
        #[unroll]
        for i in 0..OF_UNIT {
            if keys[i] > best_key {
                best_key = keys[i];
                best_id = (block * BLOCK + i * comptime![UNITS as usize] + unit) as u32;
            }
        }
        first_of_cube(best_key, best_id, shared_keys.as_mut_slice(), shared_ids.as_mut_slice(), UNITS);
        let taken = shared_ids[0];
        if unit == 0 {
            found[start + 2 * place] = shared_keys[0];
            found[start + 2 * place + 1] = taken;
        }
        #[unroll]
        for i in 0..OF_UNIT {
            if (block * BLOCK + i * comptime![UNITS as usize] + unit) as u32 == taken {
                keys[i] = 0u32;
            }
        }
    }
}
