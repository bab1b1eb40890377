//! Every kernel against its reference body, and its hand-written gradient against Burn's automatic differentiation, on odd sizes.
//!
//! A tensor that is tracked for differentiation takes the reference path, so the same public function gives both sides.

use burn::tensor::{Device, Tensor, TensorData};
use proptest::prelude::*;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use tn_model::kernels::adamw::{self, AdamWStep, Moments};
use tn_model::kernels::attention::{self, AttentionShape};
use tn_model::kernels::decode_attention::{self, Entries, LayerCache, PromptKeys, Run};
use tn_model::kernels::head_loss::{self, HeadGradient};
use tn_model::kernels::packed_linear::WeightFormat;
use tn_model::kernels::qk_norm_rope::{self, RotaryTable};
use tn_model::kernels::rms_norm::WeightGradient;
use tn_model::kernels::{Numbers, linear, rms_norm, swiglu};

const EPS: f32 = 1e-6;

/// A source of reproducible values between -1 and 1.
struct Source(ChaCha8Rng);

impl Source {
    fn new() -> Self {
        Self(ChaCha8Rng::seed_from_u64(7))
    }

    fn tensor<const D: usize>(&mut self, shape: [usize; D]) -> Tensor<D> {
        let values: Vec<f32> = (0..shape.iter().product()).map(|_| self.0.random_range(-1.0..1.0)).collect();
        Tensor::from_data(TensorData::new(values, shape), &Device::flex())
    }
}

fn tracked<const D: usize>(tensor: &Tensor<D>) -> Tensor<D> {
    Tensor::from_data(tensor.to_data(), &Device::flex().autodiff()).require_grad()
}

/// The output gradient as a constant beside tracked tensors.
fn weights<const D: usize>(tensor: &Tensor<D>) -> Tensor<D> {
    Tensor::from_data(tensor.to_data(), &Device::flex().autodiff())
}

fn values<const D: usize>(tensor: &Tensor<D>) -> Vec<f32> {
    tensor.to_data().try_into_vec().unwrap()
}

fn check<const D: usize>(what: &str, found: &Tensor<D>, expected: &Tensor<D>) {
    let (found, expected) = (values(found), values(expected));
    assert_eq!(found.len(), expected.len(), "{what}");
    let scale = expected.iter().fold(1.0f32, |m, x| m.max(x.abs()));
    let worst = found.iter().zip(&expected).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max) / scale;
    assert!(worst < 1e-5, "{what}: relative difference {worst}");
}

#[test]
fn rms_norm_equals_its_reference() {
    let mut source = Source::new();
    for [rows, features] in [[1, 1], [3, 17], [130, 64], [257, 33]] {
        let (x, w, dy) = (source.tensor([rows, features]), source.tensor([features]), source.tensor([rows, features]));
        let (tx, tw) = (tracked(&x), tracked(&w));
        let y = rms_norm::forward(&tx, &tw, EPS);
        check("forward", &rms_norm::forward(&x, &w, EPS), &y.clone().inner());
        let tape = (y * weights(&dy)).sum().backward();
        let found = rms_norm::backward(&x, &w, EPS, &dy);
        check("dx", &found.x, &tx.grad(&tape).unwrap());
        check("dw", &found.weight, &tw.grad(&tape).unwrap());
    }
}

#[test]
fn added_rows_are_normalised_to_the_same_bits() {
    let mut source = Source::new();
    for [rows, features] in [[1, 1], [3, 17], [257, 33]] {
        let (x, delta, w) = (source.tensor([rows, features]), source.tensor([rows, features]), source.tensor([features]));
        let (dy, dsum) = (source.tensor([rows, features]), source.tensor([rows, features]));
        let sum = x.clone() + delta.clone();
        let (found, normed) = rms_norm::add_forward(&x, &delta, &w, EPS);
        assert_eq!(values(&found), values(&sum));
        assert_eq!(values(&normed), values(&rms_norm::forward(&sum, &w, EPS)));
        let (slow, slow_normed) = rms_norm::add_forward(&weights(&x), &weights(&delta), &weights(&w), EPS);
        check("sum", &found, &slow.inner());
        check("normed", &normed, &slow_normed.inner());
        let alone = rms_norm::backward(&sum, &w, EPS, &dy);
        for trained in [WeightGradient::Trained, WeightGradient::Frozen] {
            let found = rms_norm::add_backward(&sum, &w, EPS, &dy, &dsum, trained);
            assert_eq!(values(&found.sum), values(&(dsum.clone() + alone.x.clone())));
            assert_eq!(found.weight.map(|w| values(&w)), (trained == WeightGradient::Trained).then(|| values(&alone.weight)));
        }
    }
}

