//! Which servers are asked, and how patiently.

use std::fmt;
use std::time::Duration;

use super::error::RemoteError;

/// Which servers are asked, for which model, and how patiently.
#[derive(Clone, PartialEq)]
pub struct RemoteOptions {
    /// Addresses such as `http://localhost:8000`. All have to serve the same model.
    pub endpoints: Vec<String>,
    /// The name under which the model is served; of a LoRA adapter, the adapter's name. None takes the only model there is.
    pub model: Option<String>,
    /// The key to the servers, if they want one. None takes it from the environment. It is not shown when the options are printed.
    pub api_key: Option<String>,
    /// The environment variable that holds the key to the servers where `api_key` does not.
    pub api_key_variable: String,
    /// Tokens, prompt and longest answer, of all requests under way at once. A request that is larger by itself runs alone.
    pub tokens_in_flight: usize,
    /// Time for one attempt, from the connection to the last byte, waiting at the server included.
    pub timeout: Duration,
    /// Attempts for a request, over all servers.
    pub attempts: u32,
    /// The first pause before another attempt at the same server. It doubles each time; a seeded share of up to a half is taken off.
    pub backoff: Duration,
    /// The longest pause, unless a server asks for a longer one, which is granted up to `timeout`.
    pub max_backoff: Duration,
    /// How the samples of a prompt are asked for.
    pub samples: SampleRequests,
}

/// How the samples of a prompt are asked for.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum SampleRequests {
    /// Each by itself, with its own seed. A server that caches prefixes, as vLLM and SGLang do, reads the prompt once nevertheless.
    #[default]
    Separate,
    /// All in one request by the option `n`, with the seed of the first one: how the others are seeded is up to the server.
    Together,
}

impl RemoteOptions {
    /// The longest time that an option may name.
    const DAY: Duration = Duration::from_secs(24 * 60 * 60);

    /// Asks these servers: 250,000 tokens in flight, 5 minutes and 8 attempts for a request, pauses from half a second to 30 seconds, and
    /// the key, if any, in the variable `TISSUENARRATOR_API_KEY`.
    pub fn new<U: Into<String>>(endpoints: impl IntoIterator<Item = U>) -> Self {
        Self {
            endpoints: endpoints.into_iter().map(Into::into).collect(),
            model: None,
            api_key: None,
            api_key_variable: "TISSUENARRATOR_API_KEY".to_owned(),
            tokens_in_flight: 250_000,
            timeout: Duration::from_secs(300),
            attempts: 8,
            backoff: Duration::from_millis(500),
            max_backoff: Duration::from_secs(30),
            samples: SampleRequests::default(),
        }
    }

    /// Checks the ranges.
    ///
    /// # Errors
    /// An error names the first option that lies outside its range.
    pub fn validate(&self) -> Result<(), RemoteError> {
        if self.endpoints.is_empty() {
            return Err(RemoteError::NoEndpoint);
        }
        let invalid = |name, value, expected| Err(RemoteError::InvalidOption { name, value, expected });
        if self.timeout.is_zero() || self.timeout > Self::DAY {
            return invalid("timeout", format!("{} s", self.timeout.as_secs_f64()), "above 0 and at most a day");
        }
        if self.backoff > Self::DAY || self.max_backoff > Self::DAY {
            return invalid("backoff", format!("{} s", self.backoff.max(self.max_backoff).as_secs_f64()), "at most a day");
        }
        if self.attempts == 0 {
            return invalid("attempts", "0".to_owned(), "at least 1");
        }
        if self.tokens_in_flight == 0 {
            return invalid("tokens in flight", "0".to_owned(), "at least 1");
        }
        Ok(())
    }

    /// Returns the key to the servers, if there is one.
    pub(super) fn key(&self) -> Option<String> {
        let key = self.api_key.clone().or_else(|| std::env::var(&self.api_key_variable).ok());
        key.map(|key| key.trim().to_owned()).filter(|key| !key.is_empty())
    }
}

impl fmt::Debug for RemoteOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RemoteOptions")
            .field("endpoints", &self.endpoints)
            .field("model", &self.model)
            .field("api_key", &self.api_key.as_ref().map(|_| "…"))
            .field("api_key_variable", &self.api_key_variable)
            .field("tokens_in_flight", &self.tokens_in_flight)
            .field("timeout", &self.timeout)
            .field("attempts", &self.attempts)
            .field("backoff", &self.backoff)
            .field("max_backoff", &self.max_backoff)
            .field("samples", &self.samples)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_outside_their_range_are_named() {
        let check = |options: RemoteOptions, name: &str| {
            assert!(options.validate().unwrap_err().to_string().starts_with(name), "{options:?}");
        };
        let good = || RemoteOptions::new(["http://localhost:8000"]);
        assert!(good().validate().is_ok());
        check(RemoteOptions { timeout: Duration::ZERO, ..good() }, "timeout");
        check(RemoteOptions { timeout: Duration::MAX, ..good() }, "timeout");
        check(RemoteOptions { max_backoff: Duration::MAX, ..good() }, "backoff");
        check(RemoteOptions { attempts: 0, ..good() }, "attempts");
        check(RemoteOptions { tokens_in_flight: 0, ..good() }, "tokens in flight");
        check(RemoteOptions::new([""; 0]), "no server");
    }

    #[test]
    fn the_key_is_not_printed() {
        let options = RemoteOptions { api_key: Some(" secret\n".to_owned()), ..RemoteOptions::new(["http://localhost:8000"]) };
        assert_eq!(options.key().as_deref(), Some("secret"));
        let printed = format!("{options:?}");
        assert!(!printed.contains("secret") && printed.contains("http://localhost:8000"), "{printed}");
    }
}
