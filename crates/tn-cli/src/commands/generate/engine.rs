//! What continues the prompts: a model in this process, or servers.

use std::ops::ControlFlow;
use std::path::Path;
use std::time::Duration;

use clap::{Args, ValueEnum};
use tissuenarrator::model::SentenceTokenizer;
use tissuenarrator::model::generation::{
    CellWriter, GenerateError, GenerationOptions, LocalGenerator, RemoteGenerator, RemoteOptions, Shortened,
};
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
    /// Tokens of prompts and answers that all servers have at once [default: 250000]
    #[arg(long, value_name = "N", value_parser = ranges::count())]
    in_flight_tokens: Option<usize>,
    /// Seconds for one attempt at a server [default: 300]
    #[arg(long, value_name = "SECONDS", value_parser = ranges::positive)]
    timeout: Option<f64>,
    /// Attempts for one request, over all servers [default: 8]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1_000))]
    attempts: Option<u32>,
}

impl BackendOptions {
    pub(super) fn is_server(&self) -> bool {
        self.backend == Backend::Openai
    }

    pub(super) fn urls(&self) -> &[String] {
        &self.url
    }

    /// Returns an option that is given and means something to servers only.
    pub(super) fn option_of_servers(&self) -> Option<&'static str> {
        let options = [
            (!self.url.is_empty(), "--url"),
            (self.model_name.is_some(), "--model-name"),
            (self.in_flight_tokens.is_some(), "--in-flight-tokens"),
            (self.timeout.is_some(), "--timeout"),
            (self.attempts.is_some(), "--attempts"),
        ];
        options.into_iter().find_map(|(is_given, option)| is_given.then_some(option))
    }

    /// Connects to the servers. With the folder of a model, prompts are sent as the tokens of its tokenizer.
    pub(super) fn connect(&self, model: Option<&Path>) -> Result<RemoteGenerator, CliError> {
        let tokenizer = model.map(SentenceTokenizer::load).transpose()?;
        let usual = RemoteOptions::new(&self.url);
        let timeout = self.timeout.map(|seconds| Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX));
        let options = RemoteOptions {
            model: self.model_name.clone(),
            tokens_in_flight: self.in_flight_tokens.unwrap_or(usual.tokens_in_flight),
            attempts: self.attempts.unwrap_or(usual.attempts),
            timeout: timeout.unwrap_or(usual.timeout),
            ..usual
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
        tracing::info!("the servers have the model {:.100}", engine.model());
        Ok(Self::Servers(CellWriter::new(engine, options)?))
    }

    /// Returns how many neighbors were left out so far because prompts were too long.
    pub(super) fn shortened(&self) -> Shortened {
        match self {
            Self::Samples(writer) | Self::Consensus(writer) => writer.shortened(),
            Self::Servers(writer) => writer.shortened(),
        }
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
