//! The seven weight matrices of a block.

use std::fmt;

use super::Qwen3Config;

/// One of the seven linear maps of a block, all of which can carry a LoRA adapter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Projection {
    /// `self_attn.q_proj`: hidden state to queries.
    Query,
    /// `self_attn.k_proj`: hidden state to keys.
    Key,
    /// `self_attn.v_proj`: hidden state to values.
    Value,
    /// `self_attn.o_proj`: attention output back to the hidden state.
    Output,
    /// `mlp.gate_proj`: the gated side of the feed-forward layer.
    Gate,
    /// `mlp.up_proj`: the linear side of the feed-forward layer.
    Up,
    /// `mlp.down_proj`: the feed-forward layer back to the hidden state.
    Down,
}

impl Projection {
    /// All seven, in the order of the forward pass.
    pub const ALL: [Self; 7] = [Self::Query, Self::Key, Self::Value, Self::Output, Self::Gate, Self::Up, Self::Down];

    /// Returns the module's name, as in `target_modules` of a PEFT adapter.
    pub fn name(self) -> &'static str {
        match self {
            Self::Query => "q_proj",
            Self::Key => "k_proj",
            Self::Value => "v_proj",
            Self::Output => "o_proj",
            Self::Gate => "gate_proj",
            Self::Up => "up_proj",
            Self::Down => "down_proj",
        }
    }

    /// Returns the projection of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|projection| projection.name() == name)
    }

    /// Returns the module's path in a checkpoint, without `.weight`: `model.layers.0.self_attn.q_proj`.
    pub fn module_path(self, layer: usize) -> String {
        let part = match self {
            Self::Query | Self::Key | Self::Value | Self::Output => "self_attn",
            Self::Gate | Self::Up | Self::Down => "mlp",
        };
        format!("model.layers.{layer}.{part}.{}", self.name())
    }

    /// Returns the key of the weight in a checkpoint.
    pub fn key(self, layer: usize) -> String {
        format!("{}.weight", self.module_path(layer))
    }

    /// Returns the shape `[out, in]` of the weight.
    pub fn shape(self, config: &Qwen3Config) -> [usize; 2] {
        let queries = config.num_attention_heads * config.head_dim;
        let keys = config.num_key_value_heads * config.head_dim;
        match self {
            Self::Query => [queries, config.hidden_size],
            Self::Key | Self::Value => [keys, config.hidden_size],
            Self::Output => [config.hidden_size, queries],
            Self::Gate | Self::Up => [config.intermediate_size, config.hidden_size],
            Self::Down => [config.hidden_size, config.intermediate_size],
        }
    }
}

impl fmt::Display for Projection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_the_checkpoint() {
        assert_eq!(Projection::Output.key(3), "model.layers.3.self_attn.o_proj.weight");
        assert_eq!(Projection::Down.key(0), "model.layers.0.mlp.down_proj.weight");
        for projection in Projection::ALL {
            assert_eq!(Projection::from_name(projection.name()), Some(projection));
        }
        assert_eq!(Projection::from_name("lm_head"), None);
    }
}
