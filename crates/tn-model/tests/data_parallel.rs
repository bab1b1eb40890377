//! Training by several workers: the weights of one, any division, any interruption, and failures that end the run on all of them.

use std::sync::atomic::{AtomicUsize, Ordering};

use burn::tensor::{Device, Tensor};
use proptest::prelude::*;
use tn_model::qwen3::Trained;
use tn_model::training::{
    Collective, CollectiveError, Control, EpochReport, MomentFormat, Progress, SkippedStep, StepReport, ThreadGroup, TrainError, Trainer,
    TrainingConfig, TrainingSummary, visiting_order,
};
use tn_model::{AdapterConfig, Precision, Qwen3, Qwen3Config, TokenSequence, epoch_order};

fn small() -> Qwen3 {
    let config = Qwen3Config { hidden_size: 32, intermediate_size: 48, num_hidden_layers: 2, head_dim: 16, ..Qwen3Config::tiny(20) };
    Qwen3::initialize(&config, 5, &Device::flex())
}

/// So many times the processor.
fn processors(times: usize) -> Vec<Device> {
    vec![Device::flex(); times]
}

fn adapted() -> Qwen3 {
    small().with_new_adapters(&AdapterConfig::new(4, 8.0), 1)
}

/// Sequences that count upwards, of several lengths and weights.
fn counting(sequences: u32) -> Vec<TokenSequence> {
    let sequence = |start: u32| {
        let ids: Vec<u32> = (0..12 + start % 5).map(|i| (start + i) % 20).collect();
        let mut sequence = TokenSequence::new(ids.clone(), ids.iter().map(|&id| id as i32).collect());
        sequence.weights.iter_mut().for_each(|weight| *weight += start as f32 * 0.3);
        sequence
    };
    (0..sequences).map(sequence).collect()
}

fn config(batch: usize) -> TrainingConfig {
    TrainingConfig { epochs: 2, batch, learning_rate: 1e-2, ..TrainingConfig::from_scratch() }
}

/// Keeps what a run reports, but for the times, and stops it after some steps.
#[derive(Debug, Default, PartialEq)]
struct Recorder {
    steps: Vec<StepReport>,
    skipped: Vec<SkippedStep>,
    epochs: Vec<EpochReport>,
    stop_after: Option<u64>,
}

impl Progress for Recorder {
    fn step(&mut self, report: &StepReport) -> Control {
        self.steps.push(StepReport { seconds: 0.0, ..*report });
        if self.stop_after == Some(report.step + 1) { Control::Stop } else { Control::Continue }
    }

    fn skipped(&mut self, report: &SkippedStep) {
        self.skipped.push(report.clone());
    }

    fn epoch(&mut self, report: &EpochReport) {
        self.epochs.push(*report);
    }
}

type Outcome = (Result<TrainingSummary, String>, Vec<u32>, Recorder);

/// Trains with some workers, and returns everything that should not depend on their number: summary, bits of the weights, reports.
fn outcome(trainer: &Trainer, model: &Qwen3, data: &[TokenSequence], workers: usize) -> Outcome {
    let (mut model, mut recorder) = (model.clone(), Recorder::default());
    let validation = counting(5);
    let result = match workers {
        1 => trainer.fit(&mut model, data, &validation, &mut recorder),
        _ => trainer.fit_with_peers(&mut model, &processors(workers - 1), data, &validation, &mut recorder),
    };
    (result.map_err(|error| error.to_string()), bits(&model), recorder)
}

fn bits(model: &Qwen3) -> Vec<u32> {
    model.tensors().into_iter().flat_map(|(_, values)| values).map(f32::to_bits).collect()
}

#[test]
fn two_workers_give_the_weights_and_losses_of_one_with_twice_the_accumulation() {
    for model in [small(), adapted()] {
        // Micro-batches of two: one worker adds up two of them for a step, each of two workers has one.
        let trainer = Trainer::new(config(4)).unwrap().with_micro_batch(2);
        let one = outcome(&trainer, &model, &counting(16), 1);
        assert!(one.0.as_ref().is_ok_and(TrainingSummary::is_complete) && one.1 != bits(&model));
        assert_eq!(one.2.steps.len(), 8);
        assert!(outcome(&trainer, &model, &counting(16), 2) == one);
    }
}

#[test]
fn batches_that_cannot_be_divided_evenly_give_the_same_weights() {
    // Batches of 8 among 3 workers, the last one of the epoch of 2: one worker has nothing to do.
    let trainer = Trainer::new(config(8)).unwrap();
    let one = outcome(&trainer, &adapted(), &counting(18), 1);
    for workers in [2, 3, 5, 8] {
        assert!(outcome(&trainer, &adapted(), &counting(18), workers) == one, "{workers} workers");
    }
}

