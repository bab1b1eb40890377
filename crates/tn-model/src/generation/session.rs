//! One request while it is decoded: what it wants of the model next, and what it does with the logits.

mod draws;

use std::ops::ControlFlow;

use burn::tensor::Tensor;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use self::draws::Pending;
use super::decoding::{Decoding, ForcedTokens, Passes};
use super::expectation::Expectation;
use super::expected_ranking::ExpectedRanking;
use super::generator::Request;
use super::local::EarlyStop;
use super::trajectory::Trajectory;
use crate::kernels::host::{self, HostFloats};
use crate::qwen3::{Branch, Continuations, Part, Step};

/// A request whose prompt is read once for all its samples.
pub(super) struct Session<'a> {
    decoding: &'a Decoding<'a>,
    request: &'a Request,
    trajectories: Vec<Trajectory>,
    /// The trajectory of every continuation.
    running: Vec<usize>,
    continuations: Option<Continuations<'a>>,
    expected: Option<Expected<'a>>,
    next: Next,
    passes: Passes,
    /// Passes of the samples that run now.
    passes_of_round: usize,
    /// The first of the samples that run now.
    round: usize,
    /// Bytes of each trajectory that were handed over.
    sent: Vec<usize>,
}

/// Takes new text of a sample, and says whether the request goes on.
pub(super) type Hear<'h> = dyn FnMut(u32, &str) -> ControlFlow<()> + 'h;

/// An expected ranking that is being made.
struct Expected<'a> {
    expectation: Expectation<'a>,
    early_stop: Option<EarlyStop>,
    /// The first genes of the ranking before the last samples.
    before: Option<Vec<usize>>,
}

/// What the model is asked next.
enum Next {
    Read,
    /// How the genes go on that the trajectories may write from where they are.
    LookBeforeDraw(Vec<Branch>),
    /// How the genes may go on that the drawn tokens begin, where these end the gene before them at the same time.
    LookAfterDraw(Vec<Branch>, Vec<u32>),
    Push(Vec<Vec<u32>>),
    /// Nothing: the logits of the next draw are there already.
    Draw,
    /// Nothing: the device has the logits, and makes these draws.
    DrawOnDevice(Vec<Pending>),
    /// Nothing more.
    Nothing,
}

/// What a request has come to.
pub(super) struct Outcome {
    pub(super) trajectories: Vec<Trajectory>,
    /// Where one was asked for.
    pub(super) ranking: Option<ExpectedRanking>,
    pub(super) passes: Passes,
}

impl<'a> Session<'a> {
    /// Prepares the samples of a request from the tokens of its prompt.
    pub(super) fn samples(decoding: &'a Decoding<'a>, request: &'a Request, prompt: Vec<u32>) -> Self {
        Self::new(decoding, request, prompt, None)
    }

    /// Prepares the expected ranking of a request.
    pub(super) fn expected_ranking(decoding: &'a Decoding<'a>, request: &'a Request, prompt: Vec<u32>) -> Self {
        let grammar = decoding.grammar.expect("an expected ranking needs a panel: call with_panel first");
        let options = decoding.expectation;
        let expectation = Expectation::new(grammar, request.samples as usize, options.expand_above);
        Self::new(decoding, request, prompt, Some(Expected { expectation, early_stop: options.early_stop, before: None }))
    }

    fn new(decoding: &'a Decoding<'a>, request: &'a Request, prompt: Vec<u32>, expected: Option<Expected<'a>>) -> Self {
        let mut session = Self {
            decoding,
            request,
            trajectories: Vec::new(),
            running: Vec::new(),
            continuations: None,
            expected,
            next: Next::Nothing,
            passes: Passes::default(),
            passes_of_round: 0,
            round: 0,
            sent: Vec::new(),
        };
        let opening = session.begin_round();
        if session.running.is_empty() {
            session.end_round();
        } else {
            let capacity = decoding.capacity(request);
            let prompt = [prompt, opening].concat();
            session.continuations = Some(Continuations::new(decoding.model, prompt, session.running.len(), capacity));
            session.next = Next::Read;
        }
        session
    }

