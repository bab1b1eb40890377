//! The inner loops: a tile of rows against a panel of outputs, all sums in registers.

use std::marker::PhantomData;
use std::ops::Range;

use super::activations::{Activations, Tile};
use super::instructions::portable::Portable;
use super::instructions::{Instructions, Kind};
#[cfg(target_arch = "x86_64")]
use super::instructions::{avx2::Avx2, avx512::Avx512};
use super::lines::{LINE, Line};
use super::matrix::{BLOCK_LINES, PANEL, STEP_LINES};
use super::{BLOCK_STEPS, PackedMatrix, WeightFormat};

/// Words ahead of the present one that are fetched while few rows wait for the weights.
const AHEAD: usize = 512;

/// Rows of a tile up to which the weights are waited for.
const FEW_ROWS: usize = 8;

/// A result that tasks write at the same time, each its own elements.
pub(super) struct Destination<'a> {
    values: *mut f32,
    length: usize,
    borrowed: PhantomData<&'a mut [f32]>,
}

// SAFETY: it is a mutable slice whose elements several threads write, no element two of them: `run` is called for disjoint panels or tiles.
unsafe impl Send for Destination<'_> {}
// SAFETY: as above.
unsafe impl Sync for Destination<'_> {}

impl<'a> Destination<'a> {
    pub(super) fn new(values: &'a mut [f32]) -> Self {
        Self { values: values.as_mut_ptr(), length: values.len(), borrowed: PhantomData }
    }
}

/// A weight and where its product goes.
pub(super) struct Product<'a> {
    format: WeightFormat,
    outputs: usize,
    lines: &'a [Line],
    panel_lines: usize,
    y: Destination<'a>,
}

impl<'a> Product<'a> {
    pub(super) fn new(weight: &'a PackedMatrix, y: Destination<'a>) -> Self {
        let panel_lines = weight.format().lines_of_panel(weight.inputs());
        Self { format: weight.format(), outputs: weight.outputs(), lines: weight.lines(), panel_lines, y }
    }

    pub(super) fn panels(&self) -> usize {
        self.outputs.div_ceil(PANEL)
    }

    pub(super) fn panel_bytes(&self) -> usize {
        self.panel_lines * size_of::<Line>()
    }
}

/// Multiplies the rows of some tiles with some panels of a weight, and writes the elements of the result that belong to both.
///
/// # Safety
/// The processor is of the kind, for the format of the weight, and no other thread is at the same panel and the same tile.
///
/// # Panics
/// Panics when the activations are not prepared for the weight, or a range goes beyond it.
pub(super) unsafe fn run(kind: Kind, product: &Product<'_>, activations: &Activations, panels: Range<usize>, tiles: Range<usize>) {
    let steps = activations.steps;
    let lines_of_steps = match product.format {
        WeightFormat::F32 | WeightFormat::Bf16 => steps * STEP_LINES,
        WeightFormat::Int8 => steps / BLOCK_STEPS * BLOCK_LINES,
    };
    assert!(lines_of_steps == product.panel_lines && panels.end * product.panel_lines <= product.lines.len(), "panels beyond the weight");
    assert!(product.y.length == activations.rows * product.outputs && panels.end <= product.panels(), "panels beyond the result");
    let job = Job { product, steps, tiles: &activations.tiles[tiles], panels };
    // SAFETY: the kind is the processor's, and the assertions hold every address inside the weight and the result; a tile holds a word, and
    // of bytes a scale and an offset, for each of its rows and steps.
    unsafe {
        match (kind, product.format) {
            #[cfg(target_arch = "x86_64")]
            (Kind::Avx512, WeightFormat::F32) => avx512_f32(job),
            #[cfg(target_arch = "x86_64")]
            (Kind::Avx512, WeightFormat::Bf16) => avx512_bf16(job),
            #[cfg(target_arch = "x86_64")]
            (Kind::Avx512, WeightFormat::Int8) => avx512_int8(job),
            #[cfg(target_arch = "x86_64")]
            (Kind::Avx2, WeightFormat::F32) => avx2_f32(job),
            #[cfg(target_arch = "x86_64")]
            (Kind::Avx2, WeightFormat::Bf16) => avx2_bf16(job),
            #[cfg(target_arch = "x86_64")]
            (Kind::Avx2, WeightFormat::Int8) => avx2_int8(job),
            (Kind::Portable, WeightFormat::F32) => job.run::<Portable, F32>(),
            (Kind::Portable, WeightFormat::Bf16) => job.run::<Portable, Bf16>(),
            (Kind::Portable, WeightFormat::Int8) => job.run::<Portable, Int8>(),
        }
    }
}