#[test]
fn swiglu_equals_its_reference() {
    let mut source = Source::new();
    for [rows, features] in [[1, 1], [7, 31], [200, 333]] {
        let (gate, up, da) = (source.tensor([rows, features]) * 8.0, source.tensor([rows, features]), source.tensor([rows, features]));
        let (tg, tu) = (tracked(&gate), tracked(&up));
        let a = swiglu::forward(&tg, &tu);
        check("forward", &swiglu::forward(&gate, &up), &a.clone().inner());
        let tape = (a * weights(&da)).sum().backward();
        let found = swiglu::backward(gate, up, da);
        check("dgate", &found.gate, &tg.grad(&tape).unwrap());
        check("dup", &found.up, &tu.grad(&tape).unwrap());
    }
}

#[test]
fn linear_equals_its_reference() {
    let mut source = Source::new();
    for [rows, inputs, outputs] in [[1, 1, 1], [5, 33, 7], [300, 40, 129], [257, 128, 300]] {
        let (x, w, dy) = (source.tensor([rows, inputs]), source.tensor([outputs, inputs]), source.tensor([rows, outputs]));
        let (tx, tw) = (tracked(&x), tracked(&w));
        let y = linear::forward(&tx, &tw);
        check("forward", &linear::forward(&x, &w), &y.clone().inner());
        let tape = (y * weights(&dy)).sum().backward();
        check("dx", &linear::input_gradient(&dy, &w), &tx.grad(&tape).unwrap());
        check("dw", &linear::weight_gradient(&dy, &x), &tw.grad(&tape).unwrap());
    }
}

#[test]
fn qk_norm_rope_equals_its_reference() {
    let mut source = Source::new();
    let table = RotaryTable::new(16, 1e6, 400);
    for [rows, heads] in [[1, 1], [5, 3], [130, 2]] {
        let (x, w, dy) = (source.tensor([rows, heads * 16]), source.tensor([16]), source.tensor([rows, heads * 16]));
        let positions: Numbers = (0..rows as u32).map(|row| (row * 37) % 400).collect();
        let (tx, tw) = (tracked(&x), tracked(&w));
        let y = qk_norm_rope::forward(&tx, &tw, EPS, &table, &positions);
        check("forward", &qk_norm_rope::forward(&x, &w, EPS, &table, &positions), &y.clone().inner());
        let tape = (y * weights(&dy)).sum().backward();
        let found = qk_norm_rope::backward(&x, &w, EPS, &table, &positions, &dy);
        check("dx", &found.x, &tx.grad(&tape).unwrap());
        check("dw", &found.weight, &tw.grad(&tape).unwrap());
    }
}

#[test]
fn attention_equals_its_reference() {
    let mut source = Source::new();
    // Lengths around the sizes of query blocks (64) and key tiles (1,024).
    for (rows, heads, key_heads) in [(1, 1, 1), (2, 4, 2), (63, 4, 1), (65, 2, 2), (130, 6, 2), (1090, 2, 1)] {
        let shape = AttentionShape { heads, key_heads, head_dim: 8 };
        let (q, k, v) =
            (source.tensor([rows, heads * 8]) * 3.0, source.tensor([rows, key_heads * 8]) * 3.0, source.tensor([rows, key_heads * 8]));
        let doutput = source.tensor([rows, heads * 8]);
        let (tq, tk, tv) = (tracked(&q), tracked(&k), tracked(&v));
        let slow = attention::forward(&tq, &tk, &tv, shape);
        let fast = attention::forward(&q, &k, &v, shape);
        check("output", &fast.output, &slow.output.clone().inner());
        check("log sum", &fast.log_sum, &slow.log_sum.clone().inner());
        let tape = (slow.output * weights(&doutput)).sum().backward();
        let found = attention::backward(&q, &k, &v, &fast, &doutput, shape);
        check("dq", &found.q, &tq.grad(&tape).unwrap());
        check("dk", &found.k, &tk.grad(&tape).unwrap());
        check("dv", &found.v, &tv.grad(&tape).unwrap());
    }
}

