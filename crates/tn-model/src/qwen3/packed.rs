//! The decoder as generation reads it: weights packed once, without what training needs.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use burn::tensor::{Device, Tensor};

use super::block::{Block, Places, QueryKeyValue};
use super::decoder::{Qwen3, place};
use super::linear::Linear;
use super::matrix::Matrix;
use super::paged::Store;
use crate::device::{is_gpu, memory_of};
use crate::kernels::attention::AttentionShape;
use crate::kernels::packed_linear::{PackedMatrix, WeightFormat};
use crate::kernels::qk_norm_rope::{self, RotaryTable};
use crate::kernels::{Numbers, rms_norm, swiglu};
use crate::{CheckpointError, CheckpointReader, Projection, Qwen3Config, WeightType};

/// A decoder whose weights are packed for generation, in 32 bits or fewer. It cannot be trained.
///
/// In every format, what is computed for a token does not depend on the texts that are computed beside it. On a device other than the
/// processor, weights stay 32-bit tensors.
///
/// ```
/// use tn_model::kernels::packed_linear::WeightFormat;
/// use tn_model::qwen3::{Continuations, PackedQwen3};
/// use tn_model::{Device, Qwen3, Qwen3Config};
///
/// let model = Qwen3::initialize(&Qwen3Config::tiny(168), 42, &Device::flex());
/// let (exact, small) = (PackedQwen3::pack(&model, WeightFormat::F32), PackedQwen3::pack(&model, WeightFormat::Bf16));
/// assert!(small.size_in_bytes() < exact.size_in_bytes() * 6 / 10);
/// let continuations = Continuations::start(&small, &[1, 2, 3], 1, 10);
/// assert_eq!(continuations.logits().dims(), [1, 168]);
/// ```
#[derive(Clone, Debug)]
pub struct PackedQwen3 {
    config: Qwen3Config,
    format: WeightFormat,
    embedding: Matrix,
    pub(super) blocks: Vec<PackedBlock>,
    pub(super) norm: Tensor<1>,
    head: Option<Matrix>,
    /// Grows with the texts.
    rotations: Arc<Mutex<Arc<RotaryTable>>>,
    /// Keys and values of all texts, where they are on a GPU.
    store: Option<Arc<Mutex<Store>>>,
}

/// The weights of one block.
#[derive(Clone, Debug)]
pub(super) struct PackedBlock {
    input_norm: Tensor<1>,
    q_norm: Tensor<1>,
    k_norm: Tensor<1>,
    post_attention_norm: Tensor<1>,
    q_proj: Matrix,
    k_proj: Matrix,
    v_proj: Matrix,
    o_proj: Matrix,
    gate_proj: Matrix,
    up_proj: Matrix,
    down_proj: Matrix,
    pub(super) shape: AttentionShape,
    eps: f32,
}

impl PackedQwen3 {
    /// Bytes of weights that stay in the caches of a processor.
    pub(crate) const SMALL: usize = 32 << 20;

    /// Share of a device's memory that weights, keys and values may take; the rest is for what is computed on the way.
    const USABLE: f64 = 0.85;

    /// Packs a decoder, adapters merged into its weights.
    #[must_use]
    pub fn pack(model: &Qwen3, format: WeightFormat) -> Self {
        let packed = Self {
            config: model.config().clone(),
            format,
            embedding: Matrix::new(&model.embedding, format),
            blocks: model.blocks.iter().map(|block| PackedBlock::pack(block, format)).collect(),
            norm: model.norm.clone(),
            head: model.head.as_ref().map(|head| Matrix::new(head, format)),
            rotations: Arc::new(Mutex::new(model.rotations(0))),
            store: store(model),
        };
        if let (Some(store), Some(memory)) = (&packed.store, memory_of(&model.device())) {
            let usable = (memory as f64 * Self::USABLE) as usize;
            store.lock().unwrap_or_else(PoisonError::into_inner).limit(usable.saturating_sub(packed.size_in_bytes()));
        }
        packed
    }

