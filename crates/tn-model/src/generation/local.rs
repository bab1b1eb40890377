//! The local engine: a decoder, its tokenizer and a gene panel.

use rayon::prelude::*;
use tn_sentence::{FinishReason, Vocabulary};

use super::GenerateError;
use super::decoding::Decoding;
use super::expected_ranking::ExpectedRanking;
use super::generator::{Continuation, Deliver, Generator, Request};
use super::panel::PanelTokens;
use super::sampling::Sampling;
use super::trajectory::Trajectory;
use crate::kernels::attention::softmax_in_place;
use crate::qwen3::Qwen3;
use crate::tokenizer::SentenceTokenizer;

/// A decoder in this process.
///
/// Requests run side by side on the threads of rayon, each by itself with all its samples together.
pub struct LocalGenerator {
    model: Qwen3,
    tokenizer: SentenceTokenizer,
    panel: Option<Panel>,
}

struct Panel {
    genes: Vocabulary,
    tokens: PanelTokens,
}

impl LocalGenerator {
    /// Puts a model and its tokenizer together; gene lists are free until a panel is given. LoRA adapters are merged into the weights.
    ///
    /// # Errors
    /// Returns an error when the tokenizer has more tokens than the model.
    pub fn new(model: &Qwen3, tokenizer: SentenceTokenizer) -> Result<Self, GenerateError> {
        tokenizer.check_against(model.config())?;
        Ok(Self { model: model.merged(), tokenizer, panel: None })
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

    /// Returns the panel that gene lists are restricted to.
    #[must_use]
    pub fn panel(&self) -> Option<&Vocabulary> {
        self.panel.as_ref().map(|panel| &panel.genes)
    }

    /// Returns the continuations of one request, in the order of the samples.
    ///
    /// # Errors
    /// Returns an error when the prompt does not fit into the context.
    pub fn continuations(&self, request: &Request) -> Result<Vec<Continuation>, GenerateError> {
        let prompt = self.tokens(request)?;
        let trajectories = self.decoding().run(request, &prompt, |_, _, _| {});
        Ok(trajectories.iter().map(|trajectory| self.continuation(trajectory)).collect())
    }

    /// Returns the expected ranking over the request's samples, drawn at temperature 1 from one reading of the prompt, and the continuation
    /// that lists its genes in order.
    ///
    /// A sample whose header never reaches its gene list adds nothing; when none does, the continuation is the first one's text and how it
    /// ended.
    ///
    /// # Errors
    /// Returns an error when the prompt does not fit into the context.
    ///
    /// # Panics
    /// Panics when the generator has no panel.
    pub fn expected_ranking(&self, request: &Request) -> Result<(Continuation, ExpectedRanking), GenerateError> {
        let panel = self.panel.as_ref().expect("an expected ranking needs a panel: call with_panel first");
        let request = Request { sampling: Sampling::AS_TRAINED, ..request.clone() };
        let prompt = self.tokens(&request)?;
        let mut ranking = ExpectedRanking::new(panel.genes.len());
        let trajectories = self.decoding().run(&request, &prompt, |trajectory, rank, logits| {
            let mut probabilities = trajectory.restrict(logits, &panel.tokens);
            softmax_in_place(&mut probabilities);
            let genes = panel.tokens.genes().iter().enumerate().map(|(gene, &token)| (gene, probabilities[token as usize]));
            ranking.add(rank, genes);
        });
        let writing = trajectories.iter().filter(|trajectory| trajectory.in_genes).count() as u32;
        let ranking = ranking.average(writing);
        let genes: Vec<&str> = ranking.genes().into_iter().map(|gene| panel.genes.symbol(gene)).collect();
        let (text, finish_reason) = match writing {
            0 => (text(&trajectories[0]), trajectories[0].finished.unwrap_or(FinishReason::Length)),
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

    fn decoding(&self) -> Decoding<'_> {
        Decoding { model: &self.model, tokenizer: &self.tokenizer, panel: self.panel.as_ref().map(|panel| &panel.tokens) }
    }

    fn continuation(&self, trajectory: &Trajectory) -> Continuation {
        Continuation {
            text: text(trajectory),
            finish_reason: trajectory.finished.unwrap_or(FinishReason::Length),
            tokens: trajectory.tokens as u32,
            repairs: trajectory.repairs,
            is_cut_between_genes: self.panel.is_some() && trajectory.is_cut_in_genes(),
        }
    }
}

impl Generator for LocalGenerator {
    fn generate(&self, requests: &[Request], deliver: &Deliver<'_>) {
        let _stopped = requests.par_iter().enumerate().try_for_each(|(index, request)| deliver(index, self.continuations(request)));
    }
}

fn text(trajectory: &Trajectory) -> String {
    String::from_utf8_lossy(&trajectory.text).into_owned()
}

/// Returns the header that most trajectories wrote before their genes, the first among equals.
fn common_header(trajectories: &[Trajectory]) -> String {
    let headers: Vec<String> = trajectories
        .iter()
        .filter(|trajectory| trajectory.in_genes)
        .map(text)
        .map(|text| text.split_once("<cs>").map_or(String::new(), |(header, _)| format!("{header}<cs>")))
        .collect();
    let count = |header: &String| headers.iter().filter(|h| *h == header).count();
    let best = headers.iter().reduce(|best, header| if count(header) > count(best) { header } else { best });
    best.cloned().unwrap_or_default()
}