#[test]
fn attention_of_the_last_rows_equals_that_of_all() {
    let mut source = Source::new();
    let shape = AttentionShape { heads: 4, key_heads: 2, head_dim: 8 };
    let (q, k, v) = (source.tensor([150, 32]), source.tensor([150, 16]), source.tensor([150, 16]));
    let all = attention::forward(&q, &k, &v, shape).output;
    for last in [1, 63, 64, 70] {
        let part = attention::forward(&q.clone().narrow(0, 150 - last, last), &k, &v, shape).output;
        check("last rows", &part, &all.clone().narrow(0, 150 - last, last));
    }
}

/// A prompt, texts behind it, and new tokens, each with random keys and values.
struct Decoding {
    prompt: (Tensor<2>, Tensor<2>),
    own: Entries,
    lengths: Vec<usize>,
}

const DECODING: AttentionShape = AttentionShape { heads: 4, key_heads: 2, head_dim: 8 };

impl Decoding {
    fn new(source: &mut Source, prompt: usize, texts: usize) -> Self {
        let own = Entries::empty(texts, 0, 16, &Device::flex());
        Self { prompt: (source.tensor([prompt, 16]), source.tensor([prompt, 16])), own, lengths: vec![0; texts] }
    }

    /// Runs of new tokens: the text that they follow, and how many.
    fn runs(&self, runs: &[(usize, usize)]) -> Vec<Run> {
        runs.iter().map(|&(slot, tokens)| Run { slot, own: self.lengths[slot], tokens }).collect()
    }

    fn append(&mut self, source: &mut Source, runs: &[(usize, usize)]) {
        let new = self.runs(runs);
        let rows = new.iter().map(|run| run.tokens).sum();
        self.own.append(&source.tensor([rows, 16]), &source.tensor([rows, 16]), &new, 100);
        new.iter().for_each(|run| self.lengths[run.slot] += run.tokens);
    }

    fn cache(&self, format: WeightFormat) -> LayerCache {
        LayerCache { prompt: PromptKeys::new(&self.prompt.0, &self.prompt.1, DECODING, format), own: self.own.clone() }
    }

    fn cache_in_rows(&self) -> LayerCache {
        LayerCache { prompt: PromptKeys::Rows(self.prompt.0.clone(), self.prompt.1.clone()), own: self.own.clone() }
    }
}

#[test]
fn decoding_equals_attention_over_the_whole_sequence() {
    let mut source = Source::new();
    let one_each = |texts| (0..texts).map(|i| (i, 1)).collect::<Vec<_>>();
    // Steps of one token, then runs of several, of some texts only, and several runs of one text.
    for (prompt, texts, new) in [
        (1, 1, one_each(1)),
        (5, 3, one_each(3)),
        (130, 4, one_each(4)),
        (5, 3, vec![(2, 3), (0, 1)]),
        (9, 2, vec![(1, 2), (1, 1), (0, 4)]),
    ] {
        let mut decoding = Decoding::new(&mut source, prompt, texts);
        for before in [one_each(texts), vec![(texts - 1, 2)], vec![(0, 70)]] {
            decoding.append(&mut source, &before);
        }
        let new = decoding.runs(&new);
        let rows = new.iter().map(|run| run.tokens).sum();
        let (q, k, v) = (source.tensor([rows, 32]), source.tensor([rows, 16]), source.tensor([rows, 16]));
        let found = decode_attention::forward(&q, &k, &v, &new, &decoding.cache(WeightFormat::F32), DECODING);
        let slow = decode_attention::forward(&q, &k, &v, &new, &decoding.cache_in_rows(), DECODING);
        check("reference", &found, &slow);
        let rounded = decode_attention::forward(&q, &k, &v, &new, &decoding.cache(WeightFormat::Bf16), DECODING);
        let worst = values(&rounded).iter().zip(values(&slow)).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(worst > 0.0 && worst < 0.02, "keys and values in bf16: {worst}");
        let mut first = 0;
        for run in new {
            let rows = |tensor: &Tensor<2>| tensor.clone().narrow(0, first, run.tokens);
            let own = decoding.own.of(run.slot, run.own);
            let all = |prompt: &Tensor<2>, own: Tensor<2>, new: &Tensor<2>| Tensor::cat(vec![prompt.clone(), own, rows(new)], 0);
            let (k, v) = (all(&decoding.prompt.0, own.0, &k), all(&decoding.prompt.1, own.1, &v));
            check("whole sequence", &rows(&found), &attention::forward(&rows(&q), &k, &v, DECODING).output);
            first += run.tokens;
        }
    }
}