/// Compiles the loops for a set of instructions.
#[cfg(target_arch = "x86_64")]
macro_rules! compile {
    ($name:ident, $features:literal, $instructions:ty, $dot:ty) => {
        #[target_feature(enable = $features)]
        unsafe fn $name(job: Job<'_>) {
            // SAFETY: the caller's promise.
            unsafe { job.run::<$instructions, $dot>() }
        }
    };
}

#[cfg(target_arch = "x86_64")]
compile!(avx512_f32, "avx512f", Avx512, F32);
#[cfg(target_arch = "x86_64")]
compile!(avx512_bf16, "avx512f,avx512bf16", Avx512, Bf16);
#[cfg(target_arch = "x86_64")]
compile!(avx512_int8, "avx512f,avx512vnni", Avx512, Int8);
#[cfg(target_arch = "x86_64")]
compile!(avx2_f32, "avx2,fma", Avx2, F32);
#[cfg(target_arch = "x86_64")]
compile!(avx2_bf16, "avx2,fma", Avx2, Bf16);
#[cfg(target_arch = "x86_64")]
compile!(avx2_int8, "avx2,fma", Avx2, Int8);

/// Some panels of a weight for some tiles of rows.
struct Job<'a> {
    product: &'a Product<'a>,
    steps: usize,
    tiles: &'a [Tile],
    panels: Range<usize>,
}

/// Where the operands of some rows and some panels begin.
struct Operands {
    /// Words of the rows, those of the next step `stride` further on.
    x: *const u32,
    /// Scales and offsets of the rows, those of the next block `stride` further on.
    scales: *const f32,
    offsets: *const i32,
    stride: usize,
    /// Words of the first panel, from the first output wanted.
    w: *const u32,
    /// Which output of the panel that is.
    output: usize,
    panel_words: usize,
    steps: usize,
}

/// The sums of `M` rows and `P` panels, two vectors of outputs each.
type Sums<I, const M: usize, const P: usize> = [[[<I as Instructions>::Sums; 2]; P]; M];

/// The inner product of a format.
trait Dot<I: Instructions> {
    /// Rows at a time.
    const ROWS: usize;

    /// Returns the sums over all steps.
    ///
    /// # Safety
    /// As the instructions; the operands hold `M` rows and `P` panels.
    unsafe fn sums<const M: usize, const P: usize>(operands: &Operands) -> Sums<I, M, P>;
}

struct F32;
struct Bf16;
struct Int8;

impl<I: Instructions> Dot<I> for F32 {
    const ROWS: usize = I::ROWS;

    #[inline(always)]
    unsafe fn sums<const M: usize, const P: usize>(operands: &Operands) -> Sums<I, M, P> {
        // SAFETY: the caller's promise.
        unsafe { sums_of_words::<I, M, P, false>(operands) }
    }
}

impl<I: Instructions> Dot<I> for Bf16 {
    const ROWS: usize = I::ROWS;

    #[inline(always)]
    unsafe fn sums<const M: usize, const P: usize>(operands: &Operands) -> Sums<I, M, P> {
        // SAFETY: the caller's promise.
        unsafe { sums_of_words::<I, M, P, true>(operands) }
    }
}

impl<I: Instructions> Dot<I> for Int8 {
    const ROWS: usize = I::ROWS_OF_BYTES;

    #[inline(always)]
    unsafe fn sums<const M: usize, const P: usize>(operands: &Operands) -> Sums<I, M, P> {
        // SAFETY: the caller's promise.
        unsafe { sums_of_bytes::<I, M, P>(operands) }
    }
}

/// Returns the words of `P` panels at a step, and fetches those ahead where `M` rows are few.
///
/// # Safety
/// As [`Dot::sums`]; `w` points to the step in the first panel.
#[inline(always)]
unsafe fn weights_of_step<I: Instructions, const M: usize, const P: usize>(w: *const u32, panel_words: usize) -> [[I::Words; 2]; P] {
    // SAFETY: the caller's promise.
    unsafe {
        let mut weights = [[I::splat(0); 2]; P];
        for (panel, weights) in weights.iter_mut().enumerate() {
            let w = w.add(panel * panel_words);
            if M <= FEW_ROWS {
                I::prefetch(w.wrapping_add(AHEAD));
                I::prefetch(w.wrapping_add(AHEAD + LINE));
            }
            *weights = [I::load(w), I::load(w.add(I::LANES))];
        }
        weights
    }
}

