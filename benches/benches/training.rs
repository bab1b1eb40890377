//! One training step, forward and backward, at the shape of the small tier.
//!
//! `cargo xtask bench model --only train` measures the whole step, with its optimizer, beside torch.

use std::hint::black_box;
use std::time::Duration;

use criterion::{Criterion, SamplingMode, Throughput};
use rayon::prelude::*;
use tissuenarrator::model::qwen3::{Gradients, Keep, Qwen3, Trained};
use tissuenarrator::model::{Device, Qwen3Config};

const SEQUENCES: u32 = 8;
const TOKENS: u32 = 1_100;
const VOCABULARY: u32 = 168;
/// What each loss is multiplied with.
const WEIGHT: f32 = 1e-4;

/// Ids and the tokens that follow them.
type Sequence = (Vec<u32>, Vec<Option<u32>>);

fn main() {
    let mut criterion = Criterion::default().sample_size(10).configure_from_args();
    step(&mut criterion);
    criterion.final_summary();
}

fn step(criterion: &mut Criterion) {
    let config = Qwen3Config::tiny(VOCABULARY as usize);
    let model = Qwen3::initialize(&config, 1, &Device::flex()).with_context(TOKENS as usize);
    let sequences: Vec<Sequence> = (0..SEQUENCES).map(sequence).collect();

    let expected = loss_and_gradient_norm(&model, &sequences);
    let mean = expected.0 / (f64::from(WEIGHT) * f64::from(SEQUENCES * (TOKENS - 1)));
    // Fresh weights know nothing: the loss is that of guessing.
    assert!((mean - f64::from(VOCABULARY).ln()).abs() < 0.1, "the mean loss is {mean}");
    assert!(expected.1.is_finite() && expected.1 > 0.0, "the gradient norm is {}", expected.1);

    let mut group = criterion.benchmark_group("training");
    group.throughput(Throughput::Elements(u64::from(SEQUENCES * TOKENS)));
    group.sampling_mode(SamplingMode::Flat).measurement_time(Duration::from_secs(10));
    group.bench_function("step/8x1100_tokens", |bencher| {
        bencher.iter(|| {
            let found = loss_and_gradient_norm(black_box(&model), &sequences);
            assert_eq!(found, expected, "the same step gave another result");
        });
    });
    group.finish();
}

fn sequence(number: u32) -> Sequence {
    let ids: Vec<u32> = (0..TOKENS).map(|i| (i * 7919 + number * 31 + i * i) % VOCABULARY).collect();
    let targets = ids.iter().skip(1).map(|&id| Some(id)).chain([None]).collect();
    (ids, targets)
}

/// Returns the weighted sum of the losses and the norm of the gradients of all weights.
fn loss_and_gradient_norm(model: &Qwen3, sequences: &[Sequence]) -> (f64, f64) {
    let losses: Vec<_> = sequences
        .par_iter()
        .map(|(ids, targets)| model.loss_and_gradients(ids, targets, &vec![WEIGHT; ids.len()], Trained::Everything, Keep::Everything))
        .collect();
    let (mut sum, mut gradients) = (0.0, Gradients::new());
    for loss in losses {
        sum += loss.sum;
        gradients.merge(loss.gradients);
    }
    (sum, gradients.norm())
}
