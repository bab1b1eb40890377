//! A sequence that is read once, and texts that begin as it does.

use burn::tensor::Tensor;

use super::block::Places;
use super::packed::PackedQwen3;
use crate::kernels::attention;
use crate::kernels::host;

/// The keys and values of a sequence, in every layer: what another sequence needs of the beginning that it shares with this one.
pub struct ReadSequence<'m> {
    model: &'m PackedQwen3,
    ids: Vec<u32>,
    layers: Vec<KeysAndValues>,
}

impl<'m> ReadSequence<'m> {
    /// Reads a sequence, and returns the log-probabilities of its tokens from the place `scored` on, in nats.
    ///
    /// # Panics
    /// Panics when `scored` is 0 or not below the number of tokens, or a token is not below the vocabulary size.
    #[must_use]
    pub fn read(model: &'m PackedQwen3, ids: &[u32], scored: usize) -> (Self, Vec<f64>) {
        let mut layers = Vec::with_capacity(model.blocks.len());
        let scores = run(model, &[], 0, ids, scored, |keys_and_values| layers.push(keys_and_values));
        (Self { model, ids: ids.to_vec(), layers }, scores)
    }

    /// Returns the log-probabilities of the tokens of another sequence from the place `scored` on, in nats; what both have in common at
    /// the beginning is not read again.
    ///
    /// # Panics
    /// As [`ReadSequence::read`].
    #[must_use]
    pub fn score(&self, ids: &[u32], scored: usize) -> Vec<f64> {
        assert!(scored > 0 && scored < ids.len(), "there are tokens to score, and one before them");
        let common = self.ids.iter().zip(ids).take_while(|(a, b)| a == b).count();
        run(self.model, &self.layers, common.min(scored - 1), ids, scored, drop)
    }
}

type KeysAndValues = (Tensor<2>, Tensor<2>);

/// Runs the tokens after the first `known` ones, whose keys and values are the first rows of `layers`; `keep` gets those of all tokens,
/// layer by layer.
fn run(
    model: &PackedQwen3,
    layers: &[KeysAndValues],
    known: usize,
    ids: &[u32],
    scored: usize,
    mut keep: impl FnMut(KeysAndValues),
) -> Vec<f64> {
    assert!(scored > known && scored < ids.len(), "there are tokens to score, and one before them");
    let (table, positions) = (model.rotations(ids.len()), (known as u32..ids.len() as u32).collect());
    let places = Places { table: &table, positions: &positions };
    let mut x = model.embed(&ids[known..].to_vec().into());
    for (layer, block) in model.blocks.iter().enumerate() {
        let heads = block.query_key_value(&x, places);
        let (k, v) = match layers.get(layer).filter(|_| known > 0) {
            Some((k, v)) => {
                let behind = |old: &Tensor<2>, new| Tensor::cat(vec![old.clone().narrow(0, 0, known), new], 0);
                (behind(k, heads.k), behind(v, heads.v))
            }
            None => (heads.k, heads.v),
        };
        let attended = attention::forward(&heads.q, &k, &v, block.shape);
        x = block.after_attention(&x, &attended.output);
        keep((k, v));
    }
    let rows = x.narrow(0, scored - 1 - known, ids.len() - scored);
    let logits = host::to_vec(&model.logits(&rows));
    let vocabulary = logits.len() / (ids.len() - scored);
    logits.chunks_exact(vocabulary).zip(&ids[scored..]).map(|(row, &id)| log_probability(row, id)).collect()
}

fn log_probability(logits: &[f32], id: u32) -> f64 {
    let highest = f64::from(logits.iter().copied().fold(f32::NEG_INFINITY, f32::max));
    let sum: f64 = logits.iter().map(|&logit| (f64::from(logit) - highest).exp()).sum();
    f64::from(logits[id as usize]) - highest - sum.ln()
}
