//! A small decoder with random weights: logits, gradients, training steps and greedy tokens.

use std::convert::Infallible;

use burn::tensor::Device;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::place::{Place, values};
use super::writing::{Reading, write};
use super::{Check, Difference};
use crate::kernels::packed_linear::WeightFormat;
use crate::qwen3::{Keep, Pack, PackedQwen3, PassOptions, Trained};
use crate::training::{Control, Progress, StepReport, Trainer, TrainingConfig};
use crate::{AdapterConfig, Precision, Qwen3, Qwen3Config, TokenSequence};

/// Lengths of the packed sequences.
const LENGTHS: [usize; 5] = [1, 2, 63, 65, 130];

pub(super) const CHECKS: &[Check] = &[
    Check { name: "decoder, logits", run: logits },
    Check { name: "decoder, gradients", run: gradients },
    Check { name: "decoder, five training steps", run: training },
    Check { name: "decoder, greedy tokens", run: greedy },
];

/// Heads that together are wider than the residual stream, and a vocabulary that no tile divides.
fn config() -> Qwen3Config {
    Qwen3Config {
        hidden_size: 96,
        intermediate_size: 160,
        num_hidden_layers: 3,
        num_attention_heads: 4,
        num_key_value_heads: 2,
        head_dim: 64,
        ..Qwen3Config::tiny(517)
    }
}

/// The same weights in both places: on the device, and in host memory.
fn pair(place: &Place) -> [Qwen3; 2] {
    let build = |device: &Device, precision: Precision| {
        let mut random = ChaCha8Rng::seed_from_u64(7);
        let mut source = |_: &str, shape: &[usize]| -> Result<Vec<f32>, Infallible> {
            let (middle, spread) = if shape.len() == 1 { (1.0, 0.1) } else { (0.0, 0.15) };
            let exact = (0..shape.iter().product()).map(|_| middle + random.random_range(-spread..spread));
            // Numbers that bf16 has: the upper half of the bits.
            Ok(exact.map(|value: f32| f32::from_bits(value.to_bits() & 0xffff_0000)).collect())
        };
        match Qwen3::build_in(&config(), device, precision, &mut source) {
            Ok(model) => model,
        }
    };
    [build(place.device(), place.precision()), build(&Device::flex(), Precision::F32)]
}

fn ids(length: usize, seed: u64) -> Vec<u32> {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    (0..length).map(|_| random.random_range(1..config().vocab_size as u32)).collect()
}

/// What the rounding of some layers adds up to: 32 bits, and bf16 with its eight.
fn tolerance(place: &Place, f32: f32, bf16: f32) -> f32 {
    if place.precision() == Precision::F32 { f32 } else { bf16 }
}

fn logits(place: &Place) -> Vec<Difference> {
    let [found, expected] = pair(place);
    let of_length = |length: usize| {
        let ids = ids(length, length as u64);
        let logits = |model: &Qwen3| model.logits(&model.hidden(&ids));
        Difference::of(format!("{length} tokens"), tolerance(place, 1e-4, 1.0 / 32.0), &logits(&found), &logits(&expected))
    };
    LENGTHS.into_iter().chain([300]).map(of_length).collect()
}

fn gradients(place: &Place) -> Vec<Difference> {
    let mut pack = Pack::default();
    for length in LENGTHS {
        let ids = ids(length, 100 + length as u64);
        let targets: Vec<Option<u32>> = (0..length).map(|at| (at % 5 != 3).then(|| ids[(at + 1) % length])).collect();
        pack.push(&ids, &targets, &vec![0.01; length]);
    }
    let [found, expected] = pair(place);
    let adapter = AdapterConfig::new(8, 16.0);
    let adapted = [&found, &expected].map(|model| model.with_new_adapters(&adapter, 3));
    let of = |name: &str, [found, expected]: [&Qwen3; 2], trained: Trained, keep: Keep| {
        let options = PassOptions::all(keep, config().num_hidden_layers);
        let [found, expected] = [found, expected].map(|model| model.loss_and_gradients_of(&pack, trained, &options));
        let allowed = tolerance(place, 1e-4, 1.0 / 16.0);
        let mut differences = vec![Difference::of_numbers(format!("loss, {name}"), allowed, found.sum, expected.sum)];
        for (key, expected) in expected.gradients.iter() {
            let what = format!("{key}, {name}");
            differences.push(match found.gradients.get(key) {
                Some(found) => Difference::of(what, allowed, found, expected),
                None => Difference { what, found: f64::INFINITY, allowed: 0.0 },
            });
        }
        differences
    };
    [
        of("everything trained", [&found, &expected], Trained::Everything, Keep::Everything),
        of("adapters trained", [&adapted[0], &adapted[1]], Trained::Adapters, Keep::Everything),
        of("attention kept", [&adapted[0], &adapted[1]], Trained::Adapters, Keep::Attention),
        of("blocks recomputed", [&adapted[0], &adapted[1]], Trained::Adapters, Keep::Input),
    ]
    .concat()
}

/// The losses of a run.
#[derive(Default)]
struct Losses(Vec<f64>);

impl Progress for Losses {
    fn step(&mut self, report: &StepReport) -> Control {
        self.0.push(report.loss);
        Control::Continue
    }
}

fn training(place: &Place) -> Vec<Difference> {
    let sequences: Vec<TokenSequence> = [40, 65, 17, 90]
        .into_iter()
        .map(|length| {
            let ids = ids(length, 200 + length as u64);
            let labels = ids.iter().map(|&id| id as i32).collect();
            TokenSequence::new(ids, labels)
        })
        .collect();
    let config = TrainingConfig { epochs: 5, batch: 4, learning_rate: 1e-3, max_steps: Some(5), ..TrainingConfig::default() };
    let losses = pair(place).map(|model| {
        let mut model = model.with_new_adapters(&AdapterConfig::new(8, 16.0), 3);
        let mut losses = Losses::default();
        let trainer = Trainer::new(config.clone()).expect("the settings are in their ranges");
        trainer.fit(&mut model, &sequences, &[], &mut losses).expect("a small run does not diverge");
        losses.0
    });
    let [found, expected] = &losses;
    let steps = Difference::of_equals("number of steps", &found.len(), &expected.len());
    let losses = found.iter().zip(expected).enumerate().map(|(step, (&found, &expected))| {
        Difference::of_numbers(format!("loss of step {}", step + 1), tolerance(place, 1e-4, 0.02), found, expected)
    });
    [steps].into_iter().chain(losses).collect()
}

fn greedy(place: &Place) -> Vec<Difference> {
    let prompts = [70, 64, 5].map(|length| ids(length, 300 + length as u64));
    let [found, expected] = pair(place).map(|model| PackedQwen3::pack(&model, WeightFormat::F32));
    let read = |model| Reading::new(model, &prompts, 2, 20, 64);
    let logits = Difference::of_each(
        "logits after the prompts",
        tolerance(place, 1e-4, 1.0 / 32.0),
        &values(&read(&found).logits()),
        &values(&read(&expected).logits()),
    );
    let mut differences = vec![logits];
    if place.precision() == Precision::F32 {
        // In bf16, rounding decides between tokens that are nearly as probable.
        let written = [&found, &expected].map(|model| write(model, &prompts, 2, 20, 64));
        differences.push(Difference::of_equals("20 tokens of 2 samples of 3 prompts", &written[0], &written[1]));
    }
    differences
}
