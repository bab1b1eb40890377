//! Why a tokenizer cannot be used.

use std::io;
use std::path::PathBuf;

/// Why a tokenizer cannot be loaded, trained, saved or used with a model.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TokenizerError {
    /// The file could not be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What went wrong.
        source: io::Error,
    },
    /// The file could not be written.
    #[error("cannot write {}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// What went wrong.
        source: io::Error,
    },
    /// The file was read, but its tokenizer was refused.
    #[error("unusable tokenizer {}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: Box<TokenizerError>,
    },
    /// The text is not a `tokenizer.json`.
    #[error("not a tokenizer")]
    Malformed {
        /// What went wrong.
        source: tokenizers::Error,
    },
    /// A token that every sentence tokenizer needs is missing: a byte (written as in the file) or the end of a text.
    #[error("the tokenizer has no token {token:?}")]
    MissingToken {
        /// The token.
        token: String,
    },
    /// A cell sentence comes back changed.
    #[error("the tokenizer gives back {text:?} as {decoded:?}")]
    NotLossless {
        /// What was encoded.
        text: String,
        /// What it was decoded to.
        decoded: String,
    },
    /// The tokenizer has tokens for which the model has no embedding.
    #[error("the tokenizer has {tokenizer} tokens, the model only {model}")]
    LargerThanModel {
        /// Tokens of the tokenizer.
        tokenizer: usize,
        /// Rows of the model's embedding.
        model: usize,
    },
    /// The model has more rows without a token than padding explains: its tokenizer is another one.
    #[error("the tokenizer has {tokenizer} tokens, the model {model}, which is more than padding")]
    SmallerThanModel {
        /// Tokens of the tokenizer.
        tokenizer: usize,
        /// Rows of the model's embedding.
        model: usize,
    },
    /// The model ends texts with a token that the tokenizer does not have.
    #[error("the model of {model} tokens ends a text with token {id}, the tokenizer of {tokenizer} has none of that id")]
    NoEndToken {
        /// The token.
        id: u32,
        /// Tokens of the tokenizer.
        tokenizer: usize,
        /// Rows of the model's embedding.
        model: usize,
    },
    /// An id lies beyond any embedding.
    #[error("the token {token:?} has the id {id}, expected one below {limit}")]
    IdTooLarge {
        /// The token, as written in the file.
        token: String,
        /// Its id.
        id: u32,
        /// The limit.
        limit: u32,
    },
    /// The requested vocabulary cannot hold bytes, tags, axes, digits and the panel.
    #[error("a vocabulary of {requested} is too small, this panel needs {needed}")]
    VocabularyTooSmall {
        /// Tokens asked for.
        requested: usize,
        /// Tokens needed at least.
        needed: usize,
    },
}
