//! What is known about a cell or a sentence besides its genes.

use std::{borrow::Cow, fmt};

use compact_str::CompactString;
use thiserror::Error;

/// The value of a key that is missing, as written in text.
pub const NOT_AVAILABLE: &str = "N/A";

/// The value of an item that is only a key.
pub(crate) const NO_VALUE: &str = "true";

/// Ordered key and value pairs, such as `class: HY GABA, spatial_domain: HY`.
///
/// Keys are trimmed and lower-cased; values are trimmed. A key occurs once: inserting it again replaces the value and
/// keeps the place.
///
/// # Text
///
/// Pairs are written `key: value`, joined by `, `. A comma or `<` in a value would end the value, so they are written
/// `%2C` and `%3C`; a `%` that stands before such a code is written `%25`. Values without them, which is nearly all,
/// are written as they are. Reading reverses the rule.
///
/// # Examples
///
/// ```
/// use tn_sentence::Metadata;
///
/// let mut metadata = Metadata::new();
/// metadata.insert("Class", "Inflammatory, monocyte")?;
/// assert_eq!(metadata.get("class"), Some("Inflammatory, monocyte"));
/// assert_eq!(metadata.to_string(), "class: Inflammatory%2C monocyte");
/// assert_eq!(metadata.select(&["layer", "class"]).get("layer"), Some("N/A"));
/// # Ok::<(), tn_sentence::MetadataError>(())
/// ```
#[derive(Clone, Debug, Default, Eq, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(try_from = "Vec<(String, String)>", into = "Vec<(String, String)>"))]
pub struct Metadata(Vec<(CompactString, CompactString)>);

impl Metadata {
    /// Returns metadata without any pair.
    pub fn new() -> Self {
        Self::default()
    }

    /// Builds metadata from pairs, in their order.
    ///
    /// # Errors
    ///
    /// Returns an error for a key that would not survive in text: see [`Metadata::insert`].
    pub fn from_pairs<K, V, I>(pairs: I) -> Result<Self, MetadataError>
    where
        K: AsRef<str>,
        V: AsRef<str>,
        I: IntoIterator<Item = (K, V)>,
    {
        let mut metadata = Self::new();
        for (key, value) in pairs {
            metadata.insert(key.as_ref(), value.as_ref())?;
        }
        Ok(metadata)
    }

    /// Adds a pair, or replaces the value of a key that is there.
    ///
    /// # Errors
    ///
    /// Returns an error for a key that is empty or holds one of `,`, `:`, `<` and `>`. Any value is accepted.
    pub fn insert(&mut self, key: &str, value: &str) -> Result<(), MetadataError> {
        let key = normalize_key(key);
        if key.is_empty() {
            return Err(MetadataError::EmptyKey);
        }
        if let Some(character) = key.chars().find(|c| matches!(c, ',' | ':' | '<' | '>')) {
            return Err(MetadataError::InvalidKey { key: key.into_owned(), character });
        }
        let value = CompactString::from(value.trim());
        match self.0.iter_mut().find(|(other, _)| *other == key) {
            Some(pair) => pair.1 = value,
            None => self.0.push((CompactString::from(key), value)),
        }
        Ok(())
    }

    /// Returns the value of a key, compared in lower case.
    pub fn get(&self, key: &str) -> Option<&str> {
        let key = normalize_key(key);
        self.0.iter().find(|(other, _)| *other == key).map(|(_, value)| value.as_str())
    }

    /// Returns the pairs in their order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, &str)> + '_ {
        self.0.iter().map(|(key, value)| (key.as_str(), value.as_str()))
    }

    /// Returns the number of pairs.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Returns whether there is no pair.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns the pairs of the given keys, in their order; a missing key or an empty value becomes
    /// [`NOT_AVAILABLE`].
    ///
    /// A key that can be no metadata key is left out.
    pub fn select<S: AsRef<str>>(&self, keys: &[S]) -> Self {
        let mut selected = Self::new();
        for key in keys {
            let value = self.get(key.as_ref()).filter(|value| !value.is_empty());
            // A key that `insert` refuses cannot have been in `self` either.
            let _ = selected.insert(key.as_ref(), value.unwrap_or(NOT_AVAILABLE));
        }
        selected
    }
}

fn normalize_key(key: &str) -> Cow<'_, str> {
    let key = key.trim();
    if key.bytes().all(|b| b.is_ascii() && !b.is_ascii_uppercase()) { Cow::Borrowed(key) } else { Cow::Owned(key.to_lowercase()) }
}

