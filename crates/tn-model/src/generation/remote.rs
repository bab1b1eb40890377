//! The remote engine: any server with the interface of OpenAI's completions, such as vLLM or SGLang.

mod attempts;
mod completion;
mod endpoint;
mod error;
mod options;
mod probe;
mod queue;

use std::sync::{Mutex, PoisonError};

use tn_sentence::request_seed;

pub use self::error::{AttemptError, RemoteError};
pub use self::options::{RemoteOptions, SampleRequests};

use self::attempts::{Attempts, Key};
use self::completion::{Prompt, body, continuations};
use self::endpoint::{CallError, Endpoint};
use self::queue::{Job, Queue};
use super::GenerateError;
use super::generator::{Continuation, Deliver, Generator, Request};
use crate::tokenizer::SentenceTokenizer;

/// Requests under way at once, at most; each has a thread that waits.
const MAX_CONNECTIONS: usize = 256;
/// Attempts at a server before the first request.
const CONNECT_ATTEMPTS: u32 = 3;
/// Bytes of a prompt that choose its server: prompts that begin alike go to the same one, which may still hold that beginning.
const SHARD_BYTES: usize = 1_024;

/// One or several servers that continue prompts over `POST /v1/completions`.
///
/// What a server writes is taken as it comes: no panel restricts it, and `repairs` is 0. Its draws follow the seeds that are sent as far as
/// the server honors them, which GPU servers do up to the rounding of whatever batch a request happens to be in.
///
/// No more tokens are under way at once than [`RemoteOptions::tokens_in_flight`], over all servers. A request that fails is tried again, at
/// another server at once, at the same one after a pause; an answer is used whole or not at all.
///
/// # Examples
///
/// ```no_run
/// use tn_model::generation::{CellWriter, GenerationOptions, RemoteGenerator, RemoteOptions};
/// use tn_sentence::TaskRecord;
///
/// let server = RemoteGenerator::connect(RemoteOptions::new(["http://localhost:8000"]))?;
/// let writer = CellWriter::new(server, GenerationOptions { samples: 5, ..GenerationOptions::default() })?;
/// let task = TaskRecord { prompt: "<pos> X: 1, Y: 1 <meta> class: Astro <cs> GFAP AQP4 </cs>".into(), ..TaskRecord::default() };
/// for record in writer.samples(&task)? {
///     println!("{}", record.generated_block);
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct RemoteGenerator {
    endpoints: Vec<Endpoint>,
    model: String,
    tokenizer: Option<SentenceTokenizer>,
    options: RemoteOptions,
}

impl RemoteGenerator {
    /// Connects to the servers, and finds out with a few tiny requests which options they understand.
    ///
    /// A server that cannot be reached is left out with a warning, as long as there is another one.
    ///
    /// # Errors
    /// Returns an error when an option or an address cannot be used, when no server can be reached, or when one fails, refuses, or does not
    /// have the model.
    pub fn connect(options: RemoteOptions) -> Result<Self, RemoteError> {
        options.validate()?;
        let key = options.key();
        let endpoints = options.endpoints.iter().map(|url| Endpoint::new(url, key.as_deref(), options.timeout, MAX_CONNECTIONS));
        let endpoints = endpoints.collect::<Result<Vec<_>, _>>()?;
        let mut connected = Vec::new();
        let mut model = options.model.clone();
        let mut unreachable = None;
        for mut endpoint in endpoints {
            match examine(&mut endpoint, model.as_deref(), &options) {
                Ok(name) => {
                    model = Some(name);
                    connected.push(endpoint);
                }
                Err(RemoteError::Failed { endpoint, attempts, source: source @ AttemptError::Unreachable { .. } }) => {
                    tracing::warn!("{endpoint} is left out: {source}");
                    unreachable.get_or_insert(RemoteError::Failed { endpoint, attempts, source });
                }
                Err(error) => return Err(error),
            }
        }
        match (connected.is_empty(), model) {
            (false, Some(model)) => Ok(Self { endpoints: connected, model, tokenizer: None, options }),
            _ => Err(unreachable.unwrap_or(RemoteError::NoEndpoint)),
        }
    }

