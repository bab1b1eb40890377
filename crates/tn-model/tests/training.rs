//! Training from scratch and through adapters: it learns, it is reproducible, it resumes, and it fails cleanly.

use burn::tensor::{Device, Tensor};
use tn_model::qwen3::Trained;
use tn_model::training::{
    Control, EpochReport, MomentFormat, Progress, SkippedStep, StepReport, TrainError, Trainer, TrainingConfig, TrainingSummary,
    kept_states,
};
use tn_model::{AdapterConfig, Projection, Qwen3, Qwen3Config, TokenSequence};

/// A decoder small enough for many runs.
fn small() -> Qwen3 {
    let config = Qwen3Config { hidden_size: 32, intermediate_size: 48, num_hidden_layers: 2, head_dim: 16, ..Qwen3Config::tiny(20) };
    Qwen3::initialize(&config, 5, &Device::flex())
}

/// A decoder whose matrices have more than 4,096 values.
fn medium() -> Qwen3 {
    let config = Qwen3Config { hidden_size: 128, intermediate_size: 160, num_hidden_layers: 1, ..Qwen3Config::tiny(40) };
    Qwen3::initialize(&config, 5, &Device::flex())
}

/// Sequences that count upwards: easy to learn.
fn counting(sequences: u32) -> Vec<TokenSequence> {
    let sequence = |start: u32| {
        let ids: Vec<u32> = (0..24 + start % 5).map(|i| (start + i) % 20).collect();
        TokenSequence::new(ids.clone(), ids.iter().map(|&id| id as i32).collect())
    };
    (0..sequences).map(sequence).collect()
}

fn config() -> TrainingConfig {
    TrainingConfig { epochs: 5, batch: 4, learning_rate: 1e-2, ..TrainingConfig::from_scratch() }
}

fn fit(model: &mut Qwen3, trainer: &Trainer) -> Result<TrainingSummary, TrainError> {
    trainer.fit(model, &counting(16), &counting(3), &mut ())
}

fn weights(model: &Qwen3) -> Vec<f32> {
    model.tensors().into_iter().flat_map(|(_, values)| values).collect()
}

#[test]
fn a_small_decoder_learns_to_count() {
    let mut model = small();
    let summary = fit(&mut model, &Trainer::new(TrainingConfig { epochs: 40, ..config() }).unwrap()).unwrap();
    assert!(summary.is_complete());
    assert!(summary.validation_loss.unwrap() < 0.3, "{summary:?}; chance is ln 20 = 3.0");
}

#[test]
fn adapters_learn_while_the_base_stays() {
    let base = small();
    let adapter = AdapterConfig::new(4, 8.0);
    let mut model = base.with_new_adapters(&adapter, 1);
    assert_eq!(weights(&model), weights(&base), "fresh adapters change nothing");
    let summary = fit(&mut model, &Trainer::new(TrainingConfig { epochs: 30, ..config() }).unwrap()).unwrap();
    assert!(summary.validation_loss.unwrap() < 2.6, "{summary:?}; chance is ln 20 = 3.0");

    let folder = tempfile::tempdir().unwrap();
    model.save_adapter(folder.path().join("adapter"), &adapter).unwrap();
    let loaded = base.with_adapter(folder.path().join("adapter")).unwrap();
    assert_eq!(weights(&loaded), weights(&model));
    assert_eq!(weights(&model.without_adapters()), weights(&base));
}

#[test]
fn adapters_on_any_projections_change_those_alone() {
    let base = small();
    for projections in [vec![Projection::Down], vec![Projection::Query, Projection::Value], vec![Projection::Gate, Projection::Key]] {
        let adapter = AdapterConfig::new(3, 6.0).with_target_modules(projections.clone());
        let mut model = base.with_new_adapters(&adapter, 1);
        fit(&mut model, &Trainer::new(TrainingConfig { epochs: 2, ..config() }).unwrap()).unwrap();
        for ((parameter, before), (_, after)) in base.tensors().into_iter().zip(model.tensors()) {
            let adapted = (0..2).any(|layer| projections.iter().any(|projection| projection.key(layer) == parameter.name));
            assert_eq!(before != after, adapted, "{}", parameter.name);
        }
    }
}

