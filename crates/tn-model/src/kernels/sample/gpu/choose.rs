//! The best tokens of all blocks, and one of them.

use cubecl::prelude::*;

use super::order::{INFINITE, NOTHING_BELOW, first_of_cube, is_before, logit};
use super::{NONE, SETTINGS, UNITS};

/// One cube for each row.
#[cube(launch)]
pub(super) fn choose(found: &[u32], options: &[u32], drawn: &mut [u32], rows: u32, blocks: u32, kept: u32, #[comptime] room: usize) {
    let row = CUBE_POS;
    if row >= rows as usize {
        terminate!();
    }
    let unit = UNIT_POS as usize;
    let mut shared_keys = Shared::<[u32]>::new_slice(comptime![UNITS as usize]);
    let mut shared_ids = Shared::<[u32]>::new_slice(comptime![UNITS as usize]);
    let mut ids = Shared::<[u32]>::new_slice(room);
    let mut keys = Shared::<[u32]>::new_slice(room);
    let mut weights = Shared::<[f32]>::new_slice(room);
    let of_block = 2 * (kept as usize + 1);
    let start = row * blocks as usize * of_block;

    let mut best_key = 0u32;
    let mut best_id = 0u32;
    for block in range_stepped(unit, blocks as usize, comptime![UNITS as usize]) {
        let at = start + block * of_block;
        if is_before(found[at], found[at + 1], best_key, best_id) {
            best_key = found[at];
            best_id = found[at + 1];
        }
    }
    first_of_cube(best_key, best_id, shared_keys.as_mut_slice(), shared_ids.as_mut_slice(), UNITS);
    if unit == 0 {
        drawn[2 * row + 1] = shared_ids[0];
    }

    // The first token behind the one that was taken last, over and over.
    let mut last_key = u32::MAX.runtime();
    let mut last_id = 0u32;
    for place in 0..kept as usize {
        best_key = 0u32;
        best_id = 0u32;
        for index in range_stepped(unit, (blocks * kept) as usize, comptime![UNITS as usize]) {
            let at = start + index / kept as usize * of_block + 2 * (index % kept as usize + 1);
            let (key, id) = (found[at], found[at + 1]);
            if is_before(last_key, last_id, key, id) && is_before(key, id, best_key, best_id) {
                best_key = key;
                best_id = id;
            }
        }
        first_of_cube(best_key, best_id, shared_keys.as_mut_slice(), shared_ids.as_mut_slice(), UNITS);
        last_key = shared_keys[0];
        last_id = shared_ids[0];
        if unit == 0 {
            keys[place] = last_key;
            ids[place] = last_id;
        }
    }
    if unit == 0 {
        let of_row = row * SETTINGS;
        let temperature = f32::reinterpret(options[of_row]);
        let mut token = ids[0];
        if temperature > 0.0 && keys[0] > NOTHING_BELOW && keys[0] < INFINITE {
            let count = weigh(keys.as_slice(), weights.as_mut_slice(), kept as usize, temperature);
            order_equals(ids.as_mut_slice(), weights.as_slice(), count);
            token = draw(
                ids.as_slice(),
                weights.as_slice(),
                count,
                kept as usize,
                options[of_row + 1] as usize,
                f32::reinterpret(options[of_row + 2]),
                f32::reinterpret(options[of_row + 3]),
                f32::reinterpret(options[of_row + 4]),
            );
        }
        drawn[2 * row] = token;
    }
}

/// Draws one of the tokens, which are in order. The steps, and the order of the sums, are those of the processor.
#[cube]
fn draw(ids: &[u32], weights: &[f32], found: usize, kept: usize, top_k: usize, top_p: f32, min_p: f32, uniform: f32) -> u32 {
    let mut count = found;
    // Where as many were found as there are places, there may be others, as probable as the last one.
    let mut has_all = found < kept;
    if top_k < found {
        let least = weights[top_k - 1];
        has_all = has_all || weights[found - 1] < least;
        count = leading(weights, found, least);
    }
    if top_p < 1.0 {
        let bound = top_p * sum(weights, count);
        let mut mass = f32::new(0.0);
        let mut holding = 0usize;
        while holding < count && mass < bound {
            mass += weights[holding];
            holding += 1;
        }
        count = holding.max(1);
    }
    count = leading(weights, count, min_p * weights[0]);
    select(has_all, drawn_by(ids, weights, count, uniform), NONE)
}

/// Writes `e^((logit - largest) / temperature)` of each token, and returns how many are not zero.
#[cube]
fn weigh(keys: &[u32], weights: &mut [f32], kept: usize, temperature: f32) -> usize {
    let largest = logit(keys[0]);
    let mut count = 0usize;
    for i in 0..kept {
        let mut weight = f32::new(0.0);
        if keys[i] > NOTHING_BELOW {
            weight = ((logit(keys[i]) - largest) / temperature).exp();
        }
        weights[i] = weight;
        if weight > 0.0 {
            count = i + 1;
        }
    }
    count
}

/// Sorts tokens of equal probability, whose logits may differ, by their ids.
#[cube]
fn order_equals(ids: &mut [u32], weights: &[f32], count: usize) {
    for i in 1..count {
        let id = ids[i];
        let mut at = i;
        while at > 0 && weights[at - 1] == weights[i] && ids[at - 1] > id {
            ids[at] = ids[at - 1];
            at -= 1;
        }
        ids[at] = id;
    }
}

/// Returns how many of the first weights, which fall, are not below a bound.
#[cube]
fn leading(weights: &[f32], count: usize, least: f32) -> usize {
    let mut leading = count;
    while leading > 1 && weights[leading - 1] < least {
        leading -= 1;
    }
    leading
}

#[cube]
fn sum(weights: &[f32], count: usize) -> f32 {
    let mut sum = f32::new(0.0);
    for i in 0..count {
        sum += weights[i];
    }
    sum
}

#[cube]
fn drawn_by(ids: &[u32], weights: &[f32], count: usize, uniform: f32) -> u32 {
    let mut left = uniform * sum(weights, count);
    let mut drawn = count - 1;
    let mut at = 0usize;
    while at < count {
        left -= weights[at];
        if left < 0.0 {
            drawn = at;
            at = count;
        } else {
            at += 1;
        }
    }
    ids[drawn]
}
