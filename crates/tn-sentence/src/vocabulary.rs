//! The genes that a data set measures.

use std::collections::HashMap;

use thiserror::Error;

use crate::{
    GeneAliases, GeneSymbol,
    gene::{GeneSymbolError, upper_case},
};

/// A gene panel: the ordered, distinct symbols of the columns of an expression matrix.
///
/// Symbols are upper-cased, as everywhere in a cell sentence: the text format knows no other case, and there is no switch.
/// Two columns whose symbols are then the same are an error that names both, because one of them would be lost in the text.
///
/// Upper case makes mouse symbols look like human ones (`Gfap`, `GFAP`), which is how one model can read both; it does not
/// make them orthologs, and symbols that differ by more than case (`H2-K1`, `HLA-A`) stay apart. Translate symbols of
/// one species into those of another before a panel is built, or with [`GeneAliases`].
///
/// # Examples
///
/// ```
/// use tn_sentence::Vocabulary;
///
/// let panel = Vocabulary::new(["Gfap", "Aqp4", "Igf2"])?;
/// assert_eq!(panel.symbol(1), "AQP4");
/// assert_eq!(panel.index_of("igf2"), Some(2));
///
/// let error = Vocabulary::new(["Gad1", "Gfap", "GAD1"]).unwrap_err();
/// assert_eq!(
///     error.to_string(),
///     r#"genes "Gad1" (column 0) and "GAD1" (column 2) are both "GAD1" in upper case"#,
/// );
/// # Ok::<(), tn_sentence::VocabularyError>(())
/// ```
#[derive(Clone, Debug, Eq, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(try_from = "Vec<String>", into = "Vec<String>"))]
pub struct Vocabulary {
    symbols: Vec<GeneSymbol>,
    /// The column of each symbol, and of each alias of one.
    index: HashMap<GeneSymbol, usize>,
}

impl Vocabulary {
    /// Builds a panel from the symbols of the matrix columns, in their order.
    ///
    /// # Errors
    ///
    /// Returns an error for a symbol that cannot be written ([`GeneSymbolError`]) and for two symbols that are the
    /// same in upper case.
    pub fn new<I>(symbols: I) -> Result<Self, VocabularyError>
    where
        I: IntoIterator,
        I::Item: AsRef<str>,
    {
        Self::with_aliases(symbols, &GeneAliases::default())
    }

    /// Builds a panel from the symbols of the matrix columns, in their order, with the current symbol in place of each
    /// alias. Aliases of the panel's genes are also found by [`Vocabulary::index_of`], and so in generated text.
    ///
    /// An alias that names no gene of the panel is ignored. What is serialized is the symbols, without aliases.
    ///
    /// # Errors
    ///
    /// As [`Vocabulary::new`]; two columns of one gene, such as an alias beside its current symbol, are an error that names both.
    ///
    /// # Examples
    ///
    /// ```
    /// use tn_sentence::{GeneAliases, Vocabulary};
    ///
    /// let aliases = GeneAliases::new([("MARCH1", "MARCHF1"), ("SEPT2", "SEPTIN2")])?;
    /// let panel = Vocabulary::with_aliases(["Gfap", "March1"], &aliases)?;
    /// assert_eq!(panel.symbol(1), "MARCHF1");
    /// assert_eq!(panel.index_of("march1"), Some(1));
    /// assert_eq!(panel.index_of("SEPT2"), None);
    ///
    /// let error = Vocabulary::with_aliases(["MARCH1", "MARCHF1"], &aliases).unwrap_err();
    /// assert_eq!(error.to_string(), r#"genes "MARCH1" (column 0) and "MARCHF1" (column 1) are both "MARCHF1""#);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn with_aliases<I>(symbols: I, aliases: &GeneAliases) -> Result<Self, VocabularyError>
    where
        I: IntoIterator,
        I::Item: AsRef<str>,
    {
        let mut originals: Vec<String> = Vec::new();
        let mut vocabulary = Self { symbols: Vec::new(), index: HashMap::new() };
        for (column, original) in symbols.into_iter().enumerate() {
            let original = original.as_ref();
            let symbol = GeneSymbol::new(original).map_err(|source| VocabularyError::InvalidSymbol { column, source })?;
            let symbol = aliases.current(&symbol).cloned().unwrap_or(symbol);
            if let Some(&first_column) = vocabulary.index.get(&symbol) {
                return Err(VocabularyError::Collision {
                    symbol,
                    first: originals.swap_remove(first_column),
                    first_column,
                    second: original.to_owned(),
                    second_column: column,
                });
            }
            vocabulary.index.insert(symbol.clone(), column);
            vocabulary.symbols.push(symbol);
            originals.push(original.to_owned());
        }
        for (alias, current) in aliases.iter() {
            // An alias is never a current symbol itself: no column is hidden.
            if let Some(&column) = vocabulary.index.get(current) {
                vocabulary.index.insert(alias.clone(), column);
            }
        }
        Ok(vocabulary)
    }

    /// Returns the number of genes.
    pub fn len(&self) -> usize {
        self.symbols.len()
    }

    /// Returns whether the panel has no gene.
    pub fn is_empty(&self) -> bool {
        self.symbols.is_empty()
    }

