//! Bytes as printable characters, as in every byte-level `tokenizer.json`.
//!
//! Bytes that print as a Latin-1 character stand for themselves; the other 68 are numbered from U+0100, so that a blank
//! is `Ġ` (U+0120).

fn stands_for_itself(byte: u8) -> bool {
    matches!(byte, b'!'..=b'~' | 0xa1..=0xac | 0xae..=0xff)
}

fn character(byte: u8) -> char {
    if stands_for_itself(byte) {
        char::from(byte)
    } else {
        let number = (0..byte).filter(|&other| !stands_for_itself(other)).count() as u32;
        char::from_u32(0x100 + number).expect("below the surrogates")
    }
}

/// Writes bytes as a token.
pub(super) fn encode(bytes: &[u8]) -> String {
    bytes.iter().map(|&byte| character(byte)).collect()
}

/// Reads a token back. A character that stands for no byte is kept as its own UTF-8 bytes.
pub(super) fn decode(token: &str) -> Box<[u8]> {
    let mut bytes = Vec::with_capacity(token.len());
    for c in token.chars() {
        match byte_of(c) {
            Some(byte) => bytes.push(byte),
            None => bytes.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
    bytes.into()
}

fn byte_of(c: char) -> Option<u8> {
    let code = u32::from(c);
    match u8::try_from(code) {
        Ok(byte) => stands_for_itself(byte).then_some(byte),
        Err(_) => {
            let number = code.checked_sub(0x100)? as usize;
            (0..=u8::MAX).filter(|&byte| !stands_for_itself(byte)).nth(number)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_comes_back() {
        for byte in 0..=u8::MAX {
            assert_eq!(&*decode(&encode(&[byte])), [byte]);
        }
    }

    #[test]
    fn the_characters_are_those_of_published_tokenizers() {
        assert_eq!(encode(b" GFAP\n"), "ĠGFAPĊ");
        assert_eq!(encode("é".as_bytes()), "Ã©");
        assert_eq!(encode(&[0x7f, 0xad]), "ġŃ");
    }

    #[test]
    fn a_character_that_is_no_byte_is_kept() {
        assert_eq!(&*decode("中"), "中".as_bytes());
    }
}
