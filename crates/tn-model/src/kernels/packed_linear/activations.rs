//! Activations as the product reads them: words of the weights' format, the rows of a tile side by side.

use pulp::Arch;
use rayon::prelude::*;

use super::words;
use super::{BLOCK, BLOCK_STEPS, WeightFormat};

/// Values from which rows are prepared on several threads.
const PARALLEL: usize = 1 << 16;

/// Neighboring rows.
pub(super) struct Tile {
    /// The first row.
    pub(super) first: usize,
    /// Number of rows, at least one.
    pub(super) rows: usize,
    /// `[steps, rows]`.
    pub(super) words: Vec<u32>,
    /// Scale of each block, `[blocks, rows]`; of [`WeightFormat::Int8`] only.
    pub(super) scales: Vec<f32>,
    /// What the 128 that is added to each weight adds to the sum of each block, negative, `[blocks, rows]`.
    pub(super) offsets: Vec<i32>,
}

/// All rows.
pub(super) struct Activations {
    pub(super) rows: usize,
    pub(super) steps: usize,
    pub(super) tiles: Vec<Tile>,
}

/// Returns the most rows of a tile: as many sums as there are registers for.
fn rows_of_tile(format: WeightFormat) -> usize {
    match format {
        WeightFormat::F32 | WeightFormat::Bf16 => 12,
        WeightFormat::Int8 => 6,
    }
}

impl Activations {
    /// Prepares rows for weights of a format.
    pub(super) fn prepare(x: &[f32], [rows, inputs]: [usize; 2], format: WeightFormat) -> Self {
        let count = rows.div_ceil(rows_of_tile(format));
        let tile = |index: usize| {
            // Tiles of nearly one size: a small one reads the weights for little.
            let (first, end) = (index * rows / count, (index + 1) * rows / count);
            Arch::new().dispatch(
                #[inline(always)]
                || Tile::prepare(&x[first * inputs..end * inputs], first, [end - first, inputs], format),
            )
        };
        let tiles = match count > 1 && rows * inputs >= PARALLEL {
            true => (0..count).into_par_iter().map(tile).collect(),
            false => (0..count).map(tile).collect(),
        };
        Self { rows, steps: format.steps(inputs), tiles }
    }
}

impl Tile {
    #[inline(always)]
    fn prepare(x: &[f32], first: usize, [rows, inputs]: [usize; 2], format: WeightFormat) -> Self {
        let steps = format.steps(inputs);
        let blocks = if format == WeightFormat::Int8 { steps / BLOCK_STEPS } else { 0 };
        let mut words = vec![0; rows * steps];
        let (mut scales, mut offsets) = (vec![0.0; rows * blocks], vec![0; rows * blocks]);
        for (at, (row, words)) in x.chunks_exact(inputs.max(1)).zip(words.chunks_exact_mut(steps.max(1))).enumerate() {
            match format {
                WeightFormat::F32 => words::floats(row, words),
                WeightFormat::Bf16 => words::bf16_pairs(row, words),
                WeightFormat::Int8 => {
                    for (block, words) in words.as_chunks_mut::<BLOCK_STEPS>().0.iter_mut().enumerate() {
                        let values = words::block(row, block * BLOCK);
                        let scale = words::scale(&values);
                        let bytes = words::quantize(&values, scale);
                        words::four_bytes(bytes, 0, words);
                        scales[block * rows + at] = scale;
                        offsets[block * rows + at] = -128 * bytes.iter().map(|&byte| i32::from(byte)).sum::<i32>();
                    }
                }
            }
        }
        let words = if rows > 1 { steps_first(&words, rows) } else { words };
        Self { first, rows, words, scales, offsets }
    }
}

/// Turns `[rows, steps]` into `[steps, rows]`.
#[inline(always)]
fn steps_first(words: &[u32], rows: usize) -> Vec<u32> {
    let steps = words.len() / rows;
    let mut turned = vec![0; words.len()];
    for (step, words_of_step) in turned.chunks_exact_mut(rows).enumerate() {
        words_of_step.iter_mut().zip(words.chunks_exact(steps)).for_each(|(slot, row)| *slot = row[step]);
    }
    turned
}
