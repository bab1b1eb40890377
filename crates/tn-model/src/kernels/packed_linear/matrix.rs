//! The packed weight matrix.

use std::fmt;

use pulp::Arch;
use rayon::prelude::*;

use super::lines::{LINE, Line};
use super::{BLOCK, BLOCK_STEPS, words};
use crate::kernels::bf16;

/// Outputs of a panel.
pub(super) const PANEL: usize = 32;

/// Lines of one step of a panel: a word for each output.
pub(super) const STEP_LINES: usize = PANEL / LINE;

/// Lines of a block of [`WeightFormat::Int8`]: its steps, then the bf16 scales of its outputs.
pub(super) const BLOCK_LINES: usize = BLOCK_STEPS * STEP_LINES + PANEL / (2 * LINE);

/// How the weights of a packed matrix are stored, and what is multiplied.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum WeightFormat {
    /// 32-bit weights and activations: the arithmetic of training, up to the order of sums.
    #[default]
    F32,
    /// Weights and activations rounded to bf16, sums in 32 bits. Half the memory; nothing is lost of a weight that is bf16 in its file.
    /// AVX-512 takes numbers below 1.2e-38 for zero here, other processors do not.
    Bf16,
    /// Weights and activations in 8 bits, blocks of 32 inputs with one scale; sums are exact within a block, in 32 bits over blocks. Little
    /// more than a quarter of the memory.
    Int8,
}

impl WeightFormat {
    /// Every format, from the most exact to the smallest.
    pub const ALL: [Self; 3] = [Self::F32, Self::Bf16, Self::Int8];

    /// Returns the name: `f32`, `bf16` or `int8`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::Bf16 => "bf16",
            Self::Int8 => "int8",
        }
    }

    /// Returns the words of a row; what is missing to whole words or blocks is zero.
    pub(super) fn steps(self, inputs: usize) -> usize {
        match self {
            Self::F32 => inputs,
            Self::Bf16 => inputs.div_ceil(2),
            Self::Int8 => inputs.div_ceil(BLOCK) * BLOCK_STEPS,
        }
    }

    pub(super) fn lines_of_panel(self, inputs: usize) -> usize {
        match self {
            Self::F32 | Self::Bf16 => self.steps(inputs) * STEP_LINES,
            Self::Int8 => inputs.div_ceil(BLOCK) * BLOCK_LINES,
        }
    }
}

impl fmt::Display for WeightFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A weight matrix in panels of outputs.
///
/// ```
/// use tn_model::kernels::packed_linear::{PackedMatrix, WeightFormat};
///
/// let weight: Vec<f32> = (0..6).map(|i| i as f32).collect();
/// let packed = PackedMatrix::pack(&weight, [3, 2], WeightFormat::Bf16);
/// let mut row = [0.0; 2];
/// packed.row(2, &mut row);
/// assert_eq!(row, [4.0, 5.0]);
/// ```
#[derive(Clone)]
pub struct PackedMatrix {
    format: WeightFormat,
    outputs: usize,
    inputs: usize,
    lines: Vec<Line>,
}

impl PackedMatrix {
    /// Packs a matrix.
    ///
    /// # Shapes
    /// `weight`: `[outputs, inputs]`, row-major.
    ///
    /// # Panics
    /// Panics when `weight` has not the length of its shape.
    #[must_use]
    pub fn pack(weight: &[f32], [outputs, inputs]: [usize; 2], format: WeightFormat) -> Self {
        assert_eq!(weight.len(), outputs * inputs, "a matrix of [{outputs}, {inputs}]");
        Self::pack_rows([outputs, inputs], format, |output, row| row.copy_from_slice(&weight[output * inputs..][..inputs]))
    }

    /// Packs a matrix whose rows `row` writes, each once, on several threads.
    ///
    /// # Shapes
    /// `[outputs, inputs]`.
    #[must_use]
    pub fn pack_rows([outputs, inputs]: [usize; 2], format: WeightFormat, row: impl Fn(usize, &mut [f32]) + Sync) -> Self {
        Self::pack_panels([outputs, inputs], format, |first, count, lines| {
            let mut values = vec![0.0; inputs];
            let mut words = vec![0; PANEL * format.steps(inputs)];
            for (at, words) in words.chunks_exact_mut(format.steps(inputs).max(1)).take(count).enumerate() {
                row(first + at, &mut values);
                put_row(&values, format, at, words, lines);
            }
            put_words(&words, format, lines);
        })
    }

    /// Packs a matrix whose rows lie in a file as bf16, little-endian, without rounding.
    ///
    /// # Panics
    /// Panics when `bytes` has not the length of the shape.
    #[must_use]
    pub fn from_bf16(bytes: &[u8], [outputs, inputs]: [usize; 2]) -> Self {
        assert_eq!(bytes.len(), 2 * outputs * inputs, "a matrix of [{outputs}, {inputs}]");
        let steps = WeightFormat::Bf16.steps(inputs);
        Self::pack_panels([outputs, inputs], WeightFormat::Bf16, |first, count, lines| {
            let mut words = vec![0; PANEL * steps];
            let rows = bytes[2 * first * inputs..][..2 * count * inputs].chunks_exact((2 * inputs).max(1));
            for (words, row) in words.chunks_exact_mut(steps.max(1)).zip(rows) {
                let (pairs, rest) = row.as_chunks::<4>();
                words.iter_mut().zip(pairs).for_each(|(word, pair)| *word = u32::from_le_bytes(*pair));
                if let (&[low, high], Some(word)) = (rest, words.last_mut()) {
                    *word = u32::from(u16::from_le_bytes([low, high]));
                }
            }
            put_words(&words, WeightFormat::Bf16, lines);
        })
    }

