//! Several prompts, decoded side by side on our side.

use tissuenarrator::model::generation::Sampling;
use tissuenarrator::model::qwen3::{Continuations, PackedQwen3, Part, Step, pass};

/// Prompts that a decoder has read and goes on with.
///
/// A prompt is read by itself, which keeps all cores busy; all of them go on together, in one pass for each token.
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
            let next = self.logits().into_iter().map(|logits| vec![vec![Sampling::most_probable(&logits)]]);
            let runs: Vec<Vec<Vec<u32>>> = next.collect();
            found.iter_mut().zip(&runs).for_each(|(found, run)| found.push(run[0][0]));
            let part = |(continuations, run)| Part { continuations, step: Step::Push(run) };
            let mut parts: Vec<Part<'_, 'm>> = self.read.iter_mut().zip(runs.iter().map(Vec::as_slice)).map(part).collect();
            pass(&mut parts);
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
