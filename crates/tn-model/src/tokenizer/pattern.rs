//! How a trained tokenizer cuts text into the pieces that become tokens.

use tn_sentence::Vocabulary;

/// Tags of the sentence format; each is a token, with and without the blank before it.
pub(super) const TAGS: [&str; 4] = ["<pos>", "<meta>", "<cs>", "</cs>"];

const TAG: &str = " ?</?[a-z]+>";
/// A word with at least one letter, and the colon of a key. A gene symbol such as `1700016P03RIK` or `H2-K1` is one piece.
const WORD: &str = r" ?[\p{N}._/\-]*\p{L}[\p{L}\p{N}._/\-]*:?";
const DIGIT: &str = " ?[0-9]";
const SIGN: &str = " ?-";
const ANYTHING: &str = r"[\s\S]";

/// How a gene symbol becomes one piece.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SymbolKind {
    /// The pattern for words keeps it whole.
    Word,
    /// It needs its own alternative in the pattern.
    Listed,
    /// It has no letter; kept whole, it would swallow coordinates.
    Number,
}

impl SymbolKind {
    pub(super) fn of(symbol: &str) -> Self {
        let is_word = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '/' | '-');
        if !symbol.contains(char::is_alphabetic) {
            Self::Number
        } else if symbol.chars().all(is_word) {
            Self::Word
        } else {
            Self::Listed
        }
    }
}

/// Returns the regular expression whose matches are the pieces. It matches every text without a gap, needs no look-around, and
/// means the same to the engines of the Rust and the Python tokenizers.
pub(super) fn pieces(panel: &Vocabulary) -> String {
    let mut listed: Vec<&str> = panel.iter().filter(|symbol| SymbolKind::of(symbol) == SymbolKind::Listed).collect();
    // Longest first: `A@B` before `A@`.
    listed.sort_by_key(|symbol| (std::cmp::Reverse(symbol.len()), *symbol));
    let listed = listed.into_iter().map(|symbol| format!(" {}", escape(symbol)));
    let alternatives = std::iter::once(TAG.to_owned()).chain(listed).chain([WORD, DIGIT, SIGN, ANYTHING].map(str::to_owned));
    alternatives.collect::<Vec<_>>().join("|")
}

/// Says whether a regular expression is one of [`pieces`], of whatever panel.
pub(super) fn is_trained(pieces: &str) -> bool {
    let after = format!("|{WORD}|{DIGIT}|{SIGN}|{ANYTHING}");
    let Some(listed) = pieces.strip_prefix(TAG).and_then(|rest| rest.strip_suffix(&after)) else { return false };
    // A blank stands before each symbol, and there is none inside.
    let mut symbols = listed.split("| ");
    symbols.next() == Some("") && symbols.all(is_escaped)
}

/// Characters that mean something to a regular expression.
const SPECIAL: &str = r"\.+*?()|[]{}^$";

fn escape(symbol: &str) -> String {
    symbol.chars().flat_map(|c| SPECIAL.contains(c).then_some('\\').into_iter().chain([c])).collect()
}

/// Says whether a regular expression matches nothing but one symbol.
fn is_escaped(pieces: &str) -> bool {
    let mut characters = pieces.chars();
    while let Some(c) = characters.next() {
        let is_literal = match c {
            '\\' => characters.next().is_some_and(|escaped| SPECIAL.contains(escaped)),
            _ => !SPECIAL.contains(c) && !c.is_whitespace(),
        };
        if !is_literal {
            return false;
        }
    }
    !pieces.is_empty()
}

#[cfg(test)]
mod tests {
    use tokenizers::pre_tokenizers::split::{Split, SplitPattern};
    use tokenizers::{OffsetReferential, OffsetType, PreTokenizedString, PreTokenizer, SplitDelimiterBehavior};

    use super::*;

    fn check(symbols: &[&str], text: &str, expected: &[&str]) {
        let panel = Vocabulary::new(symbols).unwrap();
        let split = Split::new(SplitPattern::Regex(pieces(&panel)), SplitDelimiterBehavior::Isolated, false).unwrap();
        let mut pieces = PreTokenizedString::from(text);
        split.pre_tokenize(&mut pieces).unwrap();
        let pieces = pieces.get_splits(OffsetReferential::Original, OffsetType::Byte);
        assert_eq!(pieces.iter().map(|(piece, _, _)| *piece).collect::<Vec<_>>(), expected);
    }

    #[test]
    fn a_header_is_cut_into_tags_keys_and_digits() {
        check(
            &[],
            "<pos> X: -12.5, Y:7 <meta> class: L2/3 IT <cs>",
            &["<pos>", " X:", " -", "1", "2", ".", "5", ",", " Y:", "7", " <meta>", " class:", " L2/3", " IT", " <cs>"],
        );
    }

    #[test]
    fn symbols_stay_whole() {
        check(&[], " 1700016P03RIK H2-K1 HLA-A AC012.1 5S_R </cs>", &[" 1700016P03RIK", " H2-K1", " HLA-A", " AC012.1", " 5S_R", " </cs>"]);
        check(&["IGH@", "A+B", "12"], " IGH@ A+B 12", &[" IGH@", " A+B", " 1", "2"]);
    }

    #[test]
    fn anything_else_is_cut_into_characters() {
        check(&[], "a  b\n(+€)", &["a", " ", " b", "\n", "(", "+", "€", ")"]);
    }

    #[test]
    fn a_trained_pattern_is_known_again() {
        for symbols in [&[][..], &["GFAP"], &["IGH@", "A+B", "A(B).C", "A|B"]] {
            let pieces = pieces(&Vocabulary::new(symbols).unwrap());
            assert!(is_trained(&pieces), "{pieces}");
        }
        let pieces = pieces(&Vocabulary::new(["IGH@"]).unwrap());
        for other in [r"IGH@ B", r"IGH.", r"IGH\s", r"IGH@|\s+", "("] {
            let other = pieces.replace("IGH@", other);
            assert!(!is_trained(&other), "{other}");
        }
    }

    #[test]
    fn a_listed_symbol_is_escaped() {
        assert_eq!(escape("A(B).C"), r"A\(B\)\.C");
    }
}
