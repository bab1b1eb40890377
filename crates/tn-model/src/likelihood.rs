//! How probable an observed cell is given its neighbors, and what each neighbor adds.
//!
//! The *surprise* of a cell is minus its log-likelihood for each gene. What the neighborhood tells is the log-likelihood minus that of the
//! same cell without neighbors. The *influence* of neighbor `j` is `log p(cell | all) - log p(cell | all but j)`: its block is taken out
//! of the text, what follows moves up, and the order stays. It says what the model reads from a neighbor, not what the neighbor causes.
//!
//! Probabilities are those of the model over all tokens, not renormalized over a panel: they are what the model believes, and a gene that
//! no panel knows has one too.

use std::ops::{ControlFlow, Range};

use rayon::prelude::*;
use tn_sentence::{
    CellHeader, CellLikelihood, CellSentence, CoordinateFormat, Coordinates, ModelPrompt, PromptBuilder, PromptError, TaskRecord,
};

use crate::qwen3::{PackedQwen3, ReadSequence};
use crate::shortening::neighbors_that_fit;
use crate::tokenizer::{SentenceTokenizer, TokenizerError};

/// Scores observed cells with a decoder.
///
/// Where a prompt and the observed cell exceed what the model can read, the neighbors farthest from the target are left out, as few as
/// suffice, as [`CellWriter`](crate::generation::CellWriter) does; the likelihood says how many. Only a cell that does not fit alone is an
/// error.
pub struct CellScorer {
    model: PackedQwen3,
    tokenizer: SentenceTokenizer,
    prompts: PromptBuilder,
    coordinates: Coordinates,
    has_influences: bool,
}

/// Why a cell has no likelihood.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LikelihoodError {
    /// The task has no observed cell, or one without genes.
    #[error("the task of cell {cell_name} has no observed genes")]
    NothingObserved {
        /// The target.
        cell_name: String,
    },
    /// The header and the genes of the observed cell exceed what the model can read, even without neighbors.
    #[error("cell {cell_name} has {tokens} tokens without any neighbor, and the model's context is {context}")]
    TooLong {
        /// The target.
        cell_name: String,
        /// Tokens of the observed cell.
        tokens: usize,
        /// Tokens that the model can read.
        context: usize,
    },
    /// The prompt cannot be built, or the observed cell cannot be read.
    #[error("the task of cell {cell_name} has no usable prompt or answer")]
    Prompt {
        /// The target.
        cell_name: String,
        /// What is wrong.
        source: PromptError,
    },
}

impl CellScorer {
    /// Puts a model, its tokenizer and the way prompts are built together.
    ///
    /// # Errors
    /// Returns an error when the tokenizer belongs to another model.
    pub fn new(model: PackedQwen3, tokenizer: SentenceTokenizer, prompts: PromptBuilder) -> Result<Self, TokenizerError> {
        tokenizer.check_against(model.config())?;
        Ok(Self { model, tokenizer, prompts, coordinates: Coordinates::Shown, has_influences: true })
    }

    /// Sets whether the model reads where cells are, as it was trained; it does by default.
    #[must_use]
    pub fn with_coordinates(mut self, coordinates: Coordinates) -> Self {
        self.coordinates = coordinates;
        self
    }

    /// Leaves the influences out: they take a run of the model for each neighbor.
    #[must_use]
    pub fn without_influences(mut self) -> Self {
        self.has_influences = false;
        self
    }

    /// Scores every task and hands over each likelihood as soon as it is there, with the index of the task, from any thread and in any order,
    /// until `deliver` says stop.
    ///
    /// A likelihood depends on its task only. A task that cannot be scored yields its error and does not stop the others. After a stop, no
    /// further task is begun.
    pub fn score_each(
        &self,
        tasks: &[TaskRecord],
        deliver: impl Fn(usize, Result<CellLikelihood, LikelihoodError>) -> ControlFlow<()> + Sync,
    ) {
        let score = |(index, task)| deliver(index, self.score(task));
        // The products of a large model are divided among threads, and its keys and values are there once.
        let _stopped = match self.model.is_small() {
            true => tasks.par_iter().enumerate().try_for_each(score),
            false => tasks.iter().enumerate().try_for_each(score),
        };
    }

    /// Returns the log-likelihood of the observed cell of a task, and the influence of each neighbor on it.
    ///
    /// # Errors
    /// Returns an error when the task has no observed genes, its prompt cannot be built, or the observed cell alone does not fit into the
    /// context.
    pub fn score(&self, task: &TaskRecord) -> Result<CellLikelihood, LikelihoodError> {
        let observed = observed(task)?;
        let (prompt, neighbors_left_out) = self.prompt(task, &observed)?;
        let answer = Answer::of(&prompt, &observed);
        let whole = self.tokens(&prompt.text, &answer);
        let (read, scores) = ReadSequence::read(&self.model, &whole.ids, whole.scored);
        let (header, mut genes) = whole.by_piece(&scores);
        let close = genes.pop().unwrap_or_default();
        let total: f64 = genes.iter().sum();
        let without = |range: Range<usize>| {
            let text = [&prompt.text[..range.start], &prompt.text[range.end..]].concat();
            let tokens = self.tokens(&text, &answer);
            let (_, pieces) = tokens.by_piece(&read.score(&tokens.ids, tokens.scored));
            pieces[..genes.len()].iter().sum::<f64>()
        };
        let blocks = blocks(&prompt);
        let all = blocks.first().map_or(0, |first| first.start)..blocks.last().map_or(0, |last| last.end);
        let without_neighbors = if all.is_empty() { total } else { without(all) };
        let asked_for = if self.has_influences { blocks } else { Vec::new() };
        let influences = asked_for.into_iter().map(|block| total - without(block)).collect();
        Ok(CellLikelihood {
            neighbors: names(&prompt),
            genes: observed.into_ranking(),
            gene_log_probabilities: genes,
            header,
            close,
            without_neighbors,
            influences,
            neighbors_left_out,
        })
    }

