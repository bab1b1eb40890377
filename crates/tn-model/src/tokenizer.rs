//! Text to token ids and back.

mod byte_level;
mod error;
mod merges;
mod pattern;
mod train;
mod words;

pub use error::TokenizerError;
pub use train::TokenizerOptions;

use std::ops::Range;
use std::path::Path;
use std::str::FromStr;
use std::sync::Arc;

use tn_sentence::Vocabulary;
use tokenizers::Tokenizer;

use self::words::Words;
use crate::Qwen3Config;

/// A byte-level BPE tokenizer for cell and spatial sentences.
///
/// Loaded from the `tokenizer.json` of a Hugging Face checkpoint, or trained on a corpus with a gene panel
/// ([`SentenceTokenizer::train`]): then every gene of the panel, with the blank before it, is one token, and so is every tag.
///
/// Any text can be encoded. For a tokenizer trained here, decoding gives back exactly what was encoded; a loaded one may
/// normalize text first (Qwen composes accented letters).
///
/// Words are remembered with their tokens, as far as the kind of tokenizer allows that: the words of sentences repeat, and a text of
/// known words is encoded at the speed of looking them up.
///
/// ```
/// use tn_model::{SentenceTokenizer, TokenizerOptions};
/// use tn_sentence::Vocabulary;
///
/// let panel = Vocabulary::new(["GFAP", "AQP4", "H2-K1"])?;
/// let text = "<pos> X: -30, Y: 40 <meta> class: OEC <cs> GFAP H2-K1 </cs>";
/// let tokenizer = SentenceTokenizer::train([text, text], &panel, &TokenizerOptions::new())?;
///
/// let ids = tokenizer.encode_ids(text);
/// let tokens: Vec<_> = ids.iter().map(|&id| tokenizer.decode(&[id])).collect();
/// assert_eq!(
///     tokens,
///     [
///         "<pos>", " X:", " -", "3", "0", ",", " Y:", " 4", "0", " <meta>", " class:", " OEC", " <cs>", " GFAP", " H2-K1",
///         " </cs>",
///     ]
/// );
/// assert_eq!(tokenizer.decode(&ids), text);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct SentenceTokenizer {
    tokenizer: Tokenizer,
    /// Text of every id; empty for ids without a token.
    texts: Vec<Box<[u8]>>,
    byte_ids: [u32; 256],
    end_of_text: u32,
    /// What was encoded before; nothing for a tokenizer whose texts are more than their words.
    words: Option<Arc<Words>>,
}

/// A text as token ids.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Encoding {
    /// The tokens.
    pub ids: Vec<u32>,
    /// The bytes of the text that each token stands for, on character boundaries: tokens that share a character all have its
    /// whole range.
    pub offsets: Vec<Range<usize>>,
}

/// Rows of an embedding without a token are padding when they are fewer.
const PADDING: usize = 1_024;
/// Ids are below it, as in [`Qwen3Config`]: there is a text in memory for every id up to the highest.
const ID_LIMIT: u32 = 1 << 24;

impl SentenceTokenizer {
    /// Name of the file inside a checkpoint folder.
    pub const FILE_NAME: &'static str = "tokenizer.json";
    /// Name of the file that tells transformers and vLLM how to read [`SentenceTokenizer::FILE_NAME`].
    pub const CONFIG_FILE_NAME: &'static str = "tokenizer_config.json";
    /// The token that ends a text, and separates texts.
    pub const END_OF_TEXT: &'static str = "<|endoftext|>";

    /// Reads `tokenizer.json` in a checkpoint folder.
    ///
    /// # Errors
    ///
    /// As [`SentenceTokenizer::from_file`].
    pub fn load(folder: impl AsRef<Path>) -> Result<Self, TokenizerError> {
        Self::from_file(folder.as_ref().join(Self::FILE_NAME))
    }

    /// Reads a tokenizer file.
    ///
    /// # Errors
    ///
    /// When the file cannot be read or parsed, has an id beyond any embedding, is not a byte-level BPE with a token for every byte, has no
    /// [`SentenceTokenizer::END_OF_TEXT`], or cannot give back a cell sentence that it encoded.
    pub fn from_file(path: impl AsRef<Path>) -> Result<Self, TokenizerError> {
        let path = path.as_ref();
        let json = std::fs::read_to_string(path).map_err(|source| TokenizerError::Read { path: path.to_owned(), source })?;
        Self::from_json(&json).map_err(|source| TokenizerError::File { path: path.to_owned(), source: Box::new(source) })
    }

