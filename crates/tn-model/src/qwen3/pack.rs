//! Sequences behind one another, to be learned from in one pass.

use super::Keep;
use crate::kernels::attention::Segments;
use crate::kernels::head_loss;

/// How much memory a pass may use. No choice changes the result, but for rounding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PassOptions {
    /// What is kept of each block.
    pub keep: Vec<Keep>,
    /// Labelled tokens whose logits are there at once, on a GPU.
    pub head_rows: usize,
}

impl PassOptions {
    /// Keeps the same of each of some blocks.
    #[must_use]
    pub fn all(keep: Keep, blocks: usize) -> Self {
        Self { keep: vec![keep; blocks], head_rows: head_loss::CHUNK }
    }
}

/// Sequences that go through the decoder in one pass, without padding and without attention from one to another.
#[derive(Clone, Debug)]
pub struct Pack {
    ids: Vec<u32>,
    targets: Vec<Option<u32>>,
    weights: Vec<f32>,
    segments: Segments,
}

impl Default for Pack {
    fn default() -> Self {
        let segments = Segments::of_lengths(&[]).expect("no sequence is a list of sequences");
        Self { ids: Vec::new(), targets: Vec::new(), weights: Vec::new(), segments }
    }
}

impl Pack {
    /// Adds a sequence: its tokens, the token that should follow each of them, `None` where there is no loss, and what that loss is
    /// multiplied with. A sequence without tokens is left out.
    ///
    /// # Panics
    /// Panics when the lengths differ, or there would be 2^32 tokens.
    pub fn push(&mut self, ids: &[u32], targets: &[Option<u32>], weights: &[f32]) {
        assert_eq!(ids.len(), targets.len(), "one target a token");
        assert_eq!(ids.len(), weights.len(), "one weight a token");
        if ids.is_empty() {
            return;
        }
        self.ids.extend_from_slice(ids);
        self.targets.extend_from_slice(targets);
        self.weights.extend_from_slice(weights);
        let lengths: Vec<usize> = self.segments.ranges().map(|rows| rows.len()).chain([ids.len()]).collect();
        self.segments = Segments::of_lengths(&lengths).expect("a pack has fewer than 2^32 tokens");
    }

    /// Returns the tokens of all sequences.
    #[must_use]
    pub fn ids(&self) -> &[u32] {
        &self.ids
    }

    /// Returns the token that should follow each token.
    #[must_use]
    pub fn targets(&self) -> &[Option<u32>] {
        &self.targets
    }

    /// Returns what the loss of each target is multiplied with.
    #[must_use]
    pub fn weights(&self) -> &[f32] {
        &self.weights
    }

    /// Returns where each sequence lies.
    #[must_use]
    pub fn segments(&self) -> &Segments {
        &self.segments
    }
}