#[test]
fn a_text_is_decoded_to_the_same_bits_beside_any_others() {
    let mut source = Source::new();
    for format in WeightFormat::ALL {
        let mut decoding = Decoding::new(&mut source, 77, 20);
        for slot in 0..20 {
            decoding.append(&mut source, &[(slot, 1 + slot * 3 % 7)]);
        }
        let runs = decoding.runs(&(0..20).map(|slot| (slot, 1 + slot % 3)).collect::<Vec<_>>());
        let rows = runs.iter().map(|run| run.tokens).sum();
        let (q, k, v) = (source.tensor([rows, 32]), source.tensor([rows, 16]), source.tensor([rows, 16]));
        let cache = decoding.cache(format);
        let all = decode_attention::forward(&q, &k, &v, &runs, &cache, DECODING);
        let mut first = 0;
        for run in runs {
            let rows = |tensor: &Tensor<2>| tensor.clone().narrow(0, first, run.tokens);
            let alone = decode_attention::forward(&rows(&q), &rows(&k), &rows(&v), &[run], &cache, DECODING);
            assert_eq!(values(&alone), values(&rows(&all)), "{format}, slot {}", run.slot);
            first += run.tokens;
        }
    }
}

#[test]
fn head_loss_equals_its_reference() {
    let mut source = Source::new();
    for [rows, features, vocabulary] in [[1, 3, 2], [9, 16, 33], [600, 8, 300]] {
        let (h, e) = (source.tensor([rows, features]), source.tensor([vocabulary, features]));
        let targets: Vec<Option<u32>> = (0..rows as u32).map(|row| (row % 4 != 1).then_some(row * 13 % vocabulary as u32)).collect();
        let importance: Vec<f32> = (0..rows).map(|row| 0.5 + (row % 3) as f32).collect();
        let fast = head_loss::loss_and_gradients(&h, &e, &targets, &importance, HeadGradient::Trained);
        let slow = head_loss::loss_and_gradients(&weights(&h), &weights(&e), &targets, &importance, HeadGradient::Trained);
        assert!((fast.sum / slow.sum - 1.0).abs() < 1e-5, "{} and {}", fast.sum, slow.sum);
        let plain = head_loss::loss_and_gradients(&h, &e, &targets, &vec![1.0; rows], HeadGradient::Frozen);
        assert!((head_loss::loss(&h, &e, &targets) / plain.sum - 1.0).abs() < 1e-6);
        check("rows", &fast.rows, &slow.rows.inner());
        check("head", fast.head.as_ref().unwrap(), &slow.head.unwrap().inner());
        assert!(plain.head.is_none());
    }
}

#[test]
fn rows_without_targets_have_no_loss() {
    let mut source = Source::new();
    let (h, e) = (source.tensor([4, 3]), source.tensor([5, 3]));
    let loss = head_loss::loss_and_gradients(&h, &e, &[None; 4], &[1.0; 4], HeadGradient::Trained);
    assert_eq!(loss.sum, 0.0);
    assert!(values(&loss.rows).iter().all(|g| *g == 0.0));
}

#[test]
#[should_panic(expected = "beyond the vocabulary of 5")]
fn a_target_outside_the_vocabulary_is_refused() {
    let mut source = Source::new();
    let _ = head_loss::loss(&source.tensor([1, 3]), &source.tensor([5, 3]), &[Some(5)]);
}

#[test]
fn adamw_equals_its_reference() {
    let mut source = Source::new();
    let (p, g) = (source.tensor([30, 11]), source.tensor([30, 11]));
    let (mut fast, mut slow) = ((p.clone(), Moments::zeros(&p)), (weights(&p), Moments::zeros(&weights(&p))));
    for step in 1..=5 {
        let constants = AdamWStep { learning_rate: 0.01, beta1: 0.9, beta2: 0.98, epsilon: 1e-8, weight_decay: 0.1, step };
        fast = adamw::step(fast.0, &g, 0.5, fast.1, &constants);
        slow = adamw::step(slow.0, &weights(&g), 0.5, slow.1, &constants);
    }
    check("parameter", &fast.0, &slow.0.inner());
    check("second moment", &fast.1.second, &slow.1.second.inner());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn attention_averages_values(rows in 1usize..90, seed in 0u64..1_000) {
        let mut source = Source(ChaCha8Rng::seed_from_u64(seed));
        let shape = AttentionShape { heads: 2, key_heads: 1, head_dim: 4 };
        let output = attention::forward(&source.tensor([rows, 8]), &source.tensor([rows, 4]), &Tensor::ones([rows, 4], &Device::flex()), shape).output;
        prop_assert!(values(&output).iter().all(|o| (o - 1.0).abs() < 1e-5));
    }
}
