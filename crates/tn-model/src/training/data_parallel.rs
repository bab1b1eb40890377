//! Training by several workers of one process: threads of the processor, or GPUs.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

use burn::tensor::Device;
use rayon::{ThreadPool, ThreadPoolBuilder};

use super::collective::{Collective, CollectiveError, ThreadGroup};
use super::error::TrainError;
use super::progress::Progress;
use super::trainer::{Trainer, TrainingSummary};
use crate::dataset::TokenSequence;
use crate::qwen3::Qwen3;

impl Trainer {
    /// Trains as [`Trainer::fit`] does, by one worker more than `peers` has devices: the first has the model itself, each of the others a
    /// copy on its device. The processor may be named several times; its threads are then divided among the workers, and a copy takes
    /// memory only for what is trained, and for its activations.
    ///
    /// On processors the weights are those of [`Trainer::fit`], bit by bit. On GPUs the gradients of each worker come to host memory to be
    /// added up, and sums of another number of workers are rounded in another way.
    ///
    /// A worker that fails or panics ends the run on all of them; the error names it.
    ///
    /// ```
    /// use tn_model::training::{Trainer, TrainingConfig};
    /// use tn_model::{Device, Qwen3, Qwen3Config, TokenSequence};
    ///
    /// let sequences: Vec<_> = (0..8).map(|i| TokenSequence::new(vec![i, i + 1, i + 2], vec![-100, i as i32 + 1, i as i32 + 2])).collect();
    /// let trainer = Trainer::new(TrainingConfig { batch: 4, ..TrainingConfig::from_scratch() })?;
    /// let mut alone = Qwen3::initialize(&Qwen3Config::tiny(16), 42, &Device::flex());
    /// let mut shared = alone.clone();
    /// let one = trainer.fit(&mut alone, &sequences, &[], &mut ())?;
    /// let two = trainer.fit_with_peers(&mut shared, &[Device::flex()], &sequences, &[], &mut ())?;
    /// assert_eq!(one, two);
    /// # Ok::<(), tn_model::training::TrainError>(())
    /// ```
    ///
    /// # Errors
    /// As [`Trainer::fit`], when there are more workers than sequences in a batch, and when another worker failed or panicked.
    ///
    /// # Panics
    /// Panics when the threads of the workers cannot be started.
    pub fn fit_with_peers(
        &self,
        model: &mut Qwen3,
        peers: &[Device],
        train: &[TokenSequence],
        validation: &[TokenSequence],
        progress: &mut (dyn Progress + Send),
    ) -> Result<TrainingSummary, TrainError> {
        let copies: Vec<Qwen3> = peers.iter().map(|device| model.on(device, model.precision())).collect();
        let workers = peers.len() + 1;
        let pools: Vec<ThreadPool> = (0..workers).map(|rank| pool(rank, workers)).collect();
        let mut group = ThreadGroup::new(workers).into_iter().zip(&pools);
        let (first, first_pool) = group.next().expect("a group has a first worker");
        let results = std::thread::scope(|scope| {
            let others: Vec<_> = group
                .zip(copies)
                .map(|((worker, pool), mut copy)| {
                    scope.spawn(move || {
                        guarded(&worker, || pool.install(|| self.fit_as_worker(&worker, &mut copy, train, validation, &mut ())))
                    })
                })
                .collect();
            let own = guarded(&first, || first_pool.install(|| self.fit_as_worker(&first, model, train, validation, progress)));
            let others = others.into_iter().map(|thread| thread.join().expect("panics of a worker are caught"));
            std::iter::once(own).chain(others).collect::<Vec<_>>()
        });
        verdict(results)
    }
}

/// Returns the threads of a worker: its part of those that there are, and at least one.
fn pool(rank: usize, workers: usize) -> ThreadPool {
    let threads = rayon::current_num_threads();
    let own = threads / workers + usize::from(rank < threads % workers);
    ThreadPoolBuilder::new().num_threads(own.max(1)).build().expect("threads can be started")
}

/// Runs a worker; a panic becomes an error, and ends the group.
fn guarded(worker: &ThreadGroup, fit: impl FnOnce() -> Result<TrainingSummary, TrainError>) -> Result<TrainingSummary, TrainError> {
    catch_unwind(AssertUnwindSafe(fit)).unwrap_or_else(|panic| {
        let message = message_of(&*panic);
        worker.abort(&format!("it panicked: {message}"));
        Err(TrainError::WorkerPanicked { worker: worker.rank(), message })
    })
}

fn message_of(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "no message".to_owned())
}

/// Returns the result of the run: that of worker 0, or the first error of a worker that failed by itself and not because of another.
fn verdict(results: Vec<Result<TrainingSummary, TrainError>>) -> Result<TrainingSummary, TrainError> {
    let failed_itself = |result: &Result<_, TrainError>| {
        result.as_ref().is_err_and(|error| !matches!(error, TrainError::Workers(CollectiveError::Aborted { .. })))
    };
    let worker = results.iter().position(failed_itself).unwrap_or(0);
    let result = results.into_iter().nth(worker).expect("there is a result of every worker");
    result.map_err(|error| match (worker, error) {
        (0, error) | (_, error @ TrainError::WorkerPanicked { .. }) => error,
        (worker, error) => TrainError::Worker { worker, source: Box::new(error) },
    })
}
