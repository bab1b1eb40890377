//! AVX2 with FMA: 8 lanes, 16 registers. Halves of bf16 words are widened, bytes are multiplied as 16-bit numbers.

use std::arch::x86_64::*;

use super::Instructions;

pub(in super::super) struct Avx2;

// SAFETY of the blocks below: the caller promises the processor and the pointers, see the trait.
impl Instructions for Avx2 {
    type Sums = __m256;
    type Words = __m256i;
    const LANES: usize = 8;
    const ROWS: usize = 4;
    const ROWS_OF_BYTES: usize = 2;

    #[inline(always)]
    unsafe fn zero() -> __m256 {
        unsafe { _mm256_setzero_ps() }
    }

    #[inline(always)]
    unsafe fn splat(word: u32) -> __m256i {
        unsafe { _mm256_set1_epi32(word.cast_signed()) }
    }

    #[inline(always)]
    unsafe fn load(words: *const u32) -> __m256i {
        unsafe { _mm256_loadu_si256(words.cast()) }
    }

    #[inline(always)]
    unsafe fn store(sums: __m256, values: *mut f32) {
        unsafe { _mm256_storeu_ps(values, sums) }
    }

    #[inline(always)]
    unsafe fn add_f32(sums: __m256, x: __m256i, w: __m256i) -> __m256 {
        unsafe { _mm256_fmadd_ps(_mm256_castsi256_ps(x), _mm256_castsi256_ps(w), sums) }
    }

    #[inline(always)]
    unsafe fn add_bf16(sums: __m256, x: __m256i, w: __m256i) -> __m256 {
        unsafe {
            let upper = _mm256_set1_epi32(0xffff_0000_u32.cast_signed());
            let first = Self::add_f32(sums, _mm256_slli_epi32::<16>(x), _mm256_slli_epi32::<16>(w));
            Self::add_f32(first, _mm256_and_si256(x, upper), _mm256_and_si256(w, upper))
        }
    }

    #[inline(always)]
    unsafe fn add_bytes(sums: __m256i, x: __m256i, w: __m256i) -> __m256i {
        unsafe {
            let lower = _mm256_set1_epi16(0xff);
            let even = _mm256_madd_epi16(_mm256_srai_epi16::<8>(_mm256_slli_epi16::<8>(x)), _mm256_and_si256(w, lower));
            let odd = _mm256_madd_epi16(_mm256_srai_epi16::<8>(x), _mm256_srli_epi16::<8>(w));
            _mm256_add_epi32(sums, _mm256_add_epi32(even, odd))
        }
    }

    #[inline(always)]
    unsafe fn add_scaled(sums: __m256, ints: __m256i, w: *const u16, x: f32) -> __m256 {
        unsafe {
            let w = _mm256_slli_epi32::<16>(_mm256_cvtepu16_epi32(_mm_loadu_si128(w.cast())));
            let scales = _mm256_mul_ps(_mm256_castsi256_ps(w), _mm256_set1_ps(x));
            _mm256_fmadd_ps(_mm256_cvtepi32_ps(ints), scales, sums)
        }
    }

    #[inline(always)]
    unsafe fn prefetch(line: *const u32) {
        unsafe { _mm_prefetch::<_MM_HINT_T0>(line.cast()) }
    }
}
