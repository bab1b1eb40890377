//! Normalisation of every query or key head, then rotary position embedding, as Qwen3 does it.
//!
//! A head `x` of `D` values becomes `n = w * x / rms(x)`; then the pairs `(n[i], n[i + D/2])` are rotated by the angle
//! `position * theta^(-2i/D)` ("rotate half": Qwen3 pairs the two halves of a head, not neighbouring values).

mod cpu;
#[cfg(feature = "gpu")]
mod gpu;
pub(crate) mod reference;

use burn::tensor::Tensor;

use super::Numbers;
use super::host::{self, HostFloats};
use super::rms_norm::{Gradients, WeightGradient};

/// Cosines and sines of the rotation angles for every position up to a length.
#[derive(Clone, Debug)]
pub struct RotaryTable {
    cosines: Vec<f32>,
    sines: Vec<f32>,
    half: usize,
    /// The copies on devices that have asked for one.
    #[cfg(feature = "gpu")]
    copies: std::sync::Arc<std::sync::Mutex<Vec<burn_cubecl::tensor::CubeTensor>>>,
}

impl RotaryTable {
    /// Computes the table for positions `0..length`, in double precision, rounded once.
    #[must_use]
    pub fn new(head_dim: usize, theta: f64, length: usize) -> Self {
        let half = head_dim / 2;
        let frequencies: Vec<f64> = (0..half).map(|i| theta.powf(-2.0 * i as f64 / head_dim as f64)).collect();
        let angles = || (0..length).flat_map(|position| frequencies.iter().map(move |f| position as f64 * f));
        Self {
            cosines: angles().map(|a| a.cos() as f32).collect(),
            sines: angles().map(|a| a.sin() as f32).collect(),
            half,
            #[cfg(feature = "gpu")]
            copies: Default::default(),
        }
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

    /// Returns the copy on the device of a tensor, `[positions, 2, half]`: cosines, then sines. It is made once.
    #[cfg(feature = "gpu")]
    fn beside(&self, tensor: &burn_cubecl::tensor::CubeTensor) -> burn_cubecl::tensor::CubeTensor {
        let mut copies = self.copies.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Some(copy) = copies.iter().find(|copy| copy.device == tensor.device) {
            return copy.clone();
        }
        let angles = self.cosines.chunks_exact(self.half).zip(self.sines.chunks_exact(self.half));
        let angles: Vec<f32> = angles.flat_map(|(cosines, sines)| cosines.iter().chain(sines)).copied().collect();
        let copy = super::gpu::upload(tensor, &angles, [self.len(), 2, self.half]);
        copies.push(copy.clone());
        copy
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
pub fn forward(x: &Tensor<2>, weight: &Tensor<1>, eps: f32, table: &RotaryTable, positions: &Numbers) -> Tensor<2> {
    if let (Some(values), Some(scale)) = (HostFloats::of(x), HostFloats::of(weight)) {
        return host::tensor(cpu::forward(&values, &scale, eps, table, positions), x.dims());
    }
    #[cfg(feature = "gpu")]
    if let (Some(q), Some(weight)) = (super::gpu::of(x), super::gpu::of(weight)) {
        let (angles, positions) = rotations(x, &weight, table, positions, &q);
        let inputs = gpu::Inputs { q: &q, k: None, q_weight: &weight, k_weight: &weight, eps, angles: &angles, positions: &positions };
        return super::gpu::tensor(gpu::forward(&inputs).0);
    }
    reference::forward(x.clone(), weight.clone(), eps, table, positions)
}

/// As [`forward`] for queries and for keys, whose rows have the same positions: one launch on a GPU.
///
/// # Shapes
/// `q`, `k` and the results: `[rows, heads * head_dim]`, each with its own number of heads; the weights: `[head_dim]`.
///
/// # Panics
/// Panics when a position lies beyond the table.
#[must_use]
pub fn forward_pair(
    [q, k]: [&Tensor<2>; 2],
    weights: [&Tensor<1>; 2],
    eps: f32,
    table: &RotaryTable,
    positions: &Numbers,
) -> (Tensor<2>, Tensor<2>) {
    #[cfg(feature = "gpu")]
    if let (Some([queries, keys]), Some([q_weight, k_weight])) = (super::gpu::of_each([q, k]), super::gpu::of_each(weights)) {
        let (angles, positions) = rotations(q, &q_weight, table, positions, &queries);
        check_pair(&queries, &keys, &q_weight, &k_weight);
        let (q_weight, k_weight) = (&q_weight, &k_weight);
        let inputs = gpu::Inputs { q: &queries, k: Some(&keys), q_weight, k_weight, eps, angles: &angles, positions: &positions };
        let (q, k) = gpu::forward(&inputs);
        return (super::gpu::tensor(q), super::gpu::tensor(k));
    }
    (forward(q, weights[0], eps, table, positions), forward(k, weights[1], eps, table, positions))
}

/// Returns the gradients of [`forward`] for the output gradient `dy`: the inverse rotation, then the gradient of the normalisation.
///
/// # Shapes
/// As in [`forward`]; the weight's gradient is summed over rows and heads.
///
/// # Panics
/// Panics when a position lies beyond the table.
#[must_use]
pub fn backward(x: &Tensor<2>, weight: &Tensor<1>, eps: f32, table: &RotaryTable, positions: &Numbers, dy: &Tensor<2>) -> Gradients {
    if let (Some(values), Some(scale), Some(gradient)) = (HostFloats::of(x), HostFloats::of(weight), HostFloats::of(dy)) {
        let (dx, dw) = cpu::backward(&values, &scale, eps, table, positions, &gradient);
        return Gradients { x: host::tensor(dx, x.dims()), weight: host::tensor(dw, weight.dims()) };
    }
    #[cfg(feature = "gpu")]
    if let (Some([q, gradient]), Some(weight)) = (super::gpu::of_each([x, dy]), super::gpu::of(weight)) {
        let (angles, positions) = rotations(x, &weight, table, positions, &q);
        let inputs = gpu::Inputs { q: &q, k: None, q_weight: &weight, k_weight: &weight, eps, angles: &angles, positions: &positions };
        let (dx, dw) = gpu::backward_with_weight(&inputs, &gradient);
        return Gradients { x: super::gpu::tensor(dx), weight: super::gpu::tensor(dw) };
    }
    let (x, weight) = reference::backward(x.clone(), weight.clone(), eps, table, positions, dy.clone());
    Gradients { x, weight }
}

/// The gradients that [`backward_pair`] returns.
pub struct PairGradients {
    /// With respect to the queries.
    pub q: Tensor<2>,
    /// With respect to the keys.
    pub k: Tensor<2>,
    /// With respect to the weights of queries and of keys, `[head_dim]` each; `None` for frozen weights.
    pub weights: Option<[Tensor<1>; 2]>,
}

/// Returns the gradients of [`forward_pair`] for the gradients of its outputs.
///
/// # Shapes
/// As in [`forward_pair`]; the gradients of the weights are summed over rows and heads.
///
/// # Panics
/// Panics when a position lies beyond the table.
#[must_use]
pub fn backward_pair(
    [q, k]: [&Tensor<2>; 2],
    weights: [&Tensor<1>; 2],
    eps: f32,
    table: &RotaryTable,
    positions: &Numbers,
    [dq, dk]: [&Tensor<2>; 2],
    trained: WeightGradient,
) -> PairGradients {
    #[cfg(feature = "gpu")]
    if trained == WeightGradient::Frozen
        && let (Some([queries, keys, dqueries, dkeys]), Some([q_weight, k_weight])) =
            (super::gpu::of_each([q, k, dq, dk]), super::gpu::of_each(weights))
    {
        let (angles, positions) = rotations(q, &q_weight, table, positions, &queries);
        check_pair(&queries, &keys, &q_weight, &k_weight);
        let (q_weight, k_weight) = (&q_weight, &k_weight);
        let inputs = gpu::Inputs { q: &queries, k: Some(&keys), q_weight, k_weight, eps, angles: &angles, positions: &positions };
        let (q, k) = gpu::backward(&inputs, &dqueries, &dkeys);
        return PairGradients { q: super::gpu::tensor(q), k: super::gpu::tensor(k), weights: None };
    }
    let q = backward(q, weights[0], eps, table, positions, dq);
    let k = backward(k, weights[1], eps, table, positions, dk);
    PairGradients { q: q.x, k: k.x, weights: (trained == WeightGradient::Trained).then_some([q.weight, k.weight]) }
}

/// Returns the angles and the positions of the rows of `x` on its device, after the checks that a kernel cannot make.
#[cfg(feature = "gpu")]
fn rotations(
    x: &Tensor<2>,
    weight: &burn_cubecl::tensor::CubeTensor,
    table: &RotaryTable,
    positions: &Numbers,
    beside: &burn_cubecl::tensor::CubeTensor,
) -> (burn_cubecl::tensor::CubeTensor, burn_cubecl::tensor::CubeTensor) {
    let ([rows, features], head_dim) = (x.dims(), weight.meta.shape()[0]);
    assert!(head_dim == 2 * table.half && features.is_multiple_of(head_dim), "{features} values are not heads of {}", 2 * table.half);
    assert_eq!(rows, positions.len(), "one position a row");
    assert!(positions.iter().all(|&p| (p as usize) < table.len()), "a position lies beyond the table of {}", table.len());
    (table.beside(beside), positions.beside(beside).clone())
}

#[cfg(feature = "gpu")]
fn check_pair(
    q: &burn_cubecl::tensor::CubeTensor,
    k: &burn_cubecl::tensor::CubeTensor,
    q_weight: &burn_cubecl::tensor::CubeTensor,
    k_weight: &burn_cubecl::tensor::CubeTensor,
) {
    assert!(q.dtype == k.dtype && q_weight.dtype == k_weight.dtype, "queries and keys are of one type, and so are their weights");
    assert!(q.meta.shape()[0] == k.meta.shape()[0], "queries and keys of the same rows");
    let head_dim = q_weight.meta.shape()[0];
    assert!(k_weight.meta.shape()[0] == head_dim && k.meta.shape()[1].is_multiple_of(head_dim), "queries and keys have heads of one width");
}
