//! The header of a safetensors file, checked before any of its data is touched.
//!
//! The file is an unsigned 64-bit length, that many bytes of JSON, and the data. The JSON maps each tensor's name to its data
//! type, shape and byte range. Read here, and not by the `safetensors` crate, so that an error names the key at fault.

use std::fmt;

use serde::Deserialize;
use serde::de::{MapAccess, Visitor};

use super::{HeaderError, WeightType};

/// Length of the field before the header.
pub(super) const LENGTH_BYTES: usize = 8;
/// Longest header that is read, as in the `safetensors` crate.
const LONGEST_HEADER: u64 = 100_000_000;

/// Where a tensor lies in a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TensorEntry {
    pub(crate) name: String,
    pub(crate) weight_type: WeightType,
    pub(crate) shape: Vec<usize>,
    /// Position in the file, past the header.
    pub(crate) start: usize,
    /// Length in bytes.
    pub(crate) length: usize,
}

/// Reads and checks the header of a file. Entries come back in the order of their data.
pub(super) fn parse(file: &[u8]) -> Result<Vec<TensorEntry>, HeaderError> {
    let found = file.len() as u64;
    let Some(length) = file.first_chunk::<LENGTH_BYTES>() else {
        return Err(HeaderError::Truncated { needed: LENGTH_BYTES as u64, found });
    };
    let length = u64::from_le_bytes(*length);
    if length > LONGEST_HEADER {
        return Err(HeaderError::TooLong { found: length, limit: LONGEST_HEADER });
    }
    let data_start = LENGTH_BYTES + length as usize;
    let Some(json) = file.get(LENGTH_BYTES..data_start) else {
        return Err(HeaderError::Truncated { needed: data_start as u64, found });
    };
    let Keys(mut keys) = serde_json::from_slice(json)?;
    if let Some(name) = first_duplicate(&keys) {
        return Err(HeaderError::DuplicateKey { name });
    }
    keys.sort_by_key(|(_, raw)| raw.data_offsets);

    let mut entries = Vec::with_capacity(keys.len());
    let mut end = 0;
    for (name, raw) in keys {
        let entry = check(name, raw, end, data_start)?;
        // Cannot overflow: the last byte's offset is a u64 itself.
        end += entry.length as u64;
        entries.push(entry);
    }
    let expected = end.saturating_add(data_start as u64);
    if expected != found {
        return Err(HeaderError::FileLength { expected, found });
    }
    Ok(entries)
}

/// Renders the length field and the header for entries whose `start` counts from the end of the header.
pub(super) fn render(entries: &[TensorEntry]) -> Vec<u8> {
    let mut object = serde_json::Map::new();
    object.insert("__metadata__".to_owned(), serde_json::json!({ "format": "pt" }));
    for entry in entries {
        let value = serde_json::json!({
            "dtype": entry.weight_type.name(),
            "shape": entry.shape,
            "data_offsets": [entry.start, entry.start + entry.length],
        });
        object.insert(entry.name.clone(), value);
    }
    let mut json = serde_json::Value::Object(object).to_string().into_bytes();
    // Data starts at a multiple of eight, so that a mapped file is aligned.
    json.resize(json.len().next_multiple_of(LENGTH_BYTES), b' ');
    [&(json.len() as u64).to_le_bytes()[..], &json].concat()
}

fn check(name: String, raw: RawEntry, expected: u64, data_start: usize) -> Result<TensorEntry, HeaderError> {
    let Some(weight_type) = WeightType::from_name(&raw.dtype) else {
        return Err(HeaderError::WeightType { name, found: raw.dtype });
    };
    let (start, end) = raw.data_offsets;
    let needed = raw.shape.iter().try_fold(weight_type.size() as u64, |bytes, &side| bytes.checked_mul(side)).unwrap_or(u64::MAX);
    if end.checked_sub(start) != Some(needed) {
        return Err(HeaderError::Size { name, start, end, needed });
    }
    if start != expected {
        return Err(HeaderError::Offset { name, start, expected });
    }
    let shape = raw.shape.iter().map(|&side| side as usize).collect();
    Ok(TensorEntry { name, weight_type, shape, start: data_start.saturating_add(start as usize), length: needed as usize })
}

fn first_duplicate(keys: &[(String, RawEntry)]) -> Option<String> {
    let mut seen = std::collections::HashSet::new();
    keys.iter().find(|(name, _)| !seen.insert(name)).map(|(name, _)| name.clone())
}

#[derive(Deserialize)]
struct RawEntry {
    dtype: String,
    shape: Vec<u64>,
    data_offsets: (u64, u64),
}