#[test]
fn moments_in_eight_bits_and_recomputed_blocks_divide_too() {
    let shape = Qwen3Config { hidden_size: 128, intermediate_size: 160, num_hidden_layers: 1, ..Qwen3Config::tiny(40) };
    let model = Qwen3::initialize(&shape, 5, &Device::flex());
    let trainer = Trainer::new(TrainingConfig { moments: MomentFormat::EightBit, recompute: true, ..config(4) }).unwrap();
    assert!(outcome(&trainer, &model, &counting(12), 3) == outcome(&trainer, &model, &counting(12), 1));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, ..ProptestConfig::default() })]

    #[test]
    fn any_division_gives_the_same_bits(
        workers in 2usize..6,
        more in 0usize..4,
        micro_batch in 1usize..5,
        sequences in 1u32..14,
        seed in 0u64..100,
    ) {
        let trainer = Trainer::new(TrainingConfig { seed, ..config(workers + more) }).unwrap();
        let one = outcome(&trainer, &adapted(), &counting(sequences), 1);
        let several = outcome(&trainer.with_micro_batch(micro_batch), &adapted(), &counting(sequences), workers);
        prop_assert!(several == one);
    }
}

#[test]
fn a_run_goes_on_with_another_number_of_workers_to_the_same_weights() {
    let data = counting(16);
    let whole = outcome(&Trainer::new(config(4)).unwrap(), &adapted(), &data, 1);
    for (before, after, steps) in [(1, 2, 3), (2, 1, 4), (3, 2, 5), (2, 4, 1)] {
        let folder = tempfile::tempdir().unwrap();
        let trainer = Trainer::new(config(4)).unwrap().with_state(folder.path().join("state.safetensors"), 1_000);
        let mut recorder = Recorder { stop_after: Some(steps), ..Recorder::default() };
        let peers = processors(before - 1);
        let stopped = trainer.fit_with_peers(&mut adapted(), &peers, &data, &[], &mut recorder).unwrap();
        assert_eq!((stopped.steps, stopped.is_complete()), (steps, false));
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "one state, of the first worker");
        let rest = outcome(&trainer, &adapted(), &data, after);
        assert_eq!(rest.0, whole.0);
        assert!(rest.1 == whole.1, "{before} workers, then {after}");
        assert_eq!(rest.2.steps, whole.2.steps[steps as usize..]);
    }
}

/// A decoder that the token 20 breaks.
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

#[test]
fn what_is_not_finite_is_left_out_by_all_and_blamed_once() {
    let mut data = counting(16);
    data[7].ids[5] = 20;
    let few = Trainer::new(TrainingConfig { max_steps: Some(7), ..config(4) }).unwrap();
    let one = outcome(&few, &fragile(), &data, 1);
    let blamed = |outcome: &Outcome| outcome.2.skipped.iter().map(|report| (report.step, report.sequences.clone())).collect::<Vec<_>>();
    assert!(!blamed(&one).is_empty() && blamed(&one).iter().all(|(_, sequences)| *sequences == [7]));
    for workers in [2, 3] {
        let several = outcome(&few, &fragile(), &data, workers);
        assert_eq!((&several.0, blamed(&several)), (&one.0, blamed(&one)));
        assert!(several.1 == one.1);
    }
    let many = Trainer::new(TrainingConfig { epochs: 9, ..config(4) }).unwrap();
    let error = many.fit_with_peers(&mut fragile(), &processors(2), &data, &[], &mut ()).unwrap_err();
    assert!(matches!(&error, TrainError::TooManySkipped { sequences, .. } if sequences[..] == [7]), "{error}");
}

#[test]
fn more_workers_than_sequences_in_a_batch_are_refused() {
    let error = Trainer::new(config(2)).unwrap().fit_with_peers(&mut small(), &processors(2), &counting(9), &[], &mut ());
    assert!(matches!(error, Err(TrainError::InvalidSetting { name: "workers", value: 3.0, .. })), "{error:?}");
}

#[test]
fn a_state_that_cannot_be_written_ends_the_run_on_all() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("file"), "no folder").unwrap();
    let trainer = Trainer::new(config(4)).unwrap().with_state(folder.path().join("file/state.safetensors"), 1);
    let error = trainer.fit_with_peers(&mut small(), &processors(1), &counting(9), &[], &mut ()).unwrap_err();
    assert!(matches!(error, TrainError::Io { .. }), "{error:?}");
}

/// Panics in the third step.
struct Explosive;

impl Progress for Explosive {
    fn step(&mut self, report: &StepReport) -> Control {
        assert!(report.step < 2, "the third step explodes");
        Control::Continue
    }
}

#[test]
fn a_panic_of_the_first_worker_is_an_error_with_its_message() {
    let error = Trainer::new(config(4)).unwrap().fit_with_peers(&mut small(), &processors(1), &counting(16), &[], &mut Explosive);
    let Err(TrainError::WorkerPanicked { worker: 0, message }) = error else { panic!("{error:?}") };
    assert_eq!(message, "the third step explodes");
}

