//! How large everything is that is measured.

use tissuenarrator::model::Qwen3Config;

/// The shapes of the models, and the numbers of tokens.
pub(super) struct Sizes {
    /// Of the decoder that generates.
    pub(super) generating: Qwen3Config,
    /// Tokens of the prompt of the rows of one sequence.
    pub(super) prompt: usize,
    /// Tokens decoded after a prompt.
    pub(super) decoded: usize,
    /// Prompts that are decoded together, and the tokens of each.
    pub(super) prompts: (usize, usize),
}

impl Sizes {
    /// Returns the sizes that numbers are published for.
    pub(super) fn published() -> Self {
        Self { generating: qwen3_0_6b(), prompt: 512, decoded: 16, prompts: (8, 1_024) }
    }

    /// Returns sizes with which everything runs in seconds.
    pub(super) fn quick() -> Self {
        Self { generating: Qwen3Config::tiny(2_000), prompt: 24, decoded: 4, prompts: (3, 20) }
    }
}

/// Returns the shape of Qwen3-0.6B.
fn qwen3_0_6b() -> Qwen3Config {
    Qwen3Config {
        hidden_size: 1_024,
        intermediate_size: 3_072,
        num_hidden_layers: 28,
        num_attention_heads: 16,
        num_key_value_heads: 8,
        head_dim: 128,
        rope_theta: 1e6,
        max_position_embeddings: 40_960,
        eos_token_ids: vec![151_645],
        ..Qwen3Config::tiny(151_936)
    }
}
