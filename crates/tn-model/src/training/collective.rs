//! How the workers of a data-parallel run add up what each of them has computed.

#[cfg(feature = "data-parallel")]
mod threads;

#[cfg(feature = "data-parallel")]
pub use threads::ThreadGroup;

use std::ops::Range;

use rayon::prelude::*;

/// What stops the workers of a data-parallel run.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CollectiveError {
    /// A worker gave up; the others cannot go on without it.
    #[error("worker {worker} failed: {reason}")]
    Aborted {
        /// The rank of the worker that gave up first.
        worker: usize,
        /// What happened to it.
        reason: String,
    },
    /// The workers add up vectors of different lengths.
    #[error("worker {worker} adds a vector of {found} values where another one has {expected}")]
    Lengths {
        /// The rank of the worker.
        worker: usize,
        /// The length of its vector.
        found: usize,
        /// The length of the first vector.
        expected: usize,
    },
    /// The workers do not train the same model on the same data with the same settings from the same step.
    #[error("worker {worker} has other data, settings or weights than worker 0, or is at another step")]
    OtherRun {
        /// The rank of the worker.
        worker: usize,
    },
    /// The workers are not at the same operation: a mistake of the program.
    #[error("worker {worker} is at another operation than the others")]
    OutOfStep {
        /// The rank of the worker.
        worker: usize,
    },
}

/// A group of workers, as one of them sees it.
///
/// All workers of a group call the same operations in the same order; an operation returns when all of them have called it. The seam for
/// other transports, such as MPI between machines: [`Trainer::fit_as_worker`](super::Trainer::fit_as_worker) needs nothing else.
pub trait Collective: Sync {
    /// Returns the number of this worker, from 0.
    fn rank(&self) -> usize;

    /// Returns the number of workers.
    fn world_size(&self) -> usize;

    /// Returns the sum of the vectors of all workers: `((t0 + t1) + t2) + ...`, over the ranks and, within a rank, over its vectors in
    /// their order. All vectors have the same length; a worker may have none, but not all of them.
    ///
    /// Vectors and not one partial sum of each worker, because the sum is then the same to the last bit however they are divided. A
    /// transport that adds the vectors of each worker first is allowed: its results agree with those of one worker up to rounding.
    ///
    /// # Errors
    /// Returns an error when a worker has given up, or the lengths differ.
    fn all_reduce_sum(&self, vectors: Vec<Vec<f32>>) -> Result<Vec<f32>, CollectiveError>;

    /// Returns the numbers of every worker, in the order of the ranks. Each may give another count of them.
    ///
    /// # Errors
    /// Returns an error when a worker has given up.
    fn all_gather(&self, numbers: Vec<f64>) -> Result<Vec<Vec<f64>>, CollectiveError>;

    /// Ends the group: what the others wait for, and all that they call from now on, is an error with this reason. The first one counts.
    fn abort(&self, reason: &str);
}

/// Returns the part of `items` things that is a worker's: consecutive ones, and as many as the others have, but for one.
pub(super) fn share_of(items: usize, collective: &dyn Collective) -> Range<usize> {
    let bound = |rank: usize| items * rank / collective.world_size();
    bound(collective.rank())..bound(collective.rank() + 1)
}

/// A group of one.
pub(super) struct Alone;

impl Collective for Alone {
    fn rank(&self) -> usize {
        0
    }

    fn world_size(&self) -> usize {
        1
    }

    fn all_reduce_sum(&self, vectors: Vec<Vec<f32>>) -> Result<Vec<f32>, CollectiveError> {
        let parts: Vec<&[f32]> = vectors.iter().map(Vec::as_slice).collect();
        Ok(sum_in_order(&parts))
    }

    fn all_gather(&self, numbers: Vec<f64>) -> Result<Vec<Vec<f64>>, CollectiveError> {
        Ok(vec![numbers])
    }

    fn abort(&self, _: &str) {}
}

/// Values that are added up by one thread at a time.
const BLOCK: usize = 1 << 14;

/// Returns the sum of vectors of one length, from the first to the last; no vectors have no values.
fn sum_in_order(vectors: &[&[f32]]) -> Vec<f32> {
    let Some((first, others)) = vectors.split_first() else { return Vec::new() };
    let mut sum = first.to_vec();
    sum.par_chunks_mut(BLOCK).enumerate().for_each(|(block, sum)| {
        for vector in others {
            sum.iter_mut().zip(&vector[block * BLOCK..]).for_each(|(sum, value)| *sum += value);
        }
    });
    sum
}
