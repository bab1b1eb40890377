//! Greedy decoding of a fixed number of tokens, for many prompts together.

use burn::tensor::Tensor;

use crate::qwen3::{Continuations, PackedQwen3, Part, Step, pass};

/// Prompts that have been read, with what is written after them.
pub struct Reading<'m> {
    texts: Vec<Continuations<'m>>,
    samples: usize,
}

impl<'m> Reading<'m> {
    /// Reads all prompts, at most `at_once` tokens in a pass, and prepares `samples` continuations of each with room for `tokens` tokens.
    ///
    /// # Panics
    /// Panics when a prompt is empty or a token is not below the vocabulary size.
    #[must_use]
    pub fn new(model: &'m PackedQwen3, prompts: &[Vec<u32>], samples: usize, tokens: usize, at_once: usize) -> Self {
        let part = (at_once / Continuations::PART).max(1) * Continuations::PART;
        let read = |prompt: &Vec<u32>| {
            let mut continuations = Continuations::new(model, prompt.clone(), samples, tokens);
            while continuations.unread() > 0 {
                let step = Step::Read(continuations.unread().min(part));
                pass(&mut [Part { continuations: &mut continuations, step }]);
            }
            continuations
        };
        Self { texts: prompts.iter().map(read).collect(), samples }
    }

    /// Returns the logits of the next token of every continuation, prompt by prompt.
    ///
    /// # Shapes
    /// The result: `[prompts * samples, vocabulary]`.
    pub(super) fn logits(&self) -> Tensor<2> {
        Tensor::cat(self.texts.iter().map(|text| text.logits().clone()).collect(), 0)
    }

    /// Appends the most probable token to every continuation, and returns them, prompt by prompt.
    ///
    /// # Panics
    /// Panics when there is no room left.
    pub fn step(&mut self) -> Vec<u32> {
        let tokens = self.most_probable();
        self.push(&tokens);
        tokens
    }

    /// Waits for the device, and returns the most probable next token of every continuation, prompt by prompt.
    #[must_use]
    pub fn most_probable(&self) -> Vec<u32> {
        most_probable(&self.logits())
    }

    /// Appends a token to every continuation. Returns when the work is given to the device.
    ///
    /// # Panics
    /// Panics when there is not one token for each, or no room left.
    pub fn push(&mut self, tokens: &[u32]) {
        let runs: Vec<Vec<Vec<u32>>> =
            tokens.chunks(self.samples).map(|of_prompt| of_prompt.iter().map(|&token| vec![token]).collect()).collect();
        assert_eq!(runs.len(), self.texts.len(), "one token for each continuation");
        let mut parts: Vec<Part<'_, 'm>> =
            self.texts.iter_mut().zip(&runs).map(|(continuations, runs)| Part { continuations, step: Step::Push(runs) }).collect();
        pass(&mut parts);
    }
}

/// Writes `tokens` tokens for each of the samples of each prompt.
///
/// # Panics
/// Panics when a prompt is empty or a token is not below the vocabulary size.
#[must_use]
pub fn write(model: &PackedQwen3, prompts: &[Vec<u32>], samples: usize, tokens: usize, at_once: usize) -> Vec<Vec<u32>> {
    let mut reading = Reading::new(model, prompts, samples, tokens, at_once);
    let mut written = vec![Vec::with_capacity(tokens); prompts.len() * samples];
    for _ in 0..tokens {
        let step = reading.step();
        written.iter_mut().zip(step).for_each(|(text, token)| text.push(token));
    }
    written
}

/// The first of the largest logits of each row.
fn most_probable(logits: &Tensor<2>) -> Vec<u32> {
    let indices = logits.clone().argmax(1).to_data().convert::<u32>();
    indices.try_into_vec().expect("converted to u32")
}
