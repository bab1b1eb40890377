//! A temporary folder in which `tn` runs.

use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};

use serde_json::Value;
use tempfile::TempDir;

/// A folder that disappears with the test.
pub(crate) struct Folder(TempDir);

impl Folder {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().expect("a temporary folder can be made"))
    }

    /// Returns a folder with `sections.h5ad`, `truth.parquet`, `cells.parquet`, `sentences.parquet` and `tasks.parquet`.
    pub(crate) fn with_tables() -> Self {
        let folder = Self::new();
        folder.run("simulate -o sections.h5ad --cells 360 --genes 60 --sections 3 --classes 8 --truth truth.parquet");
        folder.run("encode sections.h5ad -o cells.parquet");
        folder.run("patch cells.parquet -o sentences.parquet --neighbors 4 --truncate 12");
        folder.run("prompts cells.parquet -o tasks.parquet --neighbors 4 --targets-per-class 2 --truncate 12");
        folder
    }

    /// Returns a folder with all tables and a model that has seen a few sentences, in `run`.
    pub(crate) fn with_model() -> Self {
        let folder = Self::with_tables();
        folder.run("train sentences.parquet -o run --steps 3 --batch 2");
        folder
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.path(name).exists()
    }

    pub(crate) fn bytes(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.path(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    pub(crate) fn text(&self, name: &str) -> String {
        String::from_utf8(self.bytes(name)).expect("the file is text")
    }

    /// Returns the names of all files and folders, ascending.
    pub(crate) fn names(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.0.path()).expect("the folder can be read");
        let mut names: Vec<String> = entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
        names.sort();
        names
    }

    /// Prepares a command; arguments are separated by blanks.
    pub(crate) fn command(&self, arguments: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tn"));
        command.current_dir(self.0.path()).args(arguments.split_whitespace()).stdin(Stdio::null());
        command
    }

    pub(crate) fn output(&self, arguments: &str) -> Output {
        self.command(arguments).output().expect("tn can be started")
    }

    pub(crate) fn start(&self, arguments: &str) -> Child {
        self.command(arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("tn can be started")
    }

    /// Runs a command that has to succeed, and returns what it prints.
    pub(crate) fn run(&self, arguments: &str) -> String {
        let output = self.output(arguments);
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "tn {arguments}: {}\n{stderr}", output.status);
        String::from_utf8(output.stdout).expect("results are text")
    }

    /// Runs a command that has to succeed, and returns its result.
    pub(crate) fn json(&self, arguments: &str) -> Value {
        serde_json::from_str(&self.run(&format!("{arguments} --json"))).expect("the result is one JSON object")
    }

    /// Runs a command that has to fail with an exit code and a message that holds every one of some parts, and that has to leave no
    /// new file. Returns the message.
    #[track_caller]
    pub(crate) fn fail(&self, arguments: &str, code: i32, parts: &[&str]) -> String {
        let before = self.names();
        let output = self.output(arguments);
        let message = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(code), "tn {arguments}: {message}");
        for part in parts {
            assert!(message.contains(part), "tn {arguments}: expected {part:?} in: {message}");
        }
        assert!(!message.contains("panicked") && !message.contains("RUST_BACKTRACE"), "{message}");
        assert_eq!(self.names(), before, "tn {arguments} leaves files behind");
        assert!(output.stdout.is_empty(), "tn {arguments} prints a result");
        message
    }
}
