//! One gene symbol.

use std::{borrow::Borrow, fmt, ops::Deref, str::FromStr};

use compact_str::CompactString;
use thiserror::Error;

/// The symbol of a gene, in upper case: one word of a cell sentence.
///
/// A symbol is never empty and holds no white space and no angle bracket, so that it survives being written and
/// read. Symbols of up to 24 bytes are stored inline; a clone costs a copy.
///
/// # Examples
///
/// ```
/// use tn_sentence::GeneSymbol;
///
/// let gene = GeneSymbol::new("1700001a01Rik")?;
/// assert_eq!(gene.as_str(), "1700001A01RIK");
/// assert!(GeneSymbol::new("HLA A").is_err());
/// # Ok::<(), tn_sentence::GeneSymbolError>(())
/// ```
#[derive(Clone, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(try_from = "String", into = "String"))]
pub struct GeneSymbol(CompactString);

impl GeneSymbol {
    /// Builds a symbol, converted to upper case.
    ///
    /// # Errors
    ///
    /// Returns an error for an empty symbol and for one with white space or an angle bracket.
    pub fn new(symbol: &str) -> Result<Self, GeneSymbolError> {
        if symbol.is_empty() {
            return Err(GeneSymbolError::Empty);
        }
        // Nearly every symbol is plain ASCII in upper case already, and is checked by bytes.
        match symbol.bytes().fold(UPPER, |kind, byte| kind.max(KIND_OF_BYTE[usize::from(byte)])) {
            UPPER => return Ok(Self(CompactString::new(symbol))),
            LOWER => return Ok(Self(upper_case(symbol))),
            _ => {}
        }
        let is_invalid = |c: &char| c.is_whitespace() || matches!(c, '<' | '>');
        match symbol.chars().find(is_invalid) {
            Some(character) => Err(GeneSymbolError::InvalidCharacter { symbol: symbol.to_owned(), character }),
            None => Ok(Self(upper_case(symbol))),
        }
    }