    /// Packs panel after panel: `pack` gets the first output, the number of outputs and the lines to write.
    fn pack_panels([outputs, inputs]: [usize; 2], format: WeightFormat, pack: impl Fn(usize, usize, &mut [Line]) + Sync) -> Self {
        let panel_lines = format.lines_of_panel(inputs);
        let mut lines = vec![Line::ZERO; outputs.div_ceil(PANEL) * panel_lines];
        lines.par_chunks_mut(panel_lines.max(1)).enumerate().for_each(|(panel, lines)| {
            let first = panel * PANEL;
            let count = PANEL.min(outputs - first);
            Arch::new().dispatch(
                #[inline(always)]
                || pack(first, count, lines),
            );
        });
        Self { format, outputs, inputs, lines }
    }

    /// Returns the format.
    #[must_use]
    pub fn format(&self) -> WeightFormat {
        self.format
    }

    /// Returns the number of rows of the matrix.
    #[must_use]
    pub fn outputs(&self) -> usize {
        self.outputs
    }

    /// Returns the number of columns of the matrix.
    #[must_use]
    pub fn inputs(&self) -> usize {
        self.inputs
    }

    /// Returns the memory that the weights take, in bytes.
    #[must_use]
    pub fn size_in_bytes(&self) -> usize {
        size_of_val(self.lines.as_slice())
    }

    /// Writes the weights of one output, as they are stored.
    ///
    /// # Panics
    /// Panics when there is no such output, or `weights` has not one value for each input.
    pub fn row(&self, output: usize, weights: &mut [f32]) {
        assert!(output < self.outputs, "output {output} of {}", self.outputs);
        assert_eq!(weights.len(), self.inputs, "a row has a weight for each input");
        let (lines, at) = (self.panel(output / PANEL), output % PANEL);
        let word = |lines: &[Line], step: usize| lines[step * STEP_LINES + at / LINE].0[at % LINE];
        match self.format {
            WeightFormat::F32 => weights.iter_mut().enumerate().for_each(|(step, weight)| *weight = f32::from_bits(word(lines, step))),
            WeightFormat::Bf16 => {
                for (step, pair) in weights.chunks_mut(2).enumerate() {
                    let word = word(lines, step);
                    pair.iter_mut().zip([word as u16, (word >> 16) as u16]).for_each(|(weight, bits)| *weight = bf16::widen(bits));
                }
            }
            WeightFormat::Int8 => {
                for (weights, lines) in weights.chunks_mut(BLOCK).zip(lines.chunks_exact(BLOCK_LINES)) {
                    let scale = bf16::widen((lines[BLOCK_STEPS * STEP_LINES].0[at / 2] >> (at % 2 * 16)) as u16);
                    for (step, four) in weights.chunks_mut(4).enumerate() {
                        let bytes = word(lines, step).to_le_bytes();
                        four.iter_mut().zip(bytes).for_each(|(weight, byte)| *weight = f32::from(i16::from(byte) - 128) * scale);
                    }
                }
            }
        }
    }

    /// Returns the lines of one panel.
    fn panel(&self, panel: usize) -> &[Line] {
        let lines = self.format.lines_of_panel(self.inputs);
        &self.lines[panel * lines..][..lines]
    }

    /// Returns the lines of all panels.
    pub(super) fn lines(&self) -> &[Line] {
        &self.lines
    }
}

impl fmt::Debug for PackedMatrix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { format, outputs, inputs, .. } = self;
        write!(f, "PackedMatrix([{outputs}, {inputs}], {format})")
    }
}

/// Writes a row of weights as words, and its scales into the lines of the panel.
#[inline(always)]
fn put_row(row: &[f32], format: WeightFormat, at: usize, words: &mut [u32], lines: &mut [Line]) {
    match format {
        WeightFormat::F32 => words::floats(row, words),
        WeightFormat::Bf16 => words::bf16_pairs(row, words),
        WeightFormat::Int8 => {
            let blocks = words.as_chunks_mut::<BLOCK_STEPS>().0.iter_mut().zip(lines.chunks_exact_mut(BLOCK_LINES));
            for (block, (words, lines)) in blocks.enumerate() {
                let values = words::block(row, block * BLOCK);
                let scale = bf16::round_up(words::scale(&values));
                // Unsigned by signed bytes is what processors multiply: weights have 128 added.
                words::four_bytes(words::quantize(&values, bf16::widen(scale)), 128, words);
                lines[BLOCK_STEPS * STEP_LINES].0[at / 2] |= u32::from(scale) << (at % 2 * 16);
            }
        }
    }
}

/// Moves the words of a panel, `[PANEL, steps]`, to their places in its lines.
#[inline(always)]
fn put_words(words: &[u32], format: WeightFormat, lines: &mut [Line]) {
    let steps = words.len() / PANEL;
    let line_of_step = |step: usize| match format {
        WeightFormat::F32 | WeightFormat::Bf16 => step * STEP_LINES,
        WeightFormat::Int8 => step / BLOCK_STEPS * BLOCK_LINES + step % BLOCK_STEPS * STEP_LINES,
    };
    // A few steps of all rows at a time: what is read stays in the first-level cache until it is used up.
    for first in (0..steps).step_by(BLOCK_STEPS) {
        for step in first..steps.min(first + BLOCK_STEPS) {
            let lines = &mut lines[line_of_step(step)..][..STEP_LINES];
            for (line, words) in lines.iter_mut().zip(words.chunks_exact((LINE * steps).max(1))) {
                line.0.iter_mut().zip(words.chunks_exact(steps)).for_each(|(slot, row)| *slot = row[step]);
            }
        }
    }
}
