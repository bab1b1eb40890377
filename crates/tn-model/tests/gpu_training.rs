//! Whole decoders on GPU devices against the processor: losses, gradients, training, and the memory that it takes.

#[path = "support/devices.rs"]
#[expect(dead_code, reason = "other tests need more of it")]
mod devices;

use burn::tensor::{DType, Device, Tensor};
use devices::{Case, cases};
use tn_model::qwen3::{Gradients, Keep, Pack, PassOptions, Trained};
use tn_model::training::{Control, MomentFormat, Progress, StepReport, TrainError, Trainer, TrainingConfig};
use tn_model::{AdapterConfig, Precision, Qwen3, Qwen3Config, TokenSequence};

/// Grouped heads, a head size that is no multiple of the width, and more than one layer.
fn base() -> Qwen3 {
    let config = Qwen3Config {
        hidden_size: 64,
        intermediate_size: 160,
        num_hidden_layers: 3,
        num_attention_heads: 4,
        num_key_value_heads: 2,
        head_dim: 32,
        ..Qwen3Config::tiny(203)
    };
    Qwen3::initialize(&config, 5, &Device::flex())
}

/// A decoder whose adapters are not zero: they have learned a little.
fn adapted() -> Qwen3 {
    let mut model = base().with_new_adapters(&AdapterConfig::new(4, 8.0), 7);
    Trainer::new(TrainingConfig { epochs: 1, batch: 4, learning_rate: 1e-2, ..TrainingConfig::default() })
        .unwrap()
        .fit(&mut model, &sequences(8), &[], &mut ())
        .unwrap();
    model
}

/// Sequences of several lengths, in which every third token has no label.
fn sequences(count: u32) -> Vec<TokenSequence> {
    let sequence = |start: u32| {
        let ids: Vec<u32> = (0..40 + 13 * (start % 5)).map(|i| (7 * start + i * i) % 203).collect();
        let labels = ids.iter().enumerate().map(|(i, &id)| if i % 3 == 0 { -100 } else { id as i32 }).collect();
        TokenSequence::new(ids, labels)
    };
    (0..count).map(sequence).collect()
}

fn pack(count: u32) -> Pack {
    let mut pack = Pack::default();
    for sequence in sequences(count) {
        let targets: Vec<Option<u32>> = sequence.labels.iter().skip(1).map(|&label| u32::try_from(label).ok()).chain([None]).collect();
        let weights: Vec<f32> = (0..sequence.ids.len()).map(|i| 0.01 * (1 + i % 3) as f32).collect();
        pack.push(&sequence.ids, &targets, &weights);
    }
    pack
}

fn values(tensor: &Tensor<2>) -> Vec<f32> {
    tensor.to_data().convert::<f32>().try_into_vec::<f32>().unwrap()
}

/// Checks that gradients are there under the same names, and that each differs from the expected one by a share of its norm.
fn check(at: &str, tolerance: f32, found: &Gradients, expected: &Gradients) {
    let names: Vec<&str> = found.iter().map(|(name, _)| name).collect();
    assert_eq!(names, expected.iter().map(|(name, _)| name).collect::<Vec<_>>(), "{at}");
    for (name, gradient) in found.iter() {
        let (found, expected) = (values(gradient), values(expected.get(name).unwrap()));
        let norm = |values: &mut dyn Iterator<Item = f32>| values.map(|v| v * v).sum::<f32>().sqrt();
        let difference = norm(&mut found.iter().zip(&expected).map(|(a, b)| a - b));
        assert!(difference <= tolerance * norm(&mut expected.iter().copied()) + 1e-7, "{at}, {name}: {difference}");
    }
}

fn is_f32(case: &Case) -> bool {
    case.dtype == DType::F32
}

fn on(model: &Qwen3, case: &Case) -> Qwen3 {
    model.on(&case.device, if is_f32(case) { Precision::F32 } else { Precision::Bf16 })
}

#[test]
fn loss_and_gradients_equal_those_of_the_processor() {
    for case in cases() {
        // bf16 has eight bits, and errors add up over layers.
        let (of_loss, of_gradients) = if is_f32(&case) { (1e-5, 1e-4) } else { (5e-3, 5e-2) };
        for (model, trained) in [(adapted(), Trained::Adapters), (base(), Trained::Everything)] {
            if trained == Trained::Everything && !is_f32(&case) {
                continue; // Weights without adapters are trained in 32 bits.
            }
            let pack = pack(5);
            let expected = model.loss_and_gradients_of(&pack, trained, &PassOptions::all(Keep::Everything, 3));
            let device = on(&model, &case);
            for keep in [Keep::Everything, Keep::Attention, Keep::Input] {
                let at = format!("{}, {trained:?}, {keep:?}", case.name);
                let found = device.loss_and_gradients_of(&pack, trained, &PassOptions { head_rows: 37, ..PassOptions::all(keep, 3) });
                assert!((found.sum - expected.sum).abs() <= of_loss * expected.sum, "{at}: {} and {}", found.sum, expected.sum);
                check(&at, of_gradients, &found.gradients, &expected.gradients);
            }
        }
    }
}

