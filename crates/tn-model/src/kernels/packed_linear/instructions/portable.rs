//! Any processor: plain loops over eight lanes, which compilers turn into whatever vectors there are.

use super::Instructions;
use crate::kernels::bf16;

pub(in super::super) struct Portable;

const LANES: usize = 8;

// SAFETY of the blocks below: the caller promises the pointers, see the trait.
impl Instructions for Portable {
    type Sums = [f32; LANES];
    type Words = [u32; LANES];
    const LANES: usize = LANES;
    const ROWS: usize = 2;
    const ROWS_OF_BYTES: usize = 2;

    #[inline(always)]
    unsafe fn zero() -> [f32; LANES] {
        [0.0; LANES]
    }

    #[inline(always)]
    unsafe fn splat(word: u32) -> [u32; LANES] {
        [word; LANES]
    }

    #[inline(always)]
    unsafe fn load(words: *const u32) -> [u32; LANES] {
        unsafe { words.cast::<[u32; LANES]>().read() }
    }

    #[inline(always)]
    unsafe fn store(sums: [f32; LANES], values: *mut f32) {
        unsafe { values.cast::<[f32; LANES]>().write(sums) }
    }

    #[inline(always)]
    unsafe fn add_f32(sums: [f32; LANES], x: [u32; LANES], w: [u32; LANES]) -> [f32; LANES] {
        std::array::from_fn(|lane| sums[lane] + f32::from_bits(x[lane]) * f32::from_bits(w[lane]))
    }

    #[inline(always)]
    unsafe fn add_bf16(sums: [f32; LANES], x: [u32; LANES], w: [u32; LANES]) -> [f32; LANES] {
        let halves = |word: u32| [word as u16, (word >> 16) as u16].map(bf16::widen);
        std::array::from_fn(|lane| {
            let ([x_first, x_second], [w_first, w_second]) = (halves(x[lane]), halves(w[lane]));
            sums[lane] + x_first * w_first + x_second * w_second
        })
    }

    #[inline(always)]
    unsafe fn add_bytes(sums: [u32; LANES], x: [u32; LANES], w: [u32; LANES]) -> [u32; LANES] {
        std::array::from_fn(|lane| {
            let (x, w) = (x[lane].to_le_bytes(), w[lane].to_le_bytes());
            let product = x.iter().zip(w).map(|(&x, w)| i32::from(x.cast_signed()) * i32::from(w)).sum::<i32>();
            sums[lane].wrapping_add_signed(product)
        })
    }

    #[inline(always)]
    unsafe fn add_scaled(sums: [f32; LANES], ints: [u32; LANES], w: *const u16, x: f32) -> [f32; LANES] {
        let w = unsafe { w.cast::<[u16; LANES]>().read_unaligned() };
        std::array::from_fn(|lane| sums[lane] + ints[lane].cast_signed() as f32 * (bf16::widen(w[lane]) * x))
    }

    #[inline(always)]
    unsafe fn prefetch(_line: *const u32) {}
}
