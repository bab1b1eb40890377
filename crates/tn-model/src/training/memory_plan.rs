//! How much memory a training step takes on a device, and what can be kept between its passes.

use std::fmt;

use super::config::MomentFormat;
use crate::qwen3::Keep;
use crate::{Precision, Projection, Qwen3Config};

/// Share of a device's memory that a plan may take: the allocator needs the rest for pages that it cannot fill.
const USABLE: f64 = 0.92;

/// Bytes of a value in 32 bits.
const F32: u64 = 4;

/// What decides how much memory a step takes.
#[derive(Clone, Debug)]
pub struct StepShape<'c> {
    /// Shape of the decoder.
    pub config: &'c Qwen3Config,
    /// Numbers of its matrices and activations.
    pub precision: Precision,
    /// Tokens that go through the decoder in one pass.
    pub tokens: usize,
    /// Tokens of the longest sequence, for which there are rotations.
    pub context: usize,
    /// Labelled tokens of a pass whose logits are there at once.
    pub head_rows: usize,
    /// Values in adapters; 0 when everything is trained.
    pub adapter_values: usize,
    /// How the optimizer keeps its running means.
    pub moments: MomentFormat,
    /// Whether a step adds up the gradients of several passes.
    pub adds_up_passes: bool,
}

/// One line of a plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemoryLine {
    /// What the memory is for.
    pub name: &'static str,
    /// How much it is.
    pub bytes: u64,
}

/// The memory of a training step, line by line, for a choice of what is kept of each block.
///
/// ```
/// use tn_model::training::{MemoryPlan, StepShape, MomentFormat};
/// use tn_model::{Precision, Qwen3Config};
///
/// let config = Qwen3Config::tiny(168);
/// let step = StepShape {
///     config: &config,
///     precision: Precision::F32,
///     tokens: 4_096,
///     context: 1_024,
///     head_rows: 2_048,
///     adapter_values: 0,
///     moments: MomentFormat::F32,
///     adds_up_passes: true,
/// };
/// let roomy = MemoryPlan::choose(&step, 1 << 34)?;
/// let tight = MemoryPlan::choose(&step, roomy.total() * 3 / 4)?;
/// assert!(tight.total() < roomy.total());
/// println!("{tight}");
/// # Ok::<(), tn_model::training::PlanError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemoryPlan {
    lines: Vec<MemoryLine>,
    keep: Vec<Keep>,
}

/// A step does not fit into the memory of a device, whatever is kept.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "a training step needs {} bytes of memory, {limit} of the device's {memory} can be used; use shorter sequences or fewer of them at once\n{plan}",
    plan.total()
)]
pub struct PlanError {
    /// The smallest plan.
    pub plan: MemoryPlan,
    /// Bytes that a plan may take.
    pub limit: u64,
    /// Bytes that the device has.
    pub memory: u64,
}

impl MemoryPlan {
    /// Predicts the memory of a step.
    ///
    /// # Panics
    /// Panics when there is not one choice a block.
    #[must_use]
    pub fn predict(step: &StepShape<'_>, keep: Vec<Keep>) -> Self {
        let config = step.config;
        assert_eq!(keep.len(), config.num_hidden_layers, "one choice a block");
        let line = |name, bytes| MemoryLine { name, bytes };
        let trained = if step.adapter_values > 0 { step.adapter_values } else { config.parameter_count() } as u64;
        let moments = match step.moments {
            MomentFormat::F32 => 2 * F32 * trained,
            MomentFormat::EightBit => 2 * trained + trained / 32,
        };
        let kept: u64 = keep.iter().map(|keep| step.kept(*keep)).sum();
        let inputs = (keep.len() as u64 + 1) * step.rows(config.hidden_size);
        let gradients = F32 * trained * if step.adds_up_passes { 2 } else { 1 };
        let lines = vec![
            line("weights", step.weights()),
            line("adapters", F32 * step.adapter_values as u64),
            line("gradients", gradients),
            line("moments", moments),
            line("inputs of blocks", inputs),
            line("kept activations", kept),
            line("work of a pass", step.head_work().max(step.blocks_work(&keep).saturating_sub(inputs + kept))),
        ];
        Self { lines, keep }
    }

    /// Chooses what to keep of each block for a device with `memory` bytes: what attention returned first, because it saves the most
    /// work for its size, then everything, of as many blocks as there is room for.
    ///
    /// # Errors
    /// Returns the smallest plan when even that takes more than 92% of the memory.
    pub fn choose(step: &StepShape<'_>, memory: u64) -> Result<Self, PlanError> {
        let limit = (memory as f64 * USABLE) as u64;
        let smallest = Self::predict(step, vec![Keep::Input; step.config.num_hidden_layers]);
        if smallest.total() > limit {
            return Err(PlanError { plan: smallest, limit, memory });
        }
        let mut keep = smallest.keep;
        for better in [Keep::Attention, Keep::Everything] {
            for layer in 0..keep.len() {
                let before = std::mem::replace(&mut keep[layer], better);
                if Self::predict(step, keep.clone()).total() > limit {
                    keep[layer] = before;
                    return Ok(Self::predict(step, keep));
                }
            }
        }
        Ok(Self::predict(step, keep))
    }

    /// Returns the lines.
    #[must_use]
    pub fn lines(&self) -> &[MemoryLine] {
        &self.lines
    }

    /// Returns what is kept of each block.
    #[must_use]
    pub fn keep(&self) -> &[Keep] {
        &self.keep
    }

    /// Returns the bytes of all lines.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.lines.iter().map(|line| line.bytes).sum()
    }
}

