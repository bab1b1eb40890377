//! Which tokens are genes.

use tn_sentence::Vocabulary;

use super::GenerateError;
use crate::tokenizer::SentenceTokenizer;

/// The tokens of a gene panel, for a tokenizer that writes every gene as one token.
#[derive(Clone, Debug)]
pub struct PanelTokens {
    genes: Vec<u32>,
    gene_of: Vec<Option<u32>>,
    close: u32,
}

impl PanelTokens {
    /// Looks up the panel in the tokenizer.
    ///
    /// # Errors
    /// Returns [`GenerateError::GeneIsNotOneToken`] for the first gene, or for the closing tag, that is not a single token.
    pub fn new(tokenizer: &SentenceTokenizer, panel: &Vocabulary) -> Result<Self, GenerateError> {
        let one_token = |text: &str| {
            let missing = |tokens| GenerateError::GeneIsNotOneToken { symbol: text.trim_start().to_owned(), tokens };
            tokenizer.single_token(text).ok_or_else(|| missing(tokenizer.encode_ids(text).len()))
        };
        let close = one_token(" </cs>")?;
        let genes = panel.iter().map(|symbol| one_token(&format!(" {symbol}"))).collect::<Result<Vec<u32>, _>>()?;
        let mut gene_of = vec![None; tokenizer.vocab_size()];
        for (gene, &token) in genes.iter().enumerate() {
            gene_of[token as usize] = Some(gene as u32);
        }
        Ok(Self { genes, gene_of, close })
    }

    /// Returns the token of every gene, in the order of the panel.
    #[must_use]
    pub fn genes(&self) -> &[u32] {
        &self.genes
    }

    /// Returns the gene that a token writes.
    #[must_use]
    pub fn gene_of(&self, token: u32) -> Option<usize> {
        self.gene_of.get(token as usize).copied().flatten().map(|gene| gene as usize)
    }

    /// Returns the token that closes a cell.
    #[must_use]
    pub fn close(&self) -> u32 {
        self.close
    }
}
