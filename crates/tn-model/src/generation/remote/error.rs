//! What can go wrong between here and a server.

use std::time::Duration;

/// Why a server could not be used, or did not continue a prompt.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RemoteError {
    /// No server was named.
    #[error("no server is named")]
    NoEndpoint,
    /// The address of a server cannot be used.
    #[error("{url:?} is not the address of a server: {reason}")]
    InvalidUrl {
        /// The address.
        url: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// An option lies outside its range.
    #[error("{name} is {value}, but has to be {expected}")]
    InvalidOption {
        /// The option.
        name: &'static str,
        /// Its value.
        value: String,
        /// Its range.
        expected: &'static str,
    },
    /// The server has other models.
    #[error("{endpoint} does not serve the model {model:?}; it serves {}", served.join(", "))]
    ModelNotServed {
        /// The server.
        endpoint: String,
        /// The model wanted.
        model: String,
        /// Its models.
        served: Vec<String>,
    },
    /// No model was named, and the server has none or several.
    #[error("{endpoint} serves {} models, of which one has to be named: {}", served.len(), served.join(", "))]
    ModelNotNamed {
        /// The server.
        endpoint: String,
        /// Its models.
        served: Vec<String>,
    },
    /// A request needs an option that the server does not understand.
    #[error("{endpoint} does not understand the option {option}, which this request needs")]
    Unsupported {
        /// The server.
        endpoint: String,
        /// The option.
        option: &'static str,
    },
    /// The server refused a request; repeating it would not help.
    #[error("{endpoint} refused the request with status {status}: {message}")]
    Refused {
        /// The server.
        endpoint: String,
        /// The status of HTTP.
        status: u16,
        /// What the server says.
        message: String,
    },
    /// Every attempt failed.
    #[error("{endpoint} failed in the last of {attempts} attempts")]
    Failed {
        /// The server of the last attempt.
        endpoint: String,
        /// Attempts made, at all servers.
        attempts: u32,
        /// How the last one failed.
        source: AttemptError,
    },
}

impl RemoteError {
    /// Returns whether the server refused this one prompt, for example as too long, so that others may succeed.
    #[must_use]
    pub fn is_about_prompt(&self) -> bool {
        matches!(self, Self::Refused { status: 400 | 413 | 422, .. })
    }
}

/// Why one attempt failed. Another one may succeed.
#[derive(Clone, Debug, thiserror::Error, PartialEq)]
#[non_exhaustive]
pub enum AttemptError {
    /// There is no connection.
    #[error("cannot connect: {reason}")]
    Unreachable {
        /// What the system says.
        reason: String,
    },
    /// The connection ended before the answer did.
    #[error("the connection broke: {reason}")]
    Disconnected {
        /// What the system says.
        reason: String,
    },
    /// There was no whole answer in time.
    #[error("no answer within {} s", after.as_secs_f64())]
    TimedOut {
        /// The limit.
        after: Duration,
    },
    /// The server is busy or in trouble.
    #[error("status {status}: {message}")]
    Status {
        /// The status of HTTP.
        status: u16,
        /// What the server says.
        message: String,
        /// How long it asks to wait.
        retry_after: Option<Duration>,
    },
    /// The answer is not what the interface promises.
    #[error("the answer cannot be used: {reason}")]
    Malformed {
        /// What is wrong with it.
        reason: String,
    },
    /// The answer holds another number of continuations than were asked for.
    #[error("expected {expected} continuations, found {found}")]
    Choices {
        /// As many were asked for.
        expected: u32,
        /// As many came.
        found: usize,
    },
}

impl AttemptError {
    /// Returns whether any other request to the same server would fail now, too.
    pub(super) fn concerns_server(&self) -> bool {
        matches!(self, Self::Unreachable { .. } | Self::Status { status: 429 | 502 | 503 | 504, .. })
    }

    pub(super) fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Status { retry_after, .. } => *retry_after,
            _ => None,
        }
    }
}
