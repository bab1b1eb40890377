//! One server over HTTP: bytes out, JSON in.

use std::io;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde_json::Value;
use ureq::http::{Response, Uri, header};
use ureq::{Agent, Body, Timeout};

use super::completion::Capabilities;
use super::error::{AttemptError, RemoteError, shown};

/// Bytes of an answer at most. The longest cells have some ten thousand.
const ANSWER_LIMIT: u64 = 64 << 20;
/// Servers close idle connections after about 5 seconds; before that they are used again.
const IDLE: Duration = Duration::from_secs(3);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// A server, what it understands, and whether it is to be left alone for a while.
pub(super) struct Endpoint {
    pub(super) understood: Capabilities,
    url: String,
    agent: Agent,
    authorization: Option<String>,
    timeout: Duration,
    health: Mutex<Health>,
}

#[derive(Default)]
struct Health {
    /// Pauses since the last success.
    pauses: u32,
    rests_until: Option<Instant>,
}

/// How a request ended that brought no answer.
#[derive(Debug)]
pub(super) enum CallError {
    /// It makes sense to try again.
    Attempt(AttemptError),
    /// It does not.
    Refused { status: u16, message: String },
}

impl Endpoint {
    /// Prepares connections to a server, of which so many may be open at once.
    pub(super) fn new(url: &str, api_key: Option<&str>, timeout: Duration, connections: usize) -> Result<Self, RemoteError> {
        let invalid = |reason| RemoteError::InvalidUrl { url: without_user(url), reason };
        let base = url.trim().trim_end_matches('/');
        let base = base.strip_suffix("/v1").unwrap_or(base);
        if base.contains('@') {
            return Err(invalid("it names a user; a key is given in the environment"));
        }
        let uri: Uri = base.parse().map_err(|_| invalid("it cannot be read"))?;
        match uri.scheme_str() {
            Some("http") => {}
            Some("https") if cfg!(feature = "remote-tls") => {}
            Some("https") => return Err(invalid("https needs the feature remote-tls")),
            _ => return Err(invalid("it does not begin with http://")),
        }
        let host = uri.host().filter(|host| !host.is_empty()).ok_or_else(|| invalid("it names no host"))?;
        if uri.query().is_some() {
            return Err(invalid("it has a query"));
        }
        let mut config = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .timeout_global(Some(timeout))
            .timeout_connect(Some(timeout.min(CONNECT_TIMEOUT)))
            .max_idle_connections(connections)
            .max_idle_connections_per_host(connections)
            .max_idle_age(IDLE);
        if is_this_machine(host) {
            config = config.proxy(None);
        }
        let authorization = api_key.map(|key| format!("Bearer {key}"));
        Ok(Self {
            understood: Capabilities::default(),
            url: base.to_owned(),
            agent: config.build().into(),
            authorization,
            timeout,
            health: Mutex::default(),
        })
    }

    pub(super) fn url(&self) -> &str {
        &self.url
    }

    pub(super) fn get(&self, path: &str) -> Result<Value, CallError> {
        let mut request = self.agent.get(format!("{}{path}", self.url));
        if let Some(authorization) = &self.authorization {
            request = request.header(header::AUTHORIZATION, authorization);
        }
        self.answer(request.call())
    }

    pub(super) fn post(&self, path: &str, body: &Value) -> Result<Value, CallError> {
        let mut request = self.agent.post(format!("{}{path}", self.url)).header(header::CONTENT_TYPE, "application/json");
        if let Some(authorization) = &self.authorization {
            request = request.header(header::AUTHORIZATION, authorization);
        }
        self.answer(request.send(body.to_string()))
    }

    /// Returns how long the server is still to be left alone.
    pub(super) fn rest(&self) -> Duration {
        let until = self.health().rests_until;
        until.map_or(Duration::ZERO, |until| until.saturating_duration_since(Instant::now()))
    }

    /// Leaves the server alone for as long as `pause` says for the number of pauses before this one.
    ///
    /// Requests that were under way when the server failed all come to tell; only the first one counts.
    pub(super) fn let_rest(&self, pause: impl FnOnce(u32) -> Duration) {
        let mut health = self.health();
        let now = Instant::now();
        if health.rests_until.is_none_or(|until| until <= now) {
            health.rests_until = Some(now + pause(health.pauses));
            health.pauses = health.pauses.saturating_add(1);
        }
    }

    /// Notes that the server works.
    pub(super) fn is_well(&self) {
        self.health().pauses = 0;
    }

    fn health(&self) -> MutexGuard<'_, Health> {
        self.health.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn answer(&self, response: Result<Response<Body>, ureq::Error>) -> Result<Value, CallError> {
        let mut response = response.map_err(|error| CallError::Attempt(self.failure(error)))?;
        let text = response.body_mut().with_config().limit(ANSWER_LIMIT).lossy_utf8(true).read_to_string();
        let status = response.status().as_u16();
        if !(200..300).contains(&status) {
            let message = message(&text.unwrap_or_default());
            return Err(match status {
                408 | 425 | 429 | 500.. => {
                    CallError::Attempt(AttemptError::Status { status, message, retry_after: retry_after(&response) })
                }
                _ => CallError::Refused { status, message },
            });
        }
        let text = text.map_err(|error| CallError::Attempt(self.failure(error)))?;
        let malformed = |error: serde_json::Error| CallError::Attempt(AttemptError::Malformed { reason: error.to_string() });
        serde_json::from_str(&text).map_err(malformed)
    }

