//! The local engine: a decoder, its tokenizer and a gene panel.

use std::ops::ControlFlow;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, PoisonError};

use tn_sentence::{FinishReason, Vocabulary};

use super::GenerateError;
use super::decoding::{Decoding, ForcedTokens, Passes};
use super::expected_ranking::ExpectedRanking;
use super::generator::{Continuation, Deliver, Generator, Request};
use super::grammar::Grammar;
use super::sampling::Sampling;
use super::scheduler::{Batching, Scheduler, Wanted};
use super::session::Outcome;
use super::trajectory::Trajectory;
use crate::kernels::packed_linear::WeightFormat;
use crate::qwen3::{PackedQwen3, Qwen3};
use crate::tokenizer::SentenceTokenizer;

/// A decoder in this process.
///
/// Requests are decoded together, by [`Batching`]: the weights are read once for the tokens of all of them, a prompt once for all its
/// samples. On the processor, what is written for a request does not depend on the others, to the last bit, nor on the number of threads.
pub struct LocalGenerator {
    model: PackedQwen3,
    tokenizer: SentenceTokenizer,
    grammar: Option<Grammar>,
    forced: ForcedTokens,
    expectation: ExpectationOptions,
    batching: Batching,
    interrupt: Option<Arc<AtomicBool>>,
}

/// Takes the new text of a sample of a request, and says whether to go on with the request.
pub type Hear<'a> = dyn Fn(usize, u32, &str) -> ControlFlow<()> + Sync + 'a;

