//! The genes of one cell, highest first.

use std::{collections::HashSet, fmt, str::FromStr};

use thiserror::Error;

use crate::{
    GeneSymbol,
    gene::{GeneSymbolError, symbol_hash},
};

/// Bytes of a symbol with the blank after it, at least for most.
const TYPICAL_WORD: usize = 5;

/// The expressed genes of a cell from the highest to the lowest: the words of its cell sentence.
///
/// No gene occurs twice. A cell without a single expressed gene has an empty ranking. [`Display`](fmt::Display)
/// writes the symbols separated by one space.
///
/// # Examples
///
/// ```
/// use tn_sentence::GeneRanking;
///
/// let mut ranking: GeneRanking = "GFAP AQP4 Igf2".parse()?;
/// ranking.truncate(2);
/// assert_eq!(ranking.to_string(), "GFAP AQP4");
/// assert!(GeneRanking::parse("GFAP AQP4 Gfap").is_err());
/// # Ok::<(), tn_sentence::GeneRankingError>(())
/// ```
#[derive(Clone, Debug, Default, Eq, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(try_from = "Vec<String>", into = "Vec<String>"))]
pub struct GeneRanking(Vec<GeneSymbol>);

impl GeneRanking {
    /// Builds a ranking from symbols, highest first.
    ///
    /// # Errors
    ///
    /// Returns an error for a word that is no gene symbol and for a gene that occurs twice.
    pub fn new<I>(genes: I) -> Result<Self, GeneRankingError>
    where
        I: IntoIterator,
        I::Item: AsRef<str>,
    {
        Self::of_words(Vec::new(), genes)
    }

    /// Builds a ranking from symbols that are already checked, highest first.
    ///
    /// # Errors
    ///
    /// Returns an error for a gene that occurs twice.
    pub fn from_symbols(genes: Vec<GeneSymbol>) -> Result<Self, GeneRankingError> {
        match first_repeat(&genes) {
            Some(rank) => Err(GeneRankingError::Repeated { gene: genes[rank].clone(), rank }),
            None => Ok(Self(genes)),
        }
    }

    /// Builds a ranking from symbols that the caller knows to be distinct.
    pub(crate) fn from_distinct(genes: Vec<GeneSymbol>) -> Self {
        Self(genes)
    }

    /// Parses symbols separated by white space.
    ///
    /// # Errors
    ///
    /// Returns an error for a word that is no gene symbol and for a gene that occurs twice.
    pub fn parse(text: &str) -> Result<Self, GeneRankingError> {
        Self::parse_top(text, usize::MAX)
    }

    /// Parses the first `n` symbols, separated by white space. What follows is not looked at.
    ///
    /// # Errors
    ///
    /// Returns an error for a word that is no gene symbol and for a gene that occurs twice, among the first `n`.
    pub fn parse_top(text: &str, n: usize) -> Result<Self, GeneRankingError> {
        let genes = Vec::with_capacity(n.min(text.len() / TYPICAL_WORD + 1));
        // A vertical tab is white space to Unicode, but not to the ASCII functions of the standard library.
        if text.is_ascii() && !text.contains('\u{b}') {
            Self::of_words(genes, text.split_ascii_whitespace().take(n))
        } else {
            Self::of_words(genes, text.split_whitespace().take(n))
        }
    }

    fn of_words<I>(mut genes: Vec<GeneSymbol>, words: I) -> Result<Self, GeneRankingError>
    where
        I: IntoIterator,
        I::Item: AsRef<str>,
    {
        for word in words {
            let gene = GeneSymbol::new(word.as_ref());
            genes.push(gene.map_err(|source| GeneRankingError::InvalidSymbol { rank: genes.len(), source })?);
        }
        Self::from_symbols(genes)
    }

    /// Returns the genes, highest first.
    pub fn genes(&self) -> &[GeneSymbol] {
        &self.0
    }

    /// Returns the genes as text, highest first.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &str> + '_ {
        self.0.iter().map(GeneSymbol::as_str)
    }

    /// Returns the symbols separated by one space, as [`Display`](fmt::Display) writes them, but sooner.
    pub fn to_text(&self) -> String {
        let mut text = String::new();
        self.append_to(&mut text);
        text
    }

    /// Appends the symbols, separated by one space, to a text.
    pub fn append_to(&self, text: &mut String) {
        text.reserve(self.iter().map(|gene| gene.len() + 1).sum());
        for (rank, gene) in self.iter().enumerate() {
            if rank > 0 {
                text.push(' ');
            }
            text.push_str(gene);
        }
    }

    /// Returns the number of genes.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Returns whether the ranking has no gene.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Keeps the `n` highest genes.
    pub fn truncate(&mut self, n: usize) {
        self.0.truncate(n);
    }

    /// Returns a ranking of the `n` highest genes.
    pub fn top(&self, n: usize) -> Self {
        Self(self.0[..n.min(self.len())].to_vec())
    }
}

