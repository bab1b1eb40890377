//! The files of a run.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use tissuenarrator::io::Provenance;
use tissuenarrator::model::training::{TrainingConfig, kept_states};

use super::log::TrainingLog;
use crate::error::CliError;
use crate::gene_panel::write_text;
use crate::report::Report;
use crate::run_record;

/// The folder of a run: its state while it is unfinished, and its record when it is done.
#[derive(Clone, Debug)]
pub(super) struct RunFolder {
    path: PathBuf,
}

impl RunFolder {
    pub(super) fn new(path: &Path) -> Self {
        Self { path: path.to_owned() }
    }

    pub(super) fn state_file(&self) -> PathBuf {
        self.path.join("training_state.safetensors")
    }

    fn log_file(&self) -> PathBuf {
        self.path.join("training_log.jsonl")
    }

    fn record_file(&self) -> PathBuf {
        self.path.join("training.json")
    }

    fn run_file(&self) -> PathBuf {
        self.path.join(run_record::FILE_NAME)
    }

    /// Refuses to overwrite an unfinished run unless it is to go on, and to go on with another one. Returns the result of the same
    /// run if it is finished.
    pub(super) fn check(&self, resume: bool, provenance: &Provenance) -> Result<Option<Report>, CliError> {
        if self.state_file().exists() {
            if !resume {
                return Err(CliError::UnfinishedRun { path: self.state_file() });
            }
            let difference = match std::fs::read_to_string(self.run_file()) {
                Ok(found) => run_record::difference(&found, provenance),
                Err(_) => Some(format!("{} cannot be read", self.run_file().display())),
            };
            return difference.map_or(Ok(None), |difference| Err(CliError::OtherRun { path: self.state_file(), difference }));
        }
        if !resume {
            return Ok(None);
        }
        let record = std::fs::read_to_string(self.record_file()).ok();
        let record: Option<Value> = record.and_then(|text| serde_json::from_str(&text).ok());
        let provenance = serde_json::to_value(provenance).map_err(CliError::Json)?;
        Ok(record.filter(|record| record["provenance"] == provenance).map(|record| {
            tracing::info!("this run is finished already");
            Report::summary(record["result"].clone())
        }))
    }

    /// Makes the folder and records which run its state will belong to.
    pub(super) fn start(&self, provenance: &Provenance) -> Result<(), CliError> {
        std::fs::create_dir_all(&self.path).map_err(|source| CliError::Write { path: self.path.clone(), source })?;
        write_text(&run_record::text(provenance), &self.run_file())
    }

    pub(super) fn log(&self, resume: bool) -> TrainingLog {
        if resume { TrainingLog::resume(self.log_file()) } else { TrainingLog::start(self.log_file()) }
    }

    /// Writes the record of a finished run and removes what only an unfinished one needs.
    pub(super) fn finish(
        &self,
        provenance: &Provenance,
        config: &TrainingConfig,
        result: &Value,
        log: &TrainingLog,
    ) -> Result<(), CliError> {
        let record = json!({ "provenance": provenance, "config": config, "result": result, "log": log.lines() });
        write_text(&format!("{record:#}\n"), &self.record_file())?;
        let states = kept_states(&self.state_file());
        for path in states.into_iter().chain([self.log_file(), self.state_file(), self.run_file()]) {
            match std::fs::remove_file(&path) {
                Err(source) if source.kind() != std::io::ErrorKind::NotFound => return Err(CliError::Write { path, source }),
                _ => {}
            }
        }
        Ok(())
    }

    /// Removes the record of a failed run that saved no state, and the folder if there is nothing else in it.
    pub(super) fn remove_if_empty(&self) {
        if !self.state_file().exists() {
            let _ = std::fs::remove_file(self.run_file());
        }
        let _ = std::fs::remove_dir(&self.path);
    }
}
