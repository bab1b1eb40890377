//! Jobs that wait until their tokens fit, and the word to stop.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Samples of one request that are asked for together.
#[derive(Clone, Copy, Debug)]
pub(super) struct Job {
    pub(super) request: usize,
    pub(super) first_sample: u32,
    pub(super) samples: u32,
    /// Tokens that the server may have to hold for it.
    pub(super) tokens: usize,
}

/// Hands out jobs in their order, never more tokens at once than a limit. A job that is larger by itself runs alone.
pub(super) struct Queue {
    state: Mutex<State>,
    changed: Condvar,
    limit: usize,
}

struct State {
    waiting: VecDeque<Job>,
    in_flight: usize,
    is_stopped: bool,
}

impl Queue {
    pub(super) fn new(jobs: impl IntoIterator<Item = Job>, limit: usize) -> Self {
        let state = State { waiting: jobs.into_iter().collect(), in_flight: 0, is_stopped: false };
        Self { state: Mutex::new(state), changed: Condvar::new(), limit }
    }

    /// Waits for the next job; there is none when all are taken or the run is stopped. Its tokens are free again when it is dropped.
    pub(super) fn take(&self) -> Option<Taken<'_>> {
        let mut state = self.lock();
        loop {
            let next = *state.waiting.front().filter(|_| !state.is_stopped)?;
            if state.in_flight == 0 || state.in_flight.saturating_add(next.tokens) <= self.limit {
                state.waiting.pop_front();
                state.in_flight = state.in_flight.saturating_add(next.tokens);
                return Some(Taken { job: next, queue: self });
            }
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Lets no further job begin and ends all pauses.
    pub(super) fn stop(&self) {
        self.lock().is_stopped = true;
        self.changed.notify_all();
    }

    /// Waits for a while, and returns whether the run goes on.
    pub(super) fn pause(&self, duration: Duration) -> bool {
        let end = Instant::now() + duration;
        let mut state = self.lock();
        loop {
            let left = end.saturating_duration_since(Instant::now());
            if state.is_stopped || left.is_zero() {
                return !state.is_stopped;
            }
            state = self.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A job under way.
pub(super) struct Taken<'q> {
    pub(super) job: Job,
    queue: &'q Queue,
}

impl Drop for Taken<'_> {
    fn drop(&mut self) {
        self.queue.lock().in_flight -= self.job.tokens;
        self.queue.changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job(request: usize, tokens: usize) -> Job {
        Job { request, first_sample: 0, samples: 1, tokens }
    }

    #[test]
    fn jobs_keep_their_order_and_their_limit() {
        let queue = Queue::new([job(0, 60), job(1, 60), job(2, 200), job(3, 1)], 100);
        let first = queue.take().unwrap();
        std::thread::scope(|scope| {
            let second = scope.spawn(|| queue.take().unwrap());
            assert!(queue.pause(Duration::from_millis(20)));
            assert!(!second.is_finished(), "120 tokens are more than 100");
            drop(first);
            assert_eq!(second.join().unwrap().job.request, 1);
        });
        assert_eq!(queue.take().unwrap().job.request, 2);
        assert_eq!(queue.take().unwrap().job.request, 3);
        assert!(queue.take().is_none());
    }

    #[test]
    fn a_stop_ends_waiting() {
        let queue = Queue::new([job(0, 60), job(1, 60)], 100);
        let _running = queue.take();
        let start = Instant::now();
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| queue.take().is_none());
            let pausing = scope.spawn(|| queue.pause(Duration::from_secs(60)));
            queue.stop();
            assert!(waiting.join().unwrap() && !pausing.join().unwrap());
        });
        assert!(start.elapsed() < Duration::from_secs(10));
    }
}
