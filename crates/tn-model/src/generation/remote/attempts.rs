//! Trying again: at another server at once, at the same one after a pause.

use std::time::Duration;

use tn_sentence::draw;

use super::RemoteOptions;
use super::endpoint::{CallError, Endpoint};
use super::error::RemoteError;

/// Servers, and how patient one is with them.
pub(super) struct Attempts<'a> {
    pub(super) endpoints: &'a [Endpoint],
    pub(super) options: &'a RemoteOptions,
    /// Waits, and returns whether the run goes on.
    pub(super) pause: &'a dyn Fn(Duration) -> bool,
}

impl Attempts<'_> {
    /// Calls a server until one answers; nothing when the run is stopped before. `key` chooses the first server and the lengths of pauses.
    pub(super) fn run<T>(&self, key: Key, call: impl Fn(&Endpoint) -> Result<T, CallError>) -> Option<Result<T, RemoteError>> {
        let servers = self.endpoints.len() as u32;
        let mut attempt = 0;
        loop {
            let endpoint = self.choose(key.server + attempt as usize);
            if !(self.pause)(endpoint.rest()) {
                return None;
            }
            let source = match call(endpoint) {
                Ok(answer) => {
                    endpoint.is_well();
                    return Some(Ok(answer));
                }
                Err(CallError::Refused { status, message }) => {
                    return Some(Err(RemoteError::Refused { endpoint: endpoint.url().to_owned(), status, message }));
                }
                Err(CallError::Attempt(source)) => source,
            };
            attempt += 1;
            tracing::debug!("attempt {attempt} of {} at {}: {source}", self.options.attempts, endpoint.url());
            if attempt >= self.options.attempts {
                return Some(Err(RemoteError::Failed { endpoint: endpoint.url().to_owned(), attempts: attempt, source }));
            }
            let jitter = draw(key.seed, attempt.into());
            if source.concerns_server() {
                endpoint.let_rest(|pauses| match source.retry_after() {
                    Some(asked) => asked.min(self.options.timeout),
                    None => self.backoff(pauses, jitter),
                });
            } else if attempt.is_multiple_of(servers) && !(self.pause)(self.backoff(attempt / servers - 1, jitter)) {
                return None;
            }
        }
    }

    /// Returns the first server, counted from a place, that may be asked at once; else the one that may be asked soonest.
    fn choose(&self, first: usize) -> &Endpoint {
        let count = self.endpoints.len();
        let rotated = || (0..count).map(|offset| &self.endpoints[(first + offset) % count]);
        let soonest = rotated().min_by_key(|endpoint| endpoint.rest());
        soonest.expect("a generator has a server")
    }

    /// Returns the first pause, doubled with each round, up to the longest one; of that, half to all.
    fn backoff(&self, round: u32, jitter: u64) -> Duration {
        let doubled = self.options.backoff.saturating_mul(1u32.checked_shl(round).unwrap_or(u32::MAX));
        let share = (jitter >> 11) as f64 / (1u64 << 53) as f64;
        doubled.min(self.options.max_backoff).mul_f64(0.5 + 0.5 * share)
    }
}

/// What is peculiar to a request.
#[derive(Clone, Copy)]
pub(super) struct Key {
    /// Chooses the first server.
    pub(super) server: usize,
    /// Seed of the lengths of pauses.
    pub(super) seed: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_a_limit_and_are_drawn_from_the_seed() {
        let options = RemoteOptions {
            backoff: Duration::from_millis(100),
            max_backoff: Duration::from_millis(500),
            ..RemoteOptions::new(["http://h"])
        };
        let attempts = Attempts { endpoints: &[], options: &options, pause: &|_| true };
        let most = |round| attempts.backoff(round, u64::MAX).as_millis();
        assert_eq!([most(0), most(1), most(2), most(3), most(99)], [100, 200, 400, 500, 500]);
        assert_eq!(attempts.backoff(0, 0).as_millis(), 50);
    }
}