    /// Returns the symbol as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Returns a hash of a symbol, the same on every machine, for tables of symbols: in a few steps, and against no adversary.
///
/// ```
/// use tn_sentence::symbol_hash;
///
/// assert_ne!(symbol_hash("GFAP"), symbol_hash("GFAQ"));
/// ```
#[expect(clippy::missing_panics_doc, reason = "a range of eight bytes has eight bytes")]
pub fn symbol_hash(symbol: &str) -> u64 {
    let bytes = symbol.as_bytes();
    let word = |at: usize| u64::from_le_bytes(bytes[at..at + 8].try_into().expect("eight bytes"));
    let half = |at: usize| u64::from(u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four bytes")));
    // The first and the last bytes of a piece, which may overlap; every byte counts.
    let (mut hash, mut at) = (bytes.len() as u64, 0);
    while at + 16 < bytes.len() {
        hash = spread(hash ^ word(at));
        at += 8;
    }
    let rest = bytes.len() - at;
    let (first, last) = match rest {
        8.. => (word(at), word(bytes.len() - 8)),
        4.. => (half(at), half(bytes.len() - 4)),
        1.. => (u64::from(bytes[at]) << 16 | u64::from(bytes[at + rest / 2]) << 8, u64::from(bytes[bytes.len() - 1])),
        0 => (0, 0),
    };
    spread(spread(hash ^ first) ^ last)
}

/// Returns whether a text is nothing but symbols as they are stored, and blanks.
pub(crate) fn is_plain_list(text: &str) -> bool {
    text.bytes().fold(UPPER, |kind, byte| kind.max(if byte == b' ' { UPPER } else { KIND_OF_BYTE[usize::from(byte)] })) == UPPER
}

/// Lets every bit count for the upper ones (Fibonacci hashing), and brings those down.
fn spread(hash: u64) -> u64 {
    let product = hash.wrapping_mul(0x9E37_79B9_7F4A_7C15);
    product ^ product >> 32
}

/// A byte of a symbol that stays as it is.
const UPPER: u8 = 0;
/// A byte that has an upper case.
const LOWER: u8 = 1;
/// A byte of a character that has to be looked at.
const OTHER: u8 = 2;

const KIND_OF_BYTE: [u8; 256] = {
    let mut kinds = [OTHER; 256];
    let mut byte = b'!';
    while byte <= b'~' {
        kinds[byte as usize] = match byte {
            b'<' | b'>' => OTHER,
            b'a'..=b'z' => LOWER,
            _ => UPPER,
        };
        byte += 1;
    }
    kinds
};

/// Converts to upper case, without the general algorithm for the usual ASCII symbol.
pub(crate) fn upper_case(symbol: &str) -> CompactString {
    if symbol.is_ascii() {
        let mut symbol = CompactString::from(symbol);
        symbol.make_ascii_uppercase();
        symbol
    } else {
        CompactString::from(symbol.to_uppercase())
    }
}

impl Deref for GeneSymbol {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl AsRef<str> for GeneSymbol {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl Borrow<str> for GeneSymbol {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl PartialEq<str> for GeneSymbol {
    fn eq(&self, other: &str) -> bool {
        self.0 == other
    }
}

impl PartialEq<&str> for GeneSymbol {
    fn eq(&self, other: &&str) -> bool {
        self.0 == *other
    }
}

impl fmt::Display for GeneSymbol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Debug for GeneSymbol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

impl FromStr for GeneSymbol {
    type Err = GeneSymbolError;

    fn from_str(symbol: &str) -> Result<Self, Self::Err> {
        Self::new(symbol)
    }
}

impl TryFrom<String> for GeneSymbol {
    type Error = GeneSymbolError;

    fn try_from(symbol: String) -> Result<Self, Self::Error> {
        Self::new(&symbol)
    }
}

impl From<GeneSymbol> for String {
    fn from(symbol: GeneSymbol) -> Self {
        symbol.0.into()
    }
}

/// A word that is no gene symbol.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
#[non_exhaustive]
pub enum GeneSymbolError {
    /// The symbol is empty.
    #[error("gene symbol is empty")]
    Empty,
    /// The symbol holds a character that would not survive in a cell sentence.
    #[error("gene symbol {symbol:?} holds {character:?}")]
    InvalidCharacter {
        /// The symbol as given.
        symbol: String,
        /// Its first character that is not allowed.
        character: char,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_counts_for_the_hash() {
        for length in 1..40 {
            let symbol = "G".repeat(length);
            let mut hashes = std::collections::HashSet::from([symbol_hash(&symbol)]);
            for place in 0..length {
                let other = format!("{}A{}", &symbol[..place], &symbol[place + 1..]);
                assert!(hashes.insert(symbol_hash(&other)), "{other}");
            }
        }
        let numbered: std::collections::HashSet<u64> = (0..100_000).map(|gene| symbol_hash(&format!("GENE{gene}"))).collect();
        assert_eq!(numbered.len(), 100_000);
    }

    #[test]
    fn symbols_are_upper_cased() {
        assert_eq!(GeneSymbol::new("Gad1").unwrap(), "GAD1");
        assert_eq!(GeneSymbol::new("straße").unwrap(), "STRASSE");
    }

    #[test]
    fn an_empty_symbol_is_an_error() {
        assert_eq!(GeneSymbol::new(""), Err(GeneSymbolError::Empty));
    }

    #[test]
    fn white_space_and_angle_brackets_are_errors() {
        for (symbol, character) in [("HLA A", ' '), ("A\u{a0}B", '\u{a0}'), ("</cs>", '<'), ("A>", '>')] {
            assert_eq!(GeneSymbol::new(symbol), Err(GeneSymbolError::InvalidCharacter { symbol: symbol.to_owned(), character }));
        }
    }
}
