//! How probable an observed cell is given its neighbors, and what each neighbor adds.
//!
//! The *surprise* of a cell is minus its log-likelihood for each gene. What the neighborhood tells is the log-likelihood minus that of the
//! same cell without neighbors. The *influence* of neighbor `j` is `log p(cell | all) - log p(cell | all but j)`: its block is taken out
//! of the text, what follows moves up, and the order stays. It says what the model reads from a neighbor, not what the neighbor causes.
//!
//! Probabilities are those of the model over all tokens, not renormalized over a panel: they are what the model believes, and a gene that
//! no panel knows has one too.

use tn_sentence::{CellHeader, CellSentence, CoordinateFormat, ModelPrompt, PromptBuilder, PromptError, TaskRecord};

use crate::qwen3::{PackedQwen3, ReadSequence};
use crate::tokenizer::{SentenceTokenizer, TokenizerError};

/// Scores observed cells with a decoder.
pub struct CellScorer {
    model: PackedQwen3,
    tokenizer: SentenceTokenizer,
    prompts: PromptBuilder,
}

/// The log-likelihood of an observed cell, in nats.
#[derive(Clone, Debug, PartialEq)]
pub struct CellLikelihood {
    /// Log-probability of each gene, given the genes before it; the sum over its tokens.
    pub genes: Vec<f64>,
    /// Log-probability of the closing tag.
    pub close: f64,
    /// Sum over the genes, given no neighbors.
    pub without_neighbors: f64,
    /// Influence of each neighbor on the sum over the genes, in the order of the prompt.
    pub influence: Vec<f64>,
}

impl CellLikelihood {
    /// Returns the sum over the genes.
    #[must_use]
    pub fn total(&self) -> f64 {
        self.genes.iter().sum()
    }

    /// Returns minus the mean log-probability of a gene.
    #[must_use]
    pub fn surprise(&self) -> f64 {
        -self.total() / self.genes.len() as f64
    }

    /// Returns what the neighbors together tell about the genes.
    #[must_use]
    pub fn gain(&self) -> f64 {
        self.total() - self.without_neighbors
    }
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
    /// The prompt and the observed cell together exceed what the model can read.
    #[error(
        "the prompt of cell {cell_name} and its genes have {tokens} tokens, and the model's context is {context}; show fewer neighbors"
    )]
    TooLong {
        /// The target.
        cell_name: String,
        /// Tokens of the prompt and the observed cell.
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
        Ok(Self { model, tokenizer, prompts })
    }

    /// Returns the log-likelihood of the observed cell of a task, and the influence of each neighbor on it.
    ///
    /// # Errors
    /// Returns an error when the task has no observed genes, or its prompt cannot be built or does not fit into the context.
    pub fn score(&self, task: &TaskRecord) -> Result<CellLikelihood, LikelihoodError> {
        let unusable = |source| LikelihoodError::Prompt { cell_name: task.cell_name.clone(), source };
        if task.answer.trim().is_empty() {
            return Err(LikelihoodError::NothingObserved { cell_name: task.cell_name.clone() });
        }
        let prompt = self.prompts.build(task).map_err(unusable)?;
        let observed = CellSentence::parse(&task.answer).map_err(|source| unusable(PromptError::from(source)))?;
        if observed.ranking().genes().is_empty() {
            return Err(LikelihoodError::NothingObserved { cell_name: task.cell_name.clone() });
        }
        let answer = Answer::of(&prompt, &observed);
        let whole = self.tokens(&prompt.text, &answer);
        self.check_length(task, &whole)?;
        let (read, scores) = ReadSequence::read(&self.model, &whole.ids, whole.scored);
        let mut genes = whole.by_piece(&scores);
        let close = genes.pop().unwrap_or_default();
        let total: f64 = genes.iter().sum();
        let without = |range: std::ops::Range<usize>| {
            let text = [&prompt.text[..range.start], &prompt.text[range.end..]].concat();
            let tokens = self.tokens(&text, &answer);
            let pieces = tokens.by_piece(&read.score(&tokens.ids, tokens.scored));
            pieces[..genes.len()].iter().sum::<f64>()
        };
        let blocks = blocks(&prompt);
        let all = blocks.first().map_or(0, |first| first.start)..blocks.last().map_or(0, |last| last.end);
        let without_neighbors = if all.is_empty() { total } else { without(all) };
        let influence = blocks.into_iter().map(|block| total - without(block)).collect();
        Ok(CellLikelihood { genes, close, without_neighbors, influence })
    }

    fn check_length(&self, task: &TaskRecord, whole: &Tokens) -> Result<(), LikelihoodError> {
        let (tokens, context) = (whole.ids.len(), self.model.config().max_position_embeddings);
        match tokens <= context {
            true => Ok(()),
            false => Err(LikelihoodError::TooLong { cell_name: task.cell_name.clone(), tokens, context }),
        }
    }

    fn tokens(&self, prompt: &str, answer: &Answer) -> Tokens {
        let encoding = self.tokenizer.encode(&format!("{prompt}{}", answer.text));
        let begin = prompt.len();
        let scored = encoding.offsets.iter().take_while(|range| range.start < begin).count();
        // Piece 0 is what stands before the genes.
        let piece = |start: usize| answer.starts.partition_point(|&other| begin + other <= start);
        let pieces = encoding.offsets[scored..].iter().map(|range| piece(range.start)).collect();
        Tokens { ids: encoding.ids, scored, pieces, count: answer.starts.len() }
    }
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
    /// Adds up the scores of the tokens of each gene and of the closing tag.
    fn by_piece(&self, scores: &[f64]) -> Vec<f64> {
        let mut sums = vec![0.0; self.count + 1];
        self.pieces.iter().zip(scores).for_each(|(&piece, score)| sums[piece] += score);
        sums.split_off(1)
    }
}

/// Returns the bytes of each neighbor in the prompt, with the blank behind it.
fn blocks(prompt: &ModelPrompt) -> Vec<std::ops::Range<usize>> {
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
