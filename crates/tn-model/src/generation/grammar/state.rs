//! Where a cell stands in the grammar.

use super::header::Part;
use super::text::TextPlace;
use super::trie::Trie;
use super::{ForbiddenToken, Grammar};

/// How far a cell is written: what may follow, and which genes it has.
///
/// A state belongs to the [`Grammar`] that it was made from.
#[derive(Clone, Debug)]
pub struct GrammarState {
    place: Place,
    /// Genes that are written, as bits.
    written: Vec<u64>,
    /// Written genes at or below each node of the genes that has children.
    written_below: Vec<u32>,
    genes: usize,
    /// Inside the genes and where the cell is closed: the allowed tokens, ascending.
    allowed: Vec<u32>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// At a node of a part of the header.
    Header { part: usize, node: usize },
    /// In the free text of a part of the header.
    Text { part: usize, place: TextPlace },
    /// At a node of the genes.
    Genes { node: usize },
    /// After the closing tag.
    Closed,
}

/// What a gene that has been begun will be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// This gene, whatever is drawn.
    Gene(usize),
    /// The closing tag.
    Close,
    /// Open: decided at this node.
    Open(usize),
}

impl GrammarState {
    /// Begins a cell after its position: the header is still to be written. Without header fields, this is [`GrammarState::in_genes`].
    #[must_use]
    pub fn at_header(grammar: &Grammar) -> Self {
        Self::at(grammar, grammar.enter(0))
    }

    /// Begins a cell after its header: genes are to be written.
    #[must_use]
    pub fn in_genes(grammar: &Grammar) -> Self {
        Self::at(grammar, Place::Genes { node: Trie::ROOT })
    }

    fn at(grammar: &Grammar, place: Place) -> Self {
        let mut state = Self {
            place,
            written: vec![0; grammar.panel.len().div_ceil(64)],
            written_below: vec![0; grammar.genes.inner_nodes()],
            genes: 0,
            allowed: Vec::new(),
        };
        state.collect_allowed(grammar);
        state
    }

    /// Returns the tokens that may follow, ascending; none once the cell is closed.
    #[must_use]
    pub fn allowed<'s>(&'s self, grammar: &'s Grammar) -> &'s [u32] {
        match self.place {
            Place::Header { part, node } => match &grammar.header[part] {
                Part::OneOf(trie) => trie.tokens(trie.children(node)),
                Part::Text(_) => &[],
            },
            Place::Text { part, place } => match &grammar.header[part] {
                Part::Text(text) => text.allowed(place),
                Part::OneOf(_) => &[],
            },
            Place::Genes { .. } | Place::Closed => &self.allowed,
        }
    }

    /// Returns whether a token may follow.
    #[must_use]
    pub fn allows(&self, grammar: &Grammar, token: u32) -> bool {
        self.allowed(grammar).binary_search(&token).is_ok()
    }

    /// Appends a token.
    ///
    /// # Errors
    /// Returns an error, and leaves the state as it is, for a token that may not follow.
    pub fn advance(&mut self, grammar: &Grammar, token: u32) -> Result<(), ForbiddenToken> {
        if !self.allows(grammar, token) {
            return Err(ForbiddenToken { token });
        }
        self.place = match self.place {
            Place::Header { part, node } => grammar.after_header(part, node, token),
            Place::Text { part, place } => grammar.after_text(part, place, token),
            Place::Genes { node } => self.after_gene_token(grammar, node, token),
            Place::Closed => Place::Closed,
        };
        self.collect_allowed(grammar);
        Ok(())
    }

    /// Returns the tokens that follow whatever the model says, up to the next choice or the end of the cell.
    #[must_use]
    pub fn forced(&self, grammar: &Grammar) -> Vec<u32> {
        let mut run = Vec::new();
        if self.allowed(grammar).len() != 1 {
            return run;
        }
        let mut state = self.clone();
        while let &[token] = state.allowed(grammar)
            && state.advance(grammar, token).is_ok()
        {
            run.push(token);
        }
        run
    }

    /// Returns whether the header is complete.
    #[must_use]
    pub fn has_genes(&self) -> bool {
        matches!(self.place, Place::Genes { .. } | Place::Closed)
    }