#[test]
fn packed_sequences_do_not_see_each_other() {
    let model = base();
    let (mut sum, mut gradients) = (0.0, Gradients::new());
    for sequence in sequences(5) {
        let mut alone = Pack::default();
        let targets: Vec<Option<u32>> = sequence.labels.iter().skip(1).map(|&label| u32::try_from(label).ok()).chain([None]).collect();
        alone.push(&sequence.ids, &targets, &(0..sequence.ids.len()).map(|i| 0.01 * (1 + i % 3) as f32).collect::<Vec<_>>());
        let loss = model.loss_and_gradients_of(&alone, Trained::Everything, &PassOptions::all(Keep::Input, 3));
        sum += loss.sum;
        gradients.merge(loss.gradients);
    }
    let packed = model.loss_and_gradients_of(&pack(5), Trained::Everything, &PassOptions::all(Keep::Attention, 3));
    assert!((packed.sum - sum).abs() <= 1e-6 * sum, "{} and {sum}", packed.sum);
    check("processor", 1e-5, &packed.gradients, &gradients);
}

#[test]
fn training_goes_the_way_of_the_processor_and_repeats_itself() {
    let config = TrainingConfig { epochs: 2, batch: 4, learning_rate: 3e-3, ..TrainingConfig::default() };
    let fit = |mut model: Qwen3, micro_batch: usize| {
        let trainer = Trainer::new(config.clone()).unwrap().with_micro_batch(micro_batch);
        let summary = trainer.fit(&mut model, &sequences(8), &sequences(2), &mut ()).unwrap();
        (summary.validation_loss.unwrap(), model)
    };
    let start = base().with_new_adapters(&AdapterConfig::new(4, 8.0), 7);
    let (expected, _) = fit(start.clone(), 4);
    for case in cases() {
        let tolerance = if is_f32(&case) { 1e-4 } else { 2e-2 };
        let (found, model) = fit(on(&start, &case), 4);
        assert!((found - expected).abs() < tolerance * expected, "{}: {found} and {expected}", case.name);
        let (again, same) = fit(on(&start, &case), 4);
        assert_eq!(found, again, "{}", case.name);
        assert!(model.tensors().iter().zip(same.tensors()).all(|(a, b)| a.1 == b.1), "{}", case.name);
        let (in_parts, _) = fit(on(&start, &case), 3);
        assert!((found - in_parts).abs() < tolerance * expected, "{}: {found} and {in_parts}", case.name);
    }
}

#[test]
fn eight_bit_moments_on_a_device_are_those_of_the_processor_and_go_on_from_a_file() {
    let config = TrainingConfig { epochs: 3, batch: 4, learning_rate: 3e-3, moments: MomentFormat::EightBit, ..TrainingConfig::default() };
    let start = Qwen3::initialize(&Qwen3Config { hidden_size: 256, num_hidden_layers: 1, ..Qwen3Config::tiny(203) }, 5, &Device::flex());
    // Matrices of 16 x 256 values, which have their moments in eight bits.
    let start = start.with_new_adapters(&AdapterConfig::new(16, 32.0), 7);
    let trainer = Trainer::new(config.clone()).unwrap();
    let mut expected = start.clone();
    let expected = trainer.fit(&mut expected, &sequences(8), &sequences(2), &mut ()).unwrap().validation_loss.unwrap();
    for case in cases() {
        let mut straight = on(&start, &case);
        let found = trainer.fit(&mut straight, &sequences(8), &sequences(2), &mut ()).unwrap().validation_loss.unwrap();
        let tolerance = if is_f32(&case) { 1e-3 } else { 2e-2 };
        assert!((found - expected).abs() < tolerance * expected, "{}: {found} and {expected}", case.name);
        let folder = tempfile::tempdir().unwrap();
        let resumed = trainer.clone().with_state(folder.path().join("state.safetensors"), 1);
        let mut half = on(&start, &case);
        resumed.fit(&mut half, &sequences(8), &sequences(2), &mut StopAfter(3)).unwrap();
        let mut half = on(&start, &case);
        let again = resumed.fit(&mut half, &sequences(8), &sequences(2), &mut ()).unwrap().validation_loss.unwrap();
        assert_eq!(again, found, "{}: stopped and continued", case.name);
    }
}

/// Stops a run after some steps.
struct StopAfter(u64);

impl Progress for StopAfter {
    fn step(&mut self, report: &StepReport) -> Control {
        if report.step + 1 == self.0 { Control::Stop } else { Control::Continue }
    }
}

#[test]
fn a_step_that_cannot_fit_is_refused_before_it_starts() {
    for case in cases() {
        let mut model = on(&adapted(), &case);
        let trainer = Trainer::new(TrainingConfig::default()).unwrap().with_memory(100_000);
        let refused = trainer.fit(&mut model, &sequences(8), &[], &mut ());
        let Err(error @ TrainError::DoesNotFit(_)) = refused else { panic!("{}: {refused:?}", case.name) };
        assert!(error.to_string().contains("work of a pass"), "{error}");
    }
}