#[test]
fn any_micro_batch_gives_the_same_weights() {
    let run = |micro_batch: usize| {
        let mut model = small();
        fit(&mut model, &Trainer::new(TrainingConfig { batch: 8, ..config() }).unwrap().with_micro_batch(micro_batch)).unwrap();
        weights(&model)
    };
    let whole = run(8);
    for micro_batch in [1, 2, 3, 4] {
        assert_eq!(run(micro_batch), whole, "micro-batches of {micro_batch}");
    }
}

#[test]
fn sequences_of_a_batch_do_not_see_each_other() {
    let model = small();
    let sequences = counting(3);
    let ids: Vec<&[u32]> = sequences.iter().map(|sequence| &sequence.ids[..]).collect();
    let targets = |ids: &[u32]| ids.iter().skip(1).map(|&id| Some(id)).chain([None]).collect::<Vec<_>>();
    let alone: f64 = ids.iter().map(|ids| model.loss(ids, &targets(ids))).sum();
    let joined: Vec<u32> = ids.concat();
    let all_targets: Vec<Option<u32>> = ids.iter().flat_map(|ids| targets(ids)).collect();
    assert!((model.loss(&joined, &all_targets) - alone).abs() > 1e-4, "attention across sequences would show");

    let labels: usize = ids.iter().map(|ids| ids.len() - 1).sum();
    let mut recorder = Recorder::default();
    let trainer = Trainer::new(TrainingConfig { batch: 3, max_steps: Some(1), ..config() }).unwrap();
    trainer.fit(&mut small(), &sequences, &[], &mut recorder).unwrap();
    assert!((recorder.2[0] - alone / labels as f64).abs() < 1e-6);
}

#[test]
fn a_label_counts_as_much_as_its_weight() {
    let trained = |change: fn(&mut TokenSequence)| {
        let mut sequences = counting(16);
        sequences.iter_mut().for_each(change);
        let mut model = small();
        Trainer::new(config()).unwrap().fit(&mut model, &sequences, &[], &mut ()).unwrap();
        weights(&model)
    };
    let weightless = trained(|sequence| sequence.weights[..12].fill(0.0));
    let unlabelled = trained(|sequence| sequence.labels[..12].fill(TokenSequence::NO_LOSS));
    assert_eq!(weightless, unlabelled);
    let doubled = trained(|sequence| sequence.weights.fill(2.0));
    assert_eq!(doubled, trained(|_| {}), "what counts is the share of the weights");
    assert_ne!(doubled, weightless);

    for weight in [f32::NAN, f32::INFINITY, -1.0, 1e7] {
        let mut sequences = counting(4);
        sequences[2].weights[3] = weight;
        let error = Trainer::new(config()).unwrap().fit(&mut small(), &sequences, &[], &mut ()).unwrap_err();
        assert!(error.to_string().starts_with("label weight is"), "{error}");
    }
}

#[test]
fn any_number_of_threads_gives_the_same_weights() {
    let run = |threads: usize| {
        let mut model = small();
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| fit(&mut model, &Trainer::new(config()).unwrap())).unwrap();
        weights(&model)
    };
    let one = run(1);
    assert_eq!(one, run(2));
    assert_eq!(one, run(3));
}

#[test]
fn recomputing_blocks_changes_nothing() {
    let run = |recompute: bool| {
        let mut model = small();
        fit(&mut model, &Trainer::new(TrainingConfig { recompute, ..config() }).unwrap()).unwrap();
        weights(&model)
    };
    assert_eq!(run(false), run(true));
}

/// Stops a run after some steps.
struct StopAfter(u64);

impl Progress for StopAfter {
    fn step(&mut self, report: &StepReport) -> Control {
        if report.step + 1 == self.0 { Control::Stop } else { Control::Continue }
    }
}

