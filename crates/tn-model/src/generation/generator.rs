//! The local engine: a decoder, its tokenizer and a gene panel.

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;
use tn_sentence::{
    CellPredictor, CellSentence, Conditioning, FinishReason, GeneRanking, GeneratedRecord, ModelPrompt, Position, PromptBuilder,
    PromptOrder, SpatialSentence, TaskRecord, Vocabulary, request_seed,
};

use super::GenerateError;
use super::expected_ranking::ExpectedRanking;
use super::panel::PanelTokens;
use super::sampling::Sampling;
use super::trajectory::Trajectory;
use crate::kernels::attention::softmax_in_place;
use crate::kernels::host;
use crate::kernels::host::HostFloats;
use crate::qwen3::{Continuations, Qwen3};
use crate::tokenizer::SentenceTokenizer;

/// What a generator does with a task.
#[derive(Clone, Debug)]
pub struct GenerationOptions {
    /// What the model is told about the target.
    pub conditioning: Conditioning,
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

/// A decoder that writes cells.
///
/// Results depend on the options' seed, the target's name and the sample's number only: not on the other targets of a call, nor on the
/// number of threads.
pub struct Generator {
    model: Qwen3,
    tokenizer: SentenceTokenizer,
    panel: Option<Panel>,
    options: GenerationOptions,
}

struct Panel {
    genes: Vocabulary,
    tokens: PanelTokens,
}

/// A prompt as tokens, with what is needed to assemble the answer.
struct Request {
    prompt: ModelPrompt,
    ids: Vec<u32>,
}

impl Generator {
    /// Puts a model and its tokenizer together; gene lists are free until a panel is given. LoRA adapters are merged into the weights.
    ///
    /// # Errors
    /// Returns an error when an option lies outside its range or the tokenizer has more tokens than the model.
    pub fn new(model: &Qwen3, tokenizer: SentenceTokenizer, options: GenerationOptions) -> Result<Self, GenerateError> {
        options.validate()?;
        tokenizer.check_against(model.config())?;
        Ok(Self { model: model.merged(), tokenizer, panel: None, options })
    }

    /// Restricts gene lists to a panel, no gene twice.
    ///
    /// # Errors
    /// Returns an error when the tokenizer does not write every gene of the panel as one token.
    pub fn with_panel(mut self, genes: Vocabulary) -> Result<Self, GenerateError> {
        let tokens = PanelTokens::new(&self.tokenizer, &genes)?;
        self.panel = Some(Panel { genes, tokens });
        Ok(self)
    }

    /// Replaces the options, keeping the model.
    ///
    /// # Errors
    /// Returns an error when an option lies outside its range.
    pub fn with_options(mut self, options: GenerationOptions) -> Result<Self, GenerateError> {
        options.validate()?;
        self.options = options;
        Ok(self)
    }

    /// Writes the samples of every task, in the order of the tasks, and calls `done` after each task, from any thread.
    ///
    /// A task that cannot be run yields its error and does not stop the others.
    pub fn generate(&self, tasks: &[TaskRecord], done: impl Fn() + Sync) -> Vec<Result<Vec<GeneratedRecord>, GenerateError>> {
        tasks.par_iter().map(|task| self.samples(task).inspect(|_| done())).collect()
    }

    /// Writes the samples of one task.
    ///
    /// # Errors
    /// Returns an error when the prompt cannot be read or does not fit into the context.
    pub fn samples(&self, task: &TaskRecord) -> Result<Vec<GeneratedRecord>, GenerateError> {
        let request = self.request(task)?;
        let trajectories = self.run(&request, task, &self.options.sampling, |_, _, _| {});
        let records = trajectories.into_iter().enumerate().map(|(sample, trajectory)| {
            let text = String::from_utf8_lossy(&trajectory.text).into_owned();
            let close = if self.panel.is_some() && trajectory.is_cut_in_genes() { " </cs>" } else { "" };
            GeneratedRecord {
                task: task.clone(),
                sample: sample as u32,
                model_prompt: request.prompt.text.clone(),
                generated_block: format!("{}{text}{close}", request.prompt.header_text),
                generated_text: text,
                finish_reason: trajectory.finished.unwrap_or(FinishReason::Length),
                n_tokens: trajectory.tokens as u32,
                repairs: trajectory.repairs,
            }
        });
        Ok(records.collect())
    }