/// Returns the index of the first gene that occurred before.
pub(crate) fn first_repeat(genes: &[GeneSymbol]) -> Option<usize> {
    // Nearly every ranking is without repeats, which hashes tell more quickly than a set of symbols.
    if has_distinct_hashes(genes) {
        return None;
    }
    let mut seen = HashSet::with_capacity(genes.len());
    genes.iter().position(|gene| !seen.insert(gene.as_str()))
}

/// Puts the hashes of all genes into a table, each in the first free place from its own on; two equal ones meet.
fn has_distinct_hashes(genes: &[GeneSymbol]) -> bool {
    let bits = usize::BITS - (2 * genes.len()).leading_zeros() + 1;
    let mut table = vec![0_u64; 1 << bits];
    let last = table.len() - 1;
    genes.iter().all(|gene| {
        // 0 is a free place.
        let hash = symbol_hash(gene) | 1;
        let mut place = (hash >> (u64::BITS - bits)) as usize;
        while table[place] != 0 {
            if table[place] == hash {
                return false;
            }
            place = (place + 1) & last;
        }
        table[place] = hash;
        true
    })
}

impl fmt::Display for GeneRanking {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (rank, gene) in self.0.iter().enumerate() {
            if rank > 0 {
                f.write_str(" ")?;
            }
            f.write_str(gene)?;
        }
        Ok(())
    }
}

impl FromStr for GeneRanking {
    type Err = GeneRankingError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::parse(text)
    }
}

impl TryFrom<Vec<String>> for GeneRanking {
    type Error = GeneRankingError;

    fn try_from(genes: Vec<String>) -> Result<Self, Self::Error> {
        Self::new(genes)
    }
}

impl From<GeneRanking> for Vec<String> {
    fn from(ranking: GeneRanking) -> Self {
        ranking.0.into_iter().map(String::from).collect()
    }
}

/// A list of words that ranks no genes.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
#[non_exhaustive]
pub enum GeneRankingError {
    /// A word is no gene symbol.
    #[error("word {rank} is no gene symbol")]
    InvalidSymbol {
        /// The place of the word, counted from 0.
        rank: usize,
        /// What is wrong with the word.
        source: GeneSymbolError,
    },
    /// A gene occurs twice.
    #[error("gene {gene} occurs again at rank {rank}")]
    Repeated {
        /// The gene.
        gene: GeneSymbol,
        /// The place of its second occurrence, counted from 0.
        rank: usize,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn display_and_parse_are_inverse() {
        let ranking = GeneRanking::parse(" gad1\tGAD2\n HLA-A ").unwrap();
        assert_eq!(ranking.to_string(), "GAD1 GAD2 HLA-A");
        assert_eq!(ranking.to_text(), ranking.to_string());
        assert_eq!(ranking.to_string().parse(), Ok(ranking));
        let unicode = GeneRanking::parse("A\u{a0}B\u{b}C\u{3000}d").unwrap();
        assert_eq!(unicode.to_text(), "A B C D");
    }

    #[test]
    fn a_gene_occurs_once() {
        let repeated = |genes: Vec<String>, rank: usize| {
            assert_eq!(GeneRanking::new(&genes), Err(GeneRankingError::Repeated { gene: GeneSymbol::new(&genes[rank]).unwrap(), rank }));
        };
        repeated(vec!["A".into(), "B".into(), "a".into()], 2);
        let mut long: Vec<String> = (0..100).map(|i| format!("G{i}")).collect();
        long.push("g7".into());
        repeated(long, 100);
    }

    #[test]
    fn a_word_that_is_no_symbol_names_its_rank() {
        assert_eq!(
            GeneRanking::new(["A", "b c"]),
            Err(GeneRankingError::InvalidSymbol {
                rank: 1,
                source: GeneSymbolError::InvalidCharacter { symbol: "b c".into(), character: ' ' }
            })
        );
    }

    #[test]
    fn what_follows_the_top_is_not_looked_at() {
        let top = |text| GeneRanking::parse_top(text, 2).unwrap().to_text();
        assert_eq!([top("A B <x> A"), top("a\u{a0}b a"), top("A")], ["A B", "A B", "A"]);
        assert!(GeneRanking::parse_top("A A", 2).is_err());
        assert!(GeneRanking::parse_top("A", 0).unwrap().is_empty());
    }

    #[test]
    fn nothing_is_an_empty_ranking() {
        assert!(GeneRanking::parse("  ").unwrap().is_empty());
    }

    #[test]
    fn top_stops_at_the_end() {
        let ranking = GeneRanking::parse("A B").unwrap();
        assert_eq!(ranking.top(1).to_string(), "A");
        assert_eq!(ranking.top(9), ranking);
    }
}
