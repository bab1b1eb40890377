//! The loop of decoding: draw a token for every sample of a prompt, append it, read the next logits.

use std::ops::Range;

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use super::expectation::Expectation;
use super::generator::Request;
use super::grammar::Grammar;
use super::trajectory::Trajectory;
use crate::kernels::host::{self, HostFloats};
use crate::qwen3::{Continuations, PackedQwen3};
use crate::tokenizer::SentenceTokenizer;

/// What is done with tokens that the grammar leaves no alternative to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ForcedTokens {
    /// They are read by the model together with the token before them, in one pass.
    #[default]
    Together,
    /// The model makes a pass for each, as if they were drawn.
    OneByOne,
}

/// How often the model was run for the samples of a request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Passes {
    /// Passes over all samples that were still running; reading the prompt is the first one.
    pub made: usize,
    /// Passes that were not needed because tokens were forced: without, there is one for each token of the longest sample.
    pub saved: usize,
}

/// What the loop works with.
pub(super) struct Decoding<'a> {
    pub(super) model: &'a PackedQwen3,
    pub(super) tokenizer: &'a SentenceTokenizer,
    pub(super) grammar: Option<&'a Grammar>,
    pub(super) forced: ForcedTokens,
}

/// A request whose prompt is read once for all its samples.
pub(super) struct Session<'a> {
    decoding: Decoding<'a>,
    request: &'a Request,
    prompt: Vec<u32>,
    continuations: Option<Continuations<'a>>,
    pub(super) passes: Passes,
}

impl<'a> Decoding<'a> {
    /// Prepares a request from the tokens of its prompt.
    pub(super) fn session(self, request: &'a Request, prompt: Vec<u32>) -> Session<'a> {
        Session { decoding: self, request, prompt, continuations: None, passes: Passes::default() }
    }
}

impl<'a> Session<'a> {
    /// Runs some samples of the request together; `expectation` sees the logits of every gene's step, before the draw.
    pub(super) fn run(&mut self, samples: Range<u32>, mut expectation: Option<&mut Expectation<'_>>) -> Vec<Trajectory> {
        let grammar = self.decoding.grammar;
        let first = samples.start as usize;
        let mut trajectories = self.begin(samples);
        let opening: Vec<Vec<u32>> = trajectories.iter_mut().map(|trajectory| self.push_forced(trajectory)).collect();
        let mut running: Vec<usize> = (0..trajectories.len()).filter(|&index| self.goes_on(&trajectories[index])).collect();
        // All samples are the same up to the first draw.
        let Some(opening) = opening.first().filter(|_| !running.is_empty()) else {
            self.count_passes(0, &trajectories);
            return trajectories;
        };
        let mut continuations = self.read_prompt(opening, running.len());
        let mut passes = 1;
        loop {
            let logits = HostFloats::of(continuations.logits()).map_or_else(|| host::to_vec(continuations.logits()), |l| l.to_vec());
            let vocabulary = logits.len() / running.len();
            let rows = || running.iter().copied().zip(logits.chunks_exact(vocabulary));
            if let Some(expectation) = expectation.as_deref_mut() {
                rows().for_each(|(index, logits)| expectation.observe(first + index, &trajectories[index], logits));
                expectation.expand(&continuations, |row| (first + running[row], &trajectories[running[row]]));
            }
            let mut runs = Vec::with_capacity(running.len());
            for (index, logits) in rows() {
                let token = trajectories[index].draw(logits, &self.request.sampling, grammar);
                let ends_gene = trajectories[index].end_gene(token, grammar);
                if let Some(expectation) = expectation.as_deref_mut().filter(|_| ends_gene) {
                    expectation.observe(first + index, &trajectories[index], logits);
                }
                runs.push(vec![token]);
            }
            if let Some(expectation) = expectation.as_deref_mut() {
                expectation.expand(&continuations, |row| (first + running[row], &trajectories[running[row]]));
            }
            for (&index, run) in running.iter().zip(&mut runs) {
                trajectories[index].push(run[0], self.decoding.tokenizer, grammar);
                run.extend(self.push_forced(&mut trajectories[index]));
            }
            let kept: Vec<usize> = (0..running.len()).filter(|&row| self.goes_on(&trajectories[running[row]])).collect();
            if kept.is_empty() {
                break;
            }
            if kept.len() < running.len() {
                continuations.keep(&kept);
                runs = kept.iter().map(|&row| std::mem::take(&mut runs[row])).collect();
                running = kept.iter().map(|&row| running[row]).collect();
            }
            continuations.push_runs(&runs.iter().map(Vec::as_slice).collect::<Vec<_>>());
            passes += 1;
        }
        self.continuations = Some(continuations);
        self.count_passes(passes, &trajectories);
        trajectories
    }

    fn count_passes(&mut self, made: usize, trajectories: &[Trajectory]) {
        let longest = trajectories.iter().map(|trajectory| trajectory.tokens).max().unwrap_or(0);
        self.passes = Passes { made: self.passes.made + made, saved: self.passes.saved + longest - made };
    }

    fn begin(&self, samples: Range<u32>) -> Vec<Trajectory> {
        let source = |sample| ChaCha8Rng::seed_from_u64(self.request.sample_seed(sample));
        samples.map(|sample| Trajectory::new(source(sample), self.request.begins_in_genes(), self.decoding.grammar)).collect()
    }

    /// Reads the prompt and the tokens that open every sample, or goes back to their end.
    fn read_prompt(&mut self, opening: &[u32], samples: usize) -> Continuations<'a> {
        if let Some(mut continuations) = self.continuations.take() {
            continuations.restart(samples);
            return continuations;
        }
        // Beyond the last token, there may be a look at how a gene would go on.
        let look_ahead = self.decoding.grammar.map_or(0, |grammar| grammar.genes().depth());
        let tokens = [self.prompt.as_slice(), opening].concat();
        Continuations::start(self.decoding.model, &tokens, samples, self.request.max_new_tokens + look_ahead)
    }

    /// Appends the tokens that are forced and to be read together with those before them, up to the limit of tokens.
    fn push_forced(&self, trajectory: &mut Trajectory) -> Vec<u32> {
        if self.decoding.forced == ForcedTokens::OneByOne {
            return Vec::new();
        }
        let mut run = trajectory.forced(self.decoding.grammar);
        run.truncate(self.request.max_new_tokens.saturating_sub(trajectory.tokens));
        run.iter().for_each(|&token| trajectory.push(token, self.decoding.tokenizer, self.decoding.grammar));
        run
    }

    fn goes_on(&self, trajectory: &Trajectory) -> bool {
        trajectory.finished.is_none() && trajectory.tokens < self.request.max_new_tokens
    }
}