    /// Sends prompts as the tokens of this tokenizer instead of as text, and counts tokens by it.
    ///
    /// It has to be the tokenizer of the model that is served. Without one, the tokens of a prompt are estimated as two for three bytes,
    /// which is a little more than the Qwen3 tokenizer makes of gene lists.
    ///
    /// # Errors
    /// Returns an error when a server does not understand tokens.
    pub fn with_tokenizer(mut self, tokenizer: SentenceTokenizer) -> Result<Self, RemoteError> {
        if let Some(endpoint) = self.endpoints.iter().find(|endpoint| !endpoint.understood.token_ids) {
            return Err(RemoteError::Unsupported { endpoint: endpoint.url().to_owned(), option: "prompt (as token ids)" });
        }
        self.tokenizer = Some(tokenizer);
        Ok(self)
    }

    /// Returns the name of the model that is asked.
    #[must_use]
    pub fn model(&self) -> &str {
        &self.model
    }

    /// Returns an option that a request needs and a server does not understand.
    fn missing_option(&self, request: &Request) -> Option<RemoteError> {
        let draws = request.sampling.temperature > 0.0;
        let together = self.options.samples == SampleRequests::Together && request.samples > 1;
        self.endpoints.iter().find_map(|endpoint| {
            let understood = endpoint.understood;
            let needs = [
                (draws && request.sampling.top_k > 0 && !understood.top_k, "top_k"),
                (draws && request.sampling.min_p > 0.0 && !understood.min_p, "min_p"),
                (together && !understood.several, "n"),
                (!understood.includes_stop && !understood.names_stop, "include_stop_str_in_output"),
            ];
            let option = needs.into_iter().find_map(|(is_missing, option)| is_missing.then_some(option))?;
            Some(RemoteError::Unsupported { endpoint: endpoint.url().to_owned(), option })
        })
    }

    fn jobs(&self, request: usize, samples: u32, prompt: usize, max_new_tokens: usize) -> Vec<Job> {
        let job = |first_sample, samples: u32| {
            let tokens = prompt.saturating_add(max_new_tokens.saturating_mul(samples as usize));
            Job { request, first_sample, samples, tokens }
        };
        match self.options.samples {
            SampleRequests::Separate => (0..samples).map(|sample| job(sample, 1)).collect(),
            SampleRequests::Together => vec![job(0, samples)],
        }
    }
}

impl Generator for RemoteGenerator {
    fn generate(&self, requests: &[Request], deliver: &Deliver<'_>) {
        let ids: Vec<Option<Vec<u32>>> =
            requests.iter().map(|request| Some(self.tokenizer.as_ref()?.encode_ids(&request.prompt))).collect();
        let mut jobs = Vec::new();
        let mut order: Vec<usize> = (0..requests.len()).collect();
        // Prompts that begin alike follow each other, while a server still holds their beginning.
        order.sort_by(|&a, &b| requests[a].prompt.cmp(&requests[b].prompt));
        for index in order {
            let request = &requests[index];
            let settled = match request.samples {
                0 => Some(Ok(Vec::new())),
                _ => self.missing_option(request).map(|source| Err(GenerateError::Remote { cell_name: request.id.clone(), source })),
            };
            if let Some(result) = settled {
                if deliver(index, result).is_break() {
                    return;
                }
                continue;
            }
            let prompt = ids[index].as_ref().map_or(request.prompt.len() * 2 / 3 + 1, Vec::len);
            jobs.extend(self.jobs(index, request.samples, prompt, request.max_new_tokens));
        }
        let smallest = jobs.iter().map(|job| job.tokens).min().unwrap_or(1).max(1);
        let threads = (self.options.tokens_in_flight / smallest + 1).min(jobs.len()).min(MAX_CONNECTIONS);
        let queue = Queue::new(jobs, self.options.tokens_in_flight);
        let open = requests.iter().map(|request| Mutex::new(Open::new(request.samples))).collect();
        let run = Run { engine: self, requests, ids, queue, open, deliver };
        std::thread::scope(|scope| {
            for number in 1..threads {
                let thread = std::thread::Builder::new().name(format!("remote-{number}"));
                // With fewer threads it takes longer, no more.
                if thread.spawn_scoped(scope, || run.work()).is_err() {
                    break;
                }
            }
            run.work();
        });
    }
}

/// The requests of one call while they are worked on.
struct Run<'a> {
    engine: &'a RemoteGenerator,
    requests: &'a [Request],
    ids: Vec<Option<Vec<u32>>>,
    queue: Queue,
    open: Vec<Mutex<Open>>,
    deliver: &'a Deliver<'a>,
}

