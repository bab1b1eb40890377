//! Head normalisation and rotation on a GPU: queries and keys in one launch, a group of units a head, each with a few pairs of values.

use burn::tensor::DType;
use burn_cubecl::tensor::CubeTensor;
use cubecl::ir::ElemType;
use cubecl::prelude::*;

use crate::kernels::gpu::reduce::{Groups, group_sum};
use crate::kernels::gpu::{self, columns};

/// Heads that a group works through, one after the other, when it sums up the gradient of the weight.
const HEADS_OF_A_GROUP: usize = 64;

/// What a kernel knows of the heads of a row when it is compiled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Heads {
    queries: usize,
    keys: usize,
    /// Vectors of half a head.
    half: usize,
    /// Heads that a group works through.
    each: usize,
    groups: Groups,
}

/// Where the work of a unit lies: which vectors, of queries or keys, and which angles.
#[derive(CubeType)]
struct Place {
    /// Whether there is anything to do.
    active: bool,
    query: bool,
    /// The number of the first vector in the tensor; its partner lies half a head further.
    first: usize,
    /// The same in the weight.
    lane: usize,
    row: usize,
}

#[cube]
fn place(step: usize, rows: u32, #[comptime] heads: Heads) -> Place {
    let size = comptime![heads.groups.size as usize];
    let lane = UNIT_POS as usize % size;
    let group = CUBE_POS * comptime![heads.groups.count()] + UNIT_POS as usize / size;
    let head = group * heads.each + step;
    let row = head / comptime![heads.queries + heads.keys];
    let which = head % comptime![heads.queries + heads.keys];
    let query = which < heads.queries;
    let in_queries = row * heads.queries + which;
    let in_keys = row * heads.keys + which - select(query, which, heads.queries);
    let number = select(query, in_queries, in_keys);
    let first = number * comptime![2 * heads.half] + lane;
    Place { active: row < rows as usize && lane < heads.half, query, first, lane, row }
}

#[cube(launch, address_type = "dynamic")]
fn rotate<F: Float, W: Float, N: Size>(
    q: &[Vector<F, N>],
    k: &[Vector<F, N>],
    q_weight: &[Vector<W, N>],
    k_weight: &[Vector<W, N>],
    angles: &[Vector<f32, N>],
    positions: &[u32],
    q_out: &mut [Vector<F, N>],
    k_out: &mut [Vector<F, N>],
    eps: f32,
    rows: u32,
    #[comptime] heads: Heads,
    #[define(F, W)] _types: [ElemType; 2],
) {
    let half = comptime![heads.half];
    let at = place(0usize, rows, heads);
    let mut a = Vector::<f32, N>::new(0.0);
    let mut b = Vector::<f32, N>::new(0.0);
    if at.active {
        if at.query {
            a = Vector::cast_from(q[at.first]);
            b = Vector::cast_from(q[at.first + half]);
        } else {
            a = Vector::cast_from(k[at.first]);
            b = Vector::cast_from(k[at.first + half]);
        }
    }
    let features = (comptime![2 * half] * N::value()) as f32;
    let scale = f32::inverse_sqrt(group_sum((a * a + b * b).vector_sum(), heads.groups) / features + eps);
    if at.active {
        let angle = positions[at.row] as usize * comptime![2 * half] + at.lane;
        let cosine = angles[angle];
        let sine = angles[angle + half];
        if at.query {
            a *= Vector::new(scale) * Vector::cast_from(q_weight[at.lane]);
            b *= Vector::new(scale) * Vector::cast_from(q_weight[at.lane + half]);
            q_out[at.first] = Vector::cast_from(a * cosine - b * sine);
            q_out[at.first + half] = Vector::cast_from(b * cosine + a * sine);
        } else {
            a *= Vector::new(scale) * Vector::cast_from(k_weight[at.lane]);
            b *= Vector::new(scale) * Vector::cast_from(k_weight[at.lane + half]);
            k_out[at.first] = Vector::cast_from(a * cosine - b * sine);
            k_out[at.first + half] = Vector::cast_from(b * cosine + a * sine);
        }
    }
}

