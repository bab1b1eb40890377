//! The parameters of a decoder: their names in a checkpoint, and their shapes.

use super::{Projection, Qwen3Config};

/// A parameter of the decoder: its key in a Hugging Face checkpoint and its shape there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParameterShape {
    /// Key, such as `model.layers.0.self_attn.q_proj.weight`.
    pub name: String,
    /// Shape; matrices are `[out, in]`.
    pub shape: Vec<usize>,
}

impl Qwen3Config {
    /// Key of the embedding, `[vocab_size, hidden_size]`.
    pub const EMBEDDING: &'static str = "model.embed_tokens.weight";
    /// Key of the last norm, `[hidden_size]`.
    pub const FINAL_NORM: &'static str = "model.norm.weight";
    /// Key of the output head, `[vocab_size, hidden_size]`; absent when it is tied to the embedding.
    pub const HEAD: &'static str = "lm_head.weight";

    /// Returns the key of a norm of a layer: `input_layernorm`, `post_attention_layernorm`, `self_attn.q_norm` or
    /// `self_attn.k_norm`.
    pub fn norm_key(layer: usize, norm: &str) -> String {
        format!("model.layers.{layer}.{norm}.weight")
    }

    /// Returns every parameter in the order of the forward pass. A tied head is not listed.
    pub fn parameters(&self) -> Vec<ParameterShape> {
        let mut parameters = vec![(Self::EMBEDDING.to_owned(), vec![self.vocab_size, self.hidden_size])];
        for layer in 0..self.num_hidden_layers {
            let mut norm = |name, width| parameters.push((Self::norm_key(layer, name), vec![width]));
            norm("input_layernorm", self.hidden_size);
            norm("self_attn.q_norm", self.head_dim);
            norm("self_attn.k_norm", self.head_dim);
            norm("post_attention_layernorm", self.hidden_size);
            for projection in Projection::ALL {
                parameters.push((projection.key(layer), projection.shape(self).to_vec()));
            }
        }
        parameters.push((Self::FINAL_NORM.to_owned(), vec![self.hidden_size]));
        if !self.tie_word_embeddings {
            parameters.push((Self::HEAD.to_owned(), vec![self.vocab_size, self.hidden_size]));
        }
        parameters.into_iter().map(|(name, shape)| ParameterShape { name, shape }).collect()
    }

    /// Returns the number of trainable values, a tied head counted once.
    pub fn parameter_count(&self) -> usize {
        self.parameters().iter().map(|parameter| parameter.shape.iter().product::<usize>()).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tied_head_is_not_listed() {
        let mut config = Qwen3Config::tiny(512);
        assert_eq!(config.parameters().len(), 2 + 4 * 11);
        config.tie_word_embeddings = false;
        assert_eq!(config.parameters().last().unwrap().name, Qwen3Config::HEAD);
    }

    /// Widths of the residual stream and of the feed-forward layer, layers and query heads of a published size.
    fn check_count(sizes: [usize; 4], expected: usize) {
        let [hidden_size, intermediate_size, num_hidden_layers, num_attention_heads] = sizes;
        let config = Qwen3Config {
            hidden_size,
            intermediate_size,
            num_hidden_layers,
            num_attention_heads,
            num_key_value_heads: 8,
            head_dim: 128,
            ..Qwen3Config::tiny(151_936)
        };
        assert_eq!(config.parameter_count(), expected);
    }

    #[test]
    fn published_sizes_have_the_parameters_that_transformers_counts() {
        check_count([1024, 3072, 28, 16], 596_049_920);
        check_count([2048, 6144, 28, 16], 1_720_574_976);
        check_count([2560, 9728, 36, 32], 4_022_468_096);
    }
}
