//! The vector instructions that the product needs, for three kinds of processors.

#[cfg(target_arch = "x86_64")]
pub(super) mod avx2;
#[cfg(target_arch = "x86_64")]
pub(super) mod avx512;
pub(super) mod portable;

use super::WeightFormat;

/// A kind of processor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// AVX-512, with its dot products of bf16 and of bytes for the formats that need them.
    #[cfg(target_arch = "x86_64")]
    Avx512,
    /// AVX2 and FMA.
    #[cfg(target_arch = "x86_64")]
    Avx2,
    /// Any.
    Portable,
}

impl Kind {
    /// Returns the kinds that this processor is of, for a format, the fastest first.
    pub(super) fn all(format: WeightFormat) -> impl Iterator<Item = Self> {
        #[cfg(target_arch = "x86_64")]
        let vectors =
            [(Self::Avx512, has_avx512(format)), (Self::Avx2, is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma"))];
        #[cfg(not(target_arch = "x86_64"))]
        let vectors = [];
        vectors.into_iter().filter_map(|(kind, is_there)| is_there.then_some(kind)).chain([Self::Portable])
    }

    /// Returns the fastest kind that this processor is of.
    pub(super) fn best(format: WeightFormat) -> Self {
        Self::all(format).next().unwrap_or(Self::Portable)
    }
}

#[cfg(target_arch = "x86_64")]
fn has_avx512(format: WeightFormat) -> bool {
    is_x86_feature_detected!("avx512f")
        && match format {
            WeightFormat::F32 => true,
            WeightFormat::Bf16 => is_x86_feature_detected!("avx512bf16"),
            WeightFormat::Int8 => is_x86_feature_detected!("avx512vnni"),
        }
}

/// Vectors of 32-bit lanes.
///
/// # Safety
/// Every function requires that the processor is of the kind, and that a pointer is valid for `LANES` elements, or as said.
pub(super) trait Instructions {
    /// Running sums.
    type Sums: Copy;
    /// Words of weights or activations, or sums of whole numbers.
    type Words: Copy;
    /// Lanes of a vector.
    const LANES: usize;
    /// Rows whose sums fit into registers, two vectors each, for words of floating-point numbers.
    const ROWS: usize;
    /// The same for words of bytes.
    const ROWS_OF_BYTES: usize;

    unsafe fn zero() -> Self::Sums;
    unsafe fn splat(word: u32) -> Self::Words;
    unsafe fn load(words: *const u32) -> Self::Words;
    unsafe fn store(sums: Self::Sums, values: *mut f32);
    /// Adds the products of `f32` words.
    unsafe fn add_f32(sums: Self::Sums, x: Self::Words, w: Self::Words) -> Self::Sums;
    /// Adds the products of both halves of bf16 words.
    unsafe fn add_bf16(sums: Self::Sums, x: Self::Words, w: Self::Words) -> Self::Sums;
    /// Adds the products of the four bytes of words, signed ones of `x` and unsigned ones of `w`.
    unsafe fn add_bytes(sums: Self::Words, x: Self::Words, w: Self::Words) -> Self::Words;
    /// Adds `ints * (w * x)`, where `w` points to `LANES` bf16 scales.
    unsafe fn add_scaled(sums: Self::Sums, ints: Self::Words, w: *const u16, x: f32) -> Self::Sums;
    /// Fetches a cache line into the second-level cache; the address need not be valid.
    unsafe fn prefetch(line: *const u32);
}