    fn failure(&self, error: ureq::Error) -> AttemptError {
        let reason = shown(&error.to_string());
        match error {
            ureq::Error::Timeout(Timeout::Connect | Timeout::Resolve) => AttemptError::Unreachable { reason },
            ureq::Error::Timeout(_) => AttemptError::TimedOut { after: self.timeout },
            ureq::Error::HostNotFound | ureq::Error::ConnectionFailed => AttemptError::Unreachable { reason },
            ureq::Error::Io(error) => match error.kind() {
                io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock => AttemptError::TimedOut { after: self.timeout },
                io::ErrorKind::ConnectionRefused
                | io::ErrorKind::HostUnreachable
                | io::ErrorKind::NetworkUnreachable
                | io::ErrorKind::AddrNotAvailable => AttemptError::Unreachable { reason },
                _ => AttemptError::Disconnected { reason },
            },
            ureq::Error::Protocol(_) | ureq::Error::BodyExceedsLimit(_) => AttemptError::Malformed { reason },
            _ => AttemptError::Disconnected { reason },
        }
    }
}

/// A server on this machine is not behind a proxy.
fn is_this_machine(host: &str) -> bool {
    host == "localhost" || host == "[::1]" || host.starts_with("127.")
}

/// Returns an address as it may be shown: without a user and a password.
fn without_user(url: &str) -> String {
    let Some((before, host)) = url.trim().rsplit_once('@') else { return url.to_owned() };
    let scheme = ["http://", "https://"].into_iter().find(|scheme| before.starts_with(scheme));
    format!("{}…@{host}", scheme.unwrap_or_default())
}

/// Returns the seconds of a `Retry-After` header. A date, its other form, is passed over: clocks differ.
fn retry_after(response: &Response<Body>) -> Option<Duration> {
    let seconds: u32 = response.headers().get(header::RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds.into()))
}

/// Returns what a server says about an error: the message of its JSON, or the beginning of its text.
fn message(text: &str) -> String {
    let json: Option<Value> = serde_json::from_str(text).ok();
    let field = |value: &Value| {
        let places = ["/error/message", "/message", "/detail", "/error"];
        places.into_iter().find_map(|place| value.pointer(place)?.as_str().map(str::to_owned))
    };
    let message = shown(json.as_ref().and_then(field).as_deref().unwrap_or(text));
    if message.is_empty() { "(no message)".to_owned() } else { message }
}

#[cfg(test)]
mod tests {
    use super::super::error::MESSAGE_LIMIT;
    use super::*;

    fn new(url: &str) -> Result<Endpoint, RemoteError> {
        Endpoint::new(url, None, Duration::from_secs(1), 1)
    }

    #[test]
    fn an_address_may_end_in_a_slash_or_in_the_version() {
        for url in ["http://host:8000", "http://host:8000/", "http://host:8000/v1", "http://host:8000/v1/"] {
            assert_eq!(new(url).map(|endpoint| endpoint.url().to_owned()).ok().as_deref(), Some("http://host:8000"), "{url}");
        }
    }

    #[test]
    fn what_is_no_address_is_refused() {
        for url in ["", "host", "host:8000", "ftp://host", "http://", "http://h/?q=1", "http://user:word@h", "http://a b", "é"] {
            assert!(matches!(new(url), Err(RemoteError::InvalidUrl { .. })), "{url}");
        }
        assert_eq!(new("https://host").is_ok(), cfg!(feature = "remote-tls"));
    }

    #[test]
    fn a_password_in_an_address_is_not_shown() {
        for url in ["http://user:word@h", "http://user:wo/rd@h", "http://user:w@rd@h", "user:word@h", " ftp://user:word@h"] {
            let error = new(url).err().map(|error| error.to_string()).unwrap_or_default();
            assert!(error.contains("…@h") && !error.contains("user:") && !error.contains("rd@"), "{error}");
        }
    }

    #[test]
    fn the_message_of_an_error_is_found_and_shortened() {
        assert_eq!(message(r#"{"error": {"message": "too long", "code": 400}}"#), "too long");
        assert_eq!(message(r#"{"object": "error", "message": "no such model"}"#), "no such model");
        assert_eq!(message(r#"{"detail": [1]}"#), r#"{"detail": [1]}"#);
        assert_eq!(message(" "), "(no message)");
        assert_eq!(message("\u{7}"), "(no message)");
        assert_eq!(message(r#"{"detail": "no\u001b[2J memory"}"#), "no[2J memory");
        assert!(message(&"é".repeat(1_000)).len() < MESSAGE_LIMIT + 4);
    }
}
