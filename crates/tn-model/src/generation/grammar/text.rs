//! Free text inside a header.

use crate::tokenizer::SentenceTokenizer;

/// The tokens of a free text, by place; each list is ascending.
#[derive(Clone, Debug)]
pub(crate) struct TextTokens {
    /// The first token: begins with a blank.
    opening: Vec<u32>,
    /// After a token with more than a blank.
    following: Vec<u32>,
    /// After a lone blank.
    after_blank: Vec<u32>,
    /// Once the text is long enough.
    ends: Vec<u32>,
    /// Tokens that end the text: its last token, or one that closes it and may bring some text.
    closing: Vec<u32>,
    blank: Option<u32>,
    max_tokens: usize,
}

/// Where a free text is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct TextPlace {
    tokens: usize,
    after_blank: bool,
}

/// What the text of a token is good for.
enum Kind {
    /// Begins with a blank.
    Word,
    /// Goes on.
    Piece,
    /// Goes on and ends in a comma.
    WithComma,
}

impl TextTokens {
    /// Collects the tokens of a text of up to `max_tokens` tokens, or one more after a lone blank, that the tokens `end` follow; `None` when
    /// no text is possible or the first token of the end could be a part of it.
    pub(super) fn new(tokenizer: &SentenceTokenizer, end: &[u32], max_tokens: usize) -> Option<Self> {
        let end = *end.first()?;
        let ends_in_comma = tokenizer.token_text(end) == b",";
        let (mut words, mut pieces, mut closing) = (Vec::new(), Vec::new(), vec![end]);
        for id in (0..tokenizer.vocab_size() as u32).filter(|&id| id != tokenizer.end_of_text()) {
            match kind(tokenizer.token_text(id)) {
                Some(Kind::Word) => words.push(id),
                Some(Kind::Piece) => pieces.push(id),
                Some(Kind::WithComma) if ends_in_comma => closing.push(id),
                _ => {}
            }
        }
        let is_ambiguous = words.contains(&end) || pieces.contains(&end) || tokenizer.token_text(end) == b" ";
        if max_tokens == 0 || words.is_empty() || pieces.is_empty() || is_ambiguous {
            return None;
        }
        let blank = tokenizer.single_token(" ");
        let sorted = |lists: &[&[u32]]| {
            let mut ids = lists.concat();
            ids.sort_unstable();
            ids
        };
        let blanks: Vec<u32> = blank.into_iter().collect();
        closing.sort_unstable();
        Some(Self {
            opening: sorted(&[&words, &blanks]),
            following: sorted(&[&words, &pieces, &blanks, &closing]),
            after_blank: pieces,
            ends: vec![end],
            closing,
            blank,
            max_tokens,
        })
    }

    /// Returns the tokens that are possible at a place.
    pub(super) fn allowed(&self, place: TextPlace) -> &[u32] {
        match place {
            TextPlace { after_blank: true, .. } => &self.after_blank,
            TextPlace { tokens: 0, .. } => &self.opening,
            TextPlace { tokens, .. } if tokens >= self.max_tokens => &self.ends,
            _ => &self.following,
        }
    }

    /// Returns the place after an allowed token; `None` when it ends the text.
    pub(super) fn after(&self, place: TextPlace, token: u32) -> Option<TextPlace> {
        let ends = place.tokens > 0 && !place.after_blank && self.closing.binary_search(&token).is_ok();
        (!ends).then(|| TextPlace { tokens: place.tokens + 1, after_blank: self.blank == Some(token) })
    }
}

/// Returns the use of a token inside a value; `None` for what would end or change it: tags, commas, escapes, control characters, white
/// space other than a blank at the front, and parts of characters.
fn kind(text: &[u8]) -> Option<Kind> {
    let text = std::str::from_utf8(text).ok()?;
    let (text, begins_with_blank) = text.strip_prefix(' ').map_or((text, false), |text| (text, true));
    let is_plain = |text: &str| {
        let is_unfit = |c: char| c.is_whitespace() || c.is_control() || matches!(c, ',' | '<' | '>' | '%' | char::REPLACEMENT_CHARACTER);
        !text.is_empty() && !text.contains(is_unfit)
    };
    match text.strip_suffix(',') {
        Some(text) if is_plain(text) && !begins_with_blank => Some(Kind::WithComma),
        Some(_) => None,
        None if !is_plain(text) => None,
        None => Some(if begins_with_blank { Kind::Word } else { Kind::Piece }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_that_would_break_the_header_are_left_out() {
        for text in [&b"<"[..], b" <", b"a,b", b",,", b",", b" ", b"  a", b"a b", b"\n", b"%2", &[0xff], b"", b" ,"] {
            assert!(kind(text).is_none(), "{text:?}");
        }
        assert!(matches!(kind(b" L2/3"), Some(Kind::Word)));
        assert!(matches!(kind(b"8+:"), Some(Kind::Piece)));
        assert!(matches!(kind(b"+,"), Some(Kind::WithComma)));
    }
}
