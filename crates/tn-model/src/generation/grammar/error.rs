//! Why a grammar cannot be built.

use tn_sentence::MetadataError;

/// Why no grammar can be built from a panel, header fields and a tokenizer.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum GrammarError {
    /// A gene of the panel, a tag or a header field does not come back from its tokens.
    #[error("the tokenizer gives back {text:?} as {decoded:?}")]
    NotLossless {
        /// What was encoded.
        text: String,
        /// What it was decoded to.
        decoded: String,
    },
    /// The tokens of a word depend on the words beside it.
    #[error("the tokenizer writes {word:?} differently beside other words")]
    NotWordByWord {
        /// The word, with the blank before it.
        word: String,
    },
    /// A header field has a key that cannot be written.
    #[error("a header field has an unusable key")]
    Key(#[from] MetadataError),
    /// Two header fields have one key.
    #[error("header field {key} is given twice")]
    RepeatedKey {
        /// The key.
        key: String,
    },
    /// A header field has no value to choose from.
    #[error("header field {key} has no value to choose from")]
    NoValue {
        /// The key.
        key: String,
    },
    /// A value of a header field would be read as something else.
    #[error("value {value:?} of header field {key} would be read as {read:?}")]
    Value {
        /// The key of the field.
        key: String,
        /// The value.
        value: String,
        /// What the parser of cell sentences makes of it; empty when it reads no such field.
        read: String,
    },
    /// With this tokenizer, the end of a free text cannot be told from the text.
    #[error("the tokenizer has no token that could only end the free text of header field {key}")]
    EndlessText {
        /// The key of the field.
        key: String,
    },
}

/// A token that the grammar does not allow at this place.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("token {token} is not allowed here")]
pub struct ForbiddenToken {
    /// The token.
    pub token: u32,
}
