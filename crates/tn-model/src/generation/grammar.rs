//! Which tokens keep a cell well-formed.

mod error;
mod header;
mod state;
mod text;
mod trie;
mod words;

pub use error::{ForbiddenToken, GrammarError};
pub use header::HeaderField;
pub use state::GrammarState;

pub(crate) use state::Outcome;

use tn_sentence::Vocabulary;

use self::header::Part;
use self::trie::Trie;
use self::words::Words;
use crate::tokenizer::SentenceTokenizer;

/// The well-formed continuations of a cell, token by token.
///
/// A gene list is any number of genes of a panel, none twice, and the closing tag: when the model asks for it, and at the latest when the
/// budget of genes is used up or all genes are written. A header, where fields are given, is ` <meta> key: value, key: value <cs>` with
/// those fields in that order. Everything is written in the tokens that the tokenizer itself would choose, so that a model that has learned
/// them is never led off its way.
///
/// Works with every tokenizer whose tokens do not reach across a blank, however many tokens a gene takes. What may follow is found in the
/// order of the number of candidates, never of the vocabulary.
///
/// ```
/// use tn_model::generation::{Grammar, GrammarState, HeaderField};
/// use tn_model::{SentenceTokenizer, TokenizerOptions};
/// use tn_sentence::Vocabulary;
///
/// let panel = Vocabulary::new(["GFAP", "AQP4", "1700"])?;
/// let corpus = ["<pos> X: 1, Y: 2 <meta> class: Astro <cs> GFAP AQP4 </cs>"];
/// let tokenizer = SentenceTokenizer::train(corpus, &panel, &TokenizerOptions::new())?;
/// let fields = [HeaderField::one_of("class", ["Astro", "Oligo"])];
/// let grammar = Grammar::new(&tokenizer, &panel)?.with_max_genes(2).with_fields(&tokenizer, &fields)?;
///
/// let mut state = GrammarState::at_header(&grammar);
/// let mut text = String::new();
/// // Takes the first of the allowed tokens at each step.
/// while let Some(&token) = state.allowed(&grammar).first() {
///     text.push_str(&tokenizer.decode(&[token]));
///     state.advance(&grammar, token)?;
/// }
/// assert!(text.starts_with(" <meta> class: ") && text.ends_with(" </cs>"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Grammar {
    /// The genes of the panel, and as its last item the closing tag.
    genes: Trie,
    /// Nodes on the way to the closing tag.
    closing: Vec<usize>,
    panel: Vocabulary,
    max_genes: usize,
    header: Vec<Part>,
    /// Tokens of the tokenizer that the grammar was made with.
    vocab_size: usize,
}

impl Grammar {
    /// Builds the grammar of gene lists.
    ///
    /// # Errors
    /// Returns an error for a gene, or the closing tag, that does not come back from its tokens, or whose tokens depend on the words beside
    /// it.
    #[expect(clippy::missing_panics_doc, reason = "different words that come back have different tokens")]
    pub fn new(tokenizer: &SentenceTokenizer, panel: &Vocabulary) -> Result<Self, GrammarError> {
        let spelling = Words::new(tokenizer);
        let words: Vec<String> = panel.iter().map(|symbol| format!(" {symbol}")).chain([" </cs>".to_owned()]).collect();
        let tokens = words.iter().map(|word| spelling.spell(word)).collect::<Result<Vec<_>, _>>()?;
        words.iter().zip(&tokens).try_for_each(|(word, tokens)| spelling.check_first(word, tokens))?;
        spelling.check_row(&words, &tokens)?;
        let genes = Trie::new(&tokens).expect("different words that come back have different tokens");
        let closing = genes.ancestors(genes.end(panel.len())).collect();
        let (panel, vocab_size) = (panel.clone(), tokenizer.vocab_size());
        Ok(Self { genes, closing, panel, max_genes: usize::MAX, header: Vec::new(), vocab_size })
    }

    /// Closes every cell at the latest after this number of genes.
    #[must_use]
    pub fn with_max_genes(mut self, genes: usize) -> Self {
        self.max_genes = genes;
        self
    }

    /// Sets the fields of the header; without any, a header is not part of the grammar.
    ///
    /// # Errors
    /// Returns an error for a key that cannot be written or is given twice, for a field without a value, for a value that would not be read
    /// back as it is (empty, or with blanks around it), and for what the tokenizer does not give back.
    pub fn with_fields(mut self, tokenizer: &SentenceTokenizer, fields: &[HeaderField]) -> Result<Self, GrammarError> {
        self.header = header::parts(tokenizer, fields)?;
        Ok(self)
    }

    /// Returns whether the header is part of the grammar.
    #[must_use]
    pub fn has_header(&self) -> bool {
        !self.header.is_empty()
    }

    /// Returns the genes that may be written.
    #[must_use]
    pub fn panel(&self) -> &Vocabulary {
        &self.panel
    }

    /// Returns whether every gene and the closing tag are single tokens.
    #[must_use]
    pub fn has_one_token_genes(&self) -> bool {
        self.genes.inner_nodes() == 1
    }

    /// Returns how many tokens the tokenizer has that the grammar was made with.
    pub(crate) fn vocab_size(&self) -> usize {
        self.vocab_size
    }

    /// Returns the genes of the panel, and as its last item the closing tag.
    pub(crate) fn genes(&self) -> &Trie {
        &self.genes
    }

    fn closes(&self, node: usize) -> bool {
        self.closing.contains(&node)
    }
}