    /// Parses the text of a `tokenizer.json`.
    ///
    /// # Errors
    ///
    /// As [`SentenceTokenizer::from_file`], except for reading the file.
    pub fn from_json(json: &str) -> Result<Self, TokenizerError> {
        let mut tokenizer = Tokenizer::from_str(json).map_err(|source| TokenizerError::Malformed { source })?;
        tokenizer.with_padding(None);
        tokenizer.with_truncation(None).map_err(|source| TokenizerError::Malformed { source })?;
        let texts = token_texts(&tokenizer)?;
        let byte_ids = byte_ids(&tokenizer)?;
        let end_of_text =
            tokenizer.token_to_id(Self::END_OF_TEXT).ok_or(TokenizerError::MissingToken { token: Self::END_OF_TEXT.to_owned() })?;
        let words = words::encodes_words(&tokenizer).then(Arc::default);
        let tokenizer = Self { tokenizer, texts, byte_ids, end_of_text, words };
        tokenizer.check_sentence()?;
        Ok(tokenizer)
    }

    /// Trains a tokenizer: bytes, tags, axes, digits and the panel are tokens from the start; the words of metadata are learned from
    /// the corpus by byte-pair merges. The same corpus and panel give the same tokenizer.
    ///
    /// A symbol of digits and punctuation alone (an Entrez number) cannot be told from a coordinate and stays several tokens.
    ///
    /// # Errors
    ///
    /// When the options ask for fewer tokens than bytes, tags, axes, digits and panel need.
    pub fn train<I>(corpus: I, panel: &Vocabulary, options: &TokenizerOptions) -> Result<Self, TokenizerError>
    where
        I: IntoIterator,
        I::Item: AsRef<str> + Send,
    {
        train::train(corpus, panel, options)
    }

    /// Writes `tokenizer.json` into a folder that exists.
    ///
    /// # Errors
    ///
    /// When the file cannot be written.
    pub fn save(&self, folder: impl AsRef<Path>) -> Result<(), TokenizerError> {
        let folder = folder.as_ref();
        let path = folder.join(Self::FILE_NAME);
        let write = || {
            // Made by `File` for the usual permissions; temporary files are private.
            let mut file = tempfile::Builder::new().make_in(folder, |path| std::fs::File::create_new(path))?;
            std::io::Write::write_all(&mut file, self.to_json().as_bytes())?;
            file.as_file().sync_all()?;
            file.persist(&path).map_err(|error| error.error)
        };
        write().map(drop).map_err(|source| TokenizerError::Write { path: path.clone(), source })
    }

    /// Renders the text of a `tokenizer.json`, which transformers reads too.
    #[expect(clippy::missing_panics_doc, reason = "a tokenizer that was parsed can be written")]
    pub fn to_json(&self) -> String {
        self.tokenizer.to_string(true).expect("it was parsed")
    }

    /// Renders the text of a `tokenizer_config.json`.
    ///
    /// Without it, transformers takes the tokenizer of a Qwen3 checkpoint for Qwen's own, splits text as Qwen does, and finds other tokens
    /// than those that the model was trained on.
    pub(crate) fn config_json(max_tokens: usize) -> String {
        let value = serde_json::json!({
            "clean_up_tokenization_spaces": false,
            "eos_token": Self::END_OF_TEXT,
            "model_max_length": max_tokens,
            "pad_token": Self::END_OF_TEXT,
            "tokenizer_class": "PreTrainedTokenizerFast",
        });
        format!("{value:#}\n")
    }

    /// Encodes a text, with the place of every token in it. No special token is added.
    pub fn encode(&self, text: &str) -> Encoding {
        match self.words_of(text) {
            Some(words) => words.encode(text, |word| self.encode_anew(word)),
            None => self.encode_anew(text),
        }
    }

    /// Encodes a text. Faster than [`SentenceTokenizer::encode`].
    pub fn encode_ids(&self, text: &str) -> Vec<u32> {
        let Some(words) = self.words_of(text) else {
            return match self.tokenizer.encode_fast(text, false) {
                Ok(encoding) => encoding.get_ids().to_vec(),
                Err(_) => self.encode_bytes(text).ids,
            };
        };
        let mut ids = Vec::with_capacity(text.len() / 4);
        words.each_token(text, |word| self.encode_anew(word), |id, _| ids.push(id));
        ids
    }

