//! From tasks to requests, and from continuations to generated cells.

use std::ops::ControlFlow;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use tn_sentence::{
    CellPredictor, CellSentence, Conditioning, Coordinates, GeneRanking, GeneratedRecord, ModelPrompt, Position, PromptBuilder,
    PromptOrder, SpatialSentence, TaskRecord,
};

use super::GenerateError;
use super::expected_ranking::ExpectedRanking;
use super::generator::{Continuation, Generator, Request};
use super::local::LocalGenerator;
use super::sampling::Sampling;
use crate::shortening::neighbors_that_fit;

/// What is done with a task.
#[derive(Clone, Debug)]
pub struct GenerationOptions {
    /// What the model is told about the target.
    pub conditioning: Conditioning,
    /// Whether the prompt says where cells are. The written cell does, in any case: a table of generated cells is read as one.
    pub coordinates: Coordinates,
    /// The order of the neighbors in the prompt.
    pub order: PromptOrder,
    /// Neighbors shown at most; the last ones of the order stay.
    pub max_cells: usize,
    /// Samples, or trajectories of the expected ranking, for each target.
    pub samples: u32,
    /// How samples are drawn. The expected ranking always draws at temperature 1.
    pub sampling: Sampling,
    /// Tokens written at most.
    pub max_new_tokens: usize,
    /// Seed of everything random; the request of (cell, sample) has its own stream.
    pub seed: u64,
}

impl Default for GenerationOptions {
    /// The published settings: conditioned, far to near at random by distance, 100 neighbors, one sample at temperature 0.3, 400 tokens.
    fn default() -> Self {
        Self {
            conditioning: Conditioning::Conditioned,
            coordinates: Coordinates::Shown,
            order: PromptOrder::FarToNearWeighted { tau: 1.0 },
            max_cells: 100,
            samples: 1,
            sampling: Sampling::default(),
            max_new_tokens: 400,
            seed: 42,
        }
    }
}

impl GenerationOptions {
    /// Samples of one target at most: they are held in memory together.
    pub const MAX_SAMPLES: u32 = 4096;

    fn validate(&self) -> Result<(), GenerateError> {
        self.sampling.validate()?;
        if self.samples == 0 || self.samples > Self::MAX_SAMPLES {
            return Err(GenerateError::InvalidSampling { name: "samples", value: f64::from(self.samples), expected: "between 1 and 4096" });
        }
        if self.max_new_tokens == 0 {
            return Err(GenerateError::InvalidSampling { name: "max-new-tokens", value: 0.0, expected: "at least 1" });
        }
        Ok(())
    }
}

/// Writes the cells of tasks with an engine.
///
/// Results depend on the options' seed, the target's name and the sample's number only: not on the other targets of a call, nor on the
/// number of threads.
///
/// Where a prompt and the longest answer exceed what the model can read, the neighbors farthest from the target are left out, as few as
/// suffice; [`CellWriter::shortened`] says how many. Only a target that does not fit alone is an error.
pub struct CellWriter<G> {
    generator: G,
    options: GenerationOptions,
    shortened_prompts: AtomicUsize,
    neighbors_left_out: AtomicUsize,
}

/// Prompts that were too long for the model.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Shortened {
    /// Prompts that neighbors were left out of.
    pub prompts: usize,
    /// Neighbors left out of them, together.
    pub neighbors: usize,
}

impl<G: Generator> CellWriter<G> {
    /// Lets an engine write cells.
    ///
    /// # Errors
    /// Returns an error when an option lies outside its range.
    pub fn new(generator: G, options: GenerationOptions) -> Result<Self, GenerateError> {
        options.validate()?;
        Ok(Self { generator, options, shortened_prompts: AtomicUsize::new(0), neighbors_left_out: AtomicUsize::new(0) })
    }

    /// Replaces the options, keeping the engine.
    ///
    /// # Errors
    /// Returns an error when an option lies outside its range.
    pub fn with_options(mut self, options: GenerationOptions) -> Result<Self, GenerateError> {
        options.validate()?;
        self.options = options;
        Ok(self)
    }

    /// Returns the engine.
    pub fn generator(&self) -> &G {
        &self.generator
    }

    /// Returns how many neighbors were left out so far because prompts were too long.
    pub fn shortened(&self) -> Shortened {
        Shortened { prompts: self.shortened_prompts.load(Ordering::Relaxed), neighbors: self.neighbors_left_out.load(Ordering::Relaxed) }
    }

    /// Writes the samples of every task, in the order of the tasks, and calls `done` after each task, from any thread.
    ///
    /// A task that cannot be run yields its error and does not stop the others.
    pub fn generate(&self, tasks: &[TaskRecord], done: impl Fn() + Sync) -> Vec<Result<Vec<GeneratedRecord>, GenerateError>> {
        collect(tasks, |deliver| {
            self.generate_each(tasks, |index, records| {
                done();
                deliver(index, records)
            });
        })
    }

