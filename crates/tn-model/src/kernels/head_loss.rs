//! Output head and cross-entropy in one operation, by chunks of rows, so that the logits of all rows never exist together.
//!
//! For a row `h` with target `y` and weight `w`: `z = E h`, `loss = w * (ln sum exp(z) - z_y)`, `dz = w * (softmax(z) - onehot(y))`,
//! `dh = dz E`, `dE = sum of dz^T h`. Rows without a target or with a weight of 0 are left out before the head.

mod cpu;
#[cfg(feature = "gpu")]
mod gpu;
pub(crate) mod reference;

use burn::tensor::Tensor;

use super::host::{self, HostFloats};

/// Rows whose logits exist at one time on a GPU, unless a caller says otherwise.
pub const CHUNK: usize = 2048;

/// Whether the head itself is trained.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeadGradient {
    /// The gradient of the head's weight is formed.
    Trained,
    /// The head is frozen; only the gradient of the rows is formed.
    Frozen,
}

/// Loss and gradients of [`loss_and_gradients`].
pub struct HeadLoss {
    /// Sum of the weighted losses of all rows with a target, in nats.
    pub sum: f64,
    /// Gradient of the sum with respect to the rows, `[rows, features]`; zero for rows without a target.
    pub rows: Tensor<2>,
    /// Gradient of the sum with respect to the head, `[vocabulary, features]`; `None` for a frozen head.
    pub head: Option<Tensor<2>>,
}

/// Returns the weighted cross-entropy of the rows that have a target, and its gradients.
///
/// # Shapes
/// `rows`: `[rows, features]`; `head`: `[vocabulary, features]`; one target and one weight a row.
///
/// # Panics
/// Panics when a target is not below the vocabulary size, or there is not one weight a target.
#[must_use]
pub fn loss_and_gradients(rows: &Tensor<2>, head: &Tensor<2>, targets: &[Option<u32>], weights: &[f32], trained: HeadGradient) -> HeadLoss {
    loss_and_gradients_by(CHUNK, rows, head, targets, weights, trained)
}

/// As [`loss_and_gradients`], with the logits of at most `chunk` rows at one time on a GPU. Fewer need less memory; from about two
/// thousand on, the matrix products are as fast as they get. The processor chooses its own chunks.
///
/// # Panics
/// As [`loss_and_gradients`], and when `chunk` is 0.
#[must_use]
pub fn loss_and_gradients_by(
    chunk: usize,
    rows: &Tensor<2>,
    head: &Tensor<2>,
    targets: &[Option<u32>],
    weights: &[f32],
    trained: HeadGradient,
) -> HeadLoss {
    check_targets(targets, rows, head);
    assert_eq!(targets.len(), weights.len(), "one weight a target");
    assert!(chunk > 0, "a chunk has rows");
    if let (Some(values), Some(weight)) = (HostFloats::of(rows), HostFloats::of(head)) {
        let result = cpu::loss_and_gradients(&values, &weight, targets, weights, rows.dims()[1], trained);
        return HeadLoss {
            sum: result.sum,
            rows: host::tensor(result.rows, rows.dims()),
            head: result.head.map(|gradient| host::tensor(gradient, head.dims())),
        };
    }
    #[cfg(feature = "gpu")]
    if let (Some(values), Some(_)) = (super::gpu::of(rows), super::gpu::of(head)) {
        let outcome = gpu::loss_and_gradients(&values, head, &gpu::Labelled::new(targets, weights), trained, chunk);
        return HeadLoss { sum: outcome.sum, rows: outcome.rows, head: outcome.head };
    }
    reference::loss_and_gradients(rows.clone(), head.clone(), targets, weights, trained)
}

/// Returns the summed cross-entropy of the rows that have a target, in nats, without weights and gradients.
///
/// # Shapes
/// `rows`: `[rows, features]`; `head`: `[vocabulary, features]`; one target a row.
///
/// # Panics
/// Panics when a target is not below the vocabulary size.
#[must_use]
pub fn loss(rows: &Tensor<2>, head: &Tensor<2>, targets: &[Option<u32>]) -> f64 {
    check_targets(targets, rows, head);
    if let (Some(values), Some(weight)) = (HostFloats::of(rows), HostFloats::of(head)) {
        return cpu::loss(&values, &weight, targets, rows.dims()[1]);
    }
    let weights = vec![1.0; targets.len()];
    #[cfg(feature = "gpu")]
    if let (Some(values), Some(_)) = (super::gpu::of(rows), super::gpu::of(head)) {
        return gpu::loss(&values, head, &gpu::Labelled::new(targets, &weights), CHUNK);
    }
    loss_and_gradients(rows, head, targets, &weights, HeadGradient::Frozen).sum
}

fn check_targets(targets: &[Option<u32>], rows: &Tensor<2>, head: &Tensor<2>) {
    let vocabulary = head.dims()[0];
    assert_eq!(targets.len(), rows.dims()[0], "one target a row");
    assert!(targets.iter().flatten().all(|&t| (t as usize) < vocabulary), "a target lies beyond the vocabulary of {vocabulary}");
}
