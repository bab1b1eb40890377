//! How large everything is that is measured.

use tissuenarrator::model::Qwen3Config;

use crate::bench::row::SizesOf;

/// The shapes of the models, and the numbers of tokens.
pub(super) struct Sizes {
    pub(super) of: SizesOf,
    /// Of the decoder that generates.
    pub(super) generating: Qwen3Config,
    /// Tokens of the prompt of the rows of one sequence.
    pub(super) prompt: usize,
    /// Tokens decoded after a prompt.
    pub(super) decoded: usize,
    /// Prompts that are decoded together, and the tokens of each.
    pub(super) prompts: (usize, usize),
    /// Tokens of the prompt of a program that has just started.
    pub(super) first_prompt: usize,
    /// Genes of the panel that decoding is constrained to.
    pub(super) panel: usize,
    /// Tokens written with and without a panel.
    pub(super) written: usize,
    /// Steps of training whose time is measured.
    pub(super) training: Vec<TrainingSize>,
    /// Step of training whose memory is measured.
    pub(super) memory: TrainingSize,
}

/// A step of training.
pub(super) struct TrainingSize {
    pub(super) config: Qwen3Config,
    pub(super) sequences: usize,
    /// Tokens of each sequence.
    pub(super) tokens: usize,
    /// Rank of the adapter, where only that is trained.
    pub(super) rank: Option<usize>,
}

impl TrainingSize {
    /// Returns the name of its row.
    pub(super) fn name(&self) -> String {
        format!("{}-{}", if self.rank.is_some() { "lora" } else { "train" }, self.tokens)
    }

    /// Returns what is done in a step.
    pub(super) fn what(&self) -> String {
        let Qwen3Config { num_hidden_layers: layers, hidden_size: width, vocab_size, .. } = &self.config;
        let trained = self.rank.map_or("everything".to_owned(), |rank| format!("LoRA of rank {rank}"));
        let (sequences, tokens) = (self.sequences, self.tokens);
        format!("training step, {layers} layers of width {width}, vocabulary {vocab_size}, {trained}, {sequences}x{tokens} tokens")
    }
}

impl Sizes {
    /// Returns the sizes that numbers are published for.
    pub(super) fn published() -> Self {
        let small = |tokens| TrainingSize { config: Qwen3Config::tiny(168), sequences: 8, tokens, rank: None };
        let lora = TrainingSize { config: wide(), sequences: 1, tokens: 2_000, rank: Some(16) };
        Self {
            of: SizesOf::Published,
            generating: qwen3_0_6b(),
            prompt: 512,
            decoded: 16,
            prompts: (8, 1_024),
            first_prompt: 16,
            panel: 1_122,
            written: 64,
            training: vec![small(512), small(1_100), lora],
            memory: TrainingSize { config: qwen3_0_6b(), sequences: 1, tokens: 4_096, rank: Some(16) },
        }
    }

    /// Returns sizes with which everything runs in seconds.
    pub(super) fn quick() -> Self {
        let small = |tokens, rank| TrainingSize { config: Qwen3Config::tiny(168), sequences: 2, tokens, rank };
        Self {
            of: SizesOf::Quick,
            generating: Qwen3Config::tiny(2_000),
            prompt: 24,
            decoded: 4,
            prompts: (3, 20),
            first_prompt: 8,
            panel: 100,
            written: 16,
            training: vec![small(40, None), small(40, Some(4))],
            memory: TrainingSize { sequences: 1, ..small(50, Some(4)) },
        }
    }

    /// Returns whether the decoder that generates has a row for every token of Qwen3.
    pub(super) fn has_qwen3_vocabulary(&self) -> bool {
        self.generating.vocab_size == QWEN3_ROWS
    }
}

/// Rows of the embedding of Qwen3.
const QWEN3_ROWS: usize = 151_936;

/// Returns the shape of a decoder between the small one and Qwen3-0.6B.
fn wide() -> Qwen3Config {
    Qwen3Config {
        hidden_size: 512,
        intermediate_size: 1_536,
        num_attention_heads: 8,
        num_key_value_heads: 4,
        head_dim: 64,
        ..Qwen3Config::tiny(8_192)
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
        ..Qwen3Config::tiny(QWEN3_ROWS)
    }
}
