//! The other side of a comparison: a program that answers commands, each a line of JSON, one after the other.

use std::cell::RefCell;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::rc::Rc;

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use crate::workspace::root;

/// A running peer.
pub(crate) struct Peer {
    command: Rc<dyn Fn() -> Command>,
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
    pub(crate) fn start(command: impl Fn() -> Command + 'static) -> Result<Self> {
        let process = RefCell::new(Process::start(command())?);
        let mut peer = Self { command: Rc::new(command), process, versions: Value::Null };
        peer.versions = peer.ask(&json!({"do": "versions"}))?;
        Ok(peer)
    }

    /// Starts a program of the repository with a Python that has some packages.
    pub(crate) fn of_program(python: &Path, program: &'static str, packages: &str) -> Result<Self> {
        let help = format!("{} cannot run {program}; it needs: pip install {packages}", python.display());
        let python = python.to_owned();
        let start = move || {
            let mut command = Command::new(&python);
            command.arg(root().join(program));
            command
        };
        Self::start(start).context(help)
    }

    /// Starts another process of the same kind, which is asked for nothing yet.
    pub(crate) fn another(&self) -> Result<Self> {
        let process = RefCell::new(Process::start((self.command)())?);
        Ok(Self { command: Rc::clone(&self.command), process, versions: self.versions.clone() })
    }

    /// Returns the versions of Python and of the packages.
    pub(crate) fn versions(&self) -> &Value {
        &self.versions
    }

    /// Waits for the answer to a command.
    pub(crate) fn ask(&self, command: &Value) -> Result<Value> {
        let answer = self.process.borrow_mut().ask(command)?;
        match answer.get("error").and_then(Value::as_str) {
            Some(error) => bail!("the peer cannot {}: {error}", command["do"].as_str().unwrap_or_default()),
            None => Ok(answer),
        }
    }

    /// Waits for the answer to a command, and returns a number of it.
    pub(crate) fn ask_number(&self, command: &Value, name: &str) -> Result<f64> {
        self.ask(command)?[name].as_f64().with_context(|| format!("the peer's answer to {} has no {name}", command["do"]))
    }
}

impl Process {
    fn start(mut command: Command) -> Result<Self> {
        let program = command.get_program().to_owned();
        let started = command.env("HF_HUB_OFFLINE", "1").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
        let mut child = started.with_context(|| format!("cannot start {}", program.display()))?;
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