    /// Returns whether the closing tag is written.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.place == Place::Closed
    }

    /// Returns whether what is written ends with a whole gene or with the header: it would be well-formed with a closing tag behind it.
    #[must_use]
    pub fn is_between_genes(&self, grammar: &Grammar) -> bool {
        matches!(self.place, Place::Genes { node } if node == Trie::ROOT || self.gene_at(grammar, node).is_some())
    }

    /// Returns how many genes are written and cannot become longer ones.
    #[must_use]
    pub fn genes(&self) -> usize {
        self.genes
    }

    /// Returns whether a gene of the panel is written.
    #[must_use]
    pub fn is_written(&self, gene: usize) -> bool {
        self.written[gene / 64] >> (gene % 64) & 1 == 1
    }

    fn after_gene_token(&mut self, grammar: &Grammar, node: usize, token: u32) -> Place {
        let next = match grammar.genes.child(node, token) {
            Some(child) => child,
            // The gene at this node ends with the beginning of another word.
            None => {
                self.write_pending(grammar);
                grammar.genes.child(Trie::ROOT, token).expect("allowed: it begins a word")
            }
        };
        match self.gene_at(grammar, next) {
            Some(gene) if self.open_children(grammar, next).next().is_none() => {
                self.write(grammar, gene);
                Place::Genes { node: Trie::ROOT }
            }
            _ if grammar.genes.item(next) == Some(grammar.panel.len()) => Place::Closed,
            _ => Place::Genes { node: next },
        }
    }

    fn write_pending(&mut self, grammar: &Grammar) {
        let Place::Genes { node } = self.place else { return };
        if let Some(gene) = self.gene_at(grammar, node) {
            self.write(grammar, gene);
        }
        self.place = Place::Genes { node: Trie::ROOT };
    }

    fn write(&mut self, grammar: &Grammar, gene: usize) {
        self.written[gene / 64] |= 1 << (gene % 64);
        self.genes += 1;
        for node in grammar.genes.ancestors(grammar.genes.end(gene)) {
            if let Some(inner) = grammar.genes.inner(node) {
                self.written_below[inner] += 1;
            }
        }
    }

    /// Returns the gene that is complete at a node and not written yet.
    pub(crate) fn gene_at(&self, grammar: &Grammar, node: usize) -> Option<usize> {
        grammar.genes.item(node).filter(|&item| item < grammar.panel.len() && !self.is_written(item))
    }

    /// Returns the node of the genes that the cell is at.
    pub(crate) fn node(&self) -> Option<usize> {
        match self.place {
            Place::Genes { node } => Some(node),
            _ => None,
        }
    }

    /// Returns the children of a node of the genes that lead to something that may be written.
    pub(crate) fn open_children<'s>(&'s self, grammar: &'s Grammar, node: usize) -> impl Iterator<Item = usize> + 's {
        self.children_after(grammar, node, self.genes)
    }

    /// Returns the tokens that begin another word at a node where a gene may end.
    pub(crate) fn ends<'s>(&'s self, grammar: &'s Grammar, node: usize) -> impl Iterator<Item = u32> + 's {
        // That gene leaves something open at every node above it, or it could not go on: only the budget changes.
        let may_end = node != Trie::ROOT && self.gene_at(grammar, node).is_some();
        let words = may_end.then(|| self.children_after(grammar, Trie::ROOT, self.genes + 1));
        words.into_iter().flatten().map(|child| grammar.genes.token(child))
    }

    /// Returns whether a token that may follow ends the gene at the present node.
    pub(crate) fn ends_gene(&self, grammar: &Grammar, token: u32) -> bool {
        self.node().is_some_and(|node| self.gene_at(grammar, node).is_some() && grammar.genes.child(node, token).is_none())
    }

    /// Returns whether a token that may follow begins a word of the gene list: a gene or the closing tag.
    pub(crate) fn begins_word(&self, grammar: &Grammar, token: u32) -> bool {
        self.node() == Some(Trie::ROOT) || self.ends_gene(grammar, token)
    }

    /// Writes the gene that ends at the present node, before another word is begun.
    pub(crate) fn end_gene(&mut self, grammar: &Grammar) {
        self.write_pending(grammar);
        self.collect_allowed(grammar);
    }

    fn children_after<'s>(&'s self, grammar: &'s Grammar, node: usize, genes: usize) -> impl Iterator<Item = usize> + 's {
        let full = genes >= grammar.max_genes;
        grammar.genes.children(node).filter(move |&child| if full { grammar.closes(child) } else { self.is_open(grammar, child) })
    }

    fn is_open(&self, grammar: &Grammar, node: usize) -> bool {
        match grammar.genes.inner(node) {
            Some(inner) => self.written_below[inner] < grammar.genes.count(node),
            None => grammar.genes.item(node).is_some_and(|item| item == grammar.panel.len() || !self.is_written(item)),
        }
    }

    /// Follows the forced tokens from a node of the genes.
    pub(crate) fn outcome(&self, grammar: &Grammar, mut node: usize) -> Outcome {
        loop {
            let mut children = self.open_children(grammar, node);
            match (self.gene_at(grammar, node), children.next(), children.next()) {
                (Some(gene), None, _) => return Outcome::Gene(gene),
                (None, Some(only), None) => node = only,
                (None, None, _) => return Outcome::Close,
                _ => return Outcome::Open(node),
            }
        }
    }

    fn collect_allowed(&mut self, grammar: &Grammar) {
        let mut allowed = std::mem::take(&mut self.allowed);
        allowed.clear();
        if let Place::Genes { node } = self.place {
            allowed.extend(self.open_children(grammar, node).map(|child| grammar.genes.token(child)));
            let going_on = allowed.len();
            allowed.extend(self.ends(grammar, node));
            if allowed.len() > going_on {
                allowed.sort_unstable();
            }
        }
        self.allowed = allowed;
    }
}

impl Grammar {
    /// Returns the beginning of a part of the header; after the last part, that of the genes.
    fn enter(&self, part: usize) -> Place {
        match self.header.get(part) {
            Some(Part::OneOf(_)) => Place::Header { part, node: Trie::ROOT },
            Some(Part::Text(_)) => Place::Text { part, place: TextPlace::default() },
            None => Place::Genes { node: Trie::ROOT },
        }
    }

    fn after_header(&self, part: usize, node: usize, token: u32) -> Place {
        let Part::OneOf(trie) = &self.header[part] else { return self.enter(part + 1) };
        match trie.child(node, token) {
            Some(child) if trie.item(child).is_none() => Place::Header { part, node: child },
            _ => self.enter(part + 1),
        }
    }

    fn after_text(&self, part: usize, place: TextPlace, token: u32) -> Place {
        let Part::Text(text) = &self.header[part] else { return self.enter(part + 1) };
        match text.after(place, token) {
            Some(place) => Place::Text { part, place },
            None => self.enter(part + 1),
        }
    }
}
