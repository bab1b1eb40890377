//! The shape of a Qwen3 decoder, as Hugging Face writes it in `config.json`.

mod file;
mod parameters;
mod projection;

pub use parameters::ParameterShape;
pub use projection::Projection;

use std::path::{Path, PathBuf};

/// The shape of a Qwen3 decoder.
///
/// Loaded from and saved as a Hugging Face `config.json`. Both places where that file has kept the base of the rotary
/// embedding are read: `rope_theta` beside the other keys (transformers 4) and inside `rope_parameters` (transformers 5,
/// which wins when both are there). What the decoder does not implement (scaled rotary embeddings, sliding windows,
/// biases, quantized weights, another activation) is refused when the file is read.
///
/// ```
/// use tn_model::Qwen3Config;
///
/// let config = Qwen3Config::tiny(900);
/// assert_eq!(config.num_hidden_layers, 4);
/// assert_eq!(config.parameter_count(), 903_040);
/// # Ok::<(), tn_model::ConfigError>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Qwen3Config {
    /// Rows of the embedding, at least the number of token ids.
    pub vocab_size: usize,
    /// Width of the residual stream.
    pub hidden_size: usize,
    /// Width of the feed-forward layer.
    pub intermediate_size: usize,
    /// Number of decoder blocks.
    pub num_hidden_layers: usize,
    /// Number of query heads.
    pub num_attention_heads: usize,
    /// Number of key and value heads; divides the number of query heads.
    pub num_key_value_heads: usize,
    /// Width of one head, even. Not necessarily `hidden_size / num_attention_heads`.
    pub head_dim: usize,
    /// The constant under the root of every RMS norm.
    pub rms_norm_eps: f64,
    /// Base of the rotary embedding.
    pub rope_theta: f64,
    /// Whether the output head is the embedding itself.
    pub tie_word_embeddings: bool,
    /// The longest input the model was made for, in tokens. Nothing in the decoder depends on it.
    pub max_position_embeddings: usize,
    /// The token that begins a text, where the model has one.
    pub bos_token_id: Option<u32>,
    /// The tokens that end a text; empty when the file names none.
    pub eos_token_ids: Vec<u32>,
}

/// Largest width of the residual stream, feed-forward layer or vocabulary: with these limits the number of parameters fits
/// into 64 bits.
const LARGEST_SIZE: usize = 1 << 24;
/// Largest number of layers or heads, and largest width of a head.
const LARGEST_COUNT: usize = 1 << 12;

impl Qwen3Config {
    /// Returns the shape that is trained from scratch on a CPU: 4 layers of width 128, 4 query and 2 key heads of 32, a
    /// feed-forward width of 384 and a tied head. Token 0 ends a text, as in the tokenizers trained here.
    pub fn tiny(vocab_size: usize) -> Self {
        Self {
            vocab_size,
            hidden_size: 128,
            intermediate_size: 384,
            num_hidden_layers: 4,
            num_attention_heads: 4,
            num_key_value_heads: 2,
            head_dim: 32,
            rms_norm_eps: 1e-6,
            rope_theta: 10_000.0,
            tie_word_embeddings: true,
            max_position_embeddings: 32_768,
            bos_token_id: None,
            eos_token_ids: vec![0],
        }
    }

    /// Reads `config.json` in a checkpoint folder.
    ///
    /// # Errors
    ///
    /// When the file cannot be read, is not JSON, lacks a key, describes another architecture or a feature that the decoder
    /// does not implement, or fails [`Qwen3Config::validate`].
    pub fn load(folder: impl AsRef<Path>) -> Result<Self, ConfigError> {
        let path = folder.as_ref().join(Self::FILE_NAME);
        let text = std::fs::read_to_string(&path).map_err(|source| ConfigError::Read { path, source })?;
        Self::from_json(&text)
    }

    /// Parses the text of a `config.json`.
    ///
    /// # Errors
    ///
    /// As [`Qwen3Config::load`], except for reading the file.
    pub fn from_json(text: &str) -> Result<Self, ConfigError> {
        let config = file::parse(text)?;
        config.validate()?;
        Ok(config)
    }

    /// Renders the text of a `config.json` that transformers and vLLM read. `weight_type` is the data type of the weights
    /// beside it, by its name in PyTorch (`float32`, `bfloat16`).
    pub fn to_json(&self, weight_type: &str) -> String {
        file::render(self, weight_type)
    }

