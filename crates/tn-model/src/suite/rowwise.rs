//! Operations on rows: norms, rotations, gates, embeddings, and the loss of the head.

use burn::tensor::Tensor;

use super::place::{Place, Source};
use super::{Check, Difference};
use crate::kernels::head_loss::{self, HeadGradient};
use crate::kernels::qk_norm_rope::{self, RotaryTable};
use crate::kernels::rms_norm::{self, WeightGradient};
use crate::kernels::{Numbers, embedding, swiglu};

const EPS: f32 = 1e-6;
const ROWS: [usize; 3] = [1, 65, 257];
const FEATURES: [usize; 3] = [32, 96, 1000];
/// Sums over rows are in 32 bits everywhere.
const SUMS: f32 = 1e-5;

pub(super) const CHECKS: &[Check] = &[
    Check { name: "RMSNorm", run: norm },
    Check { name: "residual addition and RMSNorm", run: added_norm },
    Check { name: "SwiGLU", run: gates },
    Check { name: "QK-norm and RoPE", run: rotations },
    Check { name: "embedding", run: embeddings },
    Check { name: "head and cross-entropy", run: head },
];

fn on_shapes(check: impl Fn(&str, [usize; 2]) -> Vec<Difference>) -> Vec<Difference> {
    let shapes = ROWS.into_iter().flat_map(|rows| FEATURES.map(|features| [rows, features]));
    shapes.flat_map(|shape| check(&format!("{} x {}", shape[0], shape[1]), shape)).collect()
}

fn norm(place: &Place) -> Vec<Difference> {
    on_shapes(|at, shape| {
        let mut source = Source::new();
        let (x, w, dy) = (source.tensor(shape) * 3.0, source.tensor([shape[1]]), source.tensor(shape));
        let (dx, dw, ddy) = (place.activations(&x), place.floats(&w), place.activations(&dy));
        let (x, dy) = (place.rounded(&x), place.rounded(&dy));
        let (found, expected) = (rms_norm::backward(&dx, &dw, EPS, &ddy), rms_norm::backward(&x, &w, EPS, &dy));
        vec![
            Difference::of(format!("y, {at}"), place.tolerance(), &rms_norm::forward(&dx, &dw, EPS), &rms_norm::forward(&x, &w, EPS)),
            Difference::of(format!("dx, {at}"), place.tolerance(), &found.x, &expected.x),
            Difference::of(format!("dw, {at}"), SUMS, &found.weight, &expected.weight),
        ]
    })
}

fn added_norm(place: &Place) -> Vec<Difference> {
    on_shapes(|at, shape| {
        let mut source = Source::new();
        let [x, delta, dy, dsum] = [(); 4].map(|()| source.tensor(shape));
        let w = source.tensor([shape[1]]);
        let on_device = [&x, &delta, &dy, &dsum].map(|tensor| place.activations(tensor));
        let on_host = [&x, &delta, &dy, &dsum].map(|tensor| place.rounded(tensor));
        let run = |[x, delta, dy, dsum]: &[Tensor<2>; 4], w: &Tensor<1>| {
            let (sum, normed) = rms_norm::add_forward(x, delta, w, EPS);
            (sum, normed, rms_norm::add_backward(x, w, EPS, dy, dsum, WeightGradient::Frozen).sum)
        };
        let (found, expected) = (run(&on_device, &place.floats(&w)), run(&on_host, &w));
        vec![
            Difference::of(format!("sum, {at}"), place.tolerance(), &found.0, &expected.0),
            Difference::of(format!("y, {at}"), place.tolerance(), &found.1, &expected.1),
            Difference::of(format!("dsum, {at}"), place.tolerance(), &found.2, &expected.2),
        ]
    })
}

fn gates(place: &Place) -> Vec<Difference> {
    on_shapes(|at, shape| {
        let mut source = Source::new();
        let [gate, up, da] = [20.0, 1.0, 1.0].map(|size| source.tensor(shape) * size);
        let run = |[gate, up, da]: [Tensor<2>; 3]| {
            let a = swiglu::forward(&gate, &up);
            let gradients = swiglu::backward(gate, up, da);
            [a, gradients.gate, gradients.up]
        };
        let found = run([&gate, &up, &da].map(|tensor| place.activations(tensor)));
        let expected = run([&gate, &up, &da].map(|tensor| place.rounded(tensor)));
        let named = ["a", "dgate", "dup"].into_iter().zip(found.iter().zip(&expected));
        named.map(|(name, (found, expected))| Difference::of(format!("{name}, {at}"), place.tolerance(), found, expected)).collect()
    })
}

