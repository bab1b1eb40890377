//! The folder of a run: outputs that are complete or absent, and what an interrupted run left.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, Result};
use serde::Serialize;
use serde_json::{Map, Value};
use tissuenarrator::io::{AtomicFile, TableReader, TableRecord, TableWriter};

/// Everything that a run writes. Nothing else in the folder is touched.
const OUTPUTS: [&str; 20] = [
    "sections.h5ad",
    "truth.parquet",
    "cells.parquet",
    "sentences.parquet",
    "tasks.parquet",
    "model",
    "training.json",
    "training-state.safetensors",
    "generated-conditioned.parquet",
    "generated-unconditioned.parquet",
    "calibration-conditioned.json",
    "calibration-unconditioned.json",
    "sample-conditioned.parquet",
    "sample-unconditioned.parquet",
    "focal-model",
    "focal-training-state.safetensors",
    "proximity.json",
    "timings.json",
    "figures",
    "report.html",
];
/// Written last: where it is, the run is complete.
pub(super) const RESULTS: &str = "results.json";
const FINGERPRINT: &str = "run.json";

/// A folder of outputs.
pub(super) struct RunFolder {
    path: PathBuf,
    seconds: Map<String, Value>,
}

/// Which earlier outputs a run may go on from.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Reuse {
    /// Those of an interrupted run of this build with the same options.
    Interrupted,
    /// Those of any run with the same options.
    Any,
}

impl RunFolder {
    /// Opens or makes a folder and removes the outputs that this run does not go on from.
    ///
    /// `options` say what results depend on; `build` tells builds of the program apart.
    pub(super) fn open(path: &Path, options: &impl Serialize, build: &str, reuse: Reuse) -> Result<Self> {
        fs::create_dir_all(path).with_context(|| format!("cannot make the folder {}", path.display()))?;
        let mut folder = Self { path: path.to_owned(), seconds: Map::new() };
        let options = serde_json::to_value(options)?;
        let earlier: Option<Value> = fs::read(folder.file(FINGERPRINT)).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok());
        let same = |key: &str, value: &Value| earlier.as_ref().is_some_and(|earlier| earlier[key] == *value);
        let interrupted = !folder.has(RESULTS) && same("build", &Value::from(build));
        if same("options", &options) && (interrupted || reuse == Reuse::Any) {
            folder.remove(RESULTS)?;
        } else {
            for output in OUTPUTS.iter().chain(&[RESULTS, FINGERPRINT]) {
                folder.remove(output)?;
            }
        }
        folder.write_json(FINGERPRINT, &serde_json::json!({ "options": options, "build": build }))?;
        folder.seconds = folder.read_json("timings.json").unwrap_or_default();
        Ok(folder)
    }

    /// Returns the path of an output.
    pub(super) fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// Returns whether an output is there, and so complete.
    pub(super) fn has(&self, name: &str) -> bool {
        self.file(name).exists()
    }

    /// Removes an output, if it is there.
    pub(super) fn remove(&self, name: &str) -> Result<()> {
        let path = self.file(name);
        let removed = match fs::symlink_metadata(&path) {
            Ok(found) if found.is_dir() => fs::remove_dir_all(&path),
            Ok(_) => fs::remove_file(&path),
            Err(_) => return Ok(()),
        };
        removed.with_context(|| format!("cannot remove {}", path.display()))
    }

    /// Writes an output as a whole.
    pub(super) fn write(&self, name: &str, bytes: &[u8]) -> Result<()> {
        let path = self.file(name);
        let write = || {
            let mut file = AtomicFile::create(&path)?;
            file.write_all(bytes)?;
            file.commit()
        };
        write().with_context(|| format!("cannot write {}", path.display()))
    }

    /// Writes an output as JSON.
    pub(super) fn write_json(&self, name: &str, value: &impl Serialize) -> Result<()> {
        let mut text = serde_json::to_string_pretty(value)?;
        text.push('\n');
        self.write(name, text.as_bytes())
    }

    /// Reads an output as JSON, if it is there.
    pub(super) fn read_json<T: serde::de::DeserializeOwned>(&self, name: &str) -> Option<T> {
        fs::read(self.file(name)).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok())
    }

    /// Reads a table, or makes and writes it.
    pub(super) fn table<R: TableRecord>(&self, name: &str, make: impl FnOnce() -> Result<Vec<R>>) -> Result<Vec<R>> {
        if self.has(name) {
            return Ok(TableReader::open(self.file(name))?.read_all()?);
        }
        let rows = make()?;
        let mut writer = TableWriter::create(self.file(name))?;
        writer.write_all(&rows)?;
        writer.finish()?;
        Ok(rows)
    }

    /// Does a part of the run, says so, and takes its time.
    pub(super) fn stage<T>(&mut self, name: &str, work: impl FnOnce(&Self) -> Result<T>) -> Result<T> {
        eprintln!("{name} ...");
        let start = Instant::now();
        let done = work(self)?;
        let seconds = (start.elapsed().as_secs_f64() * 10.0).round() / 10.0;
        eprintln!("{name}: {seconds:.1} s");
        // A part that an interrupted run had done already keeps the time it took then.
        let before = self.seconds.get(name).and_then(Value::as_f64).unwrap_or(0.0);
        self.seconds.insert(name.to_owned(), Value::from(before.max(seconds)));
        self.write_json("timings.json", &self.seconds)?;
        Ok(done)
    }

    /// Returns how long each part took, in seconds.
    pub(super) fn seconds(&self) -> &Map<String, Value> {
        &self.seconds
    }
}