/// A worker that gives up or panics when it is to add up gradients.
struct Failing {
    group: ThreadGroup,
    rounds: AtomicUsize,
    panics: bool,
}

impl Collective for Failing {
    fn rank(&self) -> usize {
        self.group.rank()
    }

    fn world_size(&self) -> usize {
        self.group.world_size()
    }

    fn all_reduce_sum(&self, vectors: Vec<Vec<f32>>) -> Result<Vec<f32>, CollectiveError> {
        if self.rounds.fetch_add(1, Ordering::Relaxed) == 2 {
            assert!(!self.panics, "a worker without luck");
            return Err(CollectiveError::Lengths { worker: self.rank(), found: 1, expected: 2 });
        }
        self.group.all_reduce_sum(vectors)
    }

    fn all_gather(&self, numbers: Vec<f64>) -> Result<Vec<Vec<f64>>, CollectiveError> {
        self.group.all_gather(numbers)
    }

    fn abort(&self, reason: &str) {
        self.group.abort(reason);
    }
}

/// Runs two workers of which the second fails in the third step; returns their errors.
fn errors_of_a_failure(panics: bool) -> Vec<String> {
    let mut group = ThreadGroup::new(2).into_iter();
    let (first, second) = (group.next().unwrap(), group.next().unwrap());
    let (trainer, data) = (&Trainer::new(config(4)).unwrap(), &counting(16));
    std::thread::scope(|scope| {
        let failing = scope.spawn(move || {
            let failing = Failing { group: second, rounds: AtomicUsize::new(0), panics };
            let fit = || trainer.fit_as_worker(&failing, &mut small(), data, &[], &mut ()).unwrap_err().to_string();
            std::panic::catch_unwind(std::panic::AssertUnwindSafe(fit)).unwrap_or_else(|_| {
                failing.abort("it panicked");
                "panic".to_owned()
            })
        });
        let waiting = trainer.fit_as_worker(&first, &mut small(), data, &[], &mut ()).unwrap_err();
        let reason = std::error::Error::source(&waiting).expect("the other worker's failure").to_string();
        vec![reason, failing.join().unwrap()]
    })
}

#[test]
fn a_worker_that_fails_ends_the_others_with_its_reason() {
    let cause = "the workers cannot go on together";
    let expected = format!("worker 1 failed: {cause}: worker 1 adds a vector of 1 values where another one has 2");
    assert_eq!(errors_of_a_failure(false), [expected.as_str(), cause]);
    assert_eq!(errors_of_a_failure(true), ["worker 1 failed: it panicked", "panic"]);
}

#[test]
fn workers_that_begin_with_other_things_are_refused() {
    let trainer = &Trainer::new(config(4)).unwrap();
    let errors = std::thread::scope(|scope| {
        let threads: Vec<_> = ThreadGroup::new(3)
            .into_iter()
            .map(|worker| {
                scope.spawn(move || {
                    let data = counting(16 + u32::from(worker.rank() == 2));
                    trainer.fit_as_worker(&worker, &mut small(), &data, &[], &mut ()).unwrap_err()
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect::<Vec<_>>()
    });
    let names_it = |error: &TrainError| matches!(error, TrainError::Workers(CollectiveError::OtherRun { worker: 2 }));
    assert!(errors.iter().all(names_it), "{errors:?}");
}

#[test]
fn a_decoder_on_another_device_has_the_same_weights() {
    for model in [small(), adapted()] {
        let moved = model.on(&Device::flex().autodiff(), Precision::F32);
        assert_eq!(moved.device(), Device::flex().autodiff());
        assert_eq!(bits(&moved), bits(&model));
        assert_eq!(moved.trained(), model.trained());
        let loss = |model: &Qwen3| model.loss(&[1, 2, 3], &[Some(2), Some(3), None]);
        assert!((loss(&moved) - loss(&model)).abs() < 1e-5);
    }
}

#[test]
fn the_order_of_the_visits_is_that_of_the_steps() {
    let mut data: Vec<TokenSequence> =
        (3..16).map(|length| TokenSequence::new((0..length).collect(), (0..length as i32).collect())).collect();
    data[4].labels[1..].fill(TokenSequence::NO_LOSS);
    data[6].weights.fill(0.0);
    let (mut model, mut recorder) = (small(), Recorder::default());
    let trainer = Trainer::new(TrainingConfig { seed: 9, ..config(1) }).unwrap();
    trainer.fit(&mut model, &data, &[], &mut recorder).unwrap();
    let visited: Vec<usize> = visiting_order(&data, 9, 2);
    let lengths: Vec<usize> = recorder.steps.iter().map(|step| step.tokens).collect();
    assert_eq!(lengths, visited.iter().map(|&place| data[place].len()).collect::<Vec<_>>());
    assert_eq!(visited.len(), 22);
    assert_eq!(visiting_order(&counting(8), 42, 1), epoch_order(8, 42, 0));
}
