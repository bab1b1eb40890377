//! What a run reported, step by step, in a file that survives an interruption.

use std::fs::File;
use std::io::{self, Write};
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use tissuenarrator::model::training::{EpochReport, StepReport};

use crate::error::CliError;
use crate::gene_panel::write_text;

/// A line of the log. It holds no times, so that the same run gives the same lines.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub(super) enum LogLine {
    Step { step: u64, loss: f64, gradient_norm: f64, learning_rate: f64 },
    Epoch { epoch: u64, steps: u64, validation_loss: Option<f64> },
}

/// The log of a run: one JSON object a line.
///
/// A run that goes on repeats the steps since its last saved state; their old lines are dropped when the first step arrives.
#[derive(Debug)]
pub(super) struct TrainingLog {
    path: PathBuf,
    lines: Vec<LogLine>,
    file: Option<File>,
    failure: Option<io::Error>,
}

impl TrainingLog {
    /// Starts a log that appears with the first step.
    pub(super) fn start(path: PathBuf) -> Self {
        Self { path, lines: Vec::new(), file: None, failure: None }
    }

    /// Starts a log with the lines of the run that goes on. A line that was cut off by the interruption is left out.
    pub(super) fn resume(path: PathBuf) -> Self {
        let text = std::fs::read_to_string(&path).unwrap_or_default();
        let lines = text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
        Self { lines, ..Self::start(path) }
    }

    pub(super) fn step(&mut self, report: &StepReport) {
        let &StepReport { step, loss, gradient_norm, learning_rate, .. } = report;
        if self.file.is_none() {
            self.lines.retain(|line| match line {
                LogLine::Step { step: other, .. } => *other < step,
                LogLine::Epoch { steps, .. } => *steps <= step,
            });
            self.rewrite();
        }
        self.push(LogLine::Step { step, loss, gradient_norm, learning_rate });
    }

    pub(super) fn epoch(&mut self, report: &EpochReport) {
        let steps = self.steps().last().map_or(0, |(step, _)| step + 1);
        self.push(LogLine::Epoch { epoch: report.epoch, steps, validation_loss: report.validation_loss });
    }

    /// Returns the error that kept the log from being written, if any.
    pub(super) fn check(&self) -> Result<(), CliError> {
        match &self.failure {
            None => Ok(()),
            Some(error) => Err(CliError::Write { path: self.path.clone(), source: io::Error::new(error.kind(), error.to_string()) }),
        }
    }

    pub(super) fn has_failed(&self) -> bool {
        self.failure.is_some()
    }

    pub(super) fn lines(&self) -> &[LogLine] {
        &self.lines
    }

    pub(super) fn last_loss(&self) -> Option<f64> {
        self.steps().last().map(|(_, loss)| loss)
    }

    fn steps(&self) -> impl DoubleEndedIterator<Item = (u64, f64)> + '_ {
        self.lines.iter().filter_map(|line| match line {
            LogLine::Step { step, loss, .. } => Some((*step, *loss)),
            LogLine::Epoch { .. } => None,
        })
    }

    fn rewrite(&mut self) {
        let rewrite = || -> io::Result<File> {
            if let Some(folder) = self.path.parent() {
                std::fs::create_dir_all(folder)?;
            }
            let text: String = self.lines.iter().map(line_text).collect();
            write_text(&text, &self.path).map_err(io::Error::other)?;
            File::options().append(true).open(&self.path)
        };
        match rewrite() {
            Ok(file) => self.file = Some(file),
            Err(error) => self.failure = Some(error),
        }
    }

    fn push(&mut self, line: LogLine) {
        if let Some(file) = &mut self.file
            && let Err(error) = file.write_all(line_text(&line).as_bytes())
        {
            self.failure.get_or_insert(error);
        }
        self.lines.push(line);
    }
}

fn line_text(line: &LogLine) -> String {
    // Numbers always have a form in JSON; those that are not finite are null.
    format!("{}\n", serde_json::to_string(line).unwrap_or_default())
}