    /// Writes the samples of every task and hands over each task's as soon as they are there, with the index of the task, from any thread
    /// and in any order, until `deliver` says stop.
    ///
    /// A task that cannot be run yields its error and does not stop the others. After a stop, no further task is begun.
    pub fn generate_each(
        &self,
        tasks: &[TaskRecord],
        deliver: impl Fn(usize, Result<Vec<GeneratedRecord>, GenerateError>) -> ControlFlow<()> + Sync,
    ) {
        let Some((requests, task_of)) = self.requests(tasks, |index, error| deliver(index, Err(error))) else { return };
        self.generator.generate(&requests, &|index, continuations| {
            let (request, task) = (&requests[index], &tasks[task_of[index]]);
            deliver(task_of[index], continuations.map(|continuations| records(task, request, continuations)))
        });
    }

    /// Writes the samples of one task.
    ///
    /// # Errors
    /// Returns an error when the prompt cannot be read or the engine cannot continue it.
    pub fn samples(&self, task: &TaskRecord) -> Result<Vec<GeneratedRecord>, GenerateError> {
        self.generate(std::slice::from_ref(task), || {}).swap_remove(0)
    }

    /// Returns the requests of all tasks, and the task of each; those that cannot be run go to `refuse`. Nothing when that says stop.
    fn requests(
        &self,
        tasks: &[TaskRecord],
        refuse: impl Fn(usize, GenerateError) -> ControlFlow<()>,
    ) -> Option<(Vec<Request>, Vec<usize>)> {
        let mut requests = Vec::with_capacity(tasks.len());
        let mut task_of = Vec::with_capacity(tasks.len());
        for (index, task) in tasks.iter().enumerate() {
            match self.request(task) {
                Ok(request) => {
                    requests.push(request);
                    task_of.push(index);
                }
                Err(error) => {
                    if refuse(index, error).is_break() {
                        return None;
                    }
                }
            }
        }
        Some((requests, task_of))
    }

    /// Returns the request of a task, with as many neighbors as fit into the context.
    fn request(&self, task: &TaskRecord) -> Result<Request, GenerateError> {
        let (whole, shown) = self.request_with(task, usize::MAX)?;
        if self.generator.excess_tokens(&whole) == 0 {
            return Ok(whole);
        }
        let alone = self.request_with(task, 0)?.0;
        if self.generator.excess_tokens(&alone) > 0 {
            // The engine says what is wrong with it.
            return Ok(alone);
        }
        let fits = |nearest| self.request_with(task, nearest).map(|(request, _)| self.generator.excess_tokens(&request) == 0);
        let fitting = neighbors_that_fit(shown, fits)?;
        self.shortened_prompts.fetch_add(1, Ordering::Relaxed);
        self.neighbors_left_out.fetch_add(shown - fitting, Ordering::Relaxed);
        tracing::debug!(
            cell = task.cell_name,
            shown,
            left_out = shown - fitting,
            "the prompt is too long; the farthest neighbors are left out"
        );
        Ok(self.request_with(task, fitting)?.0)
    }

    /// Returns the request of a task that shows the nearest neighbors, and how many it shows.
    fn request_with(&self, task: &TaskRecord, nearest: usize) -> Result<(Request, usize), GenerateError> {
        let options = &self.options;
        let builder = PromptBuilder::new(options.conditioning).with_order(options.order).with_max_cells(options.max_cells);
        let built = builder.with_nearest(nearest).with_seed(options.seed).build(task);
        let ModelPrompt { text, header_text, neighbors, .. } =
            built.map_err(|source| GenerateError::Prompt { cell_name: task.cell_name.clone(), source })?;
        let request = Request {
            id: task.cell_name.clone(),
            prompt: options.coordinates.apply(text),
            header: header_text,
            samples: options.samples,
            sampling: options.sampling,
            max_new_tokens: options.max_new_tokens,
            seed: options.seed,
        };
        Ok((request, neighbors.len()))
    }
}

impl CellWriter<LocalGenerator> {
    /// Writes the expected ranking of every task, in the order of the tasks, and calls `done` after each task, from any thread.
    ///
    /// A task that cannot be run yields its error and does not stop the others.
    ///
    /// # Panics
    /// Panics when the generator has no panel.
    pub fn consensus(&self, tasks: &[TaskRecord], done: impl Fn() + Sync) -> Vec<Result<Consensus, GenerateError>> {
        collect(tasks, |deliver| {
            self.consensus_each(tasks, |index, cell| {
                done();
                deliver(index, cell)
            });
        })
    }