    /// Returns the words that are remembered, for a text that consists of words.
    fn words_of(&self, text: &str) -> Option<&Words> {
        self.words.as_deref().filter(|_| text.is_ascii())
    }

    /// Encodes a text without looking at what was encoded before.
    fn encode_anew(&self, text: &str) -> Encoding {
        match self.tokenizer.encode(text, false) {
            Ok(encoding) => Encoding {
                ids: encoding.get_ids().to_vec(),
                offsets: encoding.get_offsets().iter().map(|&(start, end)| start..end).collect(),
            },
            // The splitting pattern of a loaded tokenizer can give up on pathological text; bytes are always tokens.
            Err(_) => self.encode_bytes(text),
        }
    }

    /// Decodes tokens. Ids without a token are skipped, and bytes that are not UTF-8 become replacement characters.
    pub fn decode(&self, ids: &[u32]) -> String {
        let bytes: Vec<u8> = ids.iter().flat_map(|&id| self.token_text(id)).copied().collect();
        String::from_utf8(bytes).unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned())
    }

    /// Returns the bytes that a token stands for; they need not be whole characters. Empty for an id without a token, such as
    /// the padding rows of an embedding.
    pub fn token_text(&self, id: u32) -> &[u8] {
        self.texts.get(id as usize).map_or(&[], |text| text)
    }

    /// Returns the token that a text is encoded as, when it is a single one.
    pub fn single_token(&self, text: &str) -> Option<u32> {
        match self.encode_ids(text).as_slice() {
            &[id] => Some(id),
            _ => None,
        }
    }

    /// Returns, for every gene of a panel, the token of its symbol with the blank before it, when that is a single one.
    pub fn gene_tokens(&self, panel: &Vocabulary) -> Vec<Option<u32>> {
        panel.iter().map(|symbol| self.single_token(&format!(" {symbol}"))).collect()
    }

    /// Returns the token of [`SentenceTokenizer::END_OF_TEXT`].
    pub fn end_of_text(&self) -> u32 {
        self.end_of_text
    }

    /// Returns the number of rows that an embedding needs: one more than the highest id.
    pub fn vocab_size(&self) -> usize {
        self.texts.len()
    }

    /// Checks that a model has a row for every token, and that the tokens that end its texts are tokens. The model may have up to 1,023
    /// rows more than there are tokens: embeddings are often padded (151,669 tokens and 151,936 rows for Qwen3).
    ///
    /// # Errors
    ///
    /// When the model's vocabulary is smaller than the tokenizer's, or larger than padding explains, or a token that ends a text has no
    /// text here.
    pub fn check_against(&self, config: &Qwen3Config) -> Result<(), TokenizerError> {
        let (tokenizer, model) = (self.vocab_size(), config.vocab_size);
        if tokenizer > model {
            return Err(TokenizerError::LargerThanModel { tokenizer, model });
        }
        if model - tokenizer >= PADDING {
            return Err(TokenizerError::SmallerThanModel { tokenizer, model });
        }
        match config.eos_token_ids.iter().find(|&&id| self.token_text(id).is_empty()) {
            Some(&id) => Err(TokenizerError::NoEndToken { id, tokenizer, model }),
            None => Ok(()),
        }
    }

    fn encode_bytes(&self, text: &str) -> Encoding {
        let characters = text.char_indices().map(|(start, c)| start..start + c.len_utf8());
        Encoding {
            ids: text.bytes().map(|byte| self.byte_ids[usize::from(byte)]).collect(),
            offsets: characters.flat_map(|range| range.clone().map(move |_| range.clone())).collect(),
        }
    }

    /// A file may lack the bytes of the tags, or drop blanks.
    fn check_sentence(&self) -> Result<(), TokenizerError> {
        let text = "<pos> X: -10.5, Y: 2346789 <meta> class: A <cs> GFAP H2-K1 </cs> <pos> X: 1, Y: 2 <cs> GFAP </cs>";
        let decoded = self.decode(&self.encode_ids(text));
        if decoded != text {
            return Err(TokenizerError::NotLossless { text: text.to_owned(), decoded });
        }
        Ok(())
    }
}

