//! Drawing tokens where the logits are, so that only token ids leave a GPU.
//!
//! The rules are those of [`Sampling`](crate::generation::Sampling): what is not allowed is as if it did not exist; the logits are divided by
//! the temperature; the `top_k` most probable tokens stay, with those as probable as the last of them; of these the smallest set with
//! `top_p` of the mass, the lowest ids first among equals; of these those with `min_p` of the largest probability; and one of them is drawn by
//! a number in `[0, 1)` that the caller gives. Where ids are close to a bound, the device's exponential function may decide otherwise than
//! the processor's, by the last bits.
//!
//! On the device, the best candidates of every block of the vocabulary are found, then the best of all blocks. This needs a bound on their
//! number: `top_k` between 1 and [`MOST`], or temperature 0. Everything else is for the processor.

#[cfg(feature = "gpu")]
mod gpu;

use burn::tensor::Tensor;

/// The largest `top_k` that is drawn on a device.
pub const MOST: usize = 64;

/// Candidates beyond `top_k` that are looked at, for those as probable as the last one.
#[cfg(feature = "gpu")]
const SPARE: usize = 16;

/// How the token after one row of logits is drawn.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Draw<'a> {
    /// Divides the logits; 0 takes the most probable token.
    pub temperature: f32,
    /// Number of candidates, from 1 to [`MOST`] unless the temperature is 0.
    pub top_k: usize,
    /// Mass of the candidates; 1 keeps all.
    pub top_p: f32,
    /// Least probability relative to the largest.
    pub min_p: f32,
    /// A random number in `[0, 1)`.
    pub uniform: f32,
    /// Tokens that may be drawn, at least one; all when nothing is given.
    pub allowed: Option<&'a [u32]>,
}

/// What was drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Drawn {
    /// The token; nothing when more tokens than the device looks at are as probable as the last of the `top_k`.
    pub token: Option<u32>,
    /// The most probable token of all, allowed or not; the first among equals, NaN is passed over.
    pub most_probable: u32,
}

impl Draw<'_> {
    /// Returns whether the draw can be made on a device.
    #[must_use]
    pub fn is_bounded(&self) -> bool {
        self.temperature == 0.0 || (1..=MOST).contains(&self.top_k)
    }

    /// Returns how many candidates the device has to find.
    #[cfg(feature = "gpu")]
    fn candidates(&self) -> usize {
        if self.temperature == 0.0 { 1 } else { self.top_k + SPARE }
    }
}

/// Draws a token for every row of logits, or returns nothing when they are not on a GPU.
///
/// # Shapes
/// `logits`: `[draws, vocabulary]`.
///
/// # Panics
/// Panics when there is not one draw for each row, a draw is not bounded, or nothing or a token beyond the vocabulary is allowed.
#[must_use]
pub fn draw(logits: &Tensor<2>, draws: &[Draw<'_>]) -> Option<Vec<Drawn>> {
    let [rows, vocabulary] = logits.dims();
    assert!(rows == draws.len() && vocabulary > 0, "{} draws for logits {:?}", draws.len(), logits.dims());
    for draw in draws {
        assert!(draw.is_bounded(), "{draw:?} needs all logits");
        let fits = |allowed: &[u32]| !allowed.is_empty() && allowed.iter().all(|&id| (id as usize) < vocabulary);
        assert!(draw.allowed.is_none_or(fits), "what is allowed is nothing, or beyond the vocabulary of {vocabulary}");
    }
    #[cfg(feature = "gpu")]
    if let Some(logits) = super::gpu::of(logits) {
        return Some(if draws.is_empty() { Vec::new() } else { gpu::draw(&logits, draws) });
    }
    None
}
