//! Output head and cross-entropy in one operation, by chunks of rows, so that the logits of all rows never exist together.
//!
//! For a row `h` with target `y` and weight `w`: `z = E h`, `loss = w * (ln sum exp(z) - z_y)`, `dz = w * (softmax(z) - onehot(y))`,
//! `dh = dz E`, `dE = sum of dz^T h`. Rows without a target or with a weight of 0 are left out before the head.

mod cpu;
pub(crate) mod reference;

use burn::tensor::Tensor;

use super::host::{self, HostFloats};

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
    check_targets(targets, head);
    assert_eq!(targets.len(), weights.len(), "one weight a target");
    match (HostFloats::of(rows), HostFloats::of(head)) {
        (Some(values), Some(weight)) => {
            let result = cpu::loss_and_gradients(&values, &weight, targets, weights, rows.dims()[1], trained);
            HeadLoss {
                sum: result.sum,
                rows: host::tensor(result.rows, rows.dims()),
                head: result.head.map(|gradient| host::tensor(gradient, head.dims())),
            }
        }
        _ => reference::loss_and_gradients(rows.clone(), head.clone(), targets, weights, trained),
    }
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
    check_targets(targets, head);
    match (HostFloats::of(rows), HostFloats::of(head)) {
        (Some(values), Some(weight)) => cpu::loss(&values, &weight, targets, rows.dims()[1]),
        _ => loss_and_gradients(rows, head, targets, &vec![1.0; targets.len()], HeadGradient::Frozen).sum,
    }
}

fn check_targets(targets: &[Option<u32>], head: &Tensor<2>) {
    let vocabulary = head.dims()[0];
    assert!(targets.iter().flatten().all(|&t| (t as usize) < vocabulary), "a target lies beyond the vocabulary of {vocabulary}");
}
