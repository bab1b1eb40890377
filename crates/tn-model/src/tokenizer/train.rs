//! Building a tokenizer from a gene panel and a corpus.

use std::collections::{BTreeMap, HashMap};

use rayon::prelude::*;
use serde_json::{Value, json};
use tn_sentence::Vocabulary;
use tokenizers::pre_tokenizers::split::{Split, SplitPattern};
use tokenizers::{OffsetReferential, OffsetType, PreTokenizedString, PreTokenizer, SplitDelimiterBehavior};

use super::pattern::{self, SymbolKind};
use super::{SentenceTokenizer, TokenizerError, byte_level, merges};

/// Merges learned when no vocabulary size is asked for.
const DEFAULT_MERGES: usize = 512;
/// Sentences counted at a time, by all threads.
const BATCH: usize = 4096;

/// How a tokenizer is trained.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenizerOptions {
    vocab_size: Option<usize>,
    min_frequency: u64,
}

impl TokenizerOptions {
    /// Returns the default: the panel, bytes, tags, axes and digits, and at most 512 merges, of pairs seen at least twice.
    pub fn new() -> Self {
        Self { vocab_size: None, min_frequency: 2 }
    }

    /// Sets the largest number of tokens. Fewer are made when the corpus has no more pairs to merge.
    pub fn with_vocab_size(mut self, tokens: usize) -> Self {
        self.vocab_size = Some(tokens);
        self
    }

    /// Sets how often a pair must occur to be merged.
    pub fn with_min_frequency(mut self, count: u64) -> Self {
        self.min_frequency = count;
        self
    }
}

impl Default for TokenizerOptions {
    fn default() -> Self {
        Self::new()
    }
}

pub(super) fn train<I>(corpus: I, panel: &Vocabulary, options: &TokenizerOptions) -> Result<SentenceTokenizer, TokenizerError>
where
    I: IntoIterator,
    I::Item: AsRef<str> + Send,
{
    let mut tokens = Tokens::base(panel);
    let needed = tokens.texts.len();
    let limit = match options.vocab_size {
        None => DEFAULT_MERGES,
        Some(requested) => requested.checked_sub(needed).ok_or(TokenizerError::VocabularyTooSmall { requested, needed })?,
    };
    let pieces = pattern::pieces(panel);
    let words = count_words(corpus, &pieces, &tokens)?;
    let merges = merges::learn(&words, limit, options.min_frequency);
    for (left, right) in &merges {
        tokens.insert(format!("{left}{right}"));
    }
    SentenceTokenizer::from_json(&render(&tokens, &merges, &pieces).to_string())
}

/// Tokens in the order of their ids, as byte-level text.
struct Tokens {
    texts: Vec<String>,
    ids: HashMap<String, usize>,
}

impl Tokens {
    fn base(panel: &Vocabulary) -> Self {
        let mut tokens = Self { texts: Vec::new(), ids: HashMap::new() };
        tokens.insert(SentenceTokenizer::END_OF_TEXT.to_owned());
        (0..=u8::MAX).for_each(|byte| tokens.insert(byte_level::encode(&[byte])));
        for tag in pattern::TAGS {
            tokens.insert(byte_level::encode(tag.as_bytes()));
            tokens.insert(byte_level::encode(format!(" {tag}").as_bytes()));
        }
        (0..10).for_each(|digit| tokens.insert(byte_level::encode(format!(" {digit}").as_bytes())));
        for part in [" -", " X:", " Y:"] {
            tokens.insert(byte_level::encode(part.as_bytes()));
        }
        for symbol in panel.iter().filter(|symbol| SymbolKind::of(symbol) != SymbolKind::Number) {
            tokens.insert(byte_level::encode(format!(" {symbol}").as_bytes()));
        }
        tokens
    }

    fn insert(&mut self, text: String) {
        let next = self.texts.len();
        self.ids.entry(text).or_insert_with_key(|text| {
            self.texts.push(text.clone());
            next
        });
    }
}

/// Counts the pieces of the corpus that are not tokens yet, as byte-level text.
fn count_words<I>(corpus: I, pieces: &str, tokens: &Tokens) -> Result<BTreeMap<String, u64>, TokenizerError>
where
    I: IntoIterator,
    I::Item: AsRef<str> + Send,
{
    let malformed = |source| TokenizerError::Malformed { source };
    let pattern = SplitPattern::Regex(pieces.to_owned());
    let split = Split::new(pattern, SplitDelimiterBehavior::Isolated, false).map_err(malformed)?;
    let mut words: BTreeMap<String, u64> = BTreeMap::new();
    let mut corpus = corpus.into_iter().peekable();
    while corpus.peek().is_some() {
        let batch: Vec<I::Item> = corpus.by_ref().take(BATCH).collect();
        let counts: Vec<HashMap<String, u64>> =
            batch.into_par_iter().map(|text| count(text.as_ref(), &split)).collect::<Result<_, _>>().map_err(malformed)?;
        for (piece, count) in counts.into_iter().flatten() {
            let word = byte_level::encode(piece.as_bytes());
            if !tokens.ids.contains_key(&word) {
                *words.entry(word).or_default() += count;
            }
        }
    }
    Ok(words)
}

fn count(text: &str, split: &Split) -> Result<HashMap<String, u64>, tokenizers::Error> {
    let mut pieces = PreTokenizedString::from(text);
    split.pre_tokenize(&mut pieces)?;
    let mut counts: HashMap<String, u64> = HashMap::new();
    for (piece, _, _) in pieces.get_splits(OffsetReferential::Original, OffsetType::Byte) {
        match counts.get_mut(piece) {
            Some(count) => *count += 1,
            None => drop(counts.insert(piece.to_owned(), 1)),
        }
    }
    Ok(counts)
}

fn render(tokens: &Tokens, merges: &[(String, String)], pieces: &str) -> Value {
    let vocabulary: serde_json::Map<String, Value> = tokens.texts.iter().enumerate().map(|(id, text)| (text.clone(), json!(id))).collect();
    let byte_level = json!({ "type": "ByteLevel", "add_prefix_space": false, "trim_offsets": false, "use_regex": false });
    json!({
        "version": "1.0",
        "truncation": null,
        "padding": null,
        "added_tokens": [{
            "id": 0, "content": SentenceTokenizer::END_OF_TEXT, "single_word": false, "lstrip": false, "rstrip": false,
            "normalized": false, "special": true,
        }],
        "normalizer": null,
        "pre_tokenizer": {
            "type": "Sequence",
            "pretokenizers": [
                { "type": "Split", "pattern": { "Regex": pieces }, "behavior": "Isolated", "invert": false },
                byte_level,
            ],
        },
        "post_processor": null,
        "decoder": byte_level,
        "model": {
            "type": "BPE", "dropout": null, "unk_token": null, "continuing_subword_prefix": null,
            "end_of_word_suffix": null, "fuse_unk": false, "byte_fallback": false,
            // A piece that is a token is that token, however its merges would go.
            "ignore_merges": true,
            "vocab": vocabulary,
            "merges": merges,
        },
    })
}
