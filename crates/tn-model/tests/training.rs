//! Training from scratch and through adapters: it learns, it is reproducible, it resumes, and it fails cleanly.

use burn::tensor::Device;
use tn_model::training::{Control, EpochReport, Progress, StepReport, TrainError, Trainer, TrainingConfig, TrainingSummary};
use tn_model::{AdapterConfig, Qwen3, Qwen3Config, TokenSequence};

/// A decoder small enough for many runs.
fn small() -> Qwen3 {
    let config = Qwen3Config { hidden_size: 32, intermediate_size: 48, num_hidden_layers: 2, head_dim: 16, ..Qwen3Config::tiny(20) };
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
    let mut whole = small();
    let expected = fit(&mut whole, &Trainer::new(config()).unwrap()).unwrap();

    let folder = tempfile::tempdir().unwrap();
    let trainer = Trainer::new(config()).unwrap().with_state(folder.path().join("state.safetensors"), 1_000);
    let mut first = small();
    let stopped = trainer.fit(&mut first, &counting(16), &counting(3), &mut StopAfter(7)).unwrap();
    assert_eq!((stopped.steps, stopped.is_complete()), (7, false));
    let mut second = small();
    let found = fit(&mut second, &trainer).unwrap();
    assert_eq!(weights(&second), weights(&whole));
    assert_eq!(found, expected);
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
    assert!(matches!(error, Err(TrainError::Diverged { step: 1, .. })), "a run that ends in a failed step has failed: {error:?}");
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
struct Recorder(Vec<f64>, Vec<EpochReport>);

impl Progress for Recorder {
    fn step(&mut self, report: &StepReport) -> Control {
        self.0.push(report.learning_rate);
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
