//! What decoding works with.

use super::GenerateError;
use super::generator::Request;
use super::grammar::Grammar;
use super::local::ExpectationOptions;
use crate::qwen3::{Continuations, PackedQwen3};
use crate::tokenizer::SentenceTokenizer;

/// What is done with tokens that the grammar leaves no alternative to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ForcedTokens {
    /// They are read by the model together with the token before them, in one pass.
    #[default]
    Together,
    /// The model makes a pass for each, as if they were drawn.
    OneByOne,
}

/// How often the model was run for the samples of a request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Passes {
    /// Passes over all samples that were still running; reading the prompt is the first one.
    pub made: usize,
    /// Passes that were not needed because tokens were forced: without, there is one for each token of the longest sample.
    pub saved: usize,
}

/// What decoding works with.
pub(super) struct Decoding<'a> {
    pub(super) model: &'a PackedQwen3,
    pub(super) tokenizer: &'a SentenceTokenizer,
    pub(super) grammar: Option<&'a Grammar>,
    pub(super) forced: ForcedTokens,
    pub(super) expectation: ExpectationOptions,
}

impl Decoding<'_> {
    /// Returns the tokens of the prompt of a request.
    ///
    /// # Errors
    /// Returns an error when the prompt is empty or does not fit into the context.
    pub(super) fn prompt(&self, request: &Request) -> Result<Vec<u32>, GenerateError> {
        let tokens = self.tokenizer.encode_ids(&request.prompt);
        if tokens.is_empty() {
            return Err(GenerateError::EmptyPrompt { cell_name: request.id.clone() });
        }
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

    /// Returns the most tokens of a continuation of a request: beyond the last one, there may be a look at how a gene would go on.
    pub(super) fn capacity(&self, request: &Request) -> usize {
        request.max_new_tokens.saturating_add(self.grammar.map_or(0, |grammar| grammar.genes().depth()))
    }

    /// Returns the bytes that a request takes at most while it is decoded.
    pub(super) fn size_in_bytes(&self, request: &Request, prompt: usize) -> usize {
        Continuations::size_in_bytes(self.model, prompt, request.samples as usize, self.capacity(request))
    }
}
