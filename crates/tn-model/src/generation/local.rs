//! The local engine: a decoder, its tokenizer and a gene panel.

use rayon::prelude::*;
use tn_sentence::{FinishReason, Vocabulary};

use super::GenerateError;
use super::decoding::{Decoding, ForcedTokens, Passes, Session};
use super::expectation::Expectation;
use super::expected_ranking::ExpectedRanking;
use super::generator::{Continuation, Deliver, Generator, Request};
use super::grammar::Grammar;
use super::sampling::Sampling;
use super::trajectory::Trajectory;
use crate::kernels::packed_linear::WeightFormat;
use crate::qwen3::{PackedQwen3, Qwen3};
use crate::tokenizer::SentenceTokenizer;

/// A decoder in this process.
///
/// Requests run side by side on the threads of rayon, each by itself with all its samples together.
pub struct LocalGenerator {
    model: PackedQwen3,
    tokenizer: SentenceTokenizer,
    grammar: Option<Grammar>,
    forced: ForcedTokens,
    expectation: ExpectationOptions,
}

/// How an expected ranking is made.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ExpectationOptions {
    /// Where genes are several tokens: a way to begin a gene that is more probable than this is followed by the model, whether it is drawn
    /// or not; the others count when they are drawn. 0 follows all, 1 none. Lower is slower, and less a matter of chance.
    pub expand_above: f32,
    /// When fewer trajectories than asked for are enough.
    pub early_stop: Option<EarlyStop>,
}

/// When an expected ranking is good enough.
///
/// After every so many trajectories, the ranking of the first genes is compared with that before; if it is the same, there are no more
/// trajectories. A small number stops by chance sometimes. Which trajectories there are does not depend on how many follow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EarlyStop {
    /// Genes compared, from the first rank.
    pub ranks: usize,
    /// Trajectories between two comparisons; at least 1.
    pub every: u32,
}

impl Default for ExpectationOptions {
    /// Follows what is more probable than 0.05, and draws all trajectories.
    fn default() -> Self {
        Self { expand_above: 0.05, early_stop: None }
    }
}

impl LocalGenerator {
    /// Puts a model and its tokenizer together, the weights packed in 32 bits; gene lists are free until a panel is given. LoRA adapters are
    /// merged into the weights.
    ///
    /// # Errors
    /// As [`LocalGenerator::from_packed`].
    pub fn new(model: &Qwen3, tokenizer: SentenceTokenizer) -> Result<Self, GenerateError> {
        tokenizer.check_against(model.config())?;
        Self::from_packed(PackedQwen3::pack(model, WeightFormat::F32), tokenizer)
    }

    /// Puts a packed model and its tokenizer together; gene lists are free until a panel is given.
    ///
    /// # Errors
    /// Returns an error when the tokenizer belongs to another model, by [`SentenceTokenizer::check_against`]: when it has more tokens than
    /// the model has rows, so many fewer that padding does not explain it, or no text for a token that ends the model's texts.
    pub fn from_packed(model: PackedQwen3, tokenizer: SentenceTokenizer) -> Result<Self, GenerateError> {
        tokenizer.check_against(model.config())?;
        let (forced, expectation) = (ForcedTokens::default(), ExpectationOptions::default());
        Ok(Self { model, tokenizer, grammar: None, forced, expectation })
    }

    /// Restricts gene lists to a panel, no gene twice: see [`Grammar::new`].
    ///
    /// # Errors
    /// Returns an error when the tokenizer cannot write every gene of the panel.
    pub fn with_panel(self, genes: Vocabulary) -> Result<Self, GenerateError> {
        let grammar = Grammar::new(&self.tokenizer, &genes)?;
        Ok(self.with_grammar(grammar))
    }

    /// Restricts cells to a grammar, which has to be made with the tokenizer of the model.
    ///
    /// # Panics
    /// Panics when the grammar was made with a tokenizer of another number of tokens.
    #[must_use]
    pub fn with_grammar(mut self, grammar: Grammar) -> Self {
        assert_eq!(grammar.vocab_size(), self.tokenizer.vocab_size(), "the grammar was made with another tokenizer");
        self.grammar = Some(grammar);
        self
    }

    /// Sets what is done with tokens that the grammar leaves no alternative to. What is written does not depend on it, but for rounding.
    #[must_use]
    pub fn with_forced_tokens(mut self, forced: ForcedTokens) -> Self {
        self.forced = forced;
        self
    }

    /// Sets how expected rankings are made.
    #[must_use]
    pub fn with_expectation(mut self, options: ExpectationOptions) -> Self {
        self.expectation = options;
        self
    }

    /// Returns the tokenizer.
    #[must_use]
    pub fn tokenizer(&self) -> &SentenceTokenizer {
        &self.tokenizer
    }

    /// Returns the panel that gene lists are restricted to.
    #[must_use]
    pub fn panel(&self) -> Option<&Vocabulary> {
        self.grammar.as_ref().map(Grammar::panel)
    }

    /// Returns the continuations of one request, in the order of the samples.
    ///
    /// # Errors
    /// Returns an error when the prompt does not fit into the context.
    pub fn continuations(&self, request: &Request) -> Result<Vec<Continuation>, GenerateError> {
        Ok(self.continuations_and_passes(request)?.0)
    }

    /// Returns the continuations of one request, in the order of the samples, and how often the model was run for them.
    ///
    /// # Errors
    /// Returns an error when the prompt does not fit into the context.
    pub fn continuations_and_passes(&self, request: &Request) -> Result<(Vec<Continuation>, Passes), GenerateError> {
        let mut session = self.session(request)?;
        let trajectories = session.run(0..request.samples, None);
        Ok((trajectories.iter().map(|trajectory| self.continuation(trajectory)).collect(), session.passes))
    }

