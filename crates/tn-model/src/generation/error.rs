//! What can go wrong before a cell is written.

use tn_sentence::PromptError;

use super::GrammarError;
use crate::TokenizerError;

/// An error in the request for a cell.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum GenerateError {
    /// The task's prompt or header cannot be read.
    #[error("the task of cell {cell_name} has no usable prompt")]
    Prompt {
        /// The target.
        cell_name: String,
        /// What is wrong with the prompt.
        source: PromptError,
    },
    /// The prompt and the longest answer together exceed what the model can read; [`CellWriter`](super::CellWriter) leaves out neighbors
    /// before, so that in its prompts there are none left.
    #[error(
        "the prompt of cell {cell_name} has {tokens} tokens, which with {max_new_tokens} new ones exceeds the model's context of {context}; \
         ask for fewer new tokens"
    )]
    PromptTooLong {
        /// The target.
        cell_name: String,
        /// Tokens of the prompt.
        tokens: usize,
        /// Tokens that may be added.
        max_new_tokens: usize,
        /// Tokens that the model can read.
        context: usize,
    },
    /// Keys and values of the prompt and its samples do not fit into the memory of the device.
    #[error(
        "the prompt of cell {cell_name} and its samples take {bytes} bytes, of which the device has {room} beside the weights; \
         ask for fewer samples, neighbors or new tokens"
    )]
    NoRoom {
        /// The target.
        cell_name: String,
        /// Bytes that they take.
        bytes: usize,
        /// Bytes that there are for all texts.
        room: usize,
    },
    /// The panel or a header field cannot be written with the tokenizer.
    #[error(transparent)]
    Grammar(#[from] GrammarError),
    /// A sampling option lies outside its range.
    #[error("{name} is {value}, but has to be {expected}")]
    InvalidSampling {
        /// The option.
        name: &'static str,
        /// Its value.
        value: f64,
        /// Its range.
        expected: &'static str,
    },
    /// There is no text to be continued.
    #[error("the prompt of cell {cell_name} is empty")]
    EmptyPrompt {
        /// The target.
        cell_name: String,
    },
    /// An engine was interrupted, or has not kept the contract of [`Generator`](super::Generator).
    #[error("the engine did not answer the request of cell {cell_name}")]
    Unanswered {
        /// The target.
        cell_name: String,
    },
    /// A server did not write the cell.
    #[cfg(feature = "remote")]
    #[error("cell {cell_name} was not written")]
    Remote {
        /// The target.
        cell_name: String,
        /// What went wrong, and at which server.
        source: super::RemoteError,
    },
    /// The tokenizer belongs to another model.
    #[error(transparent)]
    Tokenizer(#[from] TokenizerError),
}
