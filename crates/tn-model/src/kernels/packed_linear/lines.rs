//! Memory in whole cache lines.

/// Words of a cache line.
pub(super) const LINE: usize = 16;

/// A cache line of words, on its own boundary: a vector of AVX-512 is then one access.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
pub(super) struct Line(pub(super) [u32; LINE]);

impl Line {
    pub(super) const ZERO: Self = Self([0; LINE]);
}