    /// Returns the expected ranking over the request's samples, drawn at temperature 1 from one reading of the prompt, and the continuation
    /// that lists its genes in order.
    ///
    /// A sample whose header never reaches its gene list adds nothing; when none does, the continuation is the first one's text and how it
    /// ended.
    ///
    /// # Errors
    /// Returns an error when the request asks for no sample, or its prompt does not fit into the context.
    ///
    /// # Panics
    /// Panics when the generator has no panel.
    pub fn expected_ranking(&self, request: &Request) -> Result<(Continuation, ExpectedRanking), GenerateError> {
        let grammar = self.grammar.as_ref().expect("an expected ranking needs a panel: call with_panel first");
        if request.samples == 0 {
            return Err(GenerateError::InvalidSampling { name: "samples", value: 0.0, expected: "at least 1" });
        }
        let request = Request { sampling: Sampling::AS_TRAINED, ..request.clone() };
        let mut session = self.session(&request)?;
        let mut expectation = Expectation::new(grammar, request.samples as usize, self.expectation.expand_above);
        let (trajectories, ranking) = self.draw_until_stable(&mut session, request.samples, &mut expectation);
        let genes: Vec<&str> = ranking.genes().into_iter().map(|gene| grammar.panel().symbol(gene)).collect();
        let (text, finish_reason) = match ranking.trajectories() {
            0 => (text(&trajectories[0].text), trajectories[0].finished.unwrap_or(FinishReason::Length)),
            _ => (format!("{} {} </cs>", common_header(&trajectories), genes.join(" ")), FinishReason::Closed),
        };
        let continuation = Continuation {
            text,
            finish_reason,
            tokens: trajectories.iter().map(|t| t.tokens as u32).sum(),
            repairs: trajectories.iter().map(|t| t.repairs).sum(),
            is_cut_between_genes: false,
        };
        Ok((continuation, ranking))
    }

    /// Runs the samples, all together or until the ranking no longer changes.
    fn draw_until_stable(
        &self,
        session: &mut Session<'_>,
        samples: u32,
        expectation: &mut Expectation<'_>,
    ) -> (Vec<Trajectory>, ExpectedRanking) {
        let step = self.expectation.early_stop.map_or(samples, |stop| stop.every.max(1));
        let mut trajectories: Vec<Trajectory> = Vec::new();
        let mut before: Option<Vec<usize>> = None;
        loop {
            let first = trajectories.len() as u32;
            trajectories.extend(session.run(first..samples.min(first.saturating_add(step)), Some(&mut *expectation)));
            let writing = trajectories.iter().filter(|trajectory| trajectory.in_genes).count() as u32;
            if trajectories.len() as u32 >= samples {
                return (trajectories, expectation.sum().average(writing));
            }
            let mut genes = expectation.sum().order(writing);
            genes.truncate(self.expectation.early_stop.map_or(0, |stop| stop.ranks));
            if writing > 0 && before.as_ref() == Some(&genes) {
                return (trajectories, expectation.sum().average(writing));
            }
            before = Some(genes);
        }
    }

    fn session<'a>(&'a self, request: &'a Request) -> Result<Session<'a>, GenerateError> {
        let decoding = Decoding { model: &self.model, tokenizer: &self.tokenizer, grammar: self.grammar.as_ref(), forced: self.forced };
        Ok(decoding.session(request, self.tokens(request)?))
    }

    fn tokens(&self, request: &Request) -> Result<Vec<u32>, GenerateError> {
        let tokens = self.tokenizer.encode_ids(&request.prompt);
        let context = self.model.config().max_position_embeddings;
        if tokens.len().saturating_add(request.max_new_tokens) > context {
            return Err(GenerateError::PromptTooLong {
                cell_name: request.id.clone(),
                tokens: tokens.len(),
                max_new_tokens: request.max_new_tokens,
                context,
            });
        }
        Ok(tokens)
    }

    fn continuation(&self, trajectory: &Trajectory) -> Continuation {
        // A gene that the limit has cut is left out.
        let is_cut_between_genes = self.grammar.is_some() && trajectory.is_cut_in_genes();
        Continuation {
            text: text(if is_cut_between_genes { trajectory.whole_text() } else { &trajectory.text }),
            finish_reason: trajectory.finished.unwrap_or(FinishReason::Length),
            tokens: trajectory.tokens as u32,
            repairs: trajectory.repairs,
            is_cut_between_genes,
        }
    }
}

impl Generator for LocalGenerator {
    fn generate(&self, requests: &[Request], deliver: &Deliver<'_>) {
        let _stopped = requests.par_iter().enumerate().try_for_each(|(index, request)| deliver(index, self.continuations(request)));
    }

    fn excess_tokens(&self, request: &Request) -> usize {
        let tokens = self.tokenizer.encode_ids(&request.prompt).len();
        tokens.saturating_add(request.max_new_tokens).saturating_sub(self.model.config().max_position_embeddings)
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Returns the header that most trajectories wrote before their genes, the first among equals.
fn common_header(trajectories: &[Trajectory]) -> String {
    let headers: Vec<String> = trajectories
        .iter()
        .filter(|trajectory| trajectory.in_genes)
        .map(|trajectory| text(&trajectory.text))
        .map(|text| text.split_once("<cs>").map_or(String::new(), |(header, _)| format!("{header}<cs>")))
        .collect();
    let count = |header: &String| headers.iter().filter(|h| *h == header).count();
    let best = headers.iter().reduce(|best, header| if count(header) > count(best) { header } else { best });
    best.cloned().unwrap_or_default()
}
