//! Former symbols of genes, and their current ones.

use std::collections::BTreeMap;

use thiserror::Error;

use crate::{GeneSymbol, GeneSymbolError};

/// Former symbols of genes, and the current symbol of each: `MARCH1` is `MARCHF1`.
///
/// Symbols are compared in upper case. An alias stands for one gene, and is no current symbol itself; what a table says
/// otherwise is an error, because it would depend on the order of its rows which gene is meant. A symbol that stands for
/// itself is left out.
///
/// Tables of nomenclature committees list previous symbols and synonyms. Take the previous symbols: a synonym is often the
/// current symbol of another gene, whose expression would get the wrong name.
///
/// # Examples
///
/// ```
/// use tn_sentence::{GeneAliases, GeneSymbol};
///
/// let aliases = GeneAliases::parse("# old\tcurrent\nMARCH1\tMARCHF1\nSEPT2\tSEPTIN2\n")?;
/// assert_eq!(aliases.current("Sept2").map(GeneSymbol::as_str), Some("SEPTIN2"));
/// assert_eq!(aliases.current("GFAP"), None);
/// # Ok::<(), tn_sentence::GeneAliasError>(())
/// ```
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct GeneAliases(BTreeMap<GeneSymbol, GeneSymbol>);

impl GeneAliases {
    /// Builds a table from pairs of a former and the current symbol.
    ///
    /// # Errors
    ///
    /// Returns an error for a symbol that cannot be written ([`GeneSymbolError`]), for an alias of two genes, and for an
    /// alias that is itself the current symbol of another pair.
    pub fn new<A, C, I>(pairs: I) -> Result<Self, GeneAliasError>
    where
        A: AsRef<str>,
        C: AsRef<str>,
        I: IntoIterator<Item = (A, C)>,
    {
        let mut aliases: BTreeMap<GeneSymbol, GeneSymbol> = BTreeMap::new();
        for (pair, (alias, current)) in pairs.into_iter().enumerate() {
            let symbol = |word: &str| GeneSymbol::new(word).map_err(|source| GeneAliasError::InvalidSymbol { pair, source });
            let (alias, current) = (symbol(alias.as_ref())?, symbol(current.as_ref())?);
            if alias == current {
                continue;
            }
            match aliases.get(&alias) {
                Some(other) if *other != current => {
                    return Err(GeneAliasError::Ambiguous { alias, first: other.clone(), second: current });
                }
                _ => aliases.insert(alias, current),
            };
        }
        match aliases.iter().find_map(|(alias, current)| Some((alias, current, aliases.get(current)?))) {
            Some((alias, current, next)) => {
                Err(GeneAliasError::Chained { alias: alias.clone(), current: current.clone(), next: next.clone() })
            }
            None => Ok(Self(aliases)),
        }
    }

    /// Parses a table of two columns, a former and the current symbol, separated by a tab or a comma, one pair a line.
    ///
    /// Blank lines and lines that begin with `#` are left out; there is no header.
    ///
    /// # Errors
    ///
    /// As [`GeneAliases::new`], and for a line that has not two columns.
    pub fn parse(text: &str) -> Result<Self, GeneAliasError> {
        let lines = text.lines().zip(1..).filter(|(line, _)| !line.trim().is_empty() && !line.starts_with('#'));
        let pair = |(line, number): (&str, usize)| {
            let words: Vec<&str> = line.split(['\t', ',']).map(str::trim).collect();
            match words[..] {
                [alias, current] => Ok((alias.to_owned(), current.to_owned())),
                _ => Err(GeneAliasError::NotTwoColumns { line: number, columns: words.len() }),
            }
        };
        Self::new(lines.map(pair).collect::<Result<Vec<_>, _>>()?)
    }

    /// Returns the current symbol of an alias, compared in upper case, or `None` for a word that is no alias.
    pub fn current(&self, alias: &str) -> Option<&GeneSymbol> {
        self.0.get(alias).or_else(|| self.0.get(crate::gene::upper_case(alias).as_str()))
    }