/// Returns the sums for words of floating-point numbers: bf16 pairs where `PAIRS`, else `f32`.
///
/// # Safety
/// As [`Dot::sums`].
#[inline(always)]
unsafe fn sums_of_words<I: Instructions, const M: usize, const P: usize, const PAIRS: bool>(operands: &Operands) -> Sums<I, M, P> {
    // SAFETY: the caller's promise; `step` is below the number of steps, which is that of both operands.
    unsafe {
        let mut sums = [[[I::zero(); 2]; P]; M];
        for step in 0..operands.steps {
            let (x, w) = (operands.x.add(step * operands.stride), operands.w.add(step * PANEL));
            let weights = weights_of_step::<I, M, P>(w, operands.panel_words);
            for (row, sums) in sums.iter_mut().enumerate() {
                let x = I::splat(*x.add(row));
                for (sums, weights) in sums.iter_mut().zip(weights) {
                    for (sum, w) in sums.iter_mut().zip(weights) {
                        *sum = if PAIRS { I::add_bf16(*sum, x, w) } else { I::add_f32(*sum, x, w) };
                    }
                }
            }
        }
        sums
    }
}

/// Returns the sums for words of bytes: whole numbers within a block, then floating-point numbers over blocks.
///
/// # Safety
/// As [`Dot::sums`].
#[inline(always)]
unsafe fn sums_of_bytes<I: Instructions, const M: usize, const P: usize>(operands: &Operands) -> Sums<I, M, P> {
    const WORDS: usize = BLOCK_LINES * LINE;
    // SAFETY: the caller's promise; `block` is below the number of blocks, which is that of both operands.
    unsafe {
        let mut sums = [[[I::zero(); 2]; P]; M];
        for block in 0..operands.steps / BLOCK_STEPS {
            let (scales, offsets) = (operands.scales.add(block * operands.stride), operands.offsets.add(block * operands.stride));
            let (x, w) = (operands.x.add(block * BLOCK_STEPS * operands.stride), operands.w.add(block * WORDS));
            let mut ints = [[[I::splat(0); 2]; P]; M];
            for (row, ints) in ints.iter_mut().enumerate() {
                *ints = [[I::splat((*offsets.add(row)).cast_unsigned()); 2]; P];
            }
            for step in 0..BLOCK_STEPS {
                let (x, w) = (x.add(step * operands.stride), w.add(step * PANEL));
                let weights = weights_of_step::<I, M, P>(w, operands.panel_words);
                for (row, ints) in ints.iter_mut().enumerate() {
                    let x = I::splat(*x.add(row));
                    for (ints, weights) in ints.iter_mut().zip(weights) {
                        for (ints, w) in ints.iter_mut().zip(weights) {
                            *ints = I::add_bytes(*ints, x, w);
                        }
                    }
                }
            }
            // The first output wanted lies `output` words into each step, and as many halves of words into the scales.
            let w_scales = w.sub(operands.output).add(BLOCK_STEPS * PANEL).cast::<u16>().add(operands.output);
            for (row, (sums, ints)) in sums.iter_mut().zip(ints).enumerate() {
                let x_scale = *scales.add(row);
                for (panel, (sums, ints)) in sums.iter_mut().zip(ints).enumerate() {
                    let w_scales = w_scales.add(2 * panel * operands.panel_words);
                    for (vector, (sum, ints)) in sums.iter_mut().zip(ints).enumerate() {
                        *sum = I::add_scaled(*sum, ints, w_scales.add(vector * I::LANES), x_scale);
                    }
                }
            }
        }
        sums
    }
}