    /// Loads a checkpoint folder on the processor, tensor by tensor: there is never more than one of them in 32 bits.
    ///
    /// # Errors
    /// As [`Qwen3::load`].
    pub fn load(folder: impl AsRef<Path>, format: WeightFormat) -> Result<Self, CheckpointError> {
        let reader = Reader { checkpoint: &CheckpointReader::open(folder)?, format };
        let config = reader.checkpoint.config().clone();
        let table = [config.vocab_size, config.hidden_size];
        Ok(Self {
            embedding: reader.matrix(Qwen3Config::EMBEDDING, table)?,
            blocks: (0..config.num_hidden_layers).map(|layer| reader.block(layer)).collect::<Result<_, _>>()?,
            norm: reader.vector(Qwen3Config::FINAL_NORM)?,
            head: if config.tie_word_embeddings { None } else { Some(reader.matrix(Qwen3Config::HEAD, table)?) },
            rotations: Arc::new(Mutex::new(Arc::new(RotaryTable::new(config.head_dim, config.rope_theta, 0)))),
            store: None,
            format,
            config,
        })
    }

    /// Returns the configuration.
    #[must_use]
    pub fn config(&self) -> &Qwen3Config {
        &self.config
    }

    /// Returns the format of the weights.
    #[must_use]
    pub fn format(&self) -> WeightFormat {
        self.format
    }

    /// Returns whether the weights stay in the caches of the processor, so that threads had better work each by itself.
    pub(crate) fn is_small(&self) -> bool {
        !self.is_on_gpu() && self.size_in_bytes() <= Self::SMALL
    }

    pub(super) fn device(&self) -> Device {
        self.norm.device()
    }

    /// Returns the memory that the matrices take, in bytes.
    #[must_use]
    pub fn size_in_bytes(&self) -> usize {
        let of_block = |block: &PackedBlock| block.matrices().iter().map(|matrix| matrix.size_in_bytes()).sum::<usize>();
        let tables = [Some(&self.embedding), self.head.as_ref()];
        tables.into_iter().flatten().map(Matrix::size_in_bytes).sum::<usize>() + self.blocks.iter().map(of_block).sum::<usize>()
    }

    /// Returns the bytes that there are for keys and values of all texts on a GPU. Nothing where the device does not say what it has.
    pub(crate) fn room_for_texts(&self) -> Option<usize> {
        self.store.as_ref()?.lock().unwrap_or_else(PoisonError::into_inner).room()
    }

    /// Returns the rotations of at least `length` positions. Those of a length are computed once.
    pub(super) fn rotations(&self, length: usize) -> Arc<RotaryTable> {
        let mut prepared = self.rotations.lock().unwrap_or_else(PoisonError::into_inner);
        if prepared.len() < length {
            *prepared = Arc::new(RotaryTable::new(self.config.head_dim, self.config.rope_theta, length.next_power_of_two()));
        }
        Arc::clone(&prepared)
    }

    /// Returns the pages of all texts, where there are some.
    pub(super) fn store(&self) -> Option<&Arc<Mutex<Store>>> {
        self.store.as_ref()
    }

    /// Returns how many passes a GPU has repeated from a recording, which saves the work of the host: 0 on every other device, and where
    /// passes cannot be recorded.
    #[must_use]
    pub fn repeated_passes(&self) -> u64 {
        self.store.as_ref().map_or(0, |store| store.lock().unwrap_or_else(PoisonError::into_inner).repeated())
    }

    /// Returns whether the model computes on a GPU.
    pub(crate) fn is_on_gpu(&self) -> bool {
        self.store.is_some()
    }

    /// Returns the embedding of some tokens, `[ids, hidden]`.
    pub(super) fn embed(&self, ids: &Numbers) -> Tensor<2> {
        self.embedding.rows(ids)
    }

    /// Returns the logits of the next token for outputs of the last block.
    pub(super) fn logits(&self, x: &Tensor<2>) -> Tensor<2> {
        let normed = rms_norm::forward(x, &self.norm, self.config.rms_norm_eps as f32);
        self.head.as_ref().unwrap_or(&self.embedding).forward(&normed)
    }
}

/// Returns the place of keys and values on a GPU, of the type of the weights.
fn store(model: &Qwen3) -> Option<Arc<Mutex<Store>>> {
    let device = model.device();
    let store = || Store::new(model.config(), model.embedding.dtype(), &device);
    is_gpu(&device).then(|| Arc::new(Mutex::new(store())))
}