/// The keys in the order of the file, duplicates included, `__metadata__` left out.
struct Keys(Vec<(String, RawEntry)>);

impl<'de> Deserialize<'de> for Keys {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(KeysVisitor)
    }
}

struct KeysVisitor;

impl<'de> Visitor<'de> for KeysVisitor {
    type Value = Keys;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of tensors")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Keys, A::Error> {
        let mut keys = Vec::new();
        while let Some(name) = map.next_key::<String>()? {
            if name == "__metadata__" {
                map.next_value::<serde::de::IgnoredAny>()?;
            } else {
                keys.push((name, map.next_value()?));
            }
        }
        Ok(Keys(keys))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(json: &str, data: usize) -> Vec<u8> {
        [&(json.len() as u64).to_le_bytes()[..], json.as_bytes(), &vec![0; data]].concat()
    }

    fn check_error(file: &[u8], expected: &str) {
        assert_eq!(parse(file).unwrap_err().to_string(), expected);
    }

    #[test]
    fn what_is_rendered_is_parsed() {
        let mut entries = vec![
            TensorEntry { name: "a".into(), weight_type: WeightType::F32, shape: vec![2, 3], start: 0, length: 24 },
            TensorEntry { name: "b".into(), weight_type: WeightType::Bf16, shape: vec![0], start: 24, length: 0 },
            TensorEntry { name: "c".into(), weight_type: WeightType::F16, shape: vec![], start: 24, length: 2 },
        ];
        let mut bytes = render(&entries);
        let data_start = bytes.len();
        bytes.extend([0; 26]);
        entries.iter_mut().for_each(|entry| entry.start += data_start);
        assert_eq!(parse(&bytes).unwrap(), entries);
    }

    #[test]
    fn a_short_file_is_refused() {
        check_error(&[1, 2, 3], "the header needs 8 bytes, the file has 3");
        check_error(&file("{}", 0)[..9], "the header needs 10 bytes, the file has 9");
        check_error(&u64::MAX.to_le_bytes(), "the header claims 18446744073709551615 bytes, at most 100000000 are read");
    }

    #[test]
    fn text_that_is_not_a_header_is_refused() {
        for text in ["[]", "{", r#"{"a": 1}"#, r#"{"a": {"dtype": "F32", "shape": [-1], "data_offsets": [0, 4]}}"#] {
            check_error(&file(text, 0), "not a safetensors header");
        }
    }

    #[test]
    fn a_tensor_at_fault_is_named() {
        let one = |entry: &str| file(&format!(r#"{{"a": {entry}}}"#), 8);
        check_error(&one(r#"{"dtype": "I64", "shape": [1], "data_offsets": [0, 8]}"#), "a has data type I64, expected F32, F16 or BF16");
        check_error(&one(r#"{"dtype": "F32", "shape": [3], "data_offsets": [0, 8]}"#), "a has bytes 0..8, its shape and data type need 12");
        check_error(&one(r#"{"dtype": "F32", "shape": [2], "data_offsets": [8, 0]}"#), "a has bytes 8..0, its shape and data type need 8");
        check_error(
            &one(r#"{"dtype": "F32", "shape": [4611686018427387904, 4], "data_offsets": [0, 8]}"#),
            "a has bytes 0..8, its shape and data type need 18446744073709551615",
        );
        check_error(&one(r#"{"dtype": "F32", "shape": [1], "data_offsets": [4, 8]}"#), "a starts at byte 4, expected 0");
    }

    #[test]
    fn offsets_at_the_end_of_the_number_range_are_refused() {
        let json = format!(r#"{{"a": {{"dtype": "BF16", "shape": [{}], "data_offsets": [0, {}]}}}}"#, u64::MAX / 2, u64::MAX - 1);
        check_error(&file(&json, 8), &format!("header and tensors need {} bytes, the file has {}", u64::MAX, 16 + json.len()));
    }

    #[test]
    fn duplicates_and_overlaps_are_refused() {
        let entry = r#"{"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}"#;
        check_error(&file(&format!(r#"{{"a": {entry}, "a": {entry}}}"#), 4), "the key a occurs twice");
        check_error(&file(&format!(r#"{{"a": {entry}, "b": {entry}}}"#), 4), "b starts at byte 0, expected 4");
    }

    #[test]
    fn a_file_of_another_length_is_refused() {
        let json = r#"{"a": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}"#;
        let length = 8 + json.len();
        check_error(&file(json, 3), &format!("header and tensors need {} bytes, the file has {}", length + 4, length + 3));
        check_error(&file(json, 5), &format!("header and tensors need {} bytes, the file has {}", length + 4, length + 5));
    }
}