impl Job<'_> {
    /// # Safety
    /// As [`run`], whose assertions hold.
    #[inline(always)]
    unsafe fn run<I: Instructions, D: Dot<I>>(&self) {
        let mut panel = self.panels.start;
        // SAFETY: the caller's promise. Panels and rows are inside the ranges, and `rows` is the constant that is passed on.
        unsafe {
            while panel < self.panels.end {
                // Few rows have few sums: several panels at once keep the multipliers busy.
                let together = match self.tiles {
                    [tile] if tile.rows == 1 && panel + 4 <= self.panels.end => 4,
                    [tile] if tile.rows <= 3 && panel + 2 <= self.panels.end => 2,
                    _ => 1,
                };
                for tile in self.tiles {
                    let mut row = 0;
                    while row < tile.rows {
                        let rows = D::ROWS.min(tile.rows - row);
                        match (rows, together) {
                            (1, 4) => self.block::<I, D, 1, 4>(tile, row, panel),
                            (1, 2) => self.block::<I, D, 1, 2>(tile, row, panel),
                            (2, 2) => self.block::<I, D, 2, 2>(tile, row, panel),
                            (3, 2) if D::ROWS >= 3 => self.block::<I, D, 3, 2>(tile, row, panel),
                            (1, _) => self.block::<I, D, 1, 1>(tile, row, panel),
                            (2, _) => self.block::<I, D, 2, 1>(tile, row, panel),
                            (3, _) if D::ROWS >= 3 => self.block::<I, D, 3, 1>(tile, row, panel),
                            (4, _) if D::ROWS >= 4 => self.block::<I, D, 4, 1>(tile, row, panel),
                            (5, _) if D::ROWS >= 5 => self.block::<I, D, 5, 1>(tile, row, panel),
                            (6, _) if D::ROWS >= 6 => self.block::<I, D, 6, 1>(tile, row, panel),
                            (7, _) if D::ROWS >= 7 => self.block::<I, D, 7, 1>(tile, row, panel),
                            (8, _) if D::ROWS >= 8 => self.block::<I, D, 8, 1>(tile, row, panel),
                            (9, _) if D::ROWS >= 9 => self.block::<I, D, 9, 1>(tile, row, panel),
                            (10, _) if D::ROWS >= 10 => self.block::<I, D, 10, 1>(tile, row, panel),
                            (11, _) if D::ROWS >= 11 => self.block::<I, D, 11, 1>(tile, row, panel),
                            _ => self.block::<I, D, 12, 1>(tile, row, panel),
                        }
                        row += rows;
                    }
                }
                panel += together;
            }
        }
    }

    /// Writes the products of `M` rows of a tile with `P` panels.
    ///
    /// # Safety
    /// As [`run`]; the rows and the panels exist.
    #[inline(always)]
    unsafe fn block<I: Instructions, D: Dot<I>, const M: usize, const P: usize>(&self, tile: &Tile, row: usize, panel: usize) {
        let outputs_at_once = 2 * I::LANES;
        // SAFETY: the caller's promise; what is written lies in rows of the tile and columns of the panels, and `count` columns are left.
        unsafe {
            let panel_words = self.product.panel_lines * LINE;
            let words = self.product.lines.as_ptr().cast::<u32>().add(panel * panel_words);
            for output in (0..PANEL).step_by(outputs_at_once) {
                let sums = D::sums::<M, P>(&Operands {
                    x: tile.words.as_ptr().add(row),
                    scales: tile.scales.as_ptr().wrapping_add(row),
                    offsets: tile.offsets.as_ptr().wrapping_add(row),
                    stride: tile.rows,
                    w: words.add(output),
                    output,
                    panel_words,
                    steps: self.steps,
                });
                for (at, sums) in sums.iter().enumerate() {
                    for (next, sums) in sums.iter().enumerate() {
                        let column = (panel + next) * PANEL + output;
                        let count = self.product.outputs.saturating_sub(column).min(outputs_at_once);
                        let y = self.product.y.values.wrapping_add((tile.first + row + at) * self.product.outputs + column);
                        put::<I>(sums, y, count);
                    }
                }
            }
        }
    }
}

/// Writes the first `count` lanes of two vectors.
///
/// # Safety
/// As the instructions; `y` is valid for `count` values.
#[inline(always)]
unsafe fn put<I: Instructions>(sums: &[I::Sums; 2], y: *mut f32, count: usize) {
    // SAFETY: the caller's promise; the buffer holds two vectors of any instructions.
    unsafe {
        if count == 2 * I::LANES {
            I::store(sums[0], y);
            I::store(sums[1], y.add(I::LANES));
        } else {
            let mut buffer = [0.0f32; PANEL];
            I::store(sums[0], buffer.as_mut_ptr());
            I::store(sums[1], buffer.as_mut_ptr().add(I::LANES));
            y.copy_from_nonoverlapping(buffer.as_ptr(), count);
        }
    }
}
