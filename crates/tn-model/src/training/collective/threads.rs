//! Workers that are threads of one process.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use super::{Collective, CollectiveError, sum_in_order};

/// A worker of a group of threads, which hand each other their vectors through shared memory.
///
/// Sums are those of one worker to the last bit: each worker adds up a range of the values, over the vectors of all in their order, and
/// the ranges are put together. It serves processors, and the GPUs of one machine, whose gradients come to host memory first.
///
/// ```
/// use tn_model::training::{Collective, ThreadGroup};
///
/// let sums = std::thread::scope(|scope| {
///     let workers: Vec<_> = ThreadGroup::new(2)
///         .into_iter()
///         .map(|worker| scope.spawn(move || worker.all_reduce_sum(vec![vec![worker.rank() as f32, 1.0]])))
///         .collect();
///     workers.into_iter().map(|worker| worker.join().expect("no worker panics")).collect::<Vec<_>>()
/// });
/// assert!(sums.iter().all(|sum| sum.as_deref() == Ok(&[1.0, 2.0])));
/// ```
#[derive(Debug)]
pub struct ThreadGroup {
    rank: usize,
    table: Arc<Table>,
}

/// What a worker lays on the table.
#[derive(Debug)]
enum Share {
    Vectors(Vec<Vec<f32>>),
    Range(Vec<f32>),
    Numbers(Vec<f64>),
}

/// Where the workers meet. A round begins when everybody has taken what was there in the round before.
#[derive(Debug)]
struct Table {
    round: Mutex<Round>,
    changed: Condvar,
}

#[derive(Debug)]
struct Round {
    shares: Vec<Option<Arc<Share>>>,
    /// Workers that have taken the shares of this round.
    taken: usize,
    failure: Option<CollectiveError>,
}

impl ThreadGroup {
    /// Returns the workers of a group, in the order of their ranks: one for each thread.
    ///
    /// # Panics
    /// Panics when there is none.
    #[must_use]
    pub fn new(workers: usize) -> Vec<Self> {
        assert!(workers > 0, "a group has a worker");
        let round = Round { shares: vec![None; workers], taken: 0, failure: None };
        let table = Arc::new(Table { round: Mutex::new(round), changed: Condvar::new() });
        (0..workers).map(|rank| Self { rank, table: Arc::clone(&table) }).collect()
    }

    /// Lays a share on the table and returns those of all workers.
    fn exchange(&self, share: Share) -> Result<Vec<Arc<Share>>, CollectiveError> {
        let mut round = self.wait_while(self.table.lock(), |round| round.shares[self.rank].is_some());
        if let Some(failure) = &round.failure {
            return Err(failure.clone());
        }
        round.shares[self.rank] = Some(Arc::new(share));
        self.table.changed.notify_all();
        let is_incomplete = |round: &Round| round.shares.iter().any(Option::is_none);
        let mut round = self.wait_while(round, is_incomplete);
        // Whoever gave up after it had laid down its share leaves this round whole.
        if let (true, Some(failure)) = (is_incomplete(&round), &round.failure) {
            return Err(failure.clone());
        }
        let shares = round.shares.iter().flatten().cloned().collect();
        round.taken += 1;
        if round.taken == round.shares.len() {
            round.taken = 0;
            round.shares.fill(None);
            self.table.changed.notify_all();
        }
        Ok(shares)
    }

    /// Waits as long as something holds and nobody has failed.
    fn wait_while<'t>(&'t self, round: MutexGuard<'t, Round>, holds: impl Fn(&Round) -> bool) -> MutexGuard<'t, Round> {
        let waits = |round: &mut Round| round.failure.is_none() && holds(round);
        self.table.changed.wait_while(round, waits).unwrap_or_else(PoisonError::into_inner)
    }
}

