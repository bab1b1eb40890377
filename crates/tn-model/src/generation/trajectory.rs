//! One continuation of a prompt while it is written.

use rand_chacha::ChaCha8Rng;
use tn_sentence::FinishReason;

use super::panel::PanelTokens;
use super::sampling::{Sampling, argmax};
use crate::tokenizer::SentenceTokenizer;

const OPEN_TAG: &[u8] = b"<cs>";
const CLOSE_TAG: &[u8] = b"</cs>";

/// A continuation: its text so far, the genes it has written, and how it ended.
pub(crate) struct Trajectory {
    pub(crate) rng: ChaCha8Rng,
    pub(crate) text: Vec<u8>,
    pub(crate) tokens: usize,
    pub(crate) repairs: u32,
    pub(crate) finished: Option<FinishReason>,
    /// Whether the gene list has begun.
    pub(crate) in_genes: bool,
    /// Genes of the panel that are written already.
    written: Vec<bool>,
}

impl Trajectory {
    pub(crate) fn new(rng: ChaCha8Rng, in_genes: bool, panel: usize) -> Self {
        Self { rng, text: Vec::new(), tokens: 0, repairs: 0, finished: None, in_genes, written: vec![false; panel] }
    }

    /// Draws the next token. With a panel, a gene list is drawn among the genes that are not yet written and the closing tag only, as if the
    /// model had no other tokens; a step whose most probable token was another one counts as a repair.
    pub(crate) fn draw(&mut self, logits: &[f32], sampling: &Sampling, panel: Option<&PanelTokens>) -> u32 {
        match panel {
            Some(panel) if self.in_genes => {
                if !self.allows(argmax(logits) as u32, panel) {
                    self.repairs += 1;
                }
                sampling.draw(&self.restrict(logits, panel), &mut self.rng)
            }
            _ => sampling.draw(logits, &mut self.rng),
        }
    }

    /// Returns whether the token limit came inside the gene list.
    pub(crate) fn is_cut_in_genes(&self) -> bool {
        self.finished.is_none() && self.in_genes
    }

    fn allows(&self, token: u32, panel: &PanelTokens) -> bool {
        token == panel.close() || panel.gene_of(token).is_some_and(|gene| !self.written[gene])
    }

    /// Returns the logits with everything forbidden but genes that are not yet written and the closing tag.
    pub(crate) fn restrict(&self, logits: &[f32], panel: &PanelTokens) -> Vec<f32> {
        let mut restricted = vec![f32::NEG_INFINITY; logits.len()];
        restricted[panel.close() as usize] = logits[panel.close() as usize];
        for (&token, _) in panel.genes().iter().zip(&self.written).filter(|(_, written)| !**written) {
            restricted[token as usize] = logits[token as usize];
        }
        restricted
    }

    /// Appends a token and notes whether it ends the cell.
    pub(crate) fn push(&mut self, token: u32, tokenizer: &SentenceTokenizer, panel: Option<&PanelTokens>) {
        self.tokens += 1;
        if token == tokenizer.end_of_text() {
            self.finished = Some(FinishReason::End);
            return;
        }
        if self.in_genes
            && let Some(gene) = panel.and_then(|panel| panel.gene_of(token))
        {
            self.written[gene] = true;
        }
        let before = self.text.len();
        self.text.extend_from_slice(tokenizer.token_text(token));
        self.in_genes |= contains(&self.text[before.saturating_sub(OPEN_TAG.len())..], OPEN_TAG);
        let tail = before.saturating_sub(CLOSE_TAG.len());
        if let Some(at) = find(&self.text[tail..], CLOSE_TAG) {
            self.text.truncate(tail + at + CLOSE_TAG.len());
            self.finished = Some(FinishReason::Closed);
        }
    }
}

fn find(text: &[u8], tag: &[u8]) -> Option<usize> {
    text.windows(tag.len()).position(|window| window == tag)
}

fn contains(text: &[u8], tag: &[u8]) -> bool {
    find(text, tag).is_some()
}