fn rotations(place: &Place) -> Vec<Difference> {
    let shapes = [(32, 3, 1), (64, 4, 2), (96, 2, 1), (128, 8, 2)];
    let all = shapes.into_iter().flat_map(|shape| ROWS.map(|rows| (shape, rows)));
    all.flat_map(|((head_dim, queries, keys), rows)| {
        let at = format!("{rows} rows of {queries} and {keys} heads of {head_dim}");
        let mut source = Source::new();
        let table = RotaryTable::new(head_dim, 1e6, 400);
        let positions: Numbers = (0..rows as u32).map(|row| row * 37 % 400).collect();
        let inputs = [queries, keys, queries, keys].map(|heads| source.tensor([rows, heads * head_dim]));
        let weights: [Tensor<1>; 2] = [(); 2].map(|()| source.tensor([head_dim]));
        let run = |[q, k, dq, dk]: &[Tensor<2>; 4], weights: [&Tensor<1>; 2]| {
            let (turned_q, turned_k) = qk_norm_rope::forward_pair([q, k], weights, EPS, &table, &positions);
            let frozen = WeightGradient::Frozen;
            let gradients = qk_norm_rope::backward_pair([q, k], weights, EPS, &table, &positions, [dq, dk], frozen);
            [turned_q, turned_k, gradients.q, gradients.k]
        };
        let on_device = weights.each_ref().map(|weight| place.floats(weight));
        let found = run(&inputs.each_ref().map(|tensor| place.activations(tensor)), on_device.each_ref());
        let expected = run(&inputs.each_ref().map(|tensor| place.rounded(tensor)), weights.each_ref());
        let named = ["q", "k", "dq", "dk"].into_iter().zip(found.into_iter().zip(expected));
        let compare = |(name, (found, expected)): (&str, (Tensor<2>, Tensor<2>))| {
            Difference::of(format!("{name}, {at}"), place.tolerance(), &found, &expected)
        };
        named.map(compare).collect::<Vec<_>>()
    })
    .collect()
}

fn embeddings(place: &Place) -> Vec<Difference> {
    let of_width = |features: usize| {
        let mut source = Source::new();
        let ids: Numbers = (0..257u32).map(|row| row * row % 37).collect();
        let [table, drows, gradient] = [41, 257, 41].map(|rows| source.tensor([rows, features]));
        let found = embedding::forward(&place.activations(&table), &ids);
        let sums = embedding::add_backward(place.floats(&gradient), &ids, &place.activations(&drows));
        let expected = embedding::add_backward(gradient, &ids, &place.rounded(&drows));
        [
            Difference::of(format!("rows of {features}"), 0.0, &found, &embedding::forward(&place.rounded(&table), &ids)),
            Difference::of(format!("sums of {features}"), 0.0, &sums, &expected),
        ]
    };
    FEATURES.into_iter().flat_map(of_width).collect()
}

fn head(place: &Place) -> Vec<Difference> {
    let sizes = [[1, 32, 2, 7], [3, 160, 517, 1], [65, 96, 517, 16], [257, 32, 4096, 100]];
    let of_size = |[rows, features, vocabulary, chunk]: [usize; 4]| {
        let at = format!("{rows} x {features}, vocabulary {vocabulary}");
        let mut source = Source::new();
        let (h, e) = (source.tensor([rows, features]), source.tensor([vocabulary, features]));
        let targets: Vec<Option<u32>> = (0..rows as u32).map(|row| (row % 4 != 1).then_some(row * 13 % vocabulary as u32)).collect();
        let weights: Vec<f32> = (0..rows).map(|row| 0.5 + 0.5 * (row % 3) as f32).collect();
        let (dh, de) = (place.activations(&h), place.activations(&e));
        let (h, e) = (place.rounded(&h), place.rounded(&e));
        let found = head_loss::loss_and_gradients_by(chunk, &dh, &de, &targets, &weights, HeadGradient::Trained);
        let expected = head_loss::loss_and_gradients(&h, &e, &targets, &weights, HeadGradient::Trained);
        let tolerance = place.tolerance();
        let mut differences = vec![
            Difference::of_numbers(format!("loss, {at}"), tolerance, found.sum, expected.sum),
            Difference::of(format!("drows, {at}"), tolerance, &found.rows, &expected.rows),
        ];
        let heads = found.head.zip(expected.head);
        differences.extend(heads.map(|(found, expected)| Difference::of(format!("dhead, {at}"), tolerance, &found, &expected)));
        differences
    };
    sizes.into_iter().flat_map(of_size).collect()
}