impl Table {
    /// No worker panics while it holds the lock, so what is behind it is whole.
    fn lock(&self) -> MutexGuard<'_, Round> {
        self.round.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Collective for ThreadGroup {
    fn rank(&self) -> usize {
        self.rank
    }

    fn world_size(&self) -> usize {
        self.table.lock().shares.len()
    }

    fn all_reduce_sum(&self, vectors: Vec<Vec<f32>>) -> Result<Vec<f32>, CollectiveError> {
        let shares = self.exchange(Share::Vectors(vectors))?;
        let range = sum_of_range(&vectors_of(&shares)?, self.rank, shares.len());
        drop(shares);
        let ranges = self.exchange(Share::Range(range))?;
        let mut sum = Vec::new();
        for (worker, range) in ranges.iter().enumerate() {
            let Share::Range(range) = &**range else { return Err(CollectiveError::OutOfStep { worker }) };
            sum.extend_from_slice(range);
        }
        Ok(sum)
    }

    fn all_gather(&self, numbers: Vec<f64>) -> Result<Vec<Vec<f64>>, CollectiveError> {
        let shares = self.exchange(Share::Numbers(numbers))?;
        let numbers = |(worker, share): (usize, &Arc<Share>)| match &**share {
            Share::Numbers(numbers) => Ok(numbers.clone()),
            _ => Err(CollectiveError::OutOfStep { worker }),
        };
        shares.iter().enumerate().map(numbers).collect()
    }

    fn abort(&self, reason: &str) {
        let failure = CollectiveError::Aborted { worker: self.rank, reason: reason.to_owned() };
        self.table.lock().failure.get_or_insert(failure);
        self.table.changed.notify_all();
    }
}

/// Adds up the range of the values that is a worker's.
fn sum_of_range(vectors: &[&[f32]], rank: usize, workers: usize) -> Vec<f32> {
    let length = vectors.first().map_or(0, |vector| vector.len());
    let range = length * rank / workers..length * (rank + 1) / workers;
    let parts: Vec<&[f32]> = vectors.iter().map(|vector| &vector[range.clone()]).collect();
    sum_in_order(&parts)
}

/// Returns the vectors of all workers, which have one length.
fn vectors_of(shares: &[Arc<Share>]) -> Result<Vec<&[f32]>, CollectiveError> {
    let mut all: Vec<&[f32]> = Vec::new();
    for (worker, share) in shares.iter().enumerate() {
        let Share::Vectors(vectors) = &**share else { return Err(CollectiveError::OutOfStep { worker }) };
        for vector in vectors {
            let expected = all.first().map_or(vector.len(), |first| first.len());
            if vector.len() != expected {
                return Err(CollectiveError::Lengths { worker, found: vector.len(), expected });
            }
            all.push(vector);
        }
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs a program on every worker of a group, each on its thread.
    fn on_each<T: Send>(workers: usize, program: impl Fn(ThreadGroup) -> T + Sync) -> Vec<T> {
        let program = &program;
        std::thread::scope(|scope| {
            let threads: Vec<_> = ThreadGroup::new(workers).into_iter().map(|worker| scope.spawn(move || program(worker))).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        })
    }

    /// Vectors whose sum depends on its order.
    fn vectors() -> Vec<Vec<f32>> {
        let factors = [1e8, 1.0, -1e8, 3.0, 1e-3, 7.5, -2.0];
        factors.map(|factor: f32| (0..11).map(|j| (1.0 + j as f32) * factor).collect()).to_vec()
    }

    #[test]
    fn any_division_of_the_vectors_has_the_sum_of_one_worker() {
        let all = vectors();
        let expected = super::super::Alone.all_reduce_sum(all.clone()).unwrap();
        let by_hand: f32 = all.iter().skip(1).fold(all[0][3], |sum, vector| sum + vector[3]);
        assert_eq!(expected[3].to_bits(), by_hand.to_bits());
        let backwards = all.iter().map(|vector| vector[3]).rev().fold(0.0, |sum: f32, value| sum + value);
        assert_ne!(expected[3].to_bits(), backwards.to_bits(), "the order of these sums shows");
        for workers in 1..10 {
            let bound = |rank: usize| all.len() * rank / workers;
            let sums = on_each(workers, |worker| worker.all_reduce_sum(all[bound(worker.rank())..bound(worker.rank() + 1)].to_vec()));
            assert!(sums.iter().all(|sum| sum.as_ref() == Ok(&expected)), "{workers} workers");
        }
    }

    #[test]
    fn rounds_follow_each_other_in_step() {
        let found = on_each(3, |worker| {
            (0..200).map(|round| worker.all_gather(vec![f64::from(round); worker.rank()]).unwrap()).collect::<Vec<_>>()
        });
        for rounds in found {
            for (round, numbers) in rounds.iter().enumerate() {
                assert_eq!(*numbers, [vec![], vec![round as f64], vec![round as f64; 2]]);
            }
        }
    }

    #[test]
    fn a_worker_that_gives_up_frees_the_others() {
        let found = on_each(3, |worker| {
            if worker.rank() == 1 {
                worker.abort("it is tired");
            }
            worker.all_reduce_sum(vec![vec![1.0]])
        });
        let expected = Err(CollectiveError::Aborted { worker: 1, reason: "it is tired".to_owned() });
        assert_eq!(found, vec![expected; 3]);
    }

    #[test]
    fn vectors_of_other_lengths_and_other_operations_are_named() {
        let found = on_each(2, |worker| worker.all_reduce_sum(vec![vec![1.0; 2 + worker.rank()]]));
        assert_eq!(found, vec![Err(CollectiveError::Lengths { worker: 1, found: 3, expected: 2 }); 2]);
        let found = on_each(2, |worker| match worker.rank() {
            0 => worker.all_reduce_sum(vec![vec![1.0]]).map(drop),
            _ => worker.all_gather(vec![1.0]).map(drop),
        });
        assert_eq!(found, [Err(CollectiveError::OutOfStep { worker: 1 }), Err(CollectiveError::OutOfStep { worker: 0 })]);
    }
}