#[test]
fn an_interrupted_run_ends_with_the_same_weights() {
    // Four steps an epoch: inside the first one, at its end, and inside the second.
    for steps in [3, 4, 5, 7] {
        check_resumed(steps, &small, config());
    }
    let adapted = || small().with_new_adapters(&AdapterConfig::new(4, 8.0), 1);
    check_resumed(5, &adapted, config());
}

#[test]
fn five_steps_and_five_more_are_ten_with_moments_in_eight_bits() {
    let ten = TrainingConfig { max_steps: Some(10), moments: MomentFormat::EightBit, ..config() };
    check_resumed(5, &medium, ten.clone());
    check_resumed(4, &medium, ten.clone());
    let adapted = || medium().with_new_adapters(&AdapterConfig::new(32, 32.0), 1);
    check_resumed(5, &adapted, ten);
}

/// Stops a run after so many steps, and goes on with blocks recomputed, which is no other run.
fn check_resumed(steps: u64, model: &dyn Fn() -> Qwen3, config: TrainingConfig) {
    let mut whole = model();
    let expected = fit(&mut whole, &Trainer::new(config.clone()).unwrap()).unwrap();

    let folder = tempfile::tempdir().unwrap();
    let trainer = |config| Trainer::new(config).unwrap().with_state(folder.path().join("state.safetensors"), 1_000);
    let mut first = model();
    let stopped = trainer(config.clone()).fit(&mut first, &counting(16), &counting(3), &mut StopAfter(steps)).unwrap();
    assert_eq!((stopped.steps, stopped.is_complete()), (steps, false));
    let mut second = model();
    let found = fit(&mut second, &trainer(TrainingConfig { recompute: true, ..config })).unwrap();
    assert!(weights(&second) == weights(&whole), "stopped after {steps} steps");
    assert_eq!(found, expected);
}

#[test]
fn moments_in_eight_bits_learn_as_those_in_32_do() {
    let run = |moments| {
        let (mut model, mut recorder) = (medium(), Recorder::default());
        let config = TrainingConfig { epochs: 12, moments, ..config() };
        Trainer::new(config).unwrap().fit(&mut model, &counting(16), &[], &mut recorder).unwrap();
        (weights(&model), recorder.2)
    };
    let (full, eight) = (run(MomentFormat::F32), run(MomentFormat::EightBit));
    assert!(full.0 != eight.0, "the matrices are large enough for eight bits");
    // The first step is made before anything is rounded.
    assert_eq!(full.1[..2], eight.1[..2]);
    let last = |losses: &[f64]| losses[losses.len() - 8..].iter().sum::<f64>() / 8.0;
    assert!(last(&full.1) < 1.0, "{} is not learned", last(&full.1));
    assert!((last(&full.1) - last(&eight.1)).abs() < 0.05, "{} {}", last(&full.1), last(&eight.1));
}

#[test]
fn the_last_states_are_kept_and_any_of_them_goes_on_to_the_same_weights() {
    let mut whole = small();
    fit(&mut whole, &Trainer::new(config()).unwrap()).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state.safetensors");
    let trainer = Trainer::new(config()).unwrap().with_state(&path, 2).with_kept_states(3);
    trainer.fit(&mut small(), &counting(16), &counting(3), &mut StopAfter(11)).unwrap();
    let kept = kept_states(&path);
    let names: Vec<String> = kept.iter().map(|state| state.file_name().unwrap().to_string_lossy().into_owned()).collect();
    assert_eq!(names, ["state.step-00000008.safetensors", "state.step-00000010.safetensors", "state.step-00000011.safetensors"]);
    assert!(std::fs::read(&path).unwrap() == std::fs::read(&kept[2]).unwrap(), "the state file is the latest");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 4);

    let newest = std::fs::read(&kept[2]).unwrap();
    std::fs::copy(&kept[0], &path).unwrap();
    assert!(std::fs::read(&kept[2]).unwrap() == newest, "going back changes no other state");
    let mut again = small();
    let summary = fit(&mut again, &trainer).unwrap();
    assert!(summary.is_complete() && weights(&again) == weights(&whole));
    assert_eq!(kept_states(&path).len(), 3);

    // A run that begins anew has no states of the one before.
    std::fs::remove_file(&path).unwrap();
    trainer.fit(&mut small(), &counting(16), &[], &mut StopAfter(3)).unwrap();
    let steps: Vec<String> = kept_states(&path).iter().map(|state| state.file_name().unwrap().to_string_lossy().into_owned()).collect();
    assert_eq!(steps, ["state.step-00000002.safetensors", "state.step-00000003.safetensors"]);
}