impl fmt::Display for MemoryPlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let total = MemoryLine { name: "together", bytes: self.total() };
        for MemoryLine { name, bytes } in self.lines.iter().chain([&total]) {
            writeln!(f, "{name:<20} {:>10.3} GB", *bytes as f64 / 1e9)?;
        }
        let count = |wanted| self.keep.iter().filter(|keep| **keep == wanted).count();
        let (everything, attention, input) = (count(Keep::Everything), count(Keep::Attention), count(Keep::Input));
        write!(f, "kept: everything of {everything} blocks, attention of {attention}, the input alone of {input}")
    }
}

impl StepShape<'_> {
    /// Bytes of a row of `width` values for each token.
    fn rows(&self, width: usize) -> u64 {
        self.tokens as u64 * width as u64 * self.value()
    }

    fn value(&self) -> u64 {
        match self.precision {
            Precision::F32 => F32,
            Precision::Bf16 => 2,
        }
    }

    fn queries(&self) -> usize {
        Projection::Query.shape(self.config)[0]
    }

    fn keys(&self) -> usize {
        Projection::Key.shape(self.config)[0]
    }

    /// Matrices in their precision, norms and rotations in 32 bits.
    fn weights(&self) -> u64 {
        let values = |matrices: bool| -> u64 {
            let parameters = self.config.parameters();
            let chosen = parameters.iter().filter(|parameter| (parameter.shape.len() == 2) == matrices);
            chosen.map(|parameter| parameter.shape.iter().product::<usize>() as u64).sum()
        };
        values(true) * self.value() + values(false) * F32 + F32 * (self.context * self.config.head_dim) as u64
    }

    /// What is kept of a block besides its input.
    fn kept(&self, keep: Keep) -> u64 {
        match keep {
            Keep::Everything => self.activations(),
            Keep::Attention => self.attended(),
            Keep::Input => 0,
        }
    }

    /// What attention returns.
    fn attended(&self) -> u64 {
        self.rows(self.queries()) + F32 * (self.tokens * self.config.num_attention_heads) as u64
    }

    /// The activations of a block: two norms and the middle, queries and keys before and after rotation, values, what attention returns,
    /// and the three of the feed-forward network.
    fn activations(&self) -> u64 {
        let Qwen3Config { hidden_size, intermediate_size, .. } = *self.config;
        self.rows(3 * hidden_size + 2 * self.queries() + 3 * self.keys() + 3 * intermediate_size) + self.attended()
    }

    /// The largest that is there at once in the backward pass of a block, with the inputs and what is kept of the blocks before. There are
    /// two such places: where the gradient of the down projection's input is formed, there are all activations, that gradient and the one that
    /// comes in; in the backward pass of attention, queries and their like five times, keys and theirs too, and two of the block's width.
    fn blocks_work(&self, keep: &[Keep]) -> u64 {
        let Qwen3Config { hidden_size, intermediate_size, .. } = *self.config;
        let in_feed_forward = self.activations() + self.rows(hidden_size + intermediate_size);
        let in_attention = self.rows(2 * hidden_size + 4 * self.queries() + 5 * self.keys()) + self.attended();
        let of_block = in_feed_forward.max(in_attention);
        let mut before = 0;
        let of_blocks = keep.iter().map(|&keep| {
            before += self.rows(hidden_size);
            let here = before + of_block;
            before += self.kept(keep);
            here
        });
        of_blocks.max().unwrap_or(0)
    }

    /// What the head has at once: final hidden states and their gradient, and some rows with their logits and gradients.
    fn head_work(&self) -> u64 {
        let rows = self.head_rows.min(self.tokens) as u64 * self.value();
        2 * self.rows(self.config.hidden_size) + rows * (self.config.vocab_size + 2 * self.config.hidden_size) as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The shape of Qwen3-4B, with adapters of rank 32 on all projections.
    fn large() -> Qwen3Config {
        Qwen3Config {
            vocab_size: 151_936,
            hidden_size: 2_560,
            intermediate_size: 9_728,
            num_hidden_layers: 36,
            num_attention_heads: 32,
            num_key_value_heads: 8,
            head_dim: 128,
            tie_word_embeddings: true,
            ..Qwen3Config::tiny(168)
        }
    }

    fn step(config: &Qwen3Config, tokens: usize) -> StepShape<'_> {
        let precision = Precision::Bf16;
        StepShape {
            config,
            precision,
            tokens,
            context: 32_768,
            head_rows: 2_048,
            adapter_values: 66_060_288,
            moments: MomentFormat::F32,
            adds_up_passes: true,
        }
    }

    #[test]
    fn four_billion_weights_and_65k_tokens_fit_into_48_gigabytes() {
        let config = large();
        let plan = MemoryPlan::choose(&step(&config, 65_536), 48_000_000_000).unwrap();
        assert!(plan.total() < 44_160_000_000, "{plan}");
        assert_eq!(plan.lines()[0].bytes / 100_000_000, 80, "{plan}");
        assert!(!plan.keep().contains(&Keep::Everything));
    }

    #[test]
    fn more_memory_keeps_more_and_too_little_is_refused() {
        let config = large();
        let step = step(&config, 32_768);
        let mut before = 0;
        for gigabytes in [24_u64, 32, 48, 80, 141, 300] {
            let plan = MemoryPlan::choose(&step, gigabytes * 1_000_000_000).unwrap();
            assert!(plan.total() >= before && plan.total() as f64 <= 0.92e9 * gigabytes as f64);
            before = plan.total();
        }
        assert!(MemoryPlan::choose(&step, 300_000_000_000).unwrap().keep().iter().all(|keep| *keep == Keep::Everything));
        let refused = MemoryPlan::choose(&step, 12_000_000_000).unwrap_err();
        assert!(refused.to_string().contains("inputs of blocks"), "{refused}");
    }
}
