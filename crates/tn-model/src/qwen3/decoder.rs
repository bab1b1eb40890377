//! The whole decoder.

use std::sync::Arc;

use burn::tensor::{Device, Tensor};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, Normal, Uniform};

use super::block::{Block, Keep, Places};
use super::linear::{LoraAdapter, Linear, Trained, replace};
use super::Gradients;
use crate::{AdapterConfig, ParameterShape, Qwen3Config};
use crate::kernels::attention::AttentionShape;
use crate::kernels::head_loss::{self, HeadGradient};
use crate::kernels::qk_norm_rope::RotaryTable;
use crate::kernels::{embedding, host, linear, rms_norm};

/// A Qwen3 decoder: embedding, blocks, final norm and a head that is tied to the embedding or its own.
#[derive(Clone, Debug)]
pub struct Qwen3 {
    config: Qwen3Config,
    pub(crate) embedding: Tensor<2>,
    pub(crate) blocks: Vec<Block>,
    pub(crate) norm: Tensor<1>,
    pub(crate) head: Option<Tensor<2>>,
    rotations: Arc<RotaryTable>,
}

/// The loss of one sequence and the gradients of its scaled sum.
pub struct SequenceLoss {
    /// Sum of the losses of the labelled tokens, in nats.
    pub sum: f64,
    /// Gradients of `scale * sum`.
    pub gradients: Gradients,
}

impl Qwen3 {
    /// Builds a decoder with random weights: normal with standard deviation 0.02, the projections that write into the residual stream
    /// smaller by `sqrt(2 * layers)`, norms one (the scheme of GPT-2 and its successors). The same seed gives the same weights.
    #[must_use]
    pub fn initialize(config: &Qwen3Config, seed: u64, device: &Device) -> Self {
        let mut source = RandomWeights { rng: ChaCha8Rng::seed_from_u64(seed), layers: config.num_hidden_layers };
        let built: Result<Self, std::convert::Infallible> = Self::build(config, device, &mut |name, shape| Ok(source.tensor(name, shape)));
        match built {
            Ok(model) => model,
        }
    }

    /// Builds a decoder from a function that returns the values of each named tensor of a checkpoint, row-major.
    ///
    /// # Errors
    /// Passes on the first error of `values`.
    pub fn build<E>(
        config: &Qwen3Config,
        device: &Device,
        values: &mut dyn FnMut(&str, &[usize]) -> Result<Vec<f32>, E>,
    ) -> Result<Self, E> {
        let mut matrix = |name: String, rows: usize, columns: usize| -> Result<Tensor<2>, E> {
            Ok(place(values(&name, &[rows, columns])?, [rows, columns], device))
        };
        let (hidden, ffn, d) = (config.hidden_size, config.intermediate_size, config.head_dim);
        let (q_width, k_width) = (config.num_attention_heads * d, config.num_key_value_heads * d);
        let embedding = matrix("model.embed_tokens.weight".to_owned(), config.vocab_size, hidden)?;
        let head = match config.tie_word_embeddings {
            true => None,
            false => Some(matrix("lm_head.weight".to_owned(), config.vocab_size, hidden)?),
        };
        let mut projections = Vec::with_capacity(config.num_hidden_layers);
        for layer in 0..config.num_hidden_layers {
            let mut projection = |name: &str, outputs, inputs| -> Result<Linear, E> {
                Ok(Linear::new(matrix(format!("model.layers.{layer}.{name}.weight"), outputs, inputs)?))
            };
            projections.push((
                projection("self_attn.q_proj", q_width, hidden)?,
                projection("self_attn.k_proj", k_width, hidden)?,
                projection("self_attn.v_proj", k_width, hidden)?,
                projection("self_attn.o_proj", hidden, q_width)?,
                projection("mlp.gate_proj", ffn, hidden)?,
                projection("mlp.up_proj", ffn, hidden)?,
                projection("mlp.down_proj", hidden, ffn)?,
            ));
        }
        let mut vector = |name: String, length: usize| -> Result<Tensor<1>, E> { Ok(place(values(&name, &[length])?, [length], device)) };
        let mut blocks = Vec::with_capacity(config.num_hidden_layers);
        for (layer, (q_proj, k_proj, v_proj, o_proj, gate_proj, up_proj, down_proj)) in projections.into_iter().enumerate() {
            let mut norm = |name: &str, length| vector(format!("model.layers.{layer}.{name}.weight"), length);
            blocks.push(Block {
                input_norm: norm("input_layernorm", hidden)?,
                q_norm: norm("self_attn.q_norm", d)?,
                k_norm: norm("self_attn.k_norm", d)?,
                post_attention_norm: norm("post_attention_layernorm", hidden)?,
                q_proj,
                k_proj,
                v_proj,
                o_proj,
                gate_proj,
                up_proj,
                down_proj,
                shape: AttentionShape { heads: config.num_attention_heads, key_heads: config.num_key_value_heads, head_dim: d },
                eps: config.rms_norm_eps as f32,
            });
        }
        let norm = vector("model.norm.weight".to_owned(), hidden)?;
        let rotations = Arc::new(RotaryTable::new(d, config.rope_theta, 0));
        Ok(Self { config: config.clone(), embedding, blocks, norm, head, rotations })
    }