    /// Returns the symbol of a column.
    ///
    /// # Panics
    ///
    /// Panics when `index` is not less than [`Vocabulary::len`].
    pub fn symbol(&self, index: usize) -> &str {
        &self.symbols[index]
    }

    /// Returns all symbols in the order of the columns.
    pub fn symbols(&self) -> &[GeneSymbol] {
        &self.symbols
    }

    /// Returns the column of a symbol or of an alias of one, compared in upper case, or `None` for a word outside the panel.
    pub fn index_of(&self, symbol: &str) -> Option<usize> {
        self.index.get(symbol).or_else(|| self.index.get(upper_case(symbol).as_str())).copied()
    }

    /// Returns whether the panel has the symbol, or one that it is an alias of, compared in upper case.
    pub fn contains(&self, symbol: &str) -> bool {
        self.index_of(symbol).is_some()
    }

    /// Returns the symbols in the order of the columns.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &str> + '_ {
        self.symbols.iter().map(GeneSymbol::as_str)
    }
}

impl TryFrom<Vec<String>> for Vocabulary {
    type Error = VocabularyError;

    fn try_from(symbols: Vec<String>) -> Result<Self, Self::Error> {
        Self::new(symbols)
    }
}

impl From<Vocabulary> for Vec<String> {
    fn from(vocabulary: Vocabulary) -> Self {
        vocabulary.symbols.into_iter().map(String::from).collect()
    }
}

/// A list of symbols that is no gene panel.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
#[non_exhaustive]
pub enum VocabularyError {
    /// A symbol cannot be written in a cell sentence.
    #[error("column {column} has no usable gene symbol")]
    InvalidSymbol {
        /// The column, counted from 0.
        column: usize,
        /// What is wrong with the symbol.
        source: GeneSymbolError,
    },
    /// Two symbols are the same in upper case, or by their aliases.
    #[error(
        "genes {first:?} (column {first_column}) and {second:?} (column {second_column}) are both {symbol:?}{}",
        by_case(first, second)
    )]
    Collision {
        /// The symbol that both become.
        symbol: GeneSymbol,
        /// The first symbol as given.
        first: String,
        /// The column of the first symbol, counted from 0.
        first_column: usize,
        /// The second symbol as given.
        second: String,
        /// The column of the second symbol, counted from 0.
        second_column: usize,
    },
}

fn by_case(first: &str, second: &str) -> &'static str {
    let is_by_case = first != second && upper_case(first) == upper_case(second);
    if is_by_case { " in upper case" } else { "" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn symbols_keep_their_order() {
        let panel = Vocabulary::new(["b", "A", "c"]).unwrap();
        assert_eq!(panel.iter().collect::<Vec<_>>(), ["B", "A", "C"]);
        assert_eq!(panel.index_of("a"), Some(1));
        assert_eq!(panel.index_of("D"), None);
    }

    #[test]
    fn colliding_symbols_are_both_named() {
        assert_eq!(
            Vocabulary::new(["Nfe2", "x", "NFE2"]).unwrap_err(),
            VocabularyError::Collision {
                symbol: GeneSymbol::new("NFE2").unwrap(),
                first: "Nfe2".to_owned(),
                first_column: 0,
                second: "NFE2".to_owned(),
                second_column: 2,
            }
        );
    }

    #[test]
    fn aliases_that_collide_are_both_named() {
        let aliases = GeneAliases::new([("Old", "New"), ("Older", "new")]).unwrap();
        let collision = |first: &str, second: &str| {
            let error = Vocabulary::with_aliases([first, "x", second], &aliases).unwrap_err();
            assert!(matches!(&error, VocabularyError::Collision { symbol, .. } if symbol == "NEW"));
            error.to_string()
        };
        assert_eq!(collision("OLD", "New"), r#"genes "OLD" (column 0) and "New" (column 2) are both "NEW""#);
        assert_eq!(collision("old", "older"), r#"genes "old" (column 0) and "older" (column 2) are both "NEW""#);
        assert_eq!(collision("New", "NEW"), r#"genes "New" (column 0) and "NEW" (column 2) are both "NEW" in upper case"#);
        assert_eq!(collision("new", "new"), r#"genes "new" (column 0) and "new" (column 2) are both "NEW""#);
    }

    #[test]
    fn words_of_a_text_are_found_by_their_aliases() {
        let aliases = GeneAliases::new([("OLD", "NEW"), ("GONE", "ELSEWHERE")]).unwrap();
        let panel = Vocabulary::with_aliases(["A", "NEW"], &aliases).unwrap();
        let ranking = crate::clean_generated_genes(["old", "A", "GONE", "New"], &panel, 10);
        assert_eq!(ranking.to_string(), "A NEW");
        assert_eq!(panel.len(), 2);
    }

    #[test]
    fn no_aliases_change_nothing() {
        let symbols = ["b", "A", "c"];
        assert_eq!(Vocabulary::with_aliases(symbols, &GeneAliases::default()), Vocabulary::new(symbols));
    }

    #[test]
    fn an_unusable_symbol_names_its_column() {
        assert_eq!(Vocabulary::new(["A", ""]).unwrap_err(), VocabularyError::InvalidSymbol { column: 1, source: GeneSymbolError::Empty });
    }

    #[test]
    fn no_genes_are_a_panel() {
        assert!(Vocabulary::new::<[&str; 0]>([]).unwrap().is_empty());
    }
}
