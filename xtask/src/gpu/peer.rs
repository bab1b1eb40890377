//! `benches/peers/gpu.py`, which this program carries: torch on the same device.

use std::path::Path;
use std::process::Command;

use anyhow::Result;

use crate::peer::Peer;

/// The program.
pub(super) const PROGRAM: &str = include_str!("../../../benches/peers/gpu.py");

/// Starts the peer with a Python.
pub(super) fn start(python: &Path) -> Result<Peer> {
    let python = python.to_owned();
    Peer::start(move || {
        let mut command = Command::new(&python);
        command.args(["-c", PROGRAM, "serve"]).env("PYTORCH_CUDA_ALLOC_CONF", "expandable_segments:True");
        command
    })
}
