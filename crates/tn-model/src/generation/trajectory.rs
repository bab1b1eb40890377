//! One continuation of a prompt while it is written.

use rand_chacha::ChaCha8Rng;
use tn_sentence::FinishReason;

use super::grammar::{Grammar, GrammarState};
use super::sampling::Sampling;
use crate::tokenizer::SentenceTokenizer;

const OPEN_TAG: &[u8] = b"<cs>";
const CLOSE_TAG: &[u8] = b"</cs>";

/// A continuation: its text so far, where it stands in the grammar, and how it ended.
pub(crate) struct Trajectory {
    pub(crate) rng: ChaCha8Rng,
    pub(crate) text: Vec<u8>,
    pub(crate) tokens: usize,
    pub(crate) repairs: u32,
    pub(crate) finished: Option<FinishReason>,
    /// Whether the gene list has begun.
    pub(crate) in_genes: bool,
    /// Where it stands; nothing without a grammar, and in a header that is not part of the grammar.
    state: Option<GrammarState>,
    /// Length of the text up to the last whole gene.
    whole: usize,
    /// Length of the text before the gene that is being written.
    word: usize,
}

/// What a draw takes besides the logits.
pub(crate) enum Wish<'s> {
    /// Nothing: there is no other token.
    Only(u32),
    /// A random number, and the tokens that may be drawn where not all may.
    Draw {
        /// Ascending.
        allowed: Option<&'s [u32]>,
        uniform: f32,
    },
}

impl Trajectory {
    pub(crate) fn new(rng: ChaCha8Rng, in_genes: bool, grammar: Option<&Grammar>) -> Self {
        let state = grammar.and_then(|grammar| match in_genes {
            true => Some(GrammarState::in_genes(grammar)),
            false => grammar.has_header().then(|| GrammarState::at_header(grammar)),
        });
        Self { rng, text: Vec::new(), tokens: 0, repairs: 0, finished: None, in_genes, state, whole: 0, word: 0 }
    }

    /// Draws the next token. Under a grammar, it is drawn among the tokens that may follow, as if the model had no other tokens; a step
    /// whose most probable token was another one counts as a repair. A token without an alternative is no draw and takes no random number.
    pub(crate) fn draw(&mut self, logits: &[f32], sampling: &Sampling, grammar: Option<&Grammar>) -> u32 {
        let (token, is_repair) = match self.wish(sampling, grammar) {
            Wish::Only(token) => (token, false),
            Wish::Draw { allowed: None, uniform } => (sampling.choose_among_all(logits, uniform), false),
            Wish::Draw { allowed: Some(allowed), uniform } => {
                let is_repair = allowed.binary_search(&Sampling::most_probable(logits)).is_err();
                (sampling.choose_among(allowed, logits, uniform), is_repair)
            }
        };
        self.repairs += u32::from(is_repair);
        token
    }

    /// Returns what the next draw takes besides the logits.
    pub(crate) fn wish<'s>(&'s mut self, sampling: &Sampling, grammar: Option<&'s Grammar>) -> Wish<'s> {
        let allowed = grammar.zip(self.state.as_ref()).map(|(grammar, state)| state.allowed(grammar));
        match allowed {
            Some(&[only]) => Wish::Only(only),
            _ => Wish::Draw { allowed, uniform: sampling.uniform(&mut self.rng) },
        }
    }

    /// Returns where the continuation stands in the grammar.
    pub(crate) fn state(&self) -> Option<&GrammarState> {
        self.state.as_ref()
    }

    /// Writes the gene that the next token would end, and returns whether there is one.
    pub(crate) fn end_gene(&mut self, token: u32, grammar: Option<&Grammar>) -> bool {
        let Some((grammar, state)) = grammar.zip(self.state.as_mut()) else { return false };
        let ends = state.ends_gene(grammar, token);
        if ends {
            state.end_gene(grammar);
        }
        ends
    }

    /// Returns the tokens that follow without an alternative.
    pub(crate) fn forced(&self, grammar: Option<&Grammar>) -> Vec<u32> {
        let state = self.state.as_ref().filter(|_| self.finished.is_none());
        grammar.zip(state).map_or_else(Vec::new, |(grammar, state)| state.forced(grammar))
    }

