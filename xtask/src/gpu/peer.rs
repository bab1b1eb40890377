//! `benches/peers/gpu.py`, which this program carries: torch on the same device, asked for one thing after the other.

use std::cell::RefCell;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

/// The program.
pub(super) const PROGRAM: &str = include_str!("../../../benches/peers/gpu.py");

/// A running peer.
pub(super) struct Peer {
    process: RefCell<Process>,
    versions: Value,
}

struct Process {
    child: Child,
    commands: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Peer {
    /// Starts a peer and asks for its versions.
    pub(super) fn start(python: &Path) -> Result<Self> {
        let process = Process::start(python).with_context(|| format!("cannot start {}", python.display()))?;
        let mut peer = Self { process: RefCell::new(process), versions: Value::Null };
        peer.versions = peer.ask(&json!({"do": "versions"}))?;
        Ok(peer)
    }

    pub(super) fn versions(&self) -> &Value {
        &self.versions
    }

    /// Waits for the answer to a command.
    pub(super) fn ask(&self, command: &Value) -> Result<Value> {
        let answer = self.process.borrow_mut().ask(command)?;
        match answer.get("error").and_then(Value::as_str) {
            Some(error) => bail!("the peer cannot {}: {error}", command["do"].as_str().unwrap_or_default()),
            None => Ok(answer),
        }
    }

    /// Waits for the answer to a command, and returns a number of it.
    pub(super) fn ask_number(&self, command: &Value, name: &str) -> Result<f64> {
        self.ask(command)?[name].as_f64().with_context(|| format!("the peer's answer to {} has no {name}", command["do"]))
    }
}

impl Process {
    fn start(python: &Path) -> Result<Self> {
        let mut command = Command::new(python);
        command.args(["-c", PROGRAM, "serve"]).env("HF_HUB_OFFLINE", "1").env("PYTORCH_CUDA_ALLOC_CONF", "expandable_segments:True");
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let commands = child.stdin.take().context("the peer has no input")?;
        let answers = BufReader::new(child.stdout.take().context("the peer has no output")?);
        Ok(Self { child, commands, answers })
    }

    fn ask(&mut self, command: &Value) -> Result<Value> {
        writeln!(self.commands, "{command}").context("the peer has ended")?;
        self.commands.flush().context("the peer has ended")?;
        let mut line = String::new();
        self.answers.read_line(&mut line)?;
        serde_json::from_str(&line).context("the peer has ended without an answer")
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended before; there is nothing to be done about a process that cannot be ended.
        let _ended = self.child.kill().and_then(|()| self.child.wait());
    }
}
