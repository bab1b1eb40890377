//! The loop of decoding: draw a token for every sample of a prompt, append it, read the next logits.

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use super::generator::Request;
use super::panel::PanelTokens;
use super::trajectory::Trajectory;
use crate::kernels::host;
use crate::kernels::host::HostFloats;
use crate::qwen3::{Continuations, Qwen3};
use crate::tokenizer::SentenceTokenizer;

/// What the loop works with.
pub(super) struct Decoding<'a> {
    pub(super) model: &'a Qwen3,
    pub(super) tokenizer: &'a SentenceTokenizer,
    pub(super) panel: Option<&'a PanelTokens>,
}

impl Decoding<'_> {
    /// Runs the samples of one request together from the tokens of its prompt; `observe` sees the logits of every gene's step, before the
    /// draw, with the rank.
    pub(super) fn run(&self, request: &Request, prompt: &[u32], mut observe: impl FnMut(&Trajectory, usize, &[f32])) -> Vec<Trajectory> {
        let panel_size = self.panel.map_or(0, |panel| panel.genes().len());
        let mut trajectories: Vec<Trajectory> = (0..request.samples)
            .map(|sample| ChaCha8Rng::seed_from_u64(request.sample_seed(sample)))
            .map(|rng| Trajectory::new(rng, request.begins_in_genes(), panel_size))
            .collect();
        let mut ranks = vec![0usize; trajectories.len()];
        let mut running: Vec<usize> = (0..trajectories.len()).collect();
        let mut continuations = Continuations::start(self.model, prompt, running.len(), request.max_new_tokens);
        for step in 0..request.max_new_tokens {
            let logits = HostFloats::of(continuations.logits()).map_or_else(|| host::to_vec(continuations.logits()), |l| l.to_vec());
            let vocabulary = logits.len() / running.len();
            let mut tokens = Vec::with_capacity(running.len());
            for (&index, logits) in running.iter().zip(logits.chunks_exact(vocabulary)) {
                let trajectory = &mut trajectories[index];
                if trajectory.in_genes {
                    observe(trajectory, ranks[index], logits);
                    ranks[index] += 1;
                }
                let token = trajectory.draw(logits, &request.sampling, self.panel);
                trajectory.push(token, self.tokenizer, self.panel);
                tokens.push(token);
            }
            let alive: Vec<usize> = (0..running.len()).filter(|&i| trajectories[running[i]].finished.is_none()).collect();
            if alive.is_empty() || step + 1 == request.max_new_tokens {
                break;
            }
            if alive.len() < running.len() {
                continuations.keep(&alive);
                tokens = alive.iter().map(|&i| tokens[i]).collect();
                running = alive.iter().map(|&i| running[i]).collect();
            }
            continuations.push(&tokens);
        }
        trajectories
    }
}
