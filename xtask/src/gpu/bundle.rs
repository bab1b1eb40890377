//! What is carried to a machine with a GPU: the program and the script that starts it.

use std::fs;
use std::path::Path;
use std::process::{Command, ExitCode};

use anyhow::{Context, Result, ensure};

use super::peer::PROGRAM;
use crate::workspace::{cargo, root};

/// Most bytes of all that is carried.
const MOST: u64 = 60 << 20;

/// Builds the program and puts both into a folder.
pub(super) fn make(folder: &Path) -> Result<ExitCode> {
    let mut build = cargo(["build", "--profile", "gpu", "--package", "xtask", "--features", "cuda"]);
    build.env("TN_COMMIT", commit()?);
    let status = build.status().context("cannot start cargo")?;
    ensure!(status.success(), "cargo build ended with {status}");
    fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let name = format!("xtask{}", std::env::consts::EXE_SUFFIX);
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), Into::into);
    let program = target.join("gpu").join(&name);
    fs::copy(&program, folder.join(&name)).with_context(|| format!("cannot copy {}", program.display()))?;
    fs::write(folder.join("gpu.py"), PROGRAM).context("cannot write gpu.py")?;
    let bytes = size(folder)?;
    println!("{}: {:.1} MiB", folder.display(), bytes as f64 / f64::from(1 << 20));
    ensure!(bytes <= MOST, "the bundle has {bytes} bytes, {MOST} may be carried");
    println!("carry it to the machine with the GPU, and run there:\n\n    python gpu.py run --part all --out results");
    Ok(ExitCode::SUCCESS)
}

/// Returns the commit that is built, and whether there is more than it.
fn commit() -> Result<String> {
    let output = Command::new("git").args(["describe", "--always", "--dirty", "--abbrev=12"]).current_dir(root()).output();
    let output = output.context("cannot start git")?;
    ensure!(output.status.success(), "git describe ended with {}", output.status);
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// Returns the bytes of the files in a folder.
fn size(folder: &Path) -> Result<u64> {
    let mut bytes = 0;
    for entry in fs::read_dir(folder)? {
        let metadata = entry?.metadata()?;
        bytes += if metadata.is_file() { metadata.len() } else { 0 };
    }
    Ok(bytes)
}
