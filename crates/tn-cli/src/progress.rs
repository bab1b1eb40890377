//! What is shown on standard error while a command runs: bars on a terminal, lines of the log elsewhere.

use std::error::Error;
use std::io::{self, IsTerminal, Write};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;

use crate::error::CliError;

/// Time between two lines about the same task.
const LINE_INTERVAL: Duration = Duration::from_secs(10);

/// How much is said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verbosity {
    Quiet,
    Normal,
    Verbose,
    Everything,
}

impl Verbosity {
    /// Returns the filter of the log. Other people's crates only warn.
    fn filter(self) -> EnvFilter {
        let level = match self {
            Self::Quiet => "warn",
            Self::Normal => "info",
            Self::Verbose => "debug",
            Self::Everything => "trace",
        };
        let ours = ["tn", "tn_sentence", "tn_spatial", "tn_io", "tn_model", "tn_eval", "tn_perturb", "data_fixtures"];
        EnvFilter::new(ours.iter().fold("warn".to_owned(), |filter, name| format!("{filter},{name}={level}")))
    }
}

/// Standard error, shared by bars and log.
#[derive(Clone, Debug)]
pub(crate) struct Console {
    bars: Option<MultiProgress>,
}

impl Console {
    /// Starts the log; bars are drawn if standard error is a terminal.
    pub(crate) fn new(verbosity: Verbosity) -> Self {
        let terminal = io::stderr().is_terminal();
        let bars = (terminal && verbosity != Verbosity::Quiet).then(MultiProgress::new);
        let console = Self { bars };
        tracing_subscriber::fmt()
            .with_env_filter(verbosity.filter())
            .with_target(false)
            .with_timer(tracing_subscriber::fmt::time::uptime())
            .with_ansi(terminal)
            .with_writer(console.clone())
            .init();
        console
    }

    /// Prints an error with its causes on one line, and what helps on a second one.
    pub(crate) fn print_error(&self, error: &CliError) {
        let mut text = format!("error: {}", chain(error));
        if let Some(hint) = error.hint() {
            text.push_str(&format!("\nhint: {hint}"));
        }
        // Nowhere else to say that standard error is closed.
        let _ = writeln!(self.make_writer(), "{text}");
    }

    /// Starts to show the progress of a task of `total` steps.
    pub(crate) fn task(&self, name: &'static str, unit: &'static str, total: u64) -> Task {
        let bar = self.bars.as_ref().map(|bars| {
            let bar = bars.add(ProgressBar::new(total).with_message(name));
            let template = "{msg} {wide_bar:.cyan/dim} {human_pos}/{human_len} {prefix}{per_sec}, {eta} left";
            // Only a template that does not parse fails.
            bar.set_style(ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar()));
            bar
        });
        Task { bar, name, unit, total, done: AtomicU64::new(0), note: Mutex::default(), last_line: Mutex::new(Instant::now()) }
    }
}

impl<'w> MakeWriter<'w> for Console {
    type Writer = LogWriter<'w>;

    fn make_writer(&'w self) -> Self::Writer {
        LogWriter { bars: self.bars.as_ref() }
    }
}

/// Writes to standard error between the bars.
pub(crate) struct LogWriter<'c> {
    bars: Option<&'c MultiProgress>,
}

impl Write for LogWriter<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self.bars {
            Some(bars) => bars.suspend(|| io::stderr().write(bytes)),
            None => io::stderr().write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}

/// A task whose progress is shown. It can be advanced from any thread.
#[derive(Debug)]
pub(crate) struct Task {
    bar: Option<ProgressBar>,
    name: &'static str,
    unit: &'static str,
    total: u64,
    done: AtomicU64,
    note: Mutex<String>,
    last_line: Mutex<Instant>,
}

impl Task {
    /// Counts steps as done before this run: the rate leaves them out.
    pub(crate) fn skip(&self, steps: u64) {
        self.done.fetch_add(steps, Ordering::Relaxed);
        if let Some(bar) = &self.bar {
            bar.inc(steps);
            bar.reset_eta();
        }
    }

    /// Counts steps as done.
    pub(crate) fn advance(&self, steps: u64) {
        let done = self.done.fetch_add(steps, Ordering::Relaxed) + steps;
        match &self.bar {
            Some(bar) => bar.inc(steps),
            None => self.log(done),
        }
    }

    /// Shows a few words beside the progress, such as the loss.
    pub(crate) fn note(&self, words: String) {
        match &self.bar {
            Some(bar) => bar.set_prefix(format!("{words}, ")),
            None => {
                if let Ok(mut note) = self.note.lock() {
                    *note = words;
                }
            }
        }
    }

    fn log(&self, done: u64) {
        let Ok(mut last_line) = self.last_line.lock() else { return };
        if last_line.elapsed() < LINE_INTERVAL && done < self.total {
            return;
        }
        *last_line = Instant::now();
        let note = self.note.lock().map(|note| note.clone()).unwrap_or_default();
        let separator = if note.is_empty() { "" } else { ", " };
        tracing::info!("{}: {done} of {} {}{separator}{note}", self.name, self.total, self.unit);
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

/// Joins the messages of an error and its causes. A cause that only repeats the message before it is left out.
pub(crate) fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let message = error.to_string();
        if !text.ends_with(&message) {
            text.push_str(": ");
            text.push_str(&message);
        }
        cause = error.source();
    }
    text.replace('\n', " ")
}
