//! AVX-512: 16 lanes, 32 registers, and dot products of bf16 and of bytes in one instruction.

use std::arch::x86_64::*;

use super::Instructions;

pub(in super::super) struct Avx512;

// SAFETY of the blocks below: the caller promises the processor and the pointers, see the trait.
impl Instructions for Avx512 {
    type Sums = __m512;
    type Words = __m512i;
    const LANES: usize = 16;
    const ROWS: usize = 12;
    const ROWS_OF_BYTES: usize = 6;

    #[inline(always)]
    unsafe fn zero() -> __m512 {
        unsafe { _mm512_setzero_ps() }
    }

    #[inline(always)]
    unsafe fn splat(word: u32) -> __m512i {
        unsafe { _mm512_set1_epi32(word.cast_signed()) }
    }

    #[inline(always)]
    unsafe fn load(words: *const u32) -> __m512i {
        unsafe { _mm512_loadu_si512(words.cast()) }
    }

    #[inline(always)]
    unsafe fn store(sums: __m512, values: *mut f32) {
        unsafe { _mm512_storeu_ps(values, sums) }
    }

    #[inline(always)]
    unsafe fn add_f32(sums: __m512, x: __m512i, w: __m512i) -> __m512 {
        unsafe { _mm512_fmadd_ps(_mm512_castsi512_ps(x), _mm512_castsi512_ps(w), sums) }
    }

    #[inline(always)]
    unsafe fn add_bf16(sums: __m512, x: __m512i, w: __m512i) -> __m512 {
        unsafe { _mm512_dpbf16_ps(sums, std::mem::transmute::<__m512i, __m512bh>(w), std::mem::transmute::<__m512i, __m512bh>(x)) }
    }

    #[inline(always)]
    unsafe fn add_bytes(sums: __m512i, x: __m512i, w: __m512i) -> __m512i {
        unsafe { _mm512_dpbusd_epi32(sums, w, x) }
    }

    #[inline(always)]
    unsafe fn add_scaled(sums: __m512, ints: __m512i, w: *const u16, x: f32) -> __m512 {
        unsafe {
            let w = _mm512_slli_epi32::<16>(_mm512_cvtepu16_epi32(_mm256_loadu_si256(w.cast())));
            let scales = _mm512_mul_ps(_mm512_castsi512_ps(w), _mm512_set1_ps(x));
            _mm512_fmadd_ps(_mm512_cvtepi32_ps(ints), scales, sums)
        }
    }

    #[inline(always)]
    unsafe fn prefetch(line: *const u32) {
        unsafe { _mm_prefetch::<_MM_HINT_T0>(line.cast()) }
    }
}