    /// Returns the configuration.
    #[must_use]
    pub fn config(&self) -> &Qwen3Config {
        &self.config
    }

    /// Returns the device that holds the weights.
    #[must_use]
    pub fn device(&self) -> Device {
        self.embedding.device()
    }

    /// Prepares the rotations for sequences of up to `length` tokens; longer ones compute their own each time.
    #[must_use]
    pub fn with_context(mut self, length: usize) -> Self {
        self.rotations = Arc::new(RotaryTable::new(self.config.head_dim, self.config.rope_theta, length));
        self
    }

    /// Returns the rotations of at least `length` positions.
    pub(crate) fn rotations(&self, length: usize) -> Arc<RotaryTable> {
        if self.rotations.len() >= length {
            return Arc::clone(&self.rotations);
        }
        Arc::new(RotaryTable::new(self.config.head_dim, self.config.rope_theta, length))
    }

    pub(crate) fn head(&self) -> &Tensor<2> {
        self.head.as_ref().unwrap_or(&self.embedding)
    }

    pub(crate) fn eps(&self) -> f32 {
        self.config.rms_norm_eps as f32
    }

    /// Returns the final hidden state of every token of a sequence.
    ///
    /// # Shapes
    /// The result: `[ids, hidden]`.
    ///
    /// # Panics
    /// Panics when an id is not below the vocabulary size.
    #[must_use]
    pub fn hidden(&self, ids: &[u32]) -> Tensor<2> {
        let (table, positions) = (self.rotations(ids.len()), positions(ids.len()));
        let places = Places { table: &table, positions: &positions };
        let mut x = embedding::forward(&self.embedding, ids);
        for block in &self.blocks {
            x = block.forward(x, places, Keep::Input).0;
        }
        rms_norm::forward(&x, &self.norm, self.eps())
    }

    /// Returns the logits of the next token for hidden states.
    ///
    /// # Shapes
    /// `hidden`: `[rows, hidden]`; the result: `[rows, vocabulary]`.
    #[must_use]
    pub fn logits(&self, hidden: &Tensor<2>) -> Tensor<2> {
        linear::forward(hidden, self.head())
    }

    /// Returns the summed cross-entropy of a sequence, in nats, without gradients.
    ///
    /// `targets[i]` is the token that should follow `ids[i]`, `None` where there is no loss.
    ///
    /// # Panics
    /// Panics when the lengths differ, or when a token is not below the vocabulary size.
    #[must_use]
    pub fn loss(&self, ids: &[u32], targets: &[Option<u32>]) -> f64 {
        assert_eq!(ids.len(), targets.len(), "one target a token");
        head_loss::loss(&self.hidden(ids), self.head(), targets)
    }

    /// Returns the summed cross-entropy of a sequence and the gradients of `scale` times this sum.
    ///
    /// # Panics
    /// Panics when the lengths differ, or when a token is not below the vocabulary size.
    #[must_use]
    pub fn loss_and_gradients(&self, ids: &[u32], targets: &[Option<u32>], scale: f32, trained: Trained, keep: Keep) -> SequenceLoss {
        assert_eq!(ids.len(), targets.len(), "one target a token");
        let (table, positions) = (self.rotations(ids.len()), positions(ids.len()));
        let places = Places { table: &table, positions: &positions };
        let mut x = embedding::forward(&self.embedding, ids);
        let mut saved = Vec::with_capacity(self.blocks.len());
        for block in &self.blocks {
            let (y, kept) = block.forward(x, places, keep);
            saved.push(kept);
            x = y;
        }
        let hidden = rms_norm::forward(&x, &self.norm, self.eps());
        let everything = trained == Trained::Everything;
        let head_gradient = if everything { HeadGradient::Trained } else { HeadGradient::Frozen };
        let loss = head_loss::loss_and_gradients(&hidden, self.head(), targets, scale, head_gradient);

        let mut gradients = Gradients::new();
        let dnorm = rms_norm::backward(&x, &self.norm, self.eps(), &loss.rows);
        let mut dx = dnorm.x;
        for (layer, (block, kept)) in self.blocks.iter().zip(saved).enumerate().rev() {
            dx = block.backward(kept, dx, places, layer, trained, &mut gradients);
        }
        if let Some(dhead) = loss.head {
            gradients.add("model.norm.weight".to_owned(), dnorm.weight.unsqueeze());
            let dembedding = match self.head {
                None => dhead,
                Some(_) => {
                    gradients.add("lm_head.weight".to_owned(), dhead);
                    self.embedding.zeros_like()
                }
            };
            gradients.add("model.embed_tokens.weight".to_owned(), embedding::add_backward(dembedding, ids, &dx));
        }
        SequenceLoss { sum: loss.sum, gradients }
    }

