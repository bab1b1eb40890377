//! Head and cross-entropy on a GPU, chunk by chunk: Burn's matrix products, and one kernel between them, one cube a row of logits.

use burn::tensor::{DType, Tensor};
use burn_cubecl::tensor::CubeTensor;
use cubecl::ir::ElemType;
use cubecl::prelude::*;

use super::HeadGradient;
use crate::kernels::gpu::reduce::{Groups, group_max, group_sum};
use crate::kernels::gpu::{self, rows};
use crate::kernels::linear;

/// Writes the weighted loss of each row and, on request, the gradient of its logits over them.
#[cube(launch, address_type = "dynamic")]
fn cross_entropy<F: Float, N: Size>(
    logits: &mut [Vector<F, N>],
    targets: &[u32],
    weights: &[f32],
    losses: &mut [f32],
    #[comptime] vectors: usize,
    #[comptime] gradient: bool,
    #[comptime] groups: Groups,
    #[define(F)] _type: ElemType,
) {
    if CUBE_POS >= losses.len() {
        terminate!();
    }
    let start = CUBE_POS * vectors;
    let target = targets[CUBE_POS] as usize;
    let wanted = Vector::<f32, N>::cast_from(logits[start + target / N::value()]);
    // Each unit has its own largest logit and the sum of exponentials relative to it.
    let mut largest = f32::min_value();
    let mut sum = 0.0f32;
    for at in range_stepped(UNIT_POS as usize, vectors, groups.units as usize) {
        let z = Vector::<f32, N>::cast_from(logits[start + at]);
        let mut above = largest;
        #[unroll]
        for lane in 0..N::value() {
            above = max(above, z.extract(lane));
        }
        sum = sum * (largest - above).exp() + (z - Vector::new(above)).exp().vector_sum();
        largest = above;
    }
    let top = group_max(largest, groups);
    let total = group_sum(sum * (largest - top).exp(), groups);
    let weight = weights[CUBE_POS];
    if UNIT_POS == 0 {
        let mut logit = 0.0f32;
        #[unroll]
        for lane in 0..N::value() {
            if target % N::value() == lane {
                logit = wanted.extract(lane);
            }
        }
        losses[CUBE_POS] = weight * (total.ln() + (top - logit));
    }
    if comptime![gradient] {
        let factor = Vector::<f32, N>::new(weight / total);
        for at in range_stepped(UNIT_POS as usize, vectors, groups.units as usize) {
            let z = Vector::<f32, N>::cast_from(logits[start + at]);
            let mut dz = (z - Vector::new(top)).exp() * factor;
            if at == target / N::value() {
                #[unroll]
                for lane in 0..N::value() {
                    if target % N::value() == lane {
                        dz.insert(lane, dz.extract(lane) - weight);
                    }
                }
            }
            logits[start + at] = Vector::cast_from(dz);
        }
    }
}

/// The rows that count: numbers, targets and weights.
pub(super) struct Labelled {
    rows: Vec<u32>,
    targets: Vec<u32>,
    weights: Vec<f32>,
}

impl Labelled {
    pub(super) fn new(targets: &[Option<u32>], weights: &[f32]) -> Self {
        let counting = || {
            targets
                .iter()
                .zip(weights)
                .enumerate()
                .filter_map(|(row, (target, &weight))| target.filter(|_| weight != 0.0).map(|target| (row as u32, target, weight)))
        };
        Self {
            rows: counting().map(|(row, _, _)| row).collect(),
            targets: counting().map(|(_, target, _)| target).collect(),
            weights: counting().map(|(_, _, weight)| weight).collect(),
        }
    }

    fn chunks(&self, length: usize) -> impl Iterator<Item = (&[u32], &[u32], &[f32])> {
        let parts = self.rows.chunks(length).zip(self.targets.chunks(length)).zip(self.weights.chunks(length));
        parts.map(|((rows, targets), weights)| (rows, targets, weights))
    }
}

/// What is known after all chunks.
pub(super) struct Outcome {
    pub(super) sum: f64,
    /// `[rows, features]`, in the type of the rows.
    pub(super) rows: Tensor<2>,
    /// `[vocabulary, features]`, in `f32`.
    pub(super) head: Option<Tensor<2>>,
}

pub(super) fn loss_and_gradients(
    values: &CubeTensor,
    head: &Tensor<2>,
    labelled: &Labelled,
    trained: HeadGradient,
    chunk: usize,
) -> Outcome {
    let mut losses = Vec::new();
    let device = head.device();
    let drows = gpu::take(Tensor::<2>::zeros([values.meta.shape()[0], values.meta.shape()[1]], (&device, values.dtype)));
    let mut dhead = (trained == HeadGradient::Trained).then(|| Tensor::<2>::zeros(head.dims(), (&device, DType::F32)));
    for (numbers, targets, weights) in labelled.chunks(chunk) {
        let numbers = gpu::upload_indices(values, numbers);
        let chunk: Tensor<2> = gpu::tensor(rows::gather(values, &numbers));
        let (loss, dlogits) = losses_of(&chunk, head, targets, weights, true);
        losses.push(loss);
        let dlogits: Tensor<2> = gpu::tensor(dlogits);
        if let Some(dhead) = &mut dhead {
            *dhead = dhead.clone() + linear::weight_gradient(&dlogits, &chunk);
        }
        let dchunk = gpu::of(&linear::input_gradient(&dlogits, head)).expect("products stay on the device of their factors");
        rows::scatter(&dchunk, &numbers, &drows);
    }
    Outcome { sum: total(&losses), rows: gpu::tensor(drows), head: dhead }
}

pub(super) fn loss(values: &CubeTensor, head: &Tensor<2>, labelled: &Labelled, chunk: usize) -> f64 {
    let losses = labelled.chunks(chunk).map(|(numbers, targets, weights)| {
        let chunk = gpu::tensor(rows::gather(values, &gpu::upload_indices(values, numbers)));
        losses_of(&chunk, head, targets, weights, false).0
    });
    total(&losses.collect::<Vec<_>>())
}

/// Returns the weighted losses of a chunk of rows, and its logits or their gradient.
fn losses_of(chunk: &Tensor<2>, head: &Tensor<2>, targets: &[u32], weights: &[f32], gradient: bool) -> (Tensor<1>, CubeTensor) {
    let [vocabulary, _] = head.dims();
    let logits = gpu::take(linear::forward(chunk, head));
    let losses = gpu::empty(&logits, [targets.len()], DType::F32);
    let size = gpu::vector_size(&[&logits], vocabulary);
    let groups = Groups::of_row(&logits.client, vocabulary / size);
    cross_entropy::launch(
        &logits.client,
        gpu::cubes(targets.len()),
        groups.dim(),
        gpu::addresses(&[&logits]),
        size,
        logits.clone().into_buffer_arg(),
        gpu::upload_indices(&logits, targets).into_buffer_arg(),
        gpu::upload(&logits, weights, [weights.len()]).into_buffer_arg(),
        losses.clone().into_buffer_arg(),
        vocabulary / size,
        gradient,
        groups,
        gpu::elem(&logits),
    );
    (gpu::tensor(losses), logits)
}

/// Sums up losses in the order of their rows. Not a number where the device failed, which the trainer then asks for the reason.
fn total(losses: &[Tensor<1>]) -> f64 {
    let sum = |loss: &Tensor<1>| match loss.clone().try_into_data() {
        Ok(data) => data.iter::<f64>().sum(),
        Err(_) => f64::NAN,
    };
    losses.iter().map(sum).sum()
}