    /// Writes the expected ranking of every task, in the order of the tasks, and calls `done` after each task, from any thread.
    ///
    /// A task that cannot be run yields its error and does not stop the others.
    ///
    /// # Panics
    /// Panics when the generator has no panel.
    pub fn consensus(&self, tasks: &[TaskRecord], done: impl Fn() + Sync) -> Vec<Result<Consensus, GenerateError>> {
        tasks.par_iter().map(|task| self.expected_ranking(task).inspect(|_| done())).collect()
    }

    /// Returns the expected ranking of one task over `samples` trajectories at temperature 1 from one reading of the prompt.
    ///
    /// A trajectory whose header never reaches its gene list adds nothing; when none does, the record holds the first one's text and how it
    /// ended.
    ///
    /// # Errors
    /// Returns an error when the prompt cannot be read or does not fit into the context.
    ///
    /// # Panics
    /// Panics when the generator has no panel.
    pub fn expected_ranking(&self, task: &TaskRecord) -> Result<Consensus, GenerateError> {
        let panel = self.panel.as_ref().expect("an expected ranking needs a panel: call with_panel first");
        let request = self.request(task)?;
        let mut ranking = ExpectedRanking::new(panel.genes.len());
        let trajectories = self.run(&request, task, &Sampling::AS_TRAINED, |trajectory, rank, logits| {
            let mut probabilities = trajectory.restrict(logits, &panel.tokens);
            softmax_in_place(&mut probabilities);
            let genes = panel.tokens.genes().iter().enumerate().map(|(gene, &token)| (gene, probabilities[token as usize]));
            ranking.add(rank, genes);
        });
        let writing = trajectories.iter().filter(|trajectory| trajectory.in_genes).count() as u32;
        let ranking = ranking.average(writing);
        let genes: Vec<&str> = ranking.genes().into_iter().map(|gene| panel.genes.symbol(gene)).collect();
        let (text, finish_reason) = match writing {
            0 => (String::from_utf8_lossy(&trajectories[0].text).into_owned(), trajectories[0].finished.unwrap_or(FinishReason::Length)),
            _ => (format!("{} {} </cs>", common_header(&trajectories), genes.join(" ")), FinishReason::Closed),
        };
        let record = GeneratedRecord {
            task: task.clone(),
            sample: 0,
            model_prompt: request.prompt.text.clone(),
            generated_block: format!("{}{text}", request.prompt.header_text),
            generated_text: text,
            finish_reason,
            n_tokens: trajectories.iter().map(|t| t.tokens as u32).sum(),
            repairs: trajectories.iter().map(|t| t.repairs).sum(),
        };
        Ok(Consensus { record, ranking })
    }

    fn request(&self, task: &TaskRecord) -> Result<Request, GenerateError> {
        let options = &self.options;
        let builder =
            PromptBuilder::new(options.conditioning).with_order(options.order).with_max_cells(options.max_cells).with_seed(options.seed);
        let prompt = builder.build(task).map_err(|source| GenerateError::Prompt { cell_name: task.cell_name.clone(), source })?;
        let ids = self.tokenizer.encode_ids(&prompt.text);
        let context = self.model.config().max_position_embeddings;
        if ids.len().saturating_add(options.max_new_tokens) > context {
            return Err(GenerateError::PromptTooLong {
                cell_name: task.cell_name.clone(),
                tokens: ids.len(),
                max_new_tokens: options.max_new_tokens,
                context,
            });
        }
        Ok(Request { prompt, ids })
    }

