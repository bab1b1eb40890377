//! Several prompts, decoded side by side on our side.

use tissuenarrator::model::generation::Sampling;
use tissuenarrator::model::qwen3::{Continuations, PackedQwen3};

/// Prompts that a decoder has read and goes on with.
///
/// Each is one [`Continuations`] of its own: how prompts are decoded together is decided here and nowhere else.
pub(super) struct Prompts<'m> {
    read: Vec<Continuations<'m>>,
}

impl<'m> Prompts<'m> {
    /// Reads prompts, each to be continued by up to `capacity` tokens.
    pub(super) fn read(model: &'m PackedQwen3, prompts: &[Vec<u32>], capacity: usize) -> Self {
        Self { read: prompts.iter().map(|prompt| Continuations::start(model, prompt, 1, capacity)).collect() }
    }

    /// Goes back to the end of the prompts.
    pub(super) fn restart(&mut self) {
        self.read.iter_mut().for_each(|prompt| prompt.restart(1));
    }

    /// Appends the most probable token to every prompt, `tokens` times, and returns them.
    pub(super) fn decode(&mut self, tokens: usize) -> Vec<Vec<u32>> {
        let mut found = vec![Vec::new(); self.read.len()];
        for _ in 0..tokens {
            for (prompt, found) in self.read.iter_mut().zip(&mut found) {
                let token = Sampling::most_probable(&logits(prompt));
                found.push(token);
                prompt.push(&[token]);
            }
        }
        found
    }

    /// Returns the logits of the next token of every prompt.
    pub(super) fn logits(&self) -> Vec<Vec<f32>> {
        self.read.iter().map(logits).collect()
    }
}

fn logits(prompt: &Continuations<'_>) -> Vec<f32> {
    prompt.logits().to_data().try_to_vec().expect("logits are 32-bit")
}
