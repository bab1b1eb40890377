//! The shapes of published decoders, as far as they matter for speed.

use serde_json::{Value, json};
use tissuenarrator::model::Qwen3Config;

/// Rows of the embedding of Qwen3.
const VOCABULARY: usize = 151_936;

/// Returns the shape of Qwen3-0.6B.
pub(super) fn qwen3_0_6b() -> Qwen3Config {
    of([1_024, 3_072, 28, 16])
}

/// Returns the shape of Qwen3-4B.
pub(super) fn qwen3_4b() -> Qwen3Config {
    of([2_560, 9_728, 36, 32])
}

/// Returns a shape of seconds.
pub(super) fn small() -> Qwen3Config {
    Qwen3Config { num_hidden_layers: 2, ..Qwen3Config::tiny(320) }
}

/// Widths of the residual stream and of the feed-forward layer, layers and query heads.
fn of([hidden_size, intermediate_size, num_hidden_layers, num_attention_heads]: [usize; 4]) -> Qwen3Config {
    Qwen3Config {
        hidden_size,
        intermediate_size,
        num_hidden_layers,
        num_attention_heads,
        num_key_value_heads: 8,
        head_dim: 128,
        rope_theta: 1e6,
        max_position_embeddings: 40_960,
        eos_token_ids: vec![151_645],
        ..Qwen3Config::tiny(VOCABULARY)
    }
}

/// Returns a shape with the names that transformers has for it.
pub(super) fn named(config: &Qwen3Config) -> Value {
    json!({
        "vocab_size": config.vocab_size,
        "hidden_size": config.hidden_size,
        "intermediate_size": config.intermediate_size,
        "num_hidden_layers": config.num_hidden_layers,
        "num_attention_heads": config.num_attention_heads,
        "num_key_value_heads": config.num_key_value_heads,
        "head_dim": config.head_dim,
        "rms_norm_eps": config.rms_norm_eps,
        "rope_theta": config.rope_theta,
        "max_position_embeddings": config.max_position_embeddings,
        "tie_word_embeddings": config.tie_word_embeddings,
    })
}

/// Returns the tokens of a text, one of several.
pub(super) fn tokens(text: usize, length: usize, vocabulary: usize) -> Vec<u32> {
    (0..length).map(|place| ((place * 7_919 + text * 31 + place * place) % vocabulary) as u32).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shapes_have_the_parameters_of_the_published_models() {
        assert_eq!(qwen3_0_6b().parameter_count(), 596_049_920);
        assert_eq!(qwen3_4b().parameter_count(), 4_022_468_096);
    }
}