    /// Runs the trajectories of one request together; `observe` sees the logits of every gene's step, before the draw, with the rank.
    fn run(
        &self,
        request: &Request,
        task: &TaskRecord,
        sampling: &Sampling,
        mut observe: impl FnMut(&Trajectory, usize, &[f32]),
    ) -> Vec<Trajectory> {
        let options = &self.options;
        let panel = self.panel.as_ref().map(|panel| &panel.tokens);
        let genes = self.panel.as_ref().map_or(0, |panel| panel.genes.len());
        let in_genes = options.conditioning != Conditioning::Unconditioned;
        let mut trajectories: Vec<Trajectory> = (0..options.samples)
            .map(|sample| ChaCha8Rng::seed_from_u64(request_seed(options.seed, &task.cell_name, sample)))
            .map(|rng| Trajectory::new(rng, in_genes, genes))
            .collect();
        let mut ranks = vec![0usize; trajectories.len()];
        let mut running: Vec<usize> = (0..trajectories.len()).collect();
        let mut continuations = Continuations::start(&self.model, &request.ids, running.len(), options.max_new_tokens);
        for step in 0..options.max_new_tokens {
            let logits = HostFloats::of(continuations.logits()).map_or_else(|| host::to_vec(continuations.logits()), |l| l.to_vec());
            let vocabulary = logits.len() / running.len();
            let mut tokens = Vec::with_capacity(running.len());
            for (&index, logits) in running.iter().zip(logits.chunks_exact(vocabulary)) {
                let trajectory = &mut trajectories[index];
                if trajectory.in_genes {
                    observe(trajectory, ranks[index], logits);
                    ranks[index] += 1;
                }
                let token = trajectory.draw(logits, sampling, panel);
                trajectory.push(token, &self.tokenizer, panel);
                tokens.push(token);
            }
            let alive: Vec<usize> = (0..running.len()).filter(|&i| trajectories[running[i]].finished.is_none()).collect();
            if alive.is_empty() || step + 1 == options.max_new_tokens {
                break;
            }
            if alive.len() < running.len() {
                continuations.keep(&alive);
                tokens = alive.iter().map(|&i| tokens[i]).collect();
                running = alive.iter().map(|&i| running[i]).collect();
            }
            continuations.push(&tokens);
        }
        trajectories
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

impl CellPredictor for Generator {
    type Error = GenerateError;

    /// Writes the expected ranking when the generator has a panel, else the first sample. What cannot be read of it is left out.
    fn predict(&mut self, task: &TaskRecord) -> Result<CellSentence, GenerateError> {
        let block = match self.panel {
            Some(_) => self.expected_ranking(task)?.record.generated_block,
            None => self.samples(task)?.swap_remove(0).generated_block,
        };
        let position = Position::new(task.x, task.y)
            .map_err(|source| GenerateError::Prompt { cell_name: task.cell_name.clone(), source: source.into() })?;
        let cell = SpatialSentence::parse_lenient(&block).0.into_cells().into_iter().next();
        Ok(cell.unwrap_or_else(|| CellSentence::new(position, GeneRanking::default())))
    }
}

/// Returns the header that most trajectories wrote before their genes, the first among equals.
fn common_header(trajectories: &[Trajectory]) -> String {
    let headers: Vec<String> = trajectories
        .iter()
        .filter(|trajectory| trajectory.in_genes)
        .map(|trajectory| String::from_utf8_lossy(&trajectory.text).into_owned())
        .map(|text| text.split_once("<cs>").map_or(String::new(), |(header, _)| format!("{header}<cs>")))
        .collect();
    let count = |header: &String| headers.iter().filter(|h| *h == header).count();
    let best = headers.iter().reduce(|best, header| if count(header) > count(best) { header } else { best });
    best.cloned().unwrap_or_default()
}
