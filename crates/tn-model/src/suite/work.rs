//! Operations whose speed counts, on random values on the device.

use std::convert::Infallible;

use burn::tensor::{Distribution, Tensor};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution as _, Normal};

use super::Place;
use crate::kernels::attention::{self, Attended, AttentionShape, Determinism, Segments};
use crate::kernels::linear;
use crate::{Qwen3, Qwen3Config};

/// Numbers that random weights are taken from: a prime, so that rows of no width repeat.
const TABLE: usize = 1_048_573;

fn random<const D: usize>(place: &Place, shape: [usize; D]) -> Tensor<D> {
    Tensor::random(shape, Distribution::Normal(0.0, 1.0), (place.device(), place.precision().dtype()))
}

/// A matrix product and its gradient with respect to the input, as in a layer whose weight is frozen.
pub struct Product {
    x: Tensor<2>,
    weight: Tensor<2>,
    dy: Tensor<2>,
}

impl Product {
    /// Draws `x`, `[rows, inputs]`, and the weight, `[outputs, inputs]`.
    #[must_use]
    pub fn new(place: &Place, [rows, inputs, outputs]: [usize; 3]) -> Self {
        Self { x: random(place, [rows, inputs]), weight: random(place, [outputs, inputs]), dy: random(place, [rows, outputs]) }
    }

    /// Queues `x w^T`.
    pub fn forward(&self) {
        drop(linear::forward(&self.x, &self.weight));
    }

    /// Queues `dy w`.
    pub fn input_gradient(&self) {
        drop(linear::input_gradient(&self.dy, &self.weight));
    }
}

/// Causal attention of one sequence.
pub struct Attention {
    inputs: [Tensor<2>; 4],
    segments: Segments,
    shape: AttentionShape,
    attended: Attended,
}

impl Attention {
    /// Draws queries, keys, values and the gradient of the output, and attends once.
    ///
    /// # Panics
    /// Panics when there is no token.
    #[must_use]
    pub fn new(place: &Place, tokens: usize, shape: AttentionShape) -> Self {
        let AttentionShape { heads, key_heads, head_dim } = shape;
        let segments = Segments::of_lengths(&[tokens]).expect("there are tokens, and fewer than 2^32");
        let inputs = [heads, key_heads, key_heads, heads].map(|heads| random(place, [tokens, heads * head_dim]));
        let [q, k, v, _] = &inputs;
        let attended = attention::forward_segments(q, k, v, &segments, shape);
        Self { inputs, segments, shape, attended }
    }

    /// Queues the forward pass.
    pub fn forward(&self) {
        let [q, k, v, _] = &self.inputs;
        drop(attention::forward_segments(q, k, v, &self.segments, self.shape));
    }

    /// Queues the backward pass.
    pub fn backward(&self, determinism: Determinism) {
        let [q, k, v, doutput] = &self.inputs;
        drop(attention::backward_segments(q, k, v, &self.attended, doutput, &self.segments, self.shape, determinism));
    }
}

/// Values that are read and written once, for the bandwidth of the device.
pub struct Copy {
    x: Tensor<1>,
}

impl Copy {
    /// Draws so many values.
    #[must_use]
    pub fn new(place: &Place, values: usize) -> Self {
        Self { x: random(place, [values]) }
    }

    /// Queues a kernel that reads each value and writes another one.
    pub fn run(&self) {
        drop(self.x.clone() * 1.5);
    }

    /// Returns the bytes that a run moves.
    #[must_use]
    pub fn bytes(&self) -> usize {
        2 * self.x.dims()[0] * self.x.dtype().size()
    }
}

/// Builds a decoder of random weights within seconds, whatever its size: normal numbers with standard deviation 0.02 from a table of a
/// million, norms one.
#[must_use]
pub fn random_decoder(config: &Qwen3Config, place: &Place, seed: u64) -> Qwen3 {
    let Ok(normal) = Normal::new(0.0, 0.02f32) else { unreachable!("the deviation is positive and finite") };
    let table: Vec<f32> = normal.sample_iter(ChaCha8Rng::seed_from_u64(seed)).take(TABLE).collect();
    let mut at = 0;
    let mut source = |_: &str, shape: &[usize]| -> Result<Vec<f32>, Infallible> {
        let length: usize = shape.iter().product();
        if shape.len() == 1 {
            return Ok(vec![1.0; length]);
        }
        let values = table.iter().cycle().skip(at).take(length).copied().collect();
        at = (at + length) % TABLE;
        Ok(values)
    };
    match Qwen3::build_in(config, place.device(), place.precision(), &mut source) {
        Ok(model) => model,
    }
}
