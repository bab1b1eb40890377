//! Every kernel against its definition, written out here in double precision, and its gradients against central differences of that
//! definition.
//!
//! Both bodies are held against it: tensors on the plain processor take the fast one, those that could be differentiated the reference.

use burn::tensor::{Device, Tensor, TensorData};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use tn_model::kernels::attention::{self, AttentionShape};
use tn_model::kernels::head_loss::{self, HeadGradient};
use tn_model::kernels::qk_norm_rope::{self, RotaryTable};
use tn_model::kernels::{Numbers, rms_norm, swiglu};

const EPS: f32 = 1e-6;
const THETA: f64 = 10_000.0;

/// Returns reproducible values between -2 and 2 that 32 bits hold.
fn random(count: usize, seed: u64) -> Vec<f64> {
    let mut source = ChaCha8Rng::seed_from_u64(seed);
    (0..count).map(|_| f64::from(source.random_range(-2.0f32..2.0))).collect()
}

fn tensor<const D: usize>(values: &[f64], shape: [usize; D], device: &Device) -> Tensor<D> {
    let values: Vec<f32> = values.iter().map(|&value| value as f32).collect();
    Tensor::from_data(TensorData::new(values, shape), device)
}

/// The devices of the fast body and of the reference.
fn devices() -> [(&'static str, Device); 2] {
    [("fast", Device::flex()), ("reference", Device::flex().autodiff())]
}

fn check<const D: usize>(what: &str, found: &Tensor<D>, expected: &[f64]) {
    let found: Vec<f32> = found.to_data().try_into_vec().unwrap();
    assert_eq!(found.len(), expected.len(), "{what}");
    let scale = expected.iter().fold(1.0f64, |m, x| m.max(x.abs()));
    let worst = found.iter().zip(expected).map(|(&a, b)| (f64::from(a) - b).abs()).fold(0.0, f64::max) / scale;
    assert!(worst < 1e-5, "{what}: relative difference {worst}");
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// Returns the gradient of a function by central differences.
fn slopes(function: impl Fn(&[f64]) -> f64, at: &[f64]) -> Vec<f64> {
    const STEP: f64 = 1e-5;
    let along = |i: usize| {
        let beside = |step: f64| {
            let mut moved = at.to_vec();
            moved[i] += step;
            function(&moved)
        };
        (beside(STEP) - beside(-STEP)) / (2.0 * STEP)
    };
    (0..at.len()).map(along).collect()
}

/// Divides rows as long as the weight by the root of their mean square, and multiplies them with the weight.
fn normed(x: &[f64], weight: &[f64]) -> Vec<f64> {
    let width = weight.len();
    let norm = |row: &[f64]| (dot(row, row) / width as f64 + f64::from(EPS)).sqrt();
    x.chunks(width).flat_map(|row| row.iter().zip(weight).map(|(x, w)| x / norm(row) * w).collect::<Vec<_>>()).collect()
}

#[test]
fn rms_norm_follows_its_definition() {
    for [rows, width] in [[1, 1], [3, 17], [5, 8]] {
        let (x, w, dy) = (random(rows * width, 1), random(width, 2), random(rows * width, 3));
        for (body, device) in devices() {
            let (tx, tw, tdy) = (tensor(&x, [rows, width], &device), tensor(&w, [width], &device), tensor(&dy, [rows, width], &device));
            check(body, &rms_norm::forward(&tx, &tw, EPS), &normed(&x, &w));
            let found = rms_norm::backward(&tx, &tw, EPS, &tdy);
            check(body, &found.x, &slopes(|x| dot(&dy, &normed(x, &w)), &x));
            check(body, &found.weight, &slopes(|w| dot(&dy, &normed(&x, w)), &w));
        }
    }
}

fn gated(gate: &[f64], up: &[f64]) -> Vec<f64> {
    gate.iter().zip(up).map(|(g, u)| g / (1.0 + (-g).exp()) * u).collect()
}

#[test]
fn swiglu_follows_its_definition() {
    for [rows, width] in [[1, 1], [4, 19]] {
        let size = rows * width;
        let (gate, up, da): (Vec<_>, _, _) = (random(size, 1).iter().map(|g| g * 4.0).collect(), random(size, 2), random(size, 3));
        for (body, device) in devices() {
            let on_device = |values: &[f64]| tensor(values, [rows, width], &device);
            check(body, &swiglu::forward(&on_device(&gate), &on_device(&up)), &gated(&gate, &up));
            let found = swiglu::backward(on_device(&gate), on_device(&up), on_device(&da));
            check(body, &found.gate, &slopes(|gate| dot(&da, &gated(gate, &up)), &gate));
            check(body, &found.up, &slopes(|up| dot(&da, &gated(&gate, up)), &up));
        }
    }
}

/// Turns each pair of values, half a head apart, by the position of its row times the frequency of the pair.
fn rotated(x: &[f64], heads: usize, head_dim: usize, positions: &[u32]) -> Vec<f64> {
    let half = head_dim / 2;
    let mut turned = x.to_vec();
    for (row, &position) in positions.iter().enumerate() {
        for head in 0..heads {
            let first = (row * heads + head) * head_dim;
            for pair in 0..half {
                let (sine, cosine) = (f64::from(position) * THETA.powf(-(pair as f64) / half as f64)).sin_cos();
                let (a, b) = (x[first + pair], x[first + half + pair]);
                turned[first + pair] = a * cosine - b * sine;
                turned[first + half + pair] = a * sine + b * cosine;
            }
        }
    }
    turned
}

#[test]
fn qk_norm_rope_follows_its_definition() {
    let head_dim = 8;
    let table = RotaryTable::new(head_dim, THETA, 200);
    for (heads, positions) in [(1, vec![0]), (3, vec![0, 1, 2, 117]), (2, vec![199, 5, 5])] {
        let positions = Numbers::from(positions);
        let (rows, width) = (positions.len(), heads * head_dim);
        let (x, w, dy) = (random(rows * width, 1), random(head_dim, 2), random(rows * width, 3));
        let defined = |x: &[f64], w: &[f64]| rotated(&normed(x, w), heads, head_dim, &positions);
        for (body, device) in devices() {
            let (tx, tw, tdy) = (tensor(&x, [rows, width], &device), tensor(&w, [head_dim], &device), tensor(&dy, [rows, width], &device));
            check(body, &qk_norm_rope::forward(&tx, &tw, EPS, &table, &positions), &defined(&x, &w));
            let found = qk_norm_rope::backward(&tx, &tw, EPS, &table, &positions, &tdy);
            check(body, &found.x, &slopes(|x| dot(&dy, &defined(x, &w)), &x));
            check(body, &found.weight, &slopes(|w| dot(&dy, &defined(&x, w)), &w));
        }
    }
}

/// Averages, for each query row and head, the values up to its position by the exponentials of the scores. Returns the outputs, and the
/// logarithms of the sums of the exponentials, by row and head.
fn attended(q: &[f64], k: &[f64], v: &[f64], shape: AttentionShape) -> (Vec<f64>, Vec<f64>) {
    let (width, key_width) = (shape.heads * shape.head_dim, shape.key_heads * shape.head_dim);
    let (queries, keys) = (q.len() / width, k.len() / key_width);
    let (mut output, mut log_sums) = (Vec::new(), Vec::new());
    for row in 0..queries {
        for head in 0..shape.heads {
            let key_head = head / (shape.heads / shape.key_heads);
            let part = |values: &[f64], row: usize, width: usize, head: usize| {
                values[row * width + head * shape.head_dim..][..shape.head_dim].to_vec()
            };
            let query = part(q, row, width, head);
            let score = |j: usize| dot(&query, &part(k, j, key_width, key_head)) / (shape.head_dim as f64).sqrt();
            let exponentials: Vec<f64> = (0..=keys - queries + row).map(|j| score(j).exp()).collect();
            let sum: f64 = exponentials.iter().sum();
            let mean = |d: usize| exponentials.iter().enumerate().map(|(j, e)| e / sum * part(v, j, key_width, key_head)[d]).sum::<f64>();
            output.extend((0..shape.head_dim).map(mean));
            log_sums.push(sum.ln());
        }
    }
    (output, log_sums)
}

#[test]
fn attention_follows_its_definition() {
    for (rows, heads, key_heads) in [(1, 1, 1), (7, 4, 2), (5, 3, 1), (6, 2, 2)] {
        let shape = AttentionShape { heads, key_heads, head_dim: 4 };
        let (width, key_width) = (heads * 4, key_heads * 4);
        let (q, k, v) = (random(rows * width, 1), random(rows * key_width, 2), random(rows * key_width, 3));
        let dy = random(rows * width, 4);
        let loss = |q: &[f64], k: &[f64], v: &[f64]| dot(&dy, &attended(q, k, v, shape).0);
        for (body, device) in devices() {
            let on_device = |values: &[f64], width: usize| tensor(values, [rows, width], &device);
            let (tq, tk, tv) = (on_device(&q, width), on_device(&k, key_width), on_device(&v, key_width));
            let forward = attention::forward(&tq, &tk, &tv, shape);
            let (output, log_sum) = attended(&q, &k, &v, shape);
            check(body, &forward.output, &output);
            check(body, &forward.log_sum, &log_sum);
            let found = attention::backward(&tq, &tk, &tv, &forward, &on_device(&dy, width), shape);
            check(body, &found.q, &slopes(|q| loss(q, &k, &v), &q));
            check(body, &found.k, &slopes(|k| loss(&q, k, &v), &k));
            check(body, &found.v, &slopes(|v| loss(&q, &k, v), &v));
            // The last rows alone, as after a prompt that was read before.
            let last = rows.div_ceil(2);
            let part = attention::forward(&tq.narrow(0, rows - last, last), &tk, &tv, shape);
            check(body, &part.output, &attended(&q[(rows - last) * width..], &k, &v, shape).0);
        }
    }
}

/// Sums the weighted negative logarithms of the probabilities of the targets.
fn cross_entropy(rows: &[f64], head: &[f64], width: usize, targets: &[Option<u32>], weights: &[f64]) -> f64 {
    let row_loss = |row: &[f64], target: u32| {
        let logits: Vec<f64> = head.chunks(width).map(|weight| dot(row, weight)).collect();
        logits.iter().map(|logit| logit.exp()).sum::<f64>().ln() - logits[target as usize]
    };
    let losses = rows.chunks(width).zip(targets).zip(weights);
    losses.map(|((row, target), weight)| target.map_or(0.0, |target| weight * row_loss(row, target))).sum()
}

#[test]
fn head_loss_follows_its_definition() {
    let (width, vocabulary) = (6, 11);
    let targets = [Some(3), None, Some(10), Some(0), Some(3)];
    let importance = [1.0, 1.0, 0.5, 0.0, 2.5];
    let (rows, head) = (random(targets.len() * width, 1), random(vocabulary * width, 2));
    let defined = |rows: &[f64], head: &[f64]| cross_entropy(rows, head, width, &targets, &importance);
    for (body, device) in devices() {
        let (trows, thead) = (tensor(&rows, [targets.len(), width], &device), tensor(&head, [vocabulary, width], &device));
        let weights = importance.map(|weight| weight as f32);
        let found = head_loss::loss_and_gradients(&trows, &thead, &targets, &weights, HeadGradient::Trained);
        let expected = defined(&rows, &head);
        assert!((found.sum / expected - 1.0).abs() < 1e-6, "{body}: {}, expected {expected}", found.sum);
        check(body, &found.rows, &slopes(|rows| defined(rows, &head), &rows));
        check(body, &found.head.unwrap(), &slopes(|head| defined(&rows, head), &head));
    }
}
