//! The whole decoder.

use std::sync::Arc;

use burn::tensor::{Device, Tensor};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, Normal};

use super::block::{Block, Keep, Layout, Places};
use super::linear::{Linear, LoraAdapter, Trained, replace};
use super::{Gradients, Pack, PassOptions};
use crate::kernels::attention::{AttentionShape, Segments};
use crate::kernels::head_loss::{self, HeadGradient};
use crate::kernels::qk_norm_rope::RotaryTable;
use crate::kernels::{Numbers, embedding, host, linear, rms_norm};
use crate::{AdapterConfig, ParameterShape, Precision, Projection, Qwen3Config};

/// Returns the values of a tensor, row-major, by its key and shape in a checkpoint.
pub type TensorSource<'s, E> = dyn FnMut(&str, &[usize]) -> Result<Vec<f32>, E> + 's;

/// Returns the new value of a trained tensor, by its key in a checkpoint and its present value.
pub type TensorUpdate<'u> = dyn FnMut(&str, Tensor<2>) -> Tensor<2> + 'u;

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

    /// Builds a decoder from a source of named tensors, such as a checkpoint.
    ///
    /// # Errors
    /// Passes on the first error of the source.
    pub fn build<E>(config: &Qwen3Config, device: &Device, source: &mut TensorSource<'_, E>) -> Result<Self, E> {
        Self::build_in(config, device, Precision::F32, source)
    }

    /// Builds a decoder whose matrices are kept in the given numbers; its norms are in 32 bits in any case.
    ///
    /// # Errors
    /// Passes on the first error of the source.
    ///
    /// # Panics
    /// Panics when the device does not compute in these numbers: ask [`Precision::check`] before.
    pub fn build_in<E>(config: &Qwen3Config, device: &Device, precision: Precision, source: &mut TensorSource<'_, E>) -> Result<Self, E> {
        if let Err(error) = precision.check(device) {
            panic!("{error}");
        }
        let mut reader = Reader { config, device, precision, source };
        let embedding = reader.matrix(Qwen3Config::EMBEDDING, [config.vocab_size, config.hidden_size])?;
        let head = match config.tie_word_embeddings {
            true => None,
            false => Some(reader.matrix(Qwen3Config::HEAD, [config.vocab_size, config.hidden_size])?),
        };
        let blocks = (0..config.num_hidden_layers).map(|layer| reader.block(layer)).collect::<Result<_, E>>()?;
        let norm = reader.vector(Qwen3Config::FINAL_NORM, config.hidden_size)?;
        let rotations = Arc::new(RotaryTable::new(config.head_dim, config.rope_theta, 0));
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

    /// Returns the numbers that the matrices and the activations are kept in.
    #[must_use]
    pub fn precision(&self) -> Precision {
        if self.embedding.dtype() == Precision::Bf16.dtype() { Precision::Bf16 } else { Precision::F32 }
    }

    /// Returns the model, adapters included, on a device, its matrices in the given numbers. Where it is there already, both share their
    /// values until one of them changes.
    ///
    /// # Panics
    /// Panics when the device does not compute in these numbers: ask [`Precision::check`] before.
    #[must_use]
    pub fn on(&self, device: &Device, precision: Precision) -> Self {
        if let Err(error) = precision.check(device) {
            panic!("{error}");
        }
        let mut moved = self.clone();
        if self.device() == *device && self.precision() == precision {
            return moved;
        }
        let matrix = |weight: &mut Tensor<2>| *weight = in_numbers(moved_to(weight, device), precision);
        matrix(&mut moved.embedding);
        moved.head.iter_mut().for_each(matrix);
        moved.norm = moved_to(&moved.norm, device);
        for block in &mut moved.blocks {
            block.norms_mut().into_iter().for_each(|(_, norm)| *norm = moved_to(norm, device));
            for (_, linear) in block.projections_mut() {
                matrix(&mut linear.weight);
                if let Some(LoraAdapter { a, b, .. }) = &mut linear.adapter {
                    (*a, *b) = (moved_to(a, device), moved_to(b, device));
                }
            }
        }
        moved
    }

    /// Prepares the rotations for sequences of up to `length` tokens; longer ones compute their own each time.
    #[must_use]
    pub fn with_context(mut self, length: usize) -> Self {
        self.rotations = Arc::new(RotaryTable::new(self.config.head_dim, self.config.rope_theta, length));
        self
    }

    /// Returns the rotations of at least `length` positions.
    pub(crate) fn rotations(&self, length: usize) -> Arc<RotaryTable> {
        match self.rotations.len() >= length {
            true => Arc::clone(&self.rotations),
            false => Arc::new(RotaryTable::new(self.config.head_dim, self.config.rope_theta, length)),
        }
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
        let (table, positions, segments) = (self.rotations(ids.len()), positions(ids.len()), one_sequence(ids));
        let layout = Layout { places: Places { table: &table, positions: &positions }, segments: &segments };
        let mut x = embedding::forward(&self.embedding, &ids.to_vec().into());
        for block in &self.blocks {
            x = block.forward(x, layout, Keep::Input).0;
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

    /// Returns the weighted sum of the cross-entropies of a sequence, and its gradients.
    ///
    /// `targets` are as in [`Qwen3::loss`]; `weights[i]` is what the loss of `targets[i]` is multiplied with.
    ///
    /// # Panics
    /// Panics when the lengths differ, or when a token is not below the vocabulary size.
    #[must_use]
    pub fn loss_and_gradients(&self, ids: &[u32], targets: &[Option<u32>], weights: &[f32], trained: Trained, keep: Keep) -> SequenceLoss {
        let mut pack = Pack::default();
        pack.push(ids, targets, weights);
        self.loss_and_gradients_of(&pack, trained, &PassOptions::all(keep, self.blocks.len()))
    }

    /// Returns the weighted sum of the cross-entropies of packed sequences, and its gradients. The sum is not a number where the device
    /// failed.
    ///
    /// # Panics
    /// Panics when there is not one choice a block, or a token is not below the vocabulary size.
    #[must_use]
    pub fn loss_and_gradients_of(&self, pack: &Pack, trained: Trained, options: &PassOptions) -> SequenceLoss {
        let PassOptions { keep, head_rows } = options;
        assert_eq!(keep.len(), self.blocks.len(), "one choice a block");
        let (ids, segments) = (pack.ids(), pack.segments());
        let (table, positions) = (self.rotations(longest(segments)), positions_of(segments));
        let layout = Layout { places: Places { table: &table, positions: &positions }, segments };
        let mut x = embedding::forward(&self.embedding, &ids.to_vec().into());
        let mut saved = Vec::with_capacity(self.blocks.len());
        for (block, keep) in self.blocks.iter().zip(keep) {
            let (y, kept) = block.forward(x, layout, *keep);
            saved.push(kept);
            x = y;
        }
        let hidden = rms_norm::forward(&x, &self.norm, self.eps());
        let everything = trained == Trained::Everything;
        let head_gradient = if everything { HeadGradient::Trained } else { HeadGradient::Frozen };
        let loss = head_loss::loss_and_gradients_by(*head_rows, &hidden, self.head(), pack.targets(), pack.weights(), head_gradient);
        drop(hidden);

        let mut gradients = Gradients::new();
        let dnorm = rms_norm::backward(&x, &self.norm, self.eps(), &loss.rows);
        let mut dx = dnorm.x;
        drop((x, loss.rows));
        for (layer, (block, kept)) in self.blocks.iter().zip(saved).enumerate().rev() {
            dx = block.backward(kept, dx, layout, layer, trained, &mut gradients);
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

    /// Returns the number of values in adapters.
    pub(crate) fn adapter_values(&self) -> usize {
        let adapters = self.blocks.iter().flat_map(|block| block.projections()).filter_map(|(_, linear)| linear.adapter.as_ref());
        adapters.map(|adapter| [&adapter.a, &adapter.b].iter().map(|factor| factor.dims().iter().product::<usize>()).sum::<usize>()).sum()
    }

    /// Hashes the weights and the scale of the adapters (FNV-1a over the bits of the values, 64 bits).
    pub(crate) fn weight_hash(&self) -> u64 {
        let mut hash = 0xcbf2_9ce4_8422_2325u64;
        let mut add = |bits: u32| hash = (hash ^ u64::from(bits)).wrapping_mul(0x0100_0000_01b3);
        let adapters = self.blocks.iter().flat_map(|block| block.projections()).filter_map(|(_, linear)| linear.adapter.as_ref());
        adapters.for_each(|adapter| add(adapter.scale.to_bits()));
        let mut visit = |_: &str, tensor: Tensor<2>| {
            host::values(&tensor).iter().for_each(|value| add(value.to_bits()));
            tensor
        };
        for block in &self.blocks {
            // Never more than one matrix is there merged.
            block.projections().into_iter().for_each(|(_, projection)| projection.merged().update("", Trained::Everything, &mut visit));
            block.clone().norms_mut().into_iter().for_each(|(name, norm)| drop(visit(name, norm.clone().unsqueeze())));
        }
        Self { blocks: Vec::new(), ..self.clone() }.update(Trained::Everything, &mut visit);
        hash
    }

    /// Calls `visit` with the name and the value of every trained tensor, in a fixed order, and keeps what it returns.
    ///
    /// Vectors are passed as one row. The tensor is moved out of the model during the call, so a change can happen in place.
    pub fn update(&mut self, trained: Trained, visit: &mut TensorUpdate<'_>) {
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
        let with_values = |shape: ParameterShape| values.remove(&shape.name).map(|values| (shape, values));
        self.config.parameters().into_iter().filter_map(with_values).collect()
    }

    /// Returns the model with all adapters added into their weights.
    #[must_use]
    pub fn merged(&self) -> Self {
        Self { blocks: self.blocks.iter().map(Block::merged).collect(), ..self.clone() }
    }

    /// Returns the base model: all adapters are dropped, the weights below them are what they were before.
    #[must_use]
    pub fn without_adapters(&self) -> Self {
        let mut base = self.clone();
        for block in &mut base.blocks {
            block.projections_mut().into_iter().for_each(|(_, projection)| projection.adapter = None);
        }
        base
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
                let a = (0..config.rank * inputs).map(|_| rng.random_range(-bound..=bound)).collect();
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

/// Reads the tensors of a decoder one after the other.
struct Reader<'r, 's, E> {
    config: &'r Qwen3Config,
    device: &'r Device,
    precision: Precision,
    source: &'r mut TensorSource<'s, E>,
}

impl<E> Reader<'_, '_, E> {
    fn matrix(&mut self, name: &str, shape: [usize; 2]) -> Result<Tensor<2>, E> {
        Ok(in_numbers(place((self.source)(name, &shape)?, shape, self.device), self.precision))
    }

    fn vector(&mut self, name: &str, length: usize) -> Result<Tensor<1>, E> {
        Ok(place((self.source)(name, &[length])?, [length], self.device))
    }

    fn block(&mut self, layer: usize) -> Result<Block, E> {
        let config = self.config;
        let mut linear = |projection: Projection| self.matrix(&projection.key(layer), projection.shape(config)).map(Linear::new);
        let [q_proj, k_proj, v_proj, o_proj] =
            [linear(Projection::Query)?, linear(Projection::Key)?, linear(Projection::Value)?, linear(Projection::Output)?];
        let [gate_proj, up_proj, down_proj] = [linear(Projection::Gate)?, linear(Projection::Up)?, linear(Projection::Down)?];
        let mut norm = |name: &str, length| self.vector(&Qwen3Config::norm_key(layer, name), length);
        Ok(Block {
            input_norm: norm("input_layernorm", config.hidden_size)?,
            q_norm: norm("self_attn.q_norm", config.head_dim)?,
            k_norm: norm("self_attn.k_norm", config.head_dim)?,
            post_attention_norm: norm("post_attention_layernorm", config.hidden_size)?,
            q_proj,
            k_proj,
            v_proj,
            o_proj,
            gate_proj,
            up_proj,
            down_proj,
            shape: AttentionShape::of(config),
            eps: config.rms_norm_eps as f32,
        })
    }
}

/// Positions `0..length`.
fn positions(length: usize) -> Numbers {
    (0..length as u32).collect()
}

fn one_sequence(ids: &[u32]) -> Segments {
    let lengths = if ids.is_empty() { vec![] } else { vec![ids.len()] };
    Segments::of_lengths(&lengths).expect("a sequence has fewer than 2^32 tokens")
}

/// Positions of packed sequences, each from 0.
fn positions_of(segments: &Segments) -> Numbers {
    segments.ranges().flat_map(|rows| 0..rows.len() as u32).collect()
}

fn longest(segments: &Segments) -> usize {
    segments.ranges().map(|rows| rows.len()).max().unwrap_or(0)
}

fn moved_to<const D: usize>(tensor: &Tensor<D>, device: &Device) -> Tensor<D> {
    place(host::to_vec(tensor), tensor.dims(), device)
}

fn in_numbers(matrix: Tensor<2>, precision: Precision) -> Tensor<2> {
    match precision {
        Precision::F32 => matrix,
        Precision::Bf16 => matrix.cast(precision.dtype()),
    }
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
