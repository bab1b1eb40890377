//! Rows of values as words of a format, for weights and for activations alike.

use crate::kernels::lanes::{max, sum};
use crate::kernels::{bf16, exponential};

use super::{BLOCK, BLOCK_STEPS};

/// Writes a row as `f32` words.
#[inline(always)]
pub(super) fn floats(row: &[f32], words: &mut [u32]) {
    words.iter_mut().zip(row).for_each(|(word, value)| *word = value.to_bits());
}

/// Writes a row as pairs of bf16, the first value in the lower half; an odd last one is paired with zero.
#[inline(always)]
pub(super) fn bf16_pairs(row: &[f32], words: &mut [u32]) {
    let (pairs, rest) = row.as_chunks::<2>();
    for (word, [first, second]) in words.iter_mut().zip(pairs) {
        *word = u32::from(bf16::round(*first)) | u32::from(bf16::round(*second)) << 16;
    }
    if let (&[last], Some(word)) = (rest, words.last_mut()) {
        *word = u32::from(bf16::round(last));
    }
}

/// Returns the scale of a block: its largest magnitude over 127. NaN when a value is not finite.
#[inline(always)]
pub(super) fn scale(block: &[f32; BLOCK]) -> f32 {
    // Zero for what is finite, NaN for what is not.
    let not_finite = sum(&block.map(|value| value * 0.0));
    max(&block.map(f32::abs)) / 127.0 + not_finite
}

/// Returns a block in multiples of a scale that is at least its own, each from -127 to 127, rounded to nearest, ties to even.
#[inline(always)]
pub(super) fn quantize(block: &[f32; BLOCK], scale: f32) -> [i8; BLOCK] {
    let inverse = if scale >= f32::MIN_POSITIVE { 1.0 / scale } else { 0.0 };
    block.map(|value| exponential::nearest(value * inverse) as i8)
}

/// Writes a block of bytes as words, `offset` added to each.
#[inline(always)]
pub(super) fn four_bytes(block: [i8; BLOCK], offset: u8, words: &mut [u32; BLOCK_STEPS]) {
    let bytes = block.map(|value| value.cast_unsigned().wrapping_add(offset));
    words.iter_mut().zip(bytes.as_chunks::<4>().0).for_each(|(word, four)| *word = u32::from_le_bytes(*four));
}

/// Returns a block of a row that may end inside it, filled up with zeros.
#[inline(always)]
pub(super) fn block(row: &[f32], first: usize) -> [f32; BLOCK] {
    let mut values = [0.0; BLOCK];
    let end = row.len().min(first + BLOCK);
    values[..end - first].copy_from_slice(&row[first..end]);
    values
}