/// An expected ranking and the continuation that lists its genes.
type Ranked = (Continuation, ExpectedRanking);

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
        let (forced, expectation, batching) = (ForcedTokens::default(), ExpectationOptions::default(), Batching::of(&model));
        Ok(Self { model, tokenizer, grammar: None, forced, expectation, batching, interrupt: None })
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

    /// Sets how many requests are decoded together, instead of what suits the device ([`Batching::of`]). What is written does not depend on
    /// it.
    #[must_use]
    pub fn with_batching(mut self, batching: Batching) -> Self {
        self.batching = batching;
        self
    }

    /// Gives everything up that is not delivered, after the present pass of the model, once the flag is set.
    #[must_use]
    pub fn with_interrupt(mut self, flag: Arc<AtomicBool>) -> Self {
        self.interrupt = Some(flag);
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
    /// Returns an error when the prompt is empty or does not fit into the context, or the interrupt flag is set before the end.
    pub fn continuations(&self, request: &Request) -> Result<Vec<Continuation>, GenerateError> {
        Ok(self.continuations_and_passes(request)?.0)
    }

    /// Returns the continuations of one request, in the order of the samples, and how often the model was run for them.
    ///
    /// # Errors
    /// Returns an error when the prompt is empty or does not fit into the context, or the interrupt flag is set before the end.
    pub fn continuations_and_passes(&self, request: &Request) -> Result<(Vec<Continuation>, Passes), GenerateError> {
        let outcome = self.outcome(request)?;
        Ok((self.all_continuations(&outcome), outcome.passes))
    }

    /// Returns the expected ranking over the request's samples, drawn at temperature 1 from one reading of the prompt, and the continuation
    /// that lists its genes in order.
    ///
    /// A sample whose header never reaches its gene list adds nothing; when none does, the continuation is the first one's text and how it
    /// ended.
    ///
    /// # Errors
    /// Returns an error when the request asks for no sample, its prompt is empty or does not fit into the context, or the interrupt flag is set
    /// before the end.
    ///
    /// # Panics
    /// Panics when the generator has no panel.
    pub fn expected_ranking(&self, request: &Request) -> Result<Ranked, GenerateError> {
        let found = Mutex::new(None);
        self.expected_rankings(std::slice::from_ref(request), |_, ranked| {
            *found.lock().unwrap_or_else(PoisonError::into_inner) = Some(ranked);
            ControlFlow::Continue(())
        });
        let unanswered = || Err(GenerateError::Unanswered { cell_name: request.id.clone() });
        found.into_inner().unwrap_or_else(PoisonError::into_inner).unwrap_or_else(unanswered)
    }

    /// Makes the expected ranking of every request, as [`LocalGenerator::expected_ranking`] does, and hands each one over as
    /// [`Generator::generate`] does with continuations.
    ///
    /// # Panics
    /// Panics when the generator has no panel.
    pub fn expected_rankings(
        &self,
        requests: &[Request],
        deliver: impl Fn(usize, Result<Ranked, GenerateError>) -> ControlFlow<()> + Sync,
    ) {
        let grammar = self.grammar.as_ref().expect("an expected ranking needs a panel: call with_panel first");
        let as_trained = |request: &Request| Request { sampling: Sampling::AS_TRAINED, ..request.clone() };
        let requests: Vec<Request> = requests.iter().map(as_trained).collect();
        let ranked = |outcome: Outcome| {
            let ranking = outcome.ranking.expect("it was asked for");
            match outcome.trajectories.is_empty() {
                true => Err(GenerateError::InvalidSampling { name: "samples", value: 0.0, expected: "at least 1" }),
                false => Ok((listing(&outcome.trajectories, &ranking, grammar), ranking)),
            }
        };
        let deliver = |index: usize, outcome: Result<Outcome, GenerateError>| deliver(index, outcome.and_then(ranked));
        self.run(&requests, Wanted::ExpectedRanking, &|_, _, _| ControlFlow::Continue(()), &deliver);
    }

    /// Continues all prompts as [`Generator::generate`] does, and hands over the text of the samples while it is written: `hear` is called
    /// with the index of the request, the number of the sample and the text that is new. It is called for different requests at the same
    /// time; the pieces of a sample come in order and are together the text of its continuation. A gene is handed over when it is certain
    /// to end. When `hear` returns [`ControlFlow::Break`], the request is given up at once and not delivered; the others go on.
    ///
    /// ```
    /// use std::ops::ControlFlow;
    /// use tn_model::generation::{LocalGenerator, Request, Sampling};
    /// use tn_model::{Device, Qwen3, Qwen3Config, SentenceTokenizer, TokenizerOptions};
    /// use tn_sentence::Vocabulary;
    ///
    /// let panel = Vocabulary::new(["GFAP", "AQP4"])?;
    /// let tokenizer = SentenceTokenizer::train(["<pos> X: 1, Y: 2 <cs> GFAP </cs>"], &panel, &TokenizerOptions::default())?;
    /// let model = Qwen3::initialize(&Qwen3Config::tiny(tokenizer.vocab_size()), 42, &Device::flex());
    /// let header = "<pos> X: 3, Y: 4 <cs>".to_owned();
    /// let request = Request {
    ///     id: "cell".to_owned(), prompt: header.clone(), header, samples: 1, sampling: Sampling::GREEDY, max_new_tokens: 5, seed: 1,
    /// };
    /// let generator = LocalGenerator::new(&model, tokenizer)?.with_panel(panel)?;
    /// let hear = |_, _, text: &str| {
    ///     print!("{text}");
    ///     ControlFlow::Continue(())
    /// };
    /// generator.stream(&[request], &hear, &|_, continuations| {
    ///     println!(" ({:?})", continuations.map(|samples| samples[0].finish_reason));
    ///     ControlFlow::Continue(())
    /// });
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn stream(&self, requests: &[Request], hear: &Hear<'_>, deliver: &Deliver<'_>) {
        let deliver =
            |index: usize, outcome: Result<Outcome, GenerateError>| deliver(index, outcome.map(|outcome| self.all_continuations(&outcome)));
        self.run(requests, Wanted::Samples, hear, &deliver);
    }

    fn run(
        &self,
        requests: &[Request],
        wanted: Wanted,
        hear: &Hear<'_>,
        deliver: &(dyn Fn(usize, Result<Outcome, GenerateError>) -> ControlFlow<()> + Sync),
    ) {
        let decoding = Decoding {
            model: &self.model,
            tokenizer: &self.tokenizer,
            grammar: self.grammar.as_ref(),
            forced: self.forced,
            expectation: self.expectation,
        };
        let (batching, interrupt) = (self.batching, self.interrupt.as_deref());
        Scheduler { decoding: &decoding, batching, requests, wanted, interrupt, hear, deliver }.run();
    }

    fn outcome(&self, request: &Request) -> Result<Outcome, GenerateError> {
        let found = Mutex::new(Err(GenerateError::Unanswered { cell_name: request.id.clone() }));
        self.run(std::slice::from_ref(request), Wanted::Samples, &|_, _, _| ControlFlow::Continue(()), &|_, outcome| {
            *found.lock().unwrap_or_else(PoisonError::into_inner) = outcome;
            ControlFlow::Continue(())
        });
        found.into_inner().unwrap_or_else(PoisonError::into_inner)
    }

    fn all_continuations(&self, outcome: &Outcome) -> Vec<Continuation> {
        outcome.trajectories.iter().map(|trajectory| self.continuation(trajectory)).collect()
    }

    fn continuation(&self, trajectory: &Trajectory) -> Continuation {
        // A gene that the limit has cut is left out.
        let is_cut_between_genes = self.grammar.is_some() && trajectory.is_cut_in_genes();
        Continuation {
            text: text(trajectory.final_text(self.grammar.is_some())),
            finish_reason: trajectory.finished.unwrap_or(FinishReason::Length),
            tokens: trajectory.tokens as u32,
            repairs: trajectory.repairs,
            is_cut_between_genes,
        }
    }
}

impl Generator for LocalGenerator {
    fn generate(&self, requests: &[Request], deliver: &Deliver<'_>) {
        self.stream(requests, &|_, _, _| ControlFlow::Continue(()), deliver);
    }

    fn excess_tokens(&self, request: &Request) -> usize {
        let tokens = self.tokenizer.encode_ids(&request.prompt).len();
        tokens.saturating_add(request.max_new_tokens).saturating_sub(self.model.config().max_position_embeddings)
    }
}

/// Returns the continuation that lists an expected ranking.
fn listing(trajectories: &[Trajectory], ranking: &ExpectedRanking, grammar: &Grammar) -> Continuation {
    let genes: Vec<&str> = ranking.genes().into_iter().map(|gene| grammar.panel().symbol(gene)).collect();
    let (text, finish_reason) = match ranking.trajectories() {
        0 => (text(&trajectories[0].text), trajectories[0].finished.unwrap_or(FinishReason::Length)),
        _ => (format!("{} {} </cs>", common_header(trajectories), genes.join(" ")), FinishReason::Closed),
    };
    Continuation {
        text,
        finish_reason,
        tokens: trajectories.iter().map(|t| t.tokens as u32).sum(),
        repairs: trajectories.iter().map(|t| t.repairs).sum(),
        is_cut_between_genes: false,
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
