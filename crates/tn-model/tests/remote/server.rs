//! A server with the interface of OpenAI's completions, on a port of this machine, that misbehaves when told to.

// Each test program uses a part of it.
#![allow(dead_code)]

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};

/// The name of the model that is served.
pub(crate) const MODEL: &str = "tissue";
/// What the server can write.
const GENES: [&str; 12] = ["GFAP", "AQP4", "MBP", "PLP1", "GAD1", "SST", "PVALB", "VIP", "CLDN5", "CSF1R", "OLIG2", "SLC17A7"];

/// What the server does with options.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Dialect {
    pub(crate) understands_n: bool,
    pub(crate) understands_top_k: bool,
    pub(crate) understands_min_p: bool,
    pub(crate) understands_ids: bool,
    pub(crate) keeps_stop: bool,
    pub(crate) names_stop: bool,
    /// Refuses what it does not understand, instead of ignoring it.
    pub(crate) is_strict: bool,
}

impl Dialect {
    pub(crate) const FULL: Self = Self {
        understands_n: true,
        understands_top_k: true,
        understands_min_p: true,
        understands_ids: true,
        keeps_stop: true,
        names_stop: true,
        is_strict: false,
    };
}

/// A request to `/v1/completions` that is no probe.
#[derive(Clone, Debug)]
pub(crate) struct Received {
    /// Counts them, from 0.
    pub(crate) number: usize,
    pub(crate) body: Value,
    pub(crate) authorization: Option<String>,
}

/// What becomes of a request.
pub(crate) enum Reply {
    /// As it should be.
    Good,
    /// As it should be, but late.
    Late(Duration),
    /// Another body.
    Body(String),
    /// An error, with headers.
    Status(u16, &'static str, String),
    /// Half of the answer, then nothing.
    Half,
    /// Not a byte.
    Hangup,
}

pub(crate) struct Server {
    address: SocketAddr,
    is_over: Arc<AtomicBool>,
    received: Arc<Mutex<Vec<Received>>>,
}

struct Shared {
    dialect: Dialect,
    behave: Box<dyn Fn(&Received) -> Reply + Send + Sync>,
    received: Arc<Mutex<Vec<Received>>>,
    count: AtomicUsize,
    models: Vec<&'static str>,
}

impl Server {
    /// A server that does all right.
    pub(crate) fn good() -> Self {
        Self::start(|_| Reply::Good)
    }

    /// A server that does with requests, but not with probes, what `behave` says.
    pub(crate) fn start(behave: impl Fn(&Received) -> Reply + Send + Sync + 'static) -> Self {
        Self::with(Dialect::FULL, vec![MODEL], behave)
    }

    pub(crate) fn with(dialect: Dialect, models: Vec<&'static str>, behave: impl Fn(&Received) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("an address");
        let is_over = Arc::new(AtomicBool::new(false));
        let received = Arc::new(Mutex::new(Vec::new()));
        let shared =
            Arc::new(Shared { dialect, behave: Box::new(behave), received: Arc::clone(&received), count: AtomicUsize::new(0), models });
        let over = Arc::clone(&is_over);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                if over.load(Ordering::SeqCst) {
                    break;
                }
                let (shared, over) = (Arc::clone(&shared), Arc::clone(&over));
                std::thread::spawn(move || serve(&stream.expect("a connection"), &shared, &over));
            }
        });
        Self { address, is_over, received }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Returns the requests so far, without probes.
    pub(crate) fn received(&self) -> Vec<Received> {
        self.received.lock().expect("no panic").clone()
    }
}

impl Drop for Server {
    /// Closes the port. Connections that are open answer no further request.
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(self.address);
    }
}

/// Answers the requests of one connection until it ends.
fn serve(stream: &TcpStream, shared: &Shared, is_over: &AtomicBool) {
    let mut reader = BufReader::new(stream);
    while let Some((path, headers, body)) = read_request(&mut reader) {
        if is_over.load(Ordering::SeqCst) || answer(stream, shared, &path, &headers, &body).is_none() {
            let _ = stream.shutdown(std::net::Shutdown::Both);
            return;
        }
    }
}

fn read_request(reader: &mut BufReader<&TcpStream>) -> Option<(String, HashMap<String, String>, Value)> {
    let mut line = String::new();
    reader.read_line(&mut line).ok()?;
    let path = line.split_whitespace().nth(1)?.to_owned();
    let mut headers = HashMap::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let Some((name, value)) = line.trim_end().split_once(": ") else { break };
        headers.insert(name.to_ascii_lowercase(), value.to_owned());
    }
    let length = headers.get("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some((path, headers, serde_json::from_slice(&body).unwrap_or_default()))
}