    /// Returns whether nothing is wanted of the model any more.
    pub(super) fn is_done(&self) -> bool {
        matches!(self.next, Next::Nothing)
    }

    /// Returns how many tokens are to be read now, of which only those of a prompt may be read in parts.
    pub(super) fn tokens_wanted(&self) -> usize {
        match &self.next {
            Next::Read => self.continuations.as_ref().map_or(0, Continuations::unread),
            Next::LookBeforeDraw(branches) | Next::LookAfterDraw(branches, _) => branches.iter().map(|branch| branch.tokens.len()).sum(),
            Next::Push(runs) => runs.iter().map(Vec::len).sum(),
            Next::Draw | Next::DrawOnDevice(_) | Next::Nothing => 0,
        }
    }

    /// Returns whether the prompt is being read.
    pub(super) fn is_reading(&self) -> bool {
        matches!(self.next, Next::Read)
    }

    /// Returns what the model is asked, where at most `of_prompt` tokens of the prompt are to be read; nothing when there is none for it.
    pub(super) fn part(&mut self, of_prompt: usize) -> Option<Part<'_, 'a>> {
        let continuations = self.continuations.as_mut()?;
        let step = match &self.next {
            Next::Read => Step::Read(Some(of_prompt.min(continuations.unread())).filter(|&tokens| tokens > 0)?),
            Next::LookBeforeDraw(branches) | Next::LookAfterDraw(branches, _) => Step::Peek(branches),
            Next::Push(runs) => Step::Push(runs),
            Next::Draw | Next::DrawOnDevice(_) | Next::Nothing => return None,
        };
        Some(Part { continuations, step })
    }

    /// Goes on after a pass, with the logits that it gave the session, if any. `hear` gets the text of samples that is new and will stay;
    /// a break of it is passed on.
    pub(super) fn advance(&mut self, logits: Option<&Tensor<2>>, hear: &mut Hear<'_>) -> ControlFlow<()> {
        let Some(logits) = logits else { return ControlFlow::Continue(()) };
        match std::mem::replace(&mut self.next, Next::Nothing) {
            Next::Read | Next::Push(_) => {
                self.passes_of_round += 1;
                self.observe();
                self.look_before_draw(hear)?;
            }
            Next::LookBeforeDraw(_) => {
                self.seen(logits);
                self.look_before_draw(hear)?;
            }
            Next::LookAfterDraw(_, tokens) => {
                self.seen(logits);
                self.look_after_draw(tokens, hear)?;
            }
            Next::Draw | Next::DrawOnDevice(_) | Next::Nothing => {}
        }
        self.draw_what_is_there(hear)
    }

    /// Goes on where samples that ended at their first draw were followed by others of the same prompt.
    fn draw_what_is_there(&mut self, hear: &mut Hear<'_>) -> ControlFlow<()> {
        while matches!(self.next, Next::Draw) {
            self.next = Next::Nothing;
            self.look_before_draw(hear)?;
        }
        ControlFlow::Continue(())
    }

    /// Returns what has come out; `hear` gets the text that no draw has written.
    pub(super) fn finish(mut self, hear: &mut Hear<'_>) -> Outcome {
        // Nothing is left that a break could give up.
        let _heard = (0..self.trajectories.len()).try_for_each(|index| self.tell(index, true, hear));
        let writing = self.writing();
        let ranking = self.expected.map(|expected| expected.expectation.sum().average(writing));
        Outcome { trajectories: self.trajectories, ranking, passes: self.passes }
    }

    fn logits(&self) -> HostFloats {
        host::values(self.continuations.as_ref().expect("the prompt is read").logits())
    }