    /// Checks that the sizes fit together.
    ///
    /// # Errors
    ///
    /// When a size is zero or beyond any model, the key heads do not divide the query heads, the head width is odd, the norm constant or the
    /// rotary base is not a positive number, or a special token lies outside the vocabulary.
    pub fn validate(&self) -> Result<(), ConfigError> {
        for (field, value, limit) in [
            ("vocab_size", self.vocab_size, LARGEST_SIZE),
            ("hidden_size", self.hidden_size, LARGEST_SIZE),
            ("intermediate_size", self.intermediate_size, LARGEST_SIZE),
            ("num_hidden_layers", self.num_hidden_layers, LARGEST_COUNT),
            ("num_attention_heads", self.num_attention_heads, LARGEST_COUNT),
            ("num_key_value_heads", self.num_key_value_heads, LARGEST_COUNT),
            ("head_dim", self.head_dim, LARGEST_COUNT),
        ] {
            if value == 0 || value > limit {
                return Err(ConfigError::Size { field, value, limit });
            }
        }
        if !self.num_attention_heads.is_multiple_of(self.num_key_value_heads) {
            return Err(ConfigError::HeadGroups { query_heads: self.num_attention_heads, key_heads: self.num_key_value_heads });
        }
        if !self.head_dim.is_multiple_of(2) {
            return Err(ConfigError::OddHeadDim { head_dim: self.head_dim });
        }
        for (field, value) in [("rms_norm_eps", self.rms_norm_eps), ("rope_theta", self.rope_theta)] {
            if !(value.is_finite() && value > 0.0) {
                return Err(ConfigError::NotPositive { field, value });
            }
        }
        match self.eos_token_ids.iter().chain(&self.bos_token_id).find(|id| **id as usize >= self.vocab_size) {
            Some(&id) => Err(ConfigError::SpecialToken { id, vocab_size: self.vocab_size }),
            None => Ok(()),
        }
    }

    /// Name of the file inside a checkpoint folder.
    pub const FILE_NAME: &'static str = "config.json";
}

/// Why a `config.json` was refused.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// The file could not be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What went wrong.
        source: std::io::Error,
    },
    /// The text is not JSON, or a key is missing or has the wrong type.
    #[error("not a model configuration")]
    Json(#[from] serde_json::Error),
    /// The checkpoint holds another kind of model.
    #[error("{field} is {found}, expected {expected}")]
    Architecture {
        /// The key.
        field: &'static str,
        /// Its value.
        found: String,
        /// What a Qwen3 decoder has there.
        expected: &'static str,
    },
    /// The checkpoint uses a feature that this decoder does not implement.
    #[error("{field} = {found} is not supported")]
    Unsupported {
        /// The key.
        field: &'static str,
        /// Its value.
        found: String,
    },
    /// The base of the rotary embedding is given nowhere.
    #[error("neither rope_theta nor rope_parameters.rope_theta is given")]
    MissingRopeTheta,
    /// A size is zero, or so large that products of sizes could overflow.
    #[error("{field} is {value}, expected 1 to {limit}")]
    Size {
        /// The key.
        field: &'static str,
        /// Its value.
        value: usize,
        /// The largest value accepted.
        limit: usize,
    },
    /// The query heads cannot be grouped by key heads.
    #[error("{query_heads} query heads cannot share {key_heads} key heads evenly")]
    HeadGroups {
        /// Number of query heads.
        query_heads: usize,
        /// Number of key and value heads.
        key_heads: usize,
    },
    /// The rotary embedding pairs the two halves of a head.
    #[error("head_dim is {head_dim}, expected an even number")]
    OddHeadDim {
        /// The width found.
        head_dim: usize,
    },
    /// A constant must be finite and above zero.
    #[error("{field} is {value}, expected a positive number")]
    NotPositive {
        /// The key.
        field: &'static str,
        /// Its value.
        value: f64,
    },
    /// A special token has no row in the embedding.
    #[error("special token {id} lies outside the vocabulary of {vocab_size}")]
    SpecialToken {
        /// The token.
        id: u32,
        /// Rows of the embedding.
        vocab_size: usize,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(change: impl Fn(&mut Qwen3Config), expected: &str) {
        let mut config = Qwen3Config::tiny(512);
        change(&mut config);
        assert_eq!(config.validate().unwrap_err().to_string(), expected);
    }

    #[test]
    fn the_tiny_shape_is_valid() {
        Qwen3Config::tiny(512).validate().unwrap();
    }

    #[test]
    fn sizes_that_do_not_fit_are_refused() {
        check(|c| c.num_hidden_layers = 0, "num_hidden_layers is 0, expected 1 to 4096");
        check(|c| c.hidden_size = usize::MAX, "hidden_size is 18446744073709551615, expected 1 to 16777216");
        check(|c| c.num_key_value_heads = 3, "4 query heads cannot share 3 key heads evenly");
        check(|c| c.head_dim = 31, "head_dim is 31, expected an even number");
        check(|c| c.rms_norm_eps = 0.0, "rms_norm_eps is 0, expected a positive number");
        check(|c| c.rope_theta = f64::NAN, "rope_theta is NaN, expected a positive number");
        check(|c| c.eos_token_ids = vec![3, 512], "special token 512 lies outside the vocabulary of 512");
    }

    #[test]
    fn a_missing_file_is_named() {
        let error = Qwen3Config::load("/nowhere/model").unwrap_err();
        assert_eq!(error.to_string(), "cannot read /nowhere/model/config.json");
    }
}
