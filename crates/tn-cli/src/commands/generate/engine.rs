//! What continues the prompts: a model in this process, or servers.

use std::ops::ControlFlow;
use std::path::Path;
use std::time::Duration;

use clap::{Args, ValueEnum};
use tissuenarrator::model::SentenceTokenizer;
use tissuenarrator::model::generation::{CellWriter, GenerateError, GenerationOptions, LocalGenerator, RemoteGenerator, RemoteOptions};
use tissuenarrator::sentence::{GeneratedRecord, TaskRecord};

use crate::error::CliError;
use crate::ranges;

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Backend {
    /// The decoder of this program
    Local,
    /// Servers with OpenAI's interface for completions, such as vLLM or SGLang; a key is read from TISSUENARRATOR_API_KEY
    Openai,
}

/// The options of `--backend`.
#[derive(Args, Debug)]
pub(super) struct BackendOptions {
    /// What continues the prompts
    #[arg(long, value_enum, default_value_t = Backend::Local)]
    backend: Backend,
    /// Servers of --backend openai, such as http://localhost:8000
    #[arg(long, value_name = "URL,...", value_delimiter = ',')]
    url: Vec<String>,
    /// Name under which the servers have the model or adapter [default: the only one they have]
    #[arg(long, value_name = "NAME")]
    model_name: Option<String>,
    /// Tokens of prompts and answers that all servers have at once
    #[arg(long, value_name = "N", default_value_t = 250_000, value_parser = ranges::count())]
    in_flight_tokens: usize,
    /// Seconds for one attempt at a server
    #[arg(long, value_name = "SECONDS", default_value_t = 300.0, value_parser = ranges::positive)]
    timeout: f64,
    /// Attempts for one request, over all servers
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    attempts: u32,
}

impl BackendOptions {
    pub(super) fn is_server(&self) -> bool {
        self.backend == Backend::Openai
    }

    pub(super) fn urls(&self) -> &[String] {
        &self.url
    }

    pub(super) fn model_name(&self) -> Option<&str> {
        self.model_name.as_deref()
    }

    /// Connects to the servers. With the folder of a model, prompts are sent as the tokens of its tokenizer.
    pub(super) fn connect(&self, model: Option<&Path>) -> Result<RemoteGenerator, CliError> {
        let tokenizer = model.map(SentenceTokenizer::load).transpose()?;
        let options = RemoteOptions {
            model: self.model_name.clone(),
            tokens_in_flight: self.in_flight_tokens,
            attempts: self.attempts,
            timeout: Duration::try_from_secs_f64(self.timeout).unwrap_or(Duration::MAX),
            ..RemoteOptions::new(&self.url)
        };
        let engine = RemoteGenerator::connect(options)?;
        Ok(match tokenizer {
            Some(tokenizer) => engine.with_tokenizer(tokenizer)?,
            None => engine,
        })
    }
}

/// An engine that writes cells.
pub(super) enum Engine {
    Samples(CellWriter<LocalGenerator>),
    Consensus(CellWriter<LocalGenerator>),
    Servers(CellWriter<RemoteGenerator>),
}

impl Engine {
    pub(super) fn servers(engine: RemoteGenerator, options: GenerationOptions) -> Result<Self, CliError> {
        tracing::info!("the servers have the model {}", engine.model());
        Ok(Self::Servers(CellWriter::new(engine, options)?))
    }

    /// Writes the cells of tasks and hands over each task's as soon as they are there, until `deliver` says stop.
    pub(super) fn write(
        &self,
        tasks: &[TaskRecord],
        deliver: impl Fn(usize, Result<Vec<GeneratedRecord>, GenerateError>) -> ControlFlow<()> + Sync,
    ) {
        match self {
            Self::Samples(writer) => writer.generate_each(tasks, deliver),
            Self::Servers(writer) => writer.generate_each(tasks, deliver),
            Self::Consensus(writer) => {
                writer.consensus_each(tasks, |index, cell| deliver(index, cell.map(|consensus| vec![consensus.record])));
            }
        }
    }
}