    /// Begins the next samples, and returns the tokens that open all of them.
    fn begin_round(&mut self) -> Vec<u32> {
        self.round = self.trajectories.len();
        let step = self.expected.as_ref().and_then(|expected| expected.early_stop).map_or(self.request.samples, |stop| stop.every.max(1));
        let first = self.round as u32;
        let grammar = self.decoding.grammar;
        for sample in first..self.request.samples.min(first.saturating_add(step)) {
            let rng = ChaCha8Rng::seed_from_u64(self.request.sample_seed(sample));
            self.trajectories.push(Trajectory::new(rng, self.request.begins_in_genes(), grammar));
        }
        self.sent.resize(self.trajectories.len(), 0);
        // All samples are the same up to the first draw.
        let mut opening = Vec::new();
        for index in self.round..self.trajectories.len() {
            opening = self.push_forced(index);
        }
        self.running = (self.round..self.trajectories.len()).filter(|&index| self.goes_on(index)).collect();
        opening
    }

    /// Ends the samples that ran, and begins further ones where they are wanted.
    fn end_round(&mut self) {
        loop {
            let longest = self.trajectories[self.round..].iter().map(|trajectory| trajectory.tokens).max().unwrap_or(0);
            let made = std::mem::take(&mut self.passes_of_round);
            self.passes = Passes { made: self.passes.made + made, saved: self.passes.saved + longest - made };
            if self.trajectories.len() >= self.request.samples as usize || self.is_stable() {
                self.next = Next::Nothing;
                return;
            }
            self.begin_round();
            if let Some(continuations) = self.continuations.as_mut().filter(|_| !self.running.is_empty()) {
                continuations.restart(self.running.len());
                // The prompt, which is not read again.
                self.passes_of_round = 1;
                self.observe();
                self.next = Next::Draw;
                return;
            }
        }
    }

    /// Returns whether the last samples have not changed the ranking.
    fn is_stable(&mut self) -> bool {
        let writing = self.writing();
        let Some((expected, stop)) = self.expected.as_mut().and_then(|e| e.early_stop.map(|stop| (e, stop))) else { return false };
        let mut genes = expected.expectation.sum().order(writing);
        genes.truncate(stop.ranks);
        let is_stable = writing > 0 && expected.before.as_ref() == Some(&genes);
        expected.before = Some(genes);
        is_stable
    }

    /// Returns how many trajectories have reached their genes.
    fn writing(&self) -> u32 {
        self.trajectories.iter().filter(|trajectory| trajectory.in_genes).count() as u32
    }

    /// Shows the expectation the logits of every gene's step.
    fn observe(&mut self) {
        if self.expected.is_none() {
            return;
        }
        let logits = self.logits();
        let Some(expected) = &mut self.expected else { return };
        for (&index, logits) in self.running.iter().zip(rows(&logits, self.running.len())) {
            expected.expectation.observe(index, &self.trajectories[index], logits);
        }
    }

    /// Gives the expectation the logits of the branches that it wanted.
    fn seen(&mut self, logits: &Tensor<2>) {
        if let Some(expected) = &mut self.expected {
            expected.expectation.seen(&self.trajectories, &host::values(logits));
        }
    }

    fn branches(&mut self) -> Vec<Branch> {
        let (running, trajectories) = (&self.running, &self.trajectories);
        self.expected.as_mut().map_or_else(Vec::new, |expected| expected.expectation.branches(running, trajectories))
    }

    fn look_before_draw(&mut self, hear: &mut Hear<'_>) -> ControlFlow<()> {
        let branches = self.branches();
        if branches.is_empty() {
            return self.draw(hear);
        }
        self.next = Next::LookBeforeDraw(branches);
        ControlFlow::Continue(())
    }

    fn look_after_draw(&mut self, tokens: Vec<u32>, hear: &mut Hear<'_>) -> ControlFlow<()> {
        let branches = self.branches();
        if branches.is_empty() {
            return self.write(&tokens, hear);
        }
        self.next = Next::LookAfterDraw(branches, tokens);
        ControlFlow::Continue(())
    }

