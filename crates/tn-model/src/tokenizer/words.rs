//! Encoding word by word: the words of sentences repeat, so their tokens are remembered.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::{PoisonError, RwLock};

use serde_json::Value;
use tokenizers::{ModelWrapper, Tokenizer};

use super::{Encoding, pattern};

/// Words that are remembered, at most: about 30 MB. The genes of a panel, the digits of coordinates and the metadata of a data set are fewer.
const MOST_WORDS: usize = 1 << 18;
/// Bytes of a word that is remembered, at most.
const LONGEST_WORD: usize = 64;

/// Pieces of Qwen2, Qwen2.5 and Qwen3.
const QWEN_PIECES: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";

/// The tokens of words that were met before.
///
/// Any number of threads reads at once. What is remembered changes how long encoding takes, never its result.
#[derive(Debug, Default)]
pub(super) struct Words {
    known: RwLock<Known>,
}

#[derive(Debug, Default)]
struct Known {
    /// For every word the place of its tokens.
    places: HashMap<Box<str>, Range<usize>>,
    tokens: Vec<Token>,
}

/// A token, and the bytes of its word that it stands for.
#[derive(Clone, Copy, Debug)]
struct Token {
    id: u32,
    start: u32,
    end: u32,
}

impl Words {
    /// Encodes a text of ASCII characters; `encode` is asked for words that are not known.
    pub(super) fn encode(&self, text: &str, encode: impl Fn(&str) -> Encoding) -> Encoding {
        let mut result = Encoding { ids: Vec::with_capacity(text.len() / 4), offsets: Vec::with_capacity(text.len() / 4) };
        self.each_token(text, encode, |id, range| {
            result.ids.push(id);
            result.offsets.push(range);
        });
        result
    }

