//! Attention on a GPU: a body for every device, and one for matrix instructions.
//!
//! All kernels see one key head at a time. Its query rows are those of its whole group, the heads of a position side by side: row `r` of a
//! sequence is head `r mod group` at position `r / group`. So a group reads its keys and values once, and gradients of keys and values
//! sum over the group by summing over rows. A cube works on one tile of rows of one sequence and one key head.

mod portable;
mod rows;
mod schedule;
mod tensor_core;

use burn::tensor::{DType, Tensor};
use burn_cubecl::tensor::CubeTensor;

use super::{Attended, AttentionShape, Determinism, Gradients, Segments};
use crate::kernels::gpu;
use schedule::Sequence;

/// Largest head size that the kernels hold in registers.
const LARGEST_HEAD: usize = 256;

/// One sequence whose last rows are the queries.
pub(super) fn one_sequence(queries: usize, keys: usize) -> Vec<Sequence> {
    let sequence = Sequence { first_query: 0, first_key: 0, queries, past: keys - queries };
    if queries == 0 { Vec::new() } else { vec![sequence] }
}

/// Sequences behind one another.
pub(super) fn packed_sequences(segments: &Segments) -> Vec<Sequence> {
    segments.ranges().map(|rows| Sequence { first_query: rows.start, first_key: rows.start, queries: rows.len(), past: 0 }).collect()
}

/// The operands of a kernel: contiguous and of one type.
struct Operands {
    q: CubeTensor,
    k: CubeTensor,
    v: CubeTensor,
}

impl Operands {
    fn of(q: &Tensor<2>, k: &Tensor<2>, v: &Tensor<2>, shape: AttentionShape) -> Option<Self> {
        let [q, k, v] = gpu::of_each([q, k, v])?;
        let fits = q.dtype == k.dtype && q.dtype == v.dtype && shape.head_dim <= LARGEST_HEAD;
        fits.then_some(Self { q, k, v })
    }
}

/// Returns `None` when no kernel takes these tensors.
pub(super) fn forward(q: &Tensor<2>, k: &Tensor<2>, v: &Tensor<2>, sequences: &[Sequence], shape: AttentionShape) -> Option<Attended> {
    let operands = Operands::of(q, k, v, shape)?;
    let queries = q.dims()[0];
    let output = gpu::empty(&operands.q, [queries, shape.width()], operands.q.dtype);
    let log_sum = gpu::empty(&operands.q, [queries, shape.heads], DType::F32);
    if !sequences.is_empty() {
        match tensor_core::Plan::of(&operands.q, shape) {
            Some(plan) => tensor_core::forward(&operands, &output, &log_sum, sequences, plan, shape),
            None => portable::forward(&operands, &output, &log_sum, sequences, shape),
        }
    }
    Some(Attended { output: gpu::tensor(output), log_sum: gpu::tensor(log_sum) })
}

/// Returns `None` when no kernel takes these tensors.
#[allow(clippy::too_many_arguments, reason = "the operands of one formula")]
pub(super) fn backward(
    q: &Tensor<2>,
    k: &Tensor<2>,
    v: &Tensor<2>,
    attended: &Attended,
    doutput: &Tensor<2>,
    sequences: &[Sequence],
    shape: AttentionShape,
    determinism: Determinism,
) -> Option<Gradients> {
    let operands = Operands::of(q, k, v, shape)?;
    let [output, doutput, log_sum] = gpu::of_each([&attended.output, doutput, &attended.log_sum])?;
    if output.dtype != operands.q.dtype || doutput.dtype != operands.q.dtype || log_sum.dtype != DType::F32 {
        return None;
    }
    let [dq, dk, dv] = [&operands.q, &operands.k, &operands.v].map(|like| gpu::empty(like, rows_and_values(like), like.dtype));
    if sequences.is_empty() {
        return Some(gradients(dq, dk, dv));
    }
    let statistics = Statistics { log_sum, delta: portable::deltas(&output, &doutput, shape) };
    let Some(plan) = tensor_core::Plan::of(&operands.q, shape) else {
        portable::key_gradients(&operands, &doutput, &statistics, [&dk, &dv], sequences, shape);
        portable::query_gradients(&operands, &doutput, &statistics, &dq, sequences, shape);
        return Some(gradients(dq, dk, dv));
    };
    if determinism == Determinism::Relaxed && tensor_core::adds_atomically(&operands.q) {
        let dq = tensor_core::all_gradients(&operands, &doutput, &statistics, [&dk, &dv], sequences, plan, shape);
        return Some(gradients(dq, dk, dv));
    }
    tensor_core::key_gradients(&operands, &doutput, &statistics, [&dk, &dv], sequences, plan, shape);
    tensor_core::query_gradients(&operands, &doutput, &statistics, &dq, sequences, plan, shape);
    Some(gradients(dq, dk, dv))
}

fn rows_and_values(tensor: &CubeTensor) -> [usize; 2] {
    [tensor.meta.shape()[0], tensor.meta.shape()[1]]
}

fn gradients(q: CubeTensor, k: CubeTensor, v: CubeTensor) -> Gradients {
    Gradients { q: gpu::tensor(q), k: gpu::tensor(k), v: gpu::tensor(v) }
}

/// What the backward pass knows of each row and head, in `f32`.
struct Statistics {
    /// Logarithm of the sum of exponentials.
    log_sum: CubeTensor,
    /// `o do`.
    delta: CubeTensor,
}