/// Answers a request; nothing when the connection is to end.
fn answer(stream: &TcpStream, shared: &Shared, path: &str, headers: &HashMap<String, String>, body: &Value) -> Option<()> {
    if path == "/v1/models" {
        let models: Vec<Value> = shared.models.iter().map(|id| json!({ "id": id, "object": "model" })).collect();
        return send(stream, 200, "", &json!({ "object": "list", "data": models }).to_string());
    }
    // Probes ask for 8 tokens, tests for more.
    if body["max_tokens"] == 8 {
        return reply(stream, shared, body, Reply::Good);
    }
    let number = shared.count.fetch_add(1, Ordering::SeqCst);
    let received = Received { number, body: body.clone(), authorization: headers.get("authorization").cloned() };
    shared.received.lock().expect("no panic").push(received.clone());
    reply(stream, shared, body, (shared.behave)(&received))
}

fn reply(stream: &TcpStream, shared: &Shared, body: &Value, reply: Reply) -> Option<()> {
    let good = || complete(body, shared.dialect);
    match reply {
        Reply::Good => {
            let (status, answer) = good();
            send(stream, status, "", &answer.to_string())
        }
        Reply::Late(delay) => {
            std::thread::sleep(delay);
            let (status, answer) = good();
            send(stream, status, "", &answer.to_string())
        }
        Reply::Body(text) => send(stream, 200, "", &text),
        Reply::Status(status, headers, text) => send(stream, status, headers, &text),
        Reply::Half => {
            let text = good().1.to_string();
            write_all(stream, &format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{}", text.len(), &text[..text.len() / 2]));
            None
        }
        Reply::Hangup => None,
    }
}

fn send(stream: &TcpStream, status: u16, headers: &str, text: &str) -> Option<()> {
    write_all(stream, &format!("HTTP/1.1 {status} X\r\n{headers}Content-Length: {}\r\n\r\n{text}", text.len()));
    Some(())
}

/// The other side may have gone.
fn write_all(mut stream: &TcpStream, text: &str) {
    let _ = stream.write_all(text.as_bytes());
}

/// Writes a completion, or refuses to.
fn complete(body: &Value, dialect: Dialect) -> (u16, Value) {
    let unknown = [
        (!dialect.understands_n, "n"),
        (!dialect.understands_top_k, "top_k"),
        (!dialect.understands_min_p, "min_p"),
        (!dialect.keeps_stop, "include_stop_str_in_output"),
    ];
    let refused = unknown.into_iter().find(|(is_unknown, name)| *is_unknown && body.get(name).is_some());
    if let Some((_, name)) = refused.filter(|_| dialect.is_strict) {
        return (400, json!({ "error": { "message": format!("unknown parameter {name}") } }));
    }
    if body["prompt"].is_array() && !dialect.understands_ids {
        return (422, json!({ "detail": "prompt has to be a string" }));
    }
    let count = if dialect.understands_n { body["n"].as_u64().unwrap_or(1) } else { 1 };
    let texts: Vec<(String, &str, Value, usize)> = (0..count).map(|index| write(body, dialect, index)).collect();
    let tokens: usize = texts.iter().map(|(.., tokens)| tokens).sum();
    let choices = texts.into_iter().enumerate().map(|(index, (text, reason, stop, _))| {
        let mut choice = json!({ "index": index, "text": text, "finish_reason": reason });
        if dialect.names_stop {
            choice["stop_reason"] = stop;
        }
        choice
    });
    let choices: Vec<Value> = choices.collect();
    (200, json!({ "object": "text_completion", "choices": choices, "usage": { "completion_tokens": tokens } }))
}

/// Writes one text: genes that depend on the prompt and, unless the options leave one possibility, on the seed.
fn write(body: &Value, dialect: Dialect, index: u64) -> (String, &'static str, Value, usize) {
    let is_greedy = body["temperature"] == 0
        || body["temperature"] == 0.0
        || (dialect.understands_top_k && body["top_k"] == 1)
        || (dialect.understands_min_p && body["min_p"] == 1.0);
    let seed = if is_greedy { 0 } else { body["seed"].as_u64().unwrap_or(0) + index };
    let draw = |rank: u64| {
        let mut hasher = DefaultHasher::new();
        (seed, body["prompt"].to_string(), rank).hash(&mut hasher);
        hasher.finish() as usize
    };
    let genes = (0..20).map(|rank| GENES[draw(rank) % GENES.len()]);
    let length = 3 + draw(20) % 15;
    let words: Vec<&str> = genes.take(length).chain(["</cs>"]).collect();
    let limit = body["max_tokens"].as_u64().unwrap_or(16) as usize;
    let tokens = words.len().min(limit);
    let text: String = words.iter().take(limit).map(|word| format!(" {word}")).collect();
    let stops = body["stop"].as_array().into_iter().flatten().filter_map(Value::as_str);
    let found = stops.filter_map(|stop| Some((text.find(stop)?, stop))).min();
    match found {
        Some((at, stop)) => {
            let is_kept = dialect.keeps_stop && body["include_stop_str_in_output"] == true;
            let end = if is_kept { at + stop.len() } else { at };
            (text[..end].to_owned(), "stop", json!(stop), tokens)
        }
        None => (text, "length", Value::Null, tokens),
    }
}