#[test]
fn a_state_of_another_run_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state.safetensors");
    let start = |config: TrainingConfig, data: u32| {
        let trainer = Trainer::new(config).unwrap().with_state(&path, 1);
        trainer.fit(&mut small(), &counting(data), &[], &mut StopAfter(2))
    };
    start(config(), 16).unwrap();
    assert!(matches!(start(TrainingConfig { seed: 1, ..config() }, 16), Err(TrainError::OtherRun { .. })));
    assert!(matches!(start(config(), 15), Err(TrainError::OtherRun { .. })));

    let other_weights = Trainer::new(config()).unwrap().with_state(&path, 1);
    let mut other = Qwen3::initialize(small().config(), 6, &Device::flex());
    assert!(matches!(fit(&mut other, &other_weights), Err(TrainError::OtherRun { .. })));

    let bytes = std::fs::read(&path).unwrap();
    for length in [0, 7, 8, 100, bytes.len() - 1] {
        std::fs::write(&path, &bytes[..length]).unwrap();
        assert!(matches!(start(config(), 16), Err(TrainError::MalformedState { .. })), "cut to {length} bytes");
    }
}

#[test]
fn a_run_that_diverges_is_stopped() {
    let mut model = small();
    let error = fit(&mut model, &Trainer::new(TrainingConfig { learning_rate: 1e30, warmup: 0.0, ..config() }).unwrap());
    assert!(matches!(error, Err(TrainError::Diverged { times: 3, .. })), "{error:?}");
    let short = TrainingConfig { learning_rate: 1e30, warmup: 0.0, max_steps: Some(2), ..config() };
    let error = fit(&mut small(), &Trainer::new(short).unwrap());
    let Err(TrainError::Diverged { step: 1, times: 1, sequences }) = error else { panic!("a run that ends in a failed step has failed") };
    assert_eq!(sequences.len(), 4, "each sequence of the batch meets the broken weights");
}

/// A token without a finite embedding.
const POISON: u32 = 20;

/// A decoder that the token `POISON` breaks.
fn fragile() -> Qwen3 {
    let config = Qwen3Config { vocab_size: 21, tie_word_embeddings: false, ..small().config().clone() };
    let mut model = Qwen3::initialize(&config, 5, &Device::flex());
    model.update(Trained::Everything, &mut |name, tensor| match name {
        Qwen3Config::EMBEDDING => {
            let broken = Tensor::full([1, config.hidden_size], f32::INFINITY, &Device::flex());
            tensor.slice_assign([20..21, 0..config.hidden_size], broken)
        }
        _ => tensor,
    });
    model
}

/// Sequences of which the first breaks a fragile decoder.
fn poisoned(sequences: u32) -> Vec<TokenSequence> {
    let mut sequences = counting(sequences);
    sequences[0].ids[5] = POISON;
    sequences
}

#[test]
fn a_step_that_is_not_finite_is_left_out() {
    let (mut model, mut recorder) = (fragile(), Recorder::default());
    let trainer = Trainer::new(TrainingConfig { max_steps: Some(11), ..config() }).unwrap();
    let summary = trainer.fit(&mut model, &poisoned(16), &counting(3), &mut recorder).unwrap();
    assert_eq!((summary.steps, summary.skipped_steps), (11, 2), "one step of each whole epoch");
    let broken = weights(&model).iter().filter(|weight| !weight.is_finite()).count();
    assert_eq!(broken, model.config().hidden_size, "the embedding of the poison and nothing else");
    assert!(summary.validation_loss.unwrap() < 3.0);
}

