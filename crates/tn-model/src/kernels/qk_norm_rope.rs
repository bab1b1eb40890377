//! Normalisation of every query or key head, then rotary position embedding, as Qwen3 does it.
//!
//! A head `x` of `D` values becomes `n = w * x / rms(x)`; then the pairs `(n[i], n[i + D/2])` are rotated by the angle
//! `position * theta^(-2i/D)` ("rotate half": Qwen3 pairs the two halves of a head, not neighbouring values).

mod cpu;
pub(crate) mod reference;

use burn::tensor::Tensor;

use super::host::{self, HostFloats};
use super::rms_norm::Gradients;

/// Cosines and sines of the rotation angles for every position up to a length.
#[derive(Clone, Debug)]
pub struct RotaryTable {
    cosines: Vec<f32>,
    sines: Vec<f32>,
    half: usize,
}

impl RotaryTable {
    /// Computes the table for positions `0..length`, in double precision, rounded once.
    #[must_use]
    pub fn new(head_dim: usize, theta: f64, length: usize) -> Self {
        let half = head_dim / 2;
        let frequencies: Vec<f64> = (0..half).map(|i| theta.powf(-2.0 * i as f64 / head_dim as f64)).collect();
        let angles = || (0..length).flat_map(|position| frequencies.iter().map(move |f| position as f64 * f));
        Self { cosines: angles().map(|a| a.cos() as f32).collect(), sines: angles().map(|a| a.sin() as f32).collect(), half }
    }

    /// Returns the number of positions.
    #[must_use]
    pub fn len(&self) -> usize {
        self.cosines.len().checked_div(self.half).unwrap_or(0)
    }

    /// Returns whether the table has no position.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.cosines.is_empty()
    }

    #[inline(always)]
    fn at(&self, position: u32) -> (&[f32], &[f32]) {
        let range = position as usize * self.half..(position as usize + 1) * self.half;
        (&self.cosines[range.clone()], &self.sines[range])
    }
}

/// Normalises and rotates the heads of every row.
///
/// # Shapes
/// `x` and the result: `[rows, heads * head_dim]`; `weight`: `[head_dim]`; one position a row.
///
/// # Panics
/// Panics when a position lies beyond the table.
#[must_use]
pub fn forward(x: &Tensor<2>, weight: &Tensor<1>, eps: f32, table: &RotaryTable, positions: &[u32]) -> Tensor<2> {
    match (HostFloats::of(x), HostFloats::of(weight)) {
        (Some(values), Some(scale)) => host::tensor(cpu::forward(&values, &scale, eps, table, positions), x.dims()),
        _ => reference::forward(x.clone(), weight.clone(), eps, table, positions),
    }
}

/// Returns the gradients of [`forward`] for the output gradient `dy`: the inverse rotation, then the gradient of the normalisation.
///
/// # Shapes
/// As in [`forward`]; the weight's gradient is summed over rows and heads.
///
/// # Panics
/// Panics when a position lies beyond the table.
#[must_use]
pub fn backward(x: &Tensor<2>, weight: &Tensor<1>, eps: f32, table: &RotaryTable, positions: &[u32], dy: &Tensor<2>) -> Gradients {
    match (HostFloats::of(x), HostFloats::of(weight), HostFloats::of(dy)) {
        (Some(values), Some(scale), Some(gradient)) => {
            let (dx, dw) = cpu::backward(&values, &scale, eps, table, positions, &gradient);
            Gradients { x: host::tensor(dx, x.dims()), weight: host::tensor(dw, weight.dims()) }
        }
        _ => {
            let (x, weight) = reference::backward(x.clone(), weight.clone(), eps, table, positions, dy.clone());
            Gradients { x, weight }
        }
    }
}
