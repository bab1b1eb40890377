//! Words as tokens, independent of the words beside them.

use super::GrammarError;
use crate::tokenizer::SentenceTokenizer;

/// Spells words, and makes sure that they come back.
pub(super) struct Words<'t>(&'t SentenceTokenizer);

impl<'t> Words<'t> {
    pub(super) fn new(tokenizer: &'t SentenceTokenizer) -> Self {
        Self(tokenizer)
    }

    /// Returns the tokens of a text that is followed by the end or by a blank.
    pub(super) fn spell(&self, text: &str) -> Result<Vec<u32>, GrammarError> {
        let tokens = self.0.encode_ids(text);
        let decoded = self.0.decode(&tokens);
        if decoded != text {
            return Err(GrammarError::NotLossless { text: text.to_owned(), decoded });
        }
        match self.0.encode_ids(&format!("{text} <cs>")).strip_prefix(tokens.as_slice()) {
            Some(_) => Ok(tokens),
            None => Err(GrammarError::NotWordByWord { word: text.to_owned() }),
        }
    }

    /// Checks that words which begin with a blank have the same tokens one after the other as each alone.
    pub(super) fn check_row(&self, words: &[String], tokens: &[Vec<u32>]) -> Result<(), GrammarError> {
        let row = self.0.encode_ids(&words.concat());
        let mut rest = row.as_slice();
        for (word, tokens) in words.iter().zip(tokens) {
            rest = rest.strip_prefix(tokens.as_slice()).ok_or_else(|| GrammarError::NotWordByWord { word: word.clone() })?;
        }
        Ok(())
    }

    /// Checks that the first token of a word has the blank before it, so that it cannot be taken for a part of the word before.
    pub(super) fn check_first(&self, word: &str, tokens: &[u32]) -> Result<(), GrammarError> {
        match tokens.first().is_some_and(|&token| self.0.token_text(token).starts_with(b" ")) {
            true => Ok(()),
            false => Err(GrammarError::NotWordByWord { word: word.to_owned() }),
        }
    }
}
