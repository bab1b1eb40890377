//! Drawing the next tokens of a session: from logits in host memory, or on the device that has them.

use std::ops::ControlFlow;

use burn::tensor::Tensor;

use super::{Hear, Next, Session, rows};
use crate::generation::trajectory::Wish;
use crate::kernels::host;
use crate::kernels::sample::{Draw, Drawn};

/// A draw that waits for the device.
pub(super) enum Pending {
    /// There is no other token.
    Only(u32),
    Draw {
        allowed: Option<Vec<u32>>,
        uniform: f32,
    },
}

impl Session<'_> {
    /// Draws a token for every continuation. One that ends a gene of several possible lengths says so before it is written.
    pub(super) fn draw(&mut self, hear: &mut Hear<'_>) -> ControlFlow<()> {
        if self.draws_on_device() {
            self.next = Next::DrawOnDevice(self.pending());
            return ControlFlow::Continue(());
        }
        let (grammar, logits) = (self.decoding.grammar, self.logits());
        let mut tokens = Vec::with_capacity(self.running.len());
        for (&index, logits) in self.running.iter().zip(rows(&logits, self.running.len())) {
            let trajectory = &mut self.trajectories[index];
            let token = trajectory.draw(logits, &self.request.sampling, grammar);
            let ends_gene = trajectory.end_gene(token, grammar);
            if let Some(expected) = self.expected.as_mut().filter(|_| ends_gene) {
                expected.expectation.observe(index, trajectory, logits);
            }
            tokens.push(token);
        }
        self.look_after_draw(tokens, hear)
    }

    /// Returns whether the logits need not leave the device: all that is made of them are draws of a bounded number of candidates.
    fn draws_on_device(&self) -> bool {
        self.decoding.model.is_on_gpu() && self.expected.is_none() && self.draw_of(None, 0.0).is_bounded()
    }

    fn pending(&mut self) -> Vec<Pending> {
        let (grammar, sampling) = (self.decoding.grammar, &self.request.sampling);
        let pending = self.running.iter().map(|&index| match self.trajectories[index].wish(sampling, grammar) {
            Wish::Only(token) => Pending::Only(token),
            Wish::Draw { allowed, uniform } => Pending::Draw { allowed: allowed.map(<[u32]>::to_vec), uniform },
        });
        pending.collect()
    }

    /// Returns the logits of all continuations and the draws that the device makes from them, one for each row, when the session waits for
    /// these.
    pub(in crate::generation) fn draws(&self) -> Option<(&Tensor<2>, Vec<Draw<'_>>)> {
        let Next::DrawOnDevice(pending) = &self.next else { return None };
        let draws = pending.iter().map(|pending| match pending {
            // Its result is not looked at.
            Pending::Only(_) => Draw { temperature: 0.0, ..self.draw_of(None, 0.0) },
            Pending::Draw { allowed, uniform } => self.draw_of(allowed.as_deref(), *uniform),
        });
        Some((self.continuations.as_ref()?.logits(), draws.collect()))
    }

    fn draw_of<'d>(&self, allowed: Option<&'d [u32]>, uniform: f32) -> Draw<'d> {
        let sampling = &self.request.sampling;
        let (temperature, top_k) = (sampling.temperature, sampling.top_k);
        Draw { temperature, top_k, top_p: sampling.top_p, min_p: sampling.min_p, uniform, allowed }
    }

    /// Goes on with what the device has drawn, one token for each continuation.
    pub(in crate::generation) fn drawn(&mut self, drawn: &[Drawn], hear: &mut Hear<'_>) -> ControlFlow<()> {
        let Next::DrawOnDevice(pending) = std::mem::replace(&mut self.next, Next::Nothing) else { return ControlFlow::Continue(()) };
        let mut tokens = Vec::with_capacity(pending.len());
        for (row, (pending, drawn)) in pending.into_iter().zip(drawn).enumerate() {
            let (token, is_repair) = match pending {
                Pending::Only(token) => (token, false),
                Pending::Draw { allowed, uniform } => {
                    let token = drawn.token.unwrap_or_else(|| self.drawn_here(row, allowed.as_deref(), uniform));
                    (token, allowed.is_some_and(|allowed| allowed.binary_search(&drawn.most_probable).is_err()))
                }
            };
            let trajectory = &mut self.trajectories[self.running[row]];
            trajectory.repairs += u32::from(is_repair);
            trajectory.end_gene(token, self.decoding.grammar);
            tokens.push(token);
        }
        self.look_after_draw(tokens, hear)?;
        self.draw_what_is_there(hear)
    }

    /// Makes a draw from the logits of one continuation in host memory: more of them are equal than the device looks at.
    fn drawn_here(&self, row: usize, allowed: Option<&[u32]>, uniform: f32) -> u32 {
        let all = self.continuations.as_ref().expect("the prompt is read").logits();
        let logits = host::to_vec(&all.clone().narrow(0, row, 1));
        let sampling = &self.request.sampling;
        match allowed {
            Some(allowed) => sampling.choose_among(allowed, &logits, uniform),
            None => sampling.choose_among_all(&logits, uniform),
        }
    }
}