    /// Writes the drawn tokens and those that are forced behind them.
    fn write(&mut self, tokens: &[u32], hear: &mut Hear<'_>) -> ControlFlow<()> {
        let running = std::mem::take(&mut self.running);
        let (mut runs, mut kept) = (Vec::new(), Vec::new());
        for (row, (&index, &token)) in running.iter().zip(tokens).enumerate() {
            self.trajectories[index].push(token, self.decoding.tokenizer, self.decoding.grammar);
            let forced = self.push_forced(index);
            let goes_on = self.goes_on(index);
            self.tell(index, !goes_on, hear)?;
            if goes_on {
                kept.push(row);
                runs.push([vec![token], forced].concat());
            }
        }
        let count = running.len();
        self.running = kept.iter().map(|&row| running[row]).collect();
        if kept.is_empty() {
            self.end_round();
            return ControlFlow::Continue(());
        }
        if let Some(continuations) = self.continuations.as_mut().filter(|_| kept.len() < count) {
            continuations.keep(&kept);
        }
        self.next = Next::Push(runs);
        ControlFlow::Continue(())
    }

    /// Hands over what a sample has written since the last time.
    fn tell(&mut self, index: usize, is_over: bool, hear: &mut Hear<'_>) -> ControlFlow<()> {
        let (trajectory, sent) = (&self.trajectories[index], &mut self.sent[index]);
        let text = if is_over { trajectory.final_text(self.decoding.grammar.is_some()) } else { trajectory.settled_text() };
        let (piece, length) = whole_characters(text.get(*sent..).unwrap_or_default(), is_over);
        *sent += length;
        if piece.is_empty() { ControlFlow::Continue(()) } else { hear(index as u32, &piece) }
    }

    /// Appends the tokens that are forced and to be read together with those before them, up to the limit of tokens.
    fn push_forced(&mut self, index: usize) -> Vec<u32> {
        if self.decoding.forced == ForcedTokens::OneByOne {
            return Vec::new();
        }
        let trajectory = &mut self.trajectories[index];
        let mut run = trajectory.forced(self.decoding.grammar);
        run.truncate(self.request.max_new_tokens.saturating_sub(trajectory.tokens));
        run.iter().for_each(|&token| trajectory.push(token, self.decoding.tokenizer, self.decoding.grammar));
        run
    }

    fn goes_on(&self, index: usize) -> bool {
        let trajectory = &self.trajectories[index];
        trajectory.finished.is_none() && trajectory.tokens < self.request.max_new_tokens
    }
}

fn rows(logits: &[f32], count: usize) -> std::slice::ChunksExact<'_, f32> {
    logits.chunks_exact(logits.len() / count)
}

/// Returns the text of the bytes up to the last whole character, and their number; when nothing follows, of all bytes. Bytes that are no
/// text become replacement characters.
fn whole_characters(bytes: &[u8], is_over: bool) -> (String, usize) {
    let cut = match std::str::from_utf8(bytes) {
        Ok(_) => bytes.len(),
        Err(_) if is_over => bytes.len(),
        // Only the end can be a character that is not whole yet.
        Err(_) => (bytes.len().saturating_sub(3)..bytes.len())
            .find(|&at| std::str::from_utf8(&bytes[at..]).is_err_and(|error| error.valid_up_to() == 0 && error.error_len().is_none()))
            .unwrap_or(bytes.len()),
    };
    (String::from_utf8_lossy(&bytes[..cut]).into_owned(), cut)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_in_pieces_is_the_text_as_a_whole() {
        let samples: [&[u8]; 4] = ["a\u{e9}\u{20ac}\u{1f600} b".as_bytes(), b"a\xffb\xe2\x82", b"\xe2\x28\xa1 \xf0\x9f", b""];
        for bytes in samples {
            for step in 1..=bytes.len().max(1) {
                let (mut sent, mut text) = (0, String::new());
                for end in (0..bytes.len()).step_by(step) {
                    let (piece, length) = whole_characters(&bytes[sent..end], false);
                    sent += length;
                    text += &piece;
                }
                text += &whole_characters(&bytes[sent..], true).0;
                assert_eq!(text, String::from_utf8_lossy(bytes), "{bytes:?} by {step}");
            }
        }
    }
}