impl Run<'_> {
    fn work(&self) {
        while let Some(taken) = self.queue.take() {
            let job = taken.job;
            let outcome = if self.has_failed(job) { None } else { self.ask(job) };
            drop(taken);
            let settled = outcome.and_then(|outcome| self.settle(job, outcome));
            if let Some(result) = settled
                && (self.deliver)(job.request, result).is_break()
            {
                self.queue.stop();
            }
        }
    }

    fn ask(&self, job: Job) -> Option<Result<Vec<Continuation>, RemoteError>> {
        let RemoteGenerator { endpoints, model, options, .. } = self.engine;
        let request = &self.requests[job.request];
        let prompt = match &self.ids[job.request] {
            Some(ids) => Prompt::Ids(ids),
            None => Prompt::Text(&request.prompt),
        };
        let beginning = &request.prompt[..request.prompt.floor_char_boundary(SHARD_BYTES)];
        let server = request_seed(0, beginning, 0) as usize % endpoints.len();
        let key = Key { server, seed: request.sample_seed(job.first_sample) };
        let attempts = Attempts { endpoints, options, pause: &|duration| self.queue.pause(duration) };
        attempts.run(key, |endpoint| {
            let body = body(model, request, prompt, (job.first_sample, job.samples), endpoint.understood);
            let answer = endpoint.post("/v1/completions", &body)?;
            continuations(&answer, job.samples).map_err(CallError::Attempt)
        })
    }

    /// Puts the outcome of a job to its request, and returns what is to be delivered when that settles the request.
    fn settle(&self, job: Job, outcome: Result<Vec<Continuation>, RemoteError>) -> Option<Result<Vec<Continuation>, GenerateError>> {
        let mut open = self.open[job.request].lock().unwrap_or_else(PoisonError::into_inner);
        match outcome {
            Ok(continuations) => open.add(job.first_sample, continuations).map(Ok),
            Err(_) if open.has_failed => None,
            Err(source) => {
                open.has_failed = true;
                Some(Err(GenerateError::Remote { cell_name: self.requests[job.request].id.clone(), source }))
            }
        }
    }

    fn has_failed(&self, job: Job) -> bool {
        self.open[job.request].lock().unwrap_or_else(PoisonError::into_inner).has_failed
    }
}

/// The continuations of a request that are there.
struct Open {
    continuations: Vec<Option<Continuation>>,
    has_failed: bool,
}

impl Open {
    fn new(samples: u32) -> Self {
        Self { continuations: vec![None; samples as usize], has_failed: false }
    }

    /// Adds samples; returns all when none is missing any more.
    fn add(&mut self, first: u32, continuations: Vec<Continuation>) -> Option<Vec<Continuation>> {
        for (slot, continuation) in self.continuations.iter_mut().skip(first as usize).zip(continuations) {
            *slot = Some(continuation);
        }
        let is_complete = !self.has_failed && self.continuations.iter().all(Option::is_some);
        is_complete.then(|| std::mem::take(&mut self.continuations).into_iter().flatten().collect())
    }
}

/// Finds out what a server has and understands, and returns the name of its model.
fn examine(endpoint: &mut Endpoint, model: Option<&str>, options: &RemoteOptions) -> Result<String, RemoteError> {
    let served = patiently(endpoint, options, probe::served)?;
    let model = probe::choose(endpoint, served, model)?;
    endpoint.understood = patiently(endpoint, options, |endpoint| probe::capabilities(endpoint, &model))?;
    tracing::debug!("{} serves {model:.100} and understands {:?}", endpoint.url(), endpoint.understood);
    Ok(model)
}

/// Tries a few times, but only once where nobody listens.
fn patiently<T>(endpoint: &Endpoint, options: &RemoteOptions, call: impl Fn(&Endpoint) -> Result<T, CallError>) -> Result<T, RemoteError> {
    let options = RemoteOptions { attempts: options.attempts.min(CONNECT_ATTEMPTS), ..options.clone() };
    let sleep = |duration| {
        std::thread::sleep(duration);
        true
    };
    let attempts = Attempts { endpoints: std::slice::from_ref(endpoint), options: &options, pause: &sleep };
    let outcome = attempts.run(Key { server: 0, seed: 0 }, |endpoint| match call(endpoint) {
        Err(CallError::Attempt(source @ AttemptError::Unreachable { .. })) => Ok(Err(source)),
        other => other.map(Ok),
    });
    let outcome = outcome.expect("nothing stops these attempts")?;
    outcome.map_err(|source| RemoteError::Failed { endpoint: endpoint.url().to_owned(), attempts: 1, source })
}