#[cube(launch, address_type = "dynamic")]
fn differentiate<F: Float, W: Float, N: Size>(
    q: &[Vector<F, N>],
    k: &[Vector<F, N>],
    q_weight: &[Vector<W, N>],
    k_weight: &[Vector<W, N>],
    angles: &[Vector<f32, N>],
    positions: &[u32],
    q_gradient: &[Vector<F, N>],
    k_gradient: &[Vector<F, N>],
    q_out: &mut [Vector<F, N>],
    k_out: &mut [Vector<F, N>],
    weight_out: ComptimeOption<&mut [Vector<f32, N>]>,
    eps: f32,
    rows: u32,
    #[comptime] heads: Heads,
    #[define(F, W)] _types: [ElemType; 2],
) {
    let half = comptime![heads.half];
    let features = (comptime![2 * half] * N::value()) as f32;
    let mut first_sum = Vector::<f32, N>::new(0.0);
    let mut second_sum = Vector::<f32, N>::new(0.0);
    for step in 0..heads.each {
        let at = place(step, rows, heads);
        let mut a = Vector::<f32, N>::new(0.0);
        let mut b = Vector::<f32, N>::new(0.0);
        let mut da = Vector::<f32, N>::new(0.0);
        let mut db = Vector::<f32, N>::new(0.0);
        let mut wa = Vector::<f32, N>::new(0.0);
        let mut wb = Vector::<f32, N>::new(0.0);
        if at.active {
            if at.query {
                a = Vector::cast_from(q[at.first]);
                b = Vector::cast_from(q[at.first + half]);
                da = Vector::cast_from(q_gradient[at.first]);
                db = Vector::cast_from(q_gradient[at.first + half]);
                wa = Vector::cast_from(q_weight[at.lane]);
                wb = Vector::cast_from(q_weight[at.lane + half]);
            } else {
                a = Vector::cast_from(k[at.first]);
                b = Vector::cast_from(k[at.first + half]);
                da = Vector::cast_from(k_gradient[at.first]);
                db = Vector::cast_from(k_gradient[at.first + half]);
                wa = Vector::cast_from(k_weight[at.lane]);
                wb = Vector::cast_from(k_weight[at.lane + half]);
            }
            let angle = positions[at.row] as usize * comptime![2 * half] + at.lane;
            let cosine = angles[angle];
            let sine = angles[angle + half];
            let unrotated = da * cosine + db * sine;
            db = db * cosine - da * sine;
            da = unrotated;
        }
        let squares = group_sum((a * a + b * b).vector_sum(), heads.groups);
        let products = group_sum((a * da * wa + b * db * wb).vector_sum(), heads.groups);
        let scale = f32::inverse_sqrt(squares / features + eps);
        let projection = Vector::<f32, N>::new(products * scale * scale / features);
        let scale = Vector::<f32, N>::new(scale);
        first_sum += a * scale * da;
        second_sum += b * scale * db;
        let first = Vector::<F, N>::cast_from(scale * (da * wa - a * projection));
        let second = Vector::<F, N>::cast_from(scale * (db * wb - b * projection));
        if at.active {
            if at.query {
                q_out[at.first] = first;
                q_out[at.first + half] = second;
            } else {
                k_out[at.first] = first;
                k_out[at.first + half] = second;
            }
        }
    }
    #[comptime]
    if let ComptimeOption::Some(weight_out) = weight_out {
        let size = comptime![heads.groups.size as usize];
        let lane = UNIT_POS as usize % size;
        let group = CUBE_POS * comptime![heads.groups.count()] + UNIT_POS as usize / size;
        let at = group * comptime![2 * half] + lane;
        if lane < half && at < weight_out.len() {
            weight_out[at] = first_sum;
            weight_out[at + half] = second_sum;
        }
    }
}

/// Queries and keys, their weights, and the rotations that belong to their rows.
pub(super) struct Inputs<'a> {
    pub(super) q: &'a CubeTensor,
    /// Missing when there are only queries.
    pub(super) k: Option<&'a CubeTensor>,
    pub(super) q_weight: &'a CubeTensor,
    pub(super) k_weight: &'a CubeTensor,
    pub(super) eps: f32,
    /// `[positions, 2, head_dim / 2]`: cosines, then sines.
    pub(super) angles: &'a CubeTensor,
    pub(super) positions: &'a CubeTensor,
}

impl Inputs<'_> {
    fn rows(&self) -> usize {
        self.q.meta.shape()[0]
    }

    /// Returns the vector size, and how heads are divided among units.
    fn heads(&self, each: usize) -> (VectorSize, Heads) {
        let head_dim = self.q_weight.meta.shape()[0];
        let size = gpu::vector_size(&[self.q], head_dim / 2).min(8);
        let half = head_dim / 2 / size;
        let count = |tensor: &CubeTensor| tensor.meta.shape()[1] / head_dim;
        let groups = Groups::of(&self.q.client, half);
        (size, Heads { queries: count(self.q), keys: self.k.map_or(0, count), half, each, groups })
    }

    fn is_empty(&self) -> bool {
        self.rows() == 0 || self.q.meta.shape()[1] == 0
    }

    /// An output like the queries and one like the keys; one value where there are no keys, which nobody writes.
    fn outputs(&self) -> (CubeTensor, CubeTensor) {
        let like = |tensor: &CubeTensor| gpu::empty(tensor, [tensor.meta.shape()[0], tensor.meta.shape()[1]], tensor.dtype);
        (like(self.q), self.k.map_or_else(|| gpu::empty(self.q, [1, self.q_weight.meta.shape()[0]], self.q.dtype), like))
    }
}