    /// Hands over every token of a text with its place.
    pub(super) fn each_token(&self, text: &str, encode: impl Fn(&str) -> Encoding, mut token: impl FnMut(u32, Range<usize>)) {
        let mut known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        for word in words(text) {
            let start = word.start;
            let word = &text[word];
            if let Some(place) = known.places.get(word) {
                for found in &known.tokens[place.clone()] {
                    token(found.id, start + found.start as usize..start + found.end as usize);
                }
                continue;
            }
            // Nobody waits while a word is encoded.
            drop(known);
            let encoding = encode(word);
            for (&id, range) in encoding.ids.iter().zip(&encoding.offsets) {
                token(id, start + range.start..start + range.end);
            }
            self.remember(word, &encoding);
            known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn remember(&self, word: &str, encoding: &Encoding) {
        if word.len() > LONGEST_WORD {
            return;
        }
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        if known.places.len() >= MOST_WORDS || known.places.contains_key(word) {
            return;
        }
        let first = known.tokens.len();
        // A word is short, so its offsets fit.
        let tokens = encoding.ids.iter().zip(&encoding.offsets);
        known.tokens.extend(tokens.map(|(&id, range)| Token { id, start: range.start as u32, end: range.end as u32 }));
        let place = first..known.tokens.len();
        known.places.insert(word.into(), place);
    }
}

/// Cuts a text before every single blank between two other characters. White space of any other kind stays inside a word.
fn words(text: &str) -> impl Iterator<Item = Range<usize>> {
    let bytes = text.as_bytes();
    let is_word = |at: usize| bytes.get(at).is_some_and(|byte| !byte.is_ascii_whitespace() && *byte != VERTICAL_TAB);
    let is_cut = move |at: &usize| is_word(at - 1) && is_word(at + 1);
    let blanks = bytes.iter().enumerate().skip(1).filter(|(_, byte)| **byte == b' ').map(|(at, _)| at);
    let mut cuts = blanks.filter(is_cut).chain([bytes.len()]);
    let mut start = 0;
    std::iter::from_fn(move || {
        let end = cuts.next()?;
        Some(std::mem::replace(&mut start, end)..end)
    })
    .filter(|word| !word.is_empty())
}

/// White space to regular expressions, but not to [`u8::is_ascii_whitespace`].
const VERTICAL_TAB: u8 = 0x0b;

/// Says whether a tokenizer gives an ASCII text the tokens of its words, one after the other.
///
/// That takes a pattern that never joins text across a single blank, and nothing else that looks farther than a word: no change of the
/// text before it is cut, no blank put before it, no added token with white space inside or beside it.
pub(super) fn encodes_words(tokenizer: &Tokenizer) -> bool {
    let as_json = |part: Option<Value>| part.unwrap_or(Value::Null);
    let normalizer = as_json(tokenizer.get_normalizer().and_then(|part| serde_json::to_value(part).ok()));
    let pre_tokenizer = as_json(tokenizer.get_pre_tokenizer().and_then(|part| serde_json::to_value(part).ok()));
    let post_processor = as_json(tokenizer.get_post_processor().and_then(|part| serde_json::to_value(part).ok()));
    let is_deterministic = matches!(tokenizer.get_model(), ModelWrapper::BPE(model) if model.dropout.is_none_or(|share| share == 0.0));
    let added_fit = tokenizer.get_added_tokens_decoder().values().all(|added| {
        let inside = added.content.strip_prefix(' ').unwrap_or(&added.content);
        !added.lstrip && !added.rstrip && !inside.contains(char::is_whitespace)
    });
    // Unicode normalization leaves ASCII as it is.
    let keeps_text = normalizer.is_null() || normalizer["type"] == "NFC";
    is_deterministic && added_fit && keeps_text && cuts_at_blanks(&pre_tokenizer) && keeps_tokens(&post_processor)
}

fn cuts_at_blanks(pre_tokenizer: &Value) -> bool {
    let is_byte_level = |part: &Value| part["type"] == "ByteLevel" && part["add_prefix_space"] == false;
    if is_byte_level(pre_tokenizer) {
        // With GPT-2's pattern.
        return pre_tokenizer["use_regex"] == true;
    }
    let Some([split, bytes]) = pre_tokenizer["pretokenizers"].as_array().map(Vec::as_slice) else { return false };
    let is_split = split["type"] == "Split" && split["behavior"] == "Isolated" && split["invert"] == false;
    let is_known = split["pattern"]["Regex"].as_str().is_some_and(|pieces| pieces == QWEN_PIECES || pattern::is_trained(pieces));
    is_split && is_known && is_byte_level(bytes) && bytes["use_regex"] == false
}

/// The first token of a text is trimmed in another way only where a blank was put before it.
fn keeps_tokens(post_processor: &Value) -> bool {
    post_processor.is_null() || post_processor["type"] == "ByteLevel" && post_processor["add_prefix_space"] == false
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &[&str]) {
        let found: Vec<&str> = words(text).map(|word| &text[word]).collect();
        assert_eq!(found, expected, "{text:?}");
    }

    #[test]
    fn text_is_cut_before_single_blanks() {
        check("<pos> X: 1, Y: 2 <cs>", &["<pos>", " X:", " 1,", " Y:", " 2", " <cs>"]);
        check(" A B", &[" A", " B"]);
    }

    #[test]
    fn other_white_space_stays_inside() {
        check("A  B C", &["A  B", " C"]);
        check("A \nB", &["A \nB"]);
        check("A\t B \u{b}C", &["A\t B \u{b}C"]);
        check("A ", &["A "]);
        check("  ", &["  "]);
        check("", &[]);
    }

    #[test]
    fn a_word_is_encoded_once() {
        let asked = std::cell::Cell::new(0);
        let encode = |word: &str| {
            asked.set(asked.get() + 1);
            Encoding { ids: word.bytes().map(u32::from).collect(), offsets: (0..word.len()).map(|at| at..at + 1).collect() }
        };
        let cache = Words::default();
        let text = "A B A B";
        let expected = encode(text);
        for calls in [4, 4] {
            // `A` at the beginning is another word than `A` after a blank.
            assert_eq!(cache.encode(text, encode), expected);
            assert_eq!(asked.get(), calls);
        }
        let long = "A".repeat(LONGEST_WORD + 1);
        cache.encode(&long, encode);
        cache.encode(&long, encode);
        assert_eq!(asked.get(), 6);
    }
}