/// Keeps the reports of steps that are left out.
#[derive(Default)]
struct Skipped(Vec<SkippedStep>);

impl Progress for Skipped {
    fn skipped(&mut self, report: &SkippedStep) {
        self.0.push(report.clone());
    }
}

#[test]
fn a_step_that_is_left_out_is_reported_with_the_sequence_to_blame() {
    let mut sequences = counting(16);
    // Nothing to learn from: it is in no batch, but counts as a place.
    sequences[2].labels.fill(TokenSequence::NO_LOSS);
    sequences[11].ids[5] = POISON;
    let trainer = Trainer::new(TrainingConfig { max_steps: Some(8), ..config() }).unwrap();
    let mut skipped = Skipped::default();
    trainer.fit(&mut fragile(), &sequences, &[], &mut skipped).unwrap();
    let found: Vec<&[usize]> = skipped.0.iter().map(|report| &report.sequences[..]).collect();
    assert_eq!(found, [[11], [11]], "one step of each epoch");
    let (first, second) = (&skipped.0[0], &skipped.0[1]);
    assert!(first.step < 4 && (4..8).contains(&second.step), "steps {} and {}", first.step, second.step);
    assert!(!first.loss.is_finite() && first.parameter.is_some());

    let mut skipped = Skipped::default();
    let error = Trainer::new(config()).unwrap().fit(&mut fragile(), &sequences, &[], &mut skipped).unwrap_err();
    assert!(matches!(&error, TrainError::TooManySkipped { sequences, .. } if sequences[..] == [11]), "{error}");
    assert!(error.to_string().contains("training sequences 11"), "{error}");
    assert_eq!(skipped.0.len(), 4, "the last one is reported too");
}

#[test]
fn too_many_steps_that_are_not_finite_end_a_run_and_leave_the_saved_state() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state.safetensors");
    let trainer = Trainer::new(TrainingConfig { epochs: 5, ..config() }).unwrap().with_state(&path, 1_000);
    let error = trainer.fit(&mut fragile(), &poisoned(16), &[], &mut ()).unwrap_err();
    assert!(matches!(error, TrainError::TooManySkipped { skipped: 4, limit: 3, .. }), "{error}");
    // The state of the end of the epoch before.
    let trainer = Trainer::new(TrainingConfig { epochs: 5, ..config() }).unwrap().with_state(&path, 1_000);
    let mut recorder = Recorder::default();
    assert!(trainer.fit(&mut fragile(), &poisoned(16), &[], &mut recorder).is_err());
    assert!(recorder.0.len() < 5, "it goes on from the last epoch");
}

#[test]
fn impossible_data_is_refused() {
    let trainer = Trainer::new(config()).unwrap();
    let silent = TokenSequence::new(vec![1, 2, 3], vec![-100; 3]);
    let error = trainer.fit(&mut small(), &[silent], &[], &mut ()).unwrap_err();
    assert!(matches!(error, TrainError::NothingToLearn { sequences: 1 }));
    let foreign = TokenSequence::new(vec![1, 20], vec![1, 20]);
    let error = trainer.fit(&mut small(), &[foreign], &[], &mut ()).unwrap_err();
    assert!(matches!(error, TrainError::TokenOutsideVocabulary { token: 20, vocabulary: 20 }));
}

#[derive(Default)]
struct Recorder(Vec<f64>, Vec<EpochReport>, Vec<f64>);

impl Progress for Recorder {
    fn step(&mut self, report: &StepReport) -> Control {
        self.0.push(report.learning_rate);
        self.2.push(report.loss);
        Control::Continue
    }

    fn epoch(&mut self, report: &EpochReport) {
        self.1.push(*report);
    }
}

#[test]
fn every_step_and_every_epoch_is_reported() {
    let mut recorder = Recorder::default();
    Trainer::new(config()).unwrap().fit(&mut small(), &counting(16), &[], &mut recorder).unwrap();
    assert_eq!(recorder.0.len(), 20);
    assert_eq!(recorder.1.len(), 5);
    assert_eq!(recorder.1[4], EpochReport { epoch: 4, validation_loss: None });
}