    /// Returns the prompt of a task with as many neighbors as fit before the observed cell, and how many are left out.
    fn prompt(&self, task: &TaskRecord, observed: &CellSentence) -> Result<(ModelPrompt, u32), LikelihoodError> {
        let context = self.model.config().max_position_embeddings;
        let build = |nearest| self.prompts.clone().with_nearest(nearest).build(task).map_err(|source| unusable(task, source));
        let count = |prompt: &ModelPrompt| self.tokens(&prompt.text, &Answer::of(prompt, observed)).ids.len();
        let whole = self.prompts.build(task).map_err(|source| unusable(task, source))?;
        if count(&whole) <= context {
            return Ok((whole, 0));
        }
        let tokens = count(&build(0)?);
        if tokens > context {
            return Err(LikelihoodError::TooLong { cell_name: task.cell_name.clone(), tokens, context });
        }
        let shown = whole.neighbors.len();
        let fitting = neighbors_that_fit(shown, |nearest| build(nearest).map(|prompt| count(&prompt) <= context))?;
        let left_out = shown - fitting;
        tracing::debug!(cell = task.cell_name, shown, left_out, "the prompt is too long; the farthest neighbors are left out");
        Ok((build(fitting)?, u32::try_from(left_out).unwrap_or(u32::MAX)))
    }

    fn tokens(&self, prompt: &str, answer: &Answer) -> Tokens {
        let prompt = self.coordinates.apply(prompt.to_owned());
        let begin = prompt.len();
        let encoding = self.tokenizer.encode(&(prompt + &answer.text));
        let scored = encoding.offsets.iter().take_while(|range| range.start < begin).count();
        // Piece 0 is what stands before the genes.
        let piece = |start: usize| answer.starts.partition_point(|&other| begin + other <= start);
        let pieces = encoding.offsets[scored..].iter().map(|range| piece(range.start)).collect();
        Tokens { ids: encoding.ids, scored, pieces, count: answer.starts.len() }
    }
}

/// Returns the observed cell of a task, which has genes.
fn observed(task: &TaskRecord) -> Result<CellSentence, LikelihoodError> {
    let nothing = || LikelihoodError::NothingObserved { cell_name: task.cell_name.clone() };
    if task.answer.trim().is_empty() {
        return Err(nothing());
    }
    let observed = CellSentence::parse(&task.answer).map_err(|source| unusable(task, source.into()))?;
    if observed.ranking().is_empty() { Err(nothing()) } else { Ok(observed) }
}

fn unusable(task: &TaskRecord, source: PromptError) -> LikelihoodError {
    LikelihoodError::Prompt { cell_name: task.cell_name.clone(), source }
}

/// Returns the name of each neighbor: that of the task, or class and position.
fn names(prompt: &ModelPrompt) -> Vec<String> {
    if prompt.neighbor_names.len() == prompt.neighbors.len() {
        return prompt.neighbor_names.clone();
    }
    let described = |cell: &CellSentence| {
        let position = cell.header().position_text(CoordinateFormat::Integer);
        let place = position.trim_start_matches("<pos> ");
        cell.class().map_or_else(|| place.to_owned(), |class| format!("{class} at {place}"))
    };
    prompt.neighbors.iter().map(described).collect()
}

/// What follows the prompt, and where its genes and its closing tag start, with the blanks before them.
struct Answer {
    text: String,
    starts: Vec<usize>,
}

impl Answer {
    fn of(prompt: &ModelPrompt, observed: &CellSentence) -> Self {
        let header = CellHeader::new(prompt.header.position()).with_metadata(observed.metadata().clone());
        let header = header.display(CoordinateFormat::Integer).to_string();
        let mut text = match prompt.header_text.ends_with("<cs>") {
            true => String::new(),
            false => header.strip_prefix(&prompt.header_text).unwrap_or_default().to_owned(),
        };
        let mut starts = Vec::new();
        for word in observed.ranking().genes().iter().map(|gene| gene.as_str()).chain(["</cs>"]) {
            starts.push(text.len());
            text.push(' ');
            text.push_str(word);
        }
        Self { text, starts }
    }
}

struct Tokens {
    ids: Vec<u32>,
    /// The first token of the answer.
    scored: usize,
    /// The piece of each token of the answer: 0 before the genes.
    pieces: Vec<usize>,
    count: usize,
}

impl Tokens {
    /// Adds up the scores of the tokens before the genes, and those of each gene and of the closing tag.
    fn by_piece(&self, scores: &[f64]) -> (f64, Vec<f64>) {
        let mut sums = vec![0.0; self.count + 1];
        self.pieces.iter().zip(scores).for_each(|(&piece, score)| sums[piece] += score);
        let pieces = sums.split_off(1);
        (sums[0], pieces)
    }
}

/// Returns the bytes of each neighbor in the prompt, with the blank behind it.
fn blocks(prompt: &ModelPrompt) -> Vec<Range<usize>> {
    let lengths = prompt.neighbors.iter().map(|cell| cell.display(CoordinateFormat::Integer).to_string().len() + 1);
    let lengths: Vec<usize> = lengths.collect();
    let mut end = prompt.text.len() - prompt.header_text.len() - lengths.iter().sum::<usize>();
    let block = |length: usize| {
        let start = end;
        end += length;
        start..end
    };
    lengths.into_iter().map(block).collect()
}