    /// Returns what is trained: adapters where there are any, else everything.
    #[must_use]
    pub fn trained(&self) -> Trained {
        let adapted = self.blocks.iter().any(|block| block.projections().iter().any(|(_, p)| p.adapter.is_some()));
        if adapted { Trained::Adapters } else { Trained::Everything }
    }

    /// Calls `visit` with the name and the value of every trained tensor, in a fixed order, and keeps what it returns.
    ///
    /// Vectors are passed as one row. The tensor is moved out of the model during the call, so a change can happen in place.
    pub fn update(&mut self, trained: Trained, visit: &mut dyn FnMut(&str, Tensor<2>) -> Tensor<2>) {
        if trained == Trained::Everything {
            replace(&mut self.embedding, |w| visit("model.embed_tokens.weight", w));
        }
        for (layer, block) in self.blocks.iter_mut().enumerate() {
            block.update(layer, trained, visit);
        }
        if trained == Trained::Everything {
            replace(&mut self.norm, |w| visit("model.norm.weight", w.unsqueeze()).squeeze_dim(0));
            if let Some(head) = &mut self.head {
                replace(head, |w| visit("lm_head.weight", w));
            }
        }
    }

    /// Returns every tensor of the base model with its key and shape in a checkpoint, adapters merged in.
    #[must_use]
    pub fn tensors(&self) -> Vec<(ParameterShape, Vec<f32>)> {
        let mut values = std::collections::BTreeMap::new();
        self.merged().update(Trained::Everything, &mut |name, tensor| {
            values.insert(name.to_owned(), host::to_vec(&tensor));
            tensor
        });
        let with_values = |shape: ParameterShape| {
            let values = values.remove(&shape.name).expect("the model was built from the same configuration");
            (shape, values)
        };
        self.config.parameters().into_iter().map(with_values).collect()
    }

    /// Returns the model with all adapters added into their weights.
    #[must_use]
    pub fn merged(&self) -> Self {
        let mut merged = self.clone();
        for block in &mut merged.blocks {
            for (_, projection) in block.projections_mut() {
                *projection = projection.merged();
            }
        }
        merged
    }

    /// Puts fresh adapters on the named projections: `a` uniform within `1 / sqrt(inputs)`, `b` zero, so that the model is unchanged until
    /// training. The base weights are frozen from then on. Adapters that are there already are merged first.
    #[must_use]
    pub fn with_new_adapters(&self, config: &AdapterConfig, seed: u64) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let device = self.device();
        let mut adapted = self.merged();
        for block in &mut adapted.blocks {
            for (projection, layer) in block.projections_mut() {
                if !config.target_modules.contains(&projection) {
                    continue;
                }
                let [outputs, inputs] = layer.weight.dims();
                let bound = 1.0 / (inputs as f32).sqrt();
                let uniform = Uniform::new(-bound, bound).expect("the bound is positive and finite");
                let a = (0..config.rank * inputs).map(|_| uniform.sample(&mut rng)).collect();
                layer.adapter = Some(LoraAdapter {
                    a: place(a, [config.rank, inputs], &device),
                    b: place(vec![0.0; outputs * config.rank], [outputs, config.rank], &device),
                    scale: (config.alpha / config.rank as f64) as f32,
                });
            }
        }
        adapted
    }
}

/// Positions `0..length`.
pub(crate) fn positions(length: usize) -> Vec<u32> {
    (0..length as u32).collect()
}

/// Puts values on a device, without a copy when it is the host.
pub(crate) fn place<const D: usize>(values: Vec<f32>, shape: [usize; D], device: &Device) -> Tensor<D> {
    if *device == Device::flex() && !device.is_autodiff() {
        return host::tensor(values, shape);
    }
    host::upload(values, shape, device)
}

struct RandomWeights {
    rng: ChaCha8Rng,
    layers: usize,
}

impl RandomWeights {
    fn tensor(&mut self, name: &str, shape: &[usize]) -> Vec<f32> {
        let length = shape.iter().product();
        if shape.len() == 1 {
            return vec![1.0; length];
        }
        let residual = name.contains("o_proj") || name.contains("down_proj");
        let deviation = if residual { 0.02 / (2.0 * self.layers as f32).sqrt() } else { 0.02 };
        let normal = Normal::new(0.0, deviation).expect("the deviation is positive and finite");
        (0..length).map(|_| normal.sample(&mut self.rng)).collect()
    }
}
