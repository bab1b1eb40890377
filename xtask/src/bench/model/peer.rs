//! `benches/peers/model.py`: torch on the same processor.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};

use crate::peer::Peer;
use crate::workspace::root;

const PROGRAM: &str = "benches/peers/model.py";
const PACKAGES: &str = "torch==2.15.0 transformers==5.24.0 peft==0.21.2";

/// Starts the peer with a Python, on so many threads.
pub(super) fn start(python: &Path, threads: usize) -> Result<Peer> {
    let help = format!("{} cannot run {PROGRAM}; it needs: pip install {PACKAGES}", python.display());
    let python = python.to_owned();
    let start = move || {
        let mut command = Command::new(&python);
        command.arg(root().join(PROGRAM)).args(["--threads", &threads.to_string()]).env("OMP_NUM_THREADS", threads.to_string());
        command
    };
    Peer::start(start).context(help)
}