    /// Returns whether the token limit came inside the gene list.
    pub(crate) fn is_cut_in_genes(&self) -> bool {
        self.finished.is_none() && self.in_genes
    }

    /// Returns the text up to the last whole gene.
    pub(crate) fn whole_text(&self) -> &[u8] {
        &self.text[..self.whole]
    }

    /// Returns the text that stays, whatever follows: in a gene list of the grammar, that before the gene that is being written.
    pub(crate) fn settled_text(&self) -> &[u8] {
        let is_in_list = self.in_genes && self.state.is_some();
        if is_in_list { &self.text[..self.word] } else { &self.text }
    }

    /// Returns the text of a continuation that is over. Of a list under a grammar, a gene that the limit has cut is left out.
    pub(crate) fn final_text(&self, has_grammar: bool) -> &[u8] {
        if has_grammar && self.is_cut_in_genes() { self.whole_text() } else { &self.text }
    }

    /// Appends a token and notes whether it ends the cell.
    pub(crate) fn push(&mut self, token: u32, tokenizer: &SentenceTokenizer, grammar: Option<&Grammar>) {
        self.tokens += 1;
        if token == tokenizer.end_of_text() {
            self.finished = Some(FinishReason::End);
            return;
        }
        let before = self.text.len();
        self.text.extend_from_slice(tokenizer.token_text(token));
        self.in_genes |= contains(&self.text[before.saturating_sub(OPEN_TAG.len())..], OPEN_TAG);
        let tail = before.saturating_sub(CLOSE_TAG.len());
        if let Some(at) = find(&self.text[tail..], CLOSE_TAG) {
            self.text.truncate(tail + at + CLOSE_TAG.len());
            self.finished = Some(FinishReason::Closed);
        }
        if let Some(grammar) = grammar {
            self.advance(token, before, grammar);
        }
    }

    /// Follows a token in the grammar; `before` is the length of the text before it.
    fn advance(&mut self, token: u32, before: usize, grammar: &Grammar) {
        match &mut self.state {
            Some(state) => {
                if state.begins_word(grammar, token) {
                    self.word = before;
                }
                state.advance(grammar, token).expect("drawn from what is allowed");
            }
            None if self.in_genes => self.state = Some(GrammarState::in_genes(grammar)),
            None => {}
        }
        let Some(state) = &self.state else { return };
        if state.is_between_genes(grammar) {
            self.whole = self.text.len();
        } else if state.node().is_some() {
            // Also where a shorter gene was whole: it goes on as another one.
            self.whole = self.word;
        }
    }
}

fn find(text: &[u8], tag: &[u8]) -> Option<usize> {
    text.windows(tag.len()).position(|window| window == tag)
}

fn contains(text: &[u8], tag: &[u8]) -> bool {
    find(text, tag).is_some()
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use tn_sentence::Vocabulary;

    use super::*;
    use crate::tokenizer::TokenizerOptions;

    #[test]
    fn the_beginning_of_a_gene_is_not_taken_for_a_shorter_one() {
        let panel = Vocabulary::new(["GFAP", "12", "1234"]).unwrap();
        let corpus = ["<pos> X: 1, Y: 2 <cs> GFAP </cs>"];
        let tokenizer = SentenceTokenizer::train(corpus, &panel, &TokenizerOptions::default()).unwrap();
        let grammar = Grammar::new(&tokenizer, &panel).unwrap();
        let mut trajectory = Trajectory::new(ChaCha8Rng::seed_from_u64(1), true, Some(&grammar));
        let mut whole = Vec::new();
        // Digits are tokens.
        for token in tokenizer.encode_ids(" GFAP 1234 12") {
            trajectory.push(token, &tokenizer, Some(&grammar));
            whole.push(String::from_utf8(trajectory.whole_text().to_vec()).unwrap());
        }
        assert_eq!(whole, [" GFAP", " GFAP", " GFAP 12", " GFAP", " GFAP 1234", " GFAP 1234", " GFAP 1234 12"]);
    }
}