impl PackedBlock {
    fn pack(block: &Block, format: WeightFormat) -> Self {
        let pack = |linear: &Linear| Matrix::new(&linear.merged().weight, format);
        Self {
            input_norm: block.input_norm.clone(),
            q_norm: block.q_norm.clone(),
            k_norm: block.k_norm.clone(),
            post_attention_norm: block.post_attention_norm.clone(),
            q_proj: pack(&block.q_proj),
            k_proj: pack(&block.k_proj),
            v_proj: pack(&block.v_proj),
            o_proj: pack(&block.o_proj),
            gate_proj: pack(&block.gate_proj),
            up_proj: pack(&block.up_proj),
            down_proj: pack(&block.down_proj),
            shape: block.shape,
            eps: block.eps,
        }
    }

    /// Returns queries, keys and values of rows at the given positions.
    pub(super) fn query_key_value(&self, x: &Tensor<2>, places: Places<'_>) -> QueryKeyValue {
        let normed = rms_norm::forward(x, &self.input_norm, self.eps);
        let [q, k, v] = Matrix::forward_each(&normed, [&self.q_proj, &self.k_proj, &self.v_proj]);
        let (q, k) = qk_norm_rope::forward_pair([&q, &k], [&self.q_norm, &self.k_norm], self.eps, places.table, places.positions);
        QueryKeyValue { q, k, v }
    }

    /// Finishes the block for rows whose attention output is known.
    pub(super) fn after_attention(&self, x: &Tensor<2>, attended: &Tensor<2>) -> Tensor<2> {
        let (middle, normed) = rms_norm::add_forward(x, &self.o_proj.forward(attended), &self.post_attention_norm, self.eps);
        let [gate, up] = Matrix::forward_each(&normed, [&self.gate_proj, &self.up_proj]);
        middle + self.down_proj.forward(&swiglu::forward(&gate, &up))
    }

    fn matrices(&self) -> [&Matrix; 7] {
        [&self.q_proj, &self.k_proj, &self.v_proj, &self.o_proj, &self.gate_proj, &self.up_proj, &self.down_proj]
    }
}

/// Packs the tensors of a checkpoint.
struct Reader<'c> {
    checkpoint: &'c CheckpointReader,
    format: WeightFormat,
}

impl Reader<'_> {
    fn matrix(&self, name: &str, shape: [usize; 2]) -> Result<Matrix, CheckpointError> {
        let packed = match self.checkpoint.stored(name)? {
            (WeightType::Bf16, bytes) if self.format == WeightFormat::Bf16 => PackedMatrix::from_bf16(bytes, shape),
            _ => PackedMatrix::pack(&self.checkpoint.tensor(name)?, shape, self.format),
        };
        Ok(Matrix::Packed(packed))
    }

    fn vector(&self, name: &str) -> Result<Tensor<1>, CheckpointError> {
        let values = self.checkpoint.tensor(name)?;
        let length = values.len();
        Ok(place(values, [length], &Device::flex()))
    }

    fn block(&self, layer: usize) -> Result<PackedBlock, CheckpointError> {
        let config = self.checkpoint.config();
        let matrix = |projection: Projection| self.matrix(&projection.key(layer), projection.shape(config));
        let norm = |name: &str| self.vector(&Qwen3Config::norm_key(layer, name));
        Ok(PackedBlock {
            input_norm: norm("input_layernorm")?,
            q_norm: norm("self_attn.q_norm")?,
            k_norm: norm("self_attn.k_norm")?,
            post_attention_norm: norm("post_attention_layernorm")?,
            q_proj: matrix(Projection::Query)?,
            k_proj: matrix(Projection::Key)?,
            v_proj: matrix(Projection::Value)?,
            o_proj: matrix(Projection::Output)?,
            gate_proj: matrix(Projection::Gate)?,
            up_proj: matrix(Projection::Up)?,
            down_proj: matrix(Projection::Down)?,
            shape: AttentionShape::of(config),
            eps: config.rms_norm_eps as f32,
        })
    }
}