/// The characters that a value cannot hold in text, and the codes that stand for them.
const CODES: [(char, &str); 3] = [('%', "%25"), (',', "%2C"), ('<', "%3C")];

/// Returns a value as it is written.
pub(crate) fn escape(value: &str) -> Cow<'_, str> {
    if !value.contains(['%', ',', '<']) {
        return Cow::Borrowed(value);
    }
    let mut escaped = String::with_capacity(value.len() + 2);
    for (offset, character) in value.char_indices() {
        let code = CODES.iter().find(|(c, _)| *c == character);
        match code {
            Some(('%', _)) if code_at(&value[offset..]).is_none() => escaped.push('%'),
            Some((_, code)) => escaped.push_str(code),
            None => escaped.push(character),
        }
    }
    Cow::Owned(escaped)
}

/// Returns the value that was written as `text`.
pub(crate) fn unescape(text: &str) -> Cow<'_, str> {
    if !text.contains('%') {
        return Cow::Borrowed(text);
    }
    let mut value = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(offset) = rest.find('%') {
        value.push_str(&rest[..offset]);
        rest = &rest[offset..];
        let (character, len) = code_at(rest).unwrap_or(('%', 1));
        value.push(character);
        rest = &rest[len..];
    }
    value.push_str(rest);
    Cow::Owned(value)
}

/// Returns the character and the length of the code that `text` begins with.
fn code_at(text: &str) -> Option<(char, usize)> {
    CODES
        .iter()
        .find(|(_, code)| text.get(..code.len()).is_some_and(|head| head.eq_ignore_ascii_case(code)))
        .map(|(character, code)| (*character, code.len()))
}

impl fmt::Display for Metadata {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, (key, value)) in self.iter().enumerate() {
            let separator = if i > 0 { ", " } else { "" };
            write!(f, "{separator}{key}: {}", escape(value))?;
        }
        Ok(())
    }
}

impl TryFrom<Vec<(String, String)>> for Metadata {
    type Error = MetadataError;

    fn try_from(pairs: Vec<(String, String)>) -> Result<Self, Self::Error> {
        Self::from_pairs(pairs)
    }
}

impl From<Metadata> for Vec<(String, String)> {
    fn from(metadata: Metadata) -> Self {
        metadata.0.into_iter().map(|(key, value)| (key.into(), value.into())).collect()
    }
}

/// A key that would not survive in text.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
#[non_exhaustive]
pub enum MetadataError {
    /// The key is empty.
    #[error("metadata key is empty")]
    EmptyKey,
    /// The key holds a character that separates metadata.
    #[error("metadata key {key:?} holds {character:?}")]
    InvalidKey {
        /// The key.
        key: String,
        /// Its first character that is not allowed.
        character: char,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_later_value_keeps_the_earlier_place() {
        let metadata = Metadata::from_pairs([("A", "1"), ("b", "2"), ("a", "3")]).unwrap();
        assert_eq!(metadata.to_string(), "a: 3, b: 2");
    }

    #[test]
    fn a_missing_key_is_not_available() {
        let metadata = Metadata::from_pairs([("class", "OEC"), ("layer", "")]).unwrap();
        let selected = metadata.select(&["domain", "Class", "layer"]);
        assert_eq!(selected.to_string(), "domain: N/A, class: OEC, layer: N/A");
    }

    #[test]
    fn values_survive_escaping() {
        for value in ["", "plain", "a,b", "100%", "%2C", "%2c", "%252C", "<cs>", "%%25", "%,", "é%3C", "a: b"] {
            let escaped = escape(value);
            assert!(!escaped.contains([',', '<']), "{escaped}");
            assert_eq!(unescape(&escaped), value);
        }
    }

    #[test]
    fn a_lone_percent_sign_is_written_as_it_is() {
        assert_eq!(escape("50% necrosis"), "50% necrosis");
    }

    #[test]
    fn an_empty_key_is_an_error() {
        assert_eq!(Metadata::new().insert("  ", "x"), Err(MetadataError::EmptyKey));
    }

    #[test]
    fn a_key_with_a_separator_is_an_error() {
        assert_eq!(Metadata::new().insert("Cell, type", "x"), Err(MetadataError::InvalidKey { key: "cell, type".into(), character: ',' }));
    }
}