    /// Returns the pairs of alias and current symbol, by alias.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&GeneSymbol, &GeneSymbol)> + '_ {
        self.0.iter()
    }

    /// Returns the number of aliases.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Returns whether there is no alias.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Pairs of symbols that are no table of aliases.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
#[non_exhaustive]
pub enum GeneAliasError {
    /// A line has not two columns.
    #[error("line {line} has {columns} columns, expected an alias and the current symbol")]
    NotTwoColumns {
        /// The line, counted from 1.
        line: usize,
        /// Its columns.
        columns: usize,
    },
    /// A symbol cannot be written in a cell sentence.
    #[error("pair {pair} has no usable gene symbol")]
    InvalidSymbol {
        /// The pair, counted from 0.
        pair: usize,
        /// What is wrong with the symbol.
        source: GeneSymbolError,
    },
    /// An alias stands for two genes.
    #[error("{alias:?} is an alias of {first:?} and of {second:?}")]
    Ambiguous {
        /// The alias.
        alias: GeneSymbol,
        /// The first of its genes.
        first: GeneSymbol,
        /// The second of its genes.
        second: GeneSymbol,
    },
    /// The current symbol of an alias is an alias itself.
    #[error("{alias:?} is an alias of {current:?}, which is an alias of {next:?}")]
    Chained {
        /// The alias.
        alias: GeneSymbol,
        /// What it stands for.
        current: GeneSymbol,
        /// What that stands for.
        next: GeneSymbol,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: Result<&[(&str, &str)], &str>) {
        let found = GeneAliases::parse(text);
        let pairs = |aliases: &GeneAliases| aliases.iter().map(|(a, c)| (a.to_string(), c.to_string())).collect::<Vec<_>>();
        match expected {
            Ok(expected) => {
                let expected: Vec<(String, String)> = expected.iter().map(|(a, c)| ((*a).into(), (*c).into())).collect();
                assert_eq!(pairs(&found.unwrap()), expected, "{text:?}");
            }
            Err(message) => assert_eq!(found.unwrap_err().to_string(), message, "{text:?}"),
        }
    }

    #[test]
    fn tabs_and_commas_separate_columns() {
        check("old\tnew\n\n# comment, with, commas\n b , A \r\n", Ok(&[("B", "A"), ("OLD", "NEW")]));
        check("", Ok(&[]));
    }

    #[test]
    fn a_pair_may_occur_again_or_say_nothing() {
        check("old\tnew\nOLD\tNEW\nSame\tSAME\n", Ok(&[("OLD", "NEW")]));
    }

    #[test]
    fn a_line_has_two_columns() {
        check("a\tb\n\nc\n", Err("line 3 has 1 columns, expected an alias and the current symbol"));
        check("a\tb\tc", Err("line 1 has 3 columns, expected an alias and the current symbol"));
    }

    #[test]
    fn a_symbol_that_cannot_be_written_names_its_pair() {
        let unusable = |pair, source| Err(GeneAliasError::InvalidSymbol { pair, source });
        assert_eq!(GeneAliases::parse("a\tb\nc\t"), unusable(1, GeneSymbolError::Empty));
        let blank = GeneSymbolError::InvalidCharacter { symbol: "a b".into(), character: ' ' };
        assert_eq!(GeneAliases::new([("a b", "c")]), unusable(0, blank));
    }

    #[test]
    fn an_alias_of_two_genes_is_an_error() {
        check("old\ta\nold\tb", Err(r#""OLD" is an alias of "A" and of "B""#));
    }

    #[test]
    fn an_alias_is_no_current_symbol() {
        check("a\tb\nb\tc", Err(r#""A" is an alias of "B", which is an alias of "C""#));
        check("a\tb\nb\ta", Err(r#""A" is an alias of "B", which is an alias of "A""#));
    }
}
