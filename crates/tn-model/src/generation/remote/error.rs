//! What can go wrong between here and a server.

use std::time::Duration;

/// Bytes of a server's words that errors repeat.
pub(super) const MESSAGE_LIMIT: usize = 300;
/// Names of models that errors repeat.
const NAMES_SHOWN: usize = 10;

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
        /// The address, without a user and a password.
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
    #[error("{endpoint} does not serve the model {:?}; it serves {}", shown(model), list(served))]
    ModelNotServed {
        /// The server.
        endpoint: String,
        /// The model wanted.
        model: String,
        /// Its models.
        served: Vec<String>,
    },
    /// No model was named, and the server has none or several.
    #[error("{endpoint} serves {} models, of which one has to be named: {}", served.len(), list(served))]
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

/// Returns whether a character changes the terminal instead of being seen, or the direction of what follows it.
pub(super) fn is_control(character: char) -> bool {
    character.is_control() || matches!(character, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Returns what a server says as it may be shown: without control characters, and only its beginning.
pub(super) fn shown(text: &str) -> String {
    let visible = text.trim().chars().filter_map(|character| match character {
        '\n' | '\r' | '\t' => Some(' '),
        character if is_control(character) => None,
        character => Some(character),
    });
    let mut shown = String::new();
    for character in visible {
        if shown.len() + character.len_utf8() > MESSAGE_LIMIT {
            shown.push('…');
            break;
        }
        shown.push(character);
    }
    shown
}

/// Returns the first names, and how many more there are.
fn list(names: &[String]) -> String {
    let mut list = names.iter().take(NAMES_SHOWN).map(|name| shown(name)).collect::<Vec<_>>().join(", ");
    if names.len() > NAMES_SHOWN {
        list.push_str(&format!(", and {} more", names.len() - NAMES_SHOWN));
    }
    list
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_server_says_is_shown_without_control_characters() {
        assert_eq!(shown(" out\n\tof \u{1b}[2Jmemory\u{7}\u{9b}\u{202e} "), "out  of [2Jmemory");
        assert_eq!(shown("\0"), "");
        assert_eq!(shown(&"a".repeat(MESSAGE_LIMIT)), "a".repeat(MESSAGE_LIMIT));
        assert_eq!(shown(&"a".repeat(MESSAGE_LIMIT + 1)), format!("{}…", "a".repeat(MESSAGE_LIMIT)));
    }

    #[test]
    fn of_many_models_ten_are_named() {
        let served: Vec<String> = (0..12).map(|number| format!("m{number}")).collect();
        let message = RemoteError::ModelNotNamed { endpoint: "http://h".to_owned(), served }.to_string();
        assert!(message.contains("serves 12 models") && message.ends_with("m8, m9, and 2 more"), "{message}");
    }
}
