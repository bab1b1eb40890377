//! `benches/peers/model.py`: the other side, a process that answers one command after the other.

use std::cell::RefCell;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use crate::workspace::root;

const PROGRAM: &str = "benches/peers/model.py";
const PACKAGES: &str = "torch==2.15.0 transformers==5.24.0 peft==0.21.2";

/// A running peer.
pub(super) struct Peer {
    python: PathBuf,
    threads: usize,
    process: RefCell<Process>,
    versions: Value,
}

struct Process {
    child: Child,
    commands: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Peer {
    /// Starts a peer and asks for the versions of its packages.
    pub(super) fn start(python: &Path, threads: usize) -> Result<Self> {
        let help = || format!("{} cannot run {PROGRAM}; it needs: pip install {PACKAGES}", python.display());
        let process = RefCell::new(Process::start(python, threads).with_context(help)?);
        let mut peer = Self { python: python.to_owned(), threads, process, versions: Value::Null };
        peer.versions = peer.ask(&json!({"do": "versions"})).with_context(help)?;
        Ok(peer)
    }

    /// Starts another process of the same kind, which is asked for nothing yet.
    pub(super) fn another(&self) -> Result<Self> {
        let process = RefCell::new(Process::start(&self.python, self.threads)?);
        Ok(Self { python: self.python.clone(), threads: self.threads, process, versions: self.versions.clone() })
    }

    /// Returns the versions of Python and of the packages.
    pub(super) fn versions(&self) -> &Value {
        &self.versions
    }

    /// Waits for the answer to a command.
    pub(super) fn ask(&self, command: &Value) -> Result<Value> {
        let answer = self.process.borrow_mut().ask(command)?;
        match answer.get("error").and_then(Value::as_str) {
            Some(error) => bail!("the peer cannot {}: {error}", command["do"]),
            None => Ok(answer),
        }
    }

    /// Waits for the answer to a command, and returns a number of it.
    pub(super) fn ask_number(&self, command: &Value, name: &str) -> Result<f64> {
        let answer = self.ask(command)?;
        answer[name].as_f64().with_context(|| format!("the peer's answer to {} has no {name}", command["do"]))
    }
}

impl Process {
    fn start(python: &Path, threads: usize) -> Result<Self> {
        let mut command = Command::new(python);
        command.arg(root().join(PROGRAM)).args(["--threads", &threads.to_string()]).env("OMP_NUM_THREADS", threads.to_string());
        command.env("HF_HUB_OFFLINE", "1");
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