pub(super) fn forward(inputs: &Inputs<'_>) -> (CubeTensor, CubeTensor) {
    let (q_out, k_out) = inputs.outputs();
    if inputs.is_empty() {
        return (q_out, k_out);
    }
    let (size, heads) = inputs.heads(1);
    let total = inputs.rows() * (heads.queries + heads.keys);
    rotate::launch(
        &q_out.client,
        gpu::cubes(total.div_ceil(heads.groups.count())),
        heads.groups.dim(),
        gpu::addresses(&[inputs.q, inputs.angles]),
        size,
        inputs.q.clone().into_buffer_arg(),
        inputs.k.unwrap_or(inputs.q).clone().into_buffer_arg(),
        inputs.q_weight.clone().into_buffer_arg(),
        inputs.k_weight.clone().into_buffer_arg(),
        inputs.angles.clone().into_buffer_arg(),
        inputs.positions.clone().into_buffer_arg(),
        q_out.clone().into_buffer_arg(),
        k_out.clone().into_buffer_arg(),
        inputs.eps,
        inputs.rows() as u32,
        heads,
        [gpu::elem(inputs.q), gpu::elem(inputs.q_weight)],
    );
    (q_out, k_out)
}

/// Returns the gradients of queries and keys for those of their outputs.
pub(super) fn backward(inputs: &Inputs<'_>, dq: &CubeTensor, dk: &CubeTensor) -> (CubeTensor, CubeTensor) {
    let (q_out, k_out) = inputs.outputs();
    if !inputs.is_empty() {
        launch_backward(inputs, 1, dq, dk, (&q_out, &k_out), None);
    }
    (q_out, k_out)
}

/// Returns the gradients of queries that come without keys, and of their weight in `f32`.
pub(super) fn backward_with_weight(inputs: &Inputs<'_>, dq: &CubeTensor) -> (CubeTensor, CubeTensor) {
    assert!(inputs.k.is_none(), "queries and keys have different weights");
    let (q_out, k_out) = inputs.outputs();
    let head_dim = inputs.q_weight.meta.shape()[0];
    if inputs.is_empty() {
        return (q_out, gpu::upload(inputs.q, &vec![0.0; head_dim], [head_dim]));
    }
    let heads = inputs.rows() * inputs.q.meta.shape()[1] / head_dim;
    let partial = gpu::empty(inputs.q, [heads.div_ceil(HEADS_OF_A_GROUP), head_dim], DType::F32);
    launch_backward(inputs, HEADS_OF_A_GROUP, dq, dq, (&q_out, &k_out), Some(&partial));
    (q_out, columns::sum(partial))
}

fn launch_backward(
    inputs: &Inputs<'_>,
    each: usize,
    dq: &CubeTensor,
    dk: &CubeTensor,
    outputs: (&CubeTensor, &CubeTensor),
    partial: Option<&CubeTensor>,
) {
    let (size, heads) = inputs.heads(each);
    let total = inputs.rows() * (heads.queries + heads.keys);
    differentiate::launch(
        &dq.client,
        gpu::cubes(total.div_ceil(heads.groups.count() * each)),
        heads.groups.dim(),
        gpu::addresses(&[inputs.q, inputs.angles]),
        size,
        inputs.q.clone().into_buffer_arg(),
        inputs.k.unwrap_or(inputs.q).clone().into_buffer_arg(),
        inputs.q_weight.clone().into_buffer_arg(),
        inputs.k_weight.clone().into_buffer_arg(),
        inputs.angles.clone().into_buffer_arg(),
        inputs.positions.clone().into_buffer_arg(),
        dq.clone().into_buffer_arg(),
        dk.clone().into_buffer_arg(),
        outputs.0.clone().into_buffer_arg(),
        outputs.1.clone().into_buffer_arg(),
        partial.map(|partial| partial.clone().into_buffer_arg()).into(),
        inputs.eps,
        inputs.rows() as u32,
        heads,
        [gpu::elem(inputs.q), gpu::elem(inputs.q_weight)],
    );
}