fn token_texts(tokenizer: &Tokenizer) -> Result<Vec<Box<[u8]>>, TokenizerError> {
    let vocabulary = tokenizer.get_vocab(true);
    let added = tokenizer.get_added_tokens_decoder();
    if let Some((token, &id)) = vocabulary.iter().max_by_key(|(_, id)| **id).filter(|(_, id)| **id >= ID_LIMIT) {
        return Err(TokenizerError::IdTooLarge { token: token.clone(), id, limit: ID_LIMIT });
    }
    let rows = vocabulary.values().max().map_or(0, |&id| id as usize + 1);
    let mut texts = vec![Box::default(); rows];
    for (token, id) in vocabulary {
        texts[id as usize] = match added.get(&id) {
            Some(added) => added.content.as_bytes().into(),
            None => byte_level::decode(&token),
        };
    }
    Ok(texts)
}

fn byte_ids(tokenizer: &Tokenizer) -> Result<[u32; 256], TokenizerError> {
    let mut ids = [0; 256];
    for byte in 0..=u8::MAX {
        let token = byte_level::encode(&[byte]);
        ids[usize::from(byte)] = tokenizer.token_to_id(&token).ok_or(TokenizerError::MissingToken { token })?;
    }
    Ok(ids)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use proptest::prelude::*;

    use super::*;

    const WORDS: [&str; 16] = [
        "<pos>",
        "X:",
        "-12,",
        "Y:",
        "4768",
        "<meta>",
        "class:",
        "IT",
        "<cs>",
        "GFAP",
        "IGH@",
        "1700016P03RIK",
        "</cs>",
        "it's",
        "...",
        "é",
    ];
    const BLANKS: [&str; 7] = [" ", " ", " ", "", "  ", "\n", " \t\u{b}"];

    fn trained() -> SentenceTokenizer {
        let panel = Vocabulary::new(["GFAP", "1700016P03RIK", "IGH@"]).unwrap();
        SentenceTokenizer::train([WORDS.join(" ")], &panel, &TokenizerOptions::new()).unwrap()
    }

    fn text() -> impl Strategy<Value = String> {
        let part = (prop::sample::select(&BLANKS[..]), prop_oneof![prop::sample::select(&WORDS[..]).prop_map(str::to_owned), "[ -~]{0,6}"]);
        prop::collection::vec(part, 0..30).prop_map(|parts| parts.into_iter().flat_map(|(blank, word)| [blank.to_owned(), word]).collect())
    }

    fn check(tokenizer: &SentenceTokenizer, text: &str) -> Result<(), TestCaseError> {
        let anew = tokenizer.encode_anew(text);
        // Twice: when words are met, and when they are known.
        for _ in 0..2 {
            prop_assert_eq!(&tokenizer.encode(text), &anew, "{:?}", text);
            prop_assert_eq!(&tokenizer.encode_ids(text), &anew.ids, "{:?}", text);
        }
        Ok(())
    }

    proptest! {
        #[test]
        fn known_words_have_the_tokens_of_the_whole_text(text in text()) {
            let tokenizer = trained();
            prop_assert!(tokenizer.words.is_some());
            check(&tokenizer, &text)?;
        }
    }

    #[test]
    fn published_tokenizers_are_encoded_by_words() {
        let golden = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../data-fixtures/golden"));
        let qwen3 = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/qwen3-tokenizer/tokenizer.json"));
        let files = [&golden.join("split_and_mask_tokenizer.json"), &golden.join("split_and_mask_gpt2_tokenizer.json"), qwen3];
        if !qwen3.exists() {
            eprintln!("skipped published_tokenizers_are_encoded_by_words for that of Qwen3: ../shared is absent");
        }
        for file in files.into_iter().filter(|file| *file != qwen3 || file.exists()) {
            let tokenizer = SentenceTokenizer::from_file(file).unwrap();
            assert!(tokenizer.words.is_some(), "{}", file.display());
            let mut runner = proptest::test_runner::TestRunner::deterministic();
            runner.run(&text(), |text| check(&tokenizer, &text)).unwrap();
        }
    }

    #[test]
    fn a_tokenizer_that_looks_beyond_words_is_not() {
        let json = trained().to_json();
        let changes = [
            (r#""normalizer": null"#, r#""normalizer": { "type": "Prepend", "prepend": "_" }"#),
            (r#""lstrip": false"#, r#""lstrip": true"#),
            (r#""dropout": null"#, r#""dropout": 0.5"#),
            (r#" ?[0-9]"#, r#"[0-9 ]+"#),
        ];
        for (old, new) in changes {
            let changed = json.replace(old, new);
            assert_ne!(changed, json, "{old}");
            let tokenizer = Tokenizer::from_str(&changed).unwrap();
            assert!(!words::encodes_words(&tokenizer), "{new}");
        }
    }
}