    /// Writes the expected ranking of every task and hands over each one as soon as it is there, as
    /// [`generate_each`](CellWriter::generate_each) does with samples.
    ///
    /// # Panics
    /// Panics when the generator has no panel.
    pub fn consensus_each(
        &self,
        tasks: &[TaskRecord],
        deliver: impl Fn(usize, Result<Consensus, GenerateError>) -> ControlFlow<()> + Sync,
    ) {
        let Some((requests, task_of)) = self.requests(tasks, |index, error| deliver(index, Err(error))) else { return };
        self.generator.expected_rankings(&requests, |index, ranked| {
            let (request, task) = (&requests[index], &tasks[task_of[index]]);
            deliver(task_of[index], ranked.map(|ranked| consensus(task, request, ranked)))
        });
    }

    /// Returns the expected ranking of one task over `samples` trajectories at temperature 1: see [`LocalGenerator::expected_ranking`].
    ///
    /// # Errors
    /// Returns an error when the prompt cannot be read or does not fit into the context.
    ///
    /// # Panics
    /// Panics when the generator has no panel.
    pub fn expected_ranking(&self, task: &TaskRecord) -> Result<Consensus, GenerateError> {
        let request = self.request(task)?;
        Ok(consensus(task, &request, self.generator.expected_ranking(&request)?))
    }
}

/// An expected ranking with the cell that lists it.
#[derive(Clone, Debug)]
pub struct Consensus {
    /// The cell as a generated row: its genes in expected order.
    pub record: GeneratedRecord,
    /// The probabilities behind it.
    pub ranking: ExpectedRanking,
}

impl CellPredictor for CellWriter<LocalGenerator> {
    type Error = GenerateError;

    /// Writes the expected ranking when the engine has a panel, else the first sample. What cannot be read of it is left out.
    fn predict(&mut self, task: &TaskRecord) -> Result<CellSentence, GenerateError> {
        let record = match self.generator.panel() {
            Some(_) => self.expected_ranking(task)?.record,
            None => self.samples(task)?.swap_remove(0),
        };
        first_cell(&record)
    }
}

#[cfg(feature = "remote")]
impl CellPredictor for CellWriter<super::RemoteGenerator> {
    type Error = GenerateError;

    /// Writes the first sample. What cannot be read of it is left out.
    fn predict(&mut self, task: &TaskRecord) -> Result<CellSentence, GenerateError> {
        first_cell(&self.samples(task)?.swap_remove(0))
    }
}

/// Returns the cell of a record as far as it can be read.
fn first_cell(record: &GeneratedRecord) -> Result<CellSentence, GenerateError> {
    let task = &record.task;
    let position = Position::new(task.x, task.y)
        .map_err(|source| GenerateError::Prompt { cell_name: task.cell_name.clone(), source: source.into() })?;
    let cell = SpatialSentence::parse_lenient(&record.generated_block).0.into_cells().into_iter().next();
    Ok(cell.unwrap_or_else(|| CellSentence::new(position, GeneRanking::default())))
}

/// Brings what `write` delivers for each task into the order of the tasks.
fn collect<T: Send>(
    tasks: &[TaskRecord],
    write: impl FnOnce(&(dyn Fn(usize, Result<T, GenerateError>) -> ControlFlow<()> + Sync)),
) -> Vec<Result<T, GenerateError>> {
    let written = Mutex::new(tasks.iter().map(|_| None).collect::<Vec<_>>());
    write(&|index, result| {
        written.lock().unwrap_or_else(PoisonError::into_inner)[index] = Some(result);
        ControlFlow::Continue(())
    });
    let written = written.into_inner().unwrap_or_else(PoisonError::into_inner);
    let unanswered = |task: &TaskRecord| Err(GenerateError::Unanswered { cell_name: task.cell_name.clone() });
    written.into_iter().zip(tasks).map(|(result, task)| result.unwrap_or_else(|| unanswered(task))).collect()
}

fn consensus(task: &TaskRecord, request: &Request, (continuation, ranking): (Continuation, ExpectedRanking)) -> Consensus {
    Consensus { record: record(task, request, 0, continuation), ranking }
}

fn records(task: &TaskRecord, request: &Request, continuations: Vec<Continuation>) -> Vec<GeneratedRecord> {
    continuations.into_iter().zip(0..).map(|(continuation, sample)| record(task, request, sample, continuation)).collect()
}

fn record(task: &TaskRecord, request: &Request, sample: u32, continuation: Continuation) -> GeneratedRecord {
    let Continuation { text, finish_reason, tokens, repairs, is_cut_between_genes } = continuation;
    let close = if is_cut_between_genes { " </cs>" } else { "" };
    GeneratedRecord {
        task: task.clone(),
        sample,
        model_prompt: request.prompt.clone(),
        generated_block: format!("{}{text}{close}", request.header),
        generated_text: text,
        finish_reason,
        n_tokens: tokens,
        repairs,
    }
}
