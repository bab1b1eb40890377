//! Where the coordinates of cells stand in a text.

use std::ops::Range;

/// Returns the byte ranges of the coordinates in the headers of cells: the whole numbers, signs included.
///
/// A header is what stands between `<pos>` (in either case) and the next tag. Inside it, a number after `X:` or `Y:` is a
/// coordinate; anything else (a metadata value, a gene called `MAX`) is not. Numbers may have a sign, a fraction and an
/// exponent.
///
/// ```
/// let text = "<pos> X: -30, Y: 40.5 <meta> depth: 7 <cs> GFAP </cs>";
/// let numbers: Vec<_> = tn_model::coordinate_spans(text).into_iter().map(|span| &text[span]).collect();
/// assert_eq!(numbers, ["-30", "40.5"]);
/// ```
pub fn coordinate_spans(text: &str) -> Vec<Range<usize>> {
    let mut spans = Vec::new();
    for start in cell_starts(text) {
        let header_start = start + POSITION_TAG.len();
        let header_end = text[header_start..].find('<').map_or(text.len(), |length| header_start + length);
        let mut at = header_start;
        while let Some(span) = next_coordinate(text, at..header_end) {
            at = span.end;
            spans.push(span);
        }
    }
    spans
}

/// Returns the byte ranges that the published program hides from the loss.
///
/// Wherever `X:` or `Y:` is followed by a number (a minus sign and a fraction allowed, no exponent), the range begins with the
/// second character after the colon and ends with the number: a blank alone is skipped, a number that follows the
/// colon directly keeps its first character, and `MAX: 3` counts as a coordinate. The program then hides the tokens that lie
/// wholly inside a range.
pub fn published_coordinate_spans(text: &str) -> Vec<Range<usize>> {
    let mut spans = Vec::new();
    let mut at = 0;
    while let Some(length) = text[at..].find(['X', 'Y']) {
        let axis = at + length;
        at = axis + 1;
        let Some(after_colon) = text[at..].strip_prefix(':') else { continue };
        let number = after_colon.trim_start();
        let length = published_number_length(number);
        if length > 0 {
            let end = text.len() - number.len() + length;
            let first = after_colon.chars().next().map_or(0, char::len_utf8);
            let start = text.len() - after_colon.len() + first;
            if start < end {
                spans.push(start..end);
            }
            at = end;
        }
    }
    spans
}

const POSITION_TAG: &str = "<pos>";

/// Returns the byte offsets of `<pos>`, in either case.
pub(super) fn cell_starts(text: &str) -> impl Iterator<Item = usize> {
    let is_tag = |start: &usize| {
        let tag = text.as_bytes().get(*start..start + POSITION_TAG.len());
        tag.is_some_and(|tag| tag.eq_ignore_ascii_case(POSITION_TAG.as_bytes()))
    };
    text.match_indices('<').map(|(start, _)| start).filter(is_tag)
}

/// The first number after an axis and a colon.
fn next_coordinate(text: &str, header: Range<usize>) -> Option<Range<usize>> {
    let header_text = &text[header.clone()];
    for (axis, _) in header_text.match_indices(['X', 'Y', 'x', 'y']) {
        if header_text[..axis].ends_with(char::is_alphanumeric) {
            continue;
        }
        let Some(after_colon) = header_text[axis + 1..].trim_start().strip_prefix(':') else { continue };
        let number = after_colon.trim_start();
        let length = number_length(number);
        if length > 0 {
            let start = header.start + header_text.len() - number.len();
            return Some(start..start + length);
        }
    }
    None
}

/// Length of the number a text begins with, 0 if it does not.
fn number_length(text: &str) -> usize {
    let sign = usize::from(text.starts_with(['+', '-']));
    let whole = digits(&text[sign..]);
    let mut end = sign + whole;
    let fraction = text[end..].strip_prefix('.').map_or(0, digits);
    if whole + fraction == 0 {
        return 0;
    }
    if fraction > 0 {
        end += 1 + fraction;
    }
    if let Some(exponent) = text[end..].strip_prefix(['e', 'E']) {
        let sign = usize::from(exponent.starts_with(['+', '-']));
        match digits(&exponent[sign..]) {
            0 => {}
            length => end += 1 + sign + length,
        }
    }
    end
}

fn published_number_length(text: &str) -> usize {
    let sign = usize::from(text.starts_with('-'));
    match digits(&text[sign..]) {
        0 => 0,
        whole => {
            let end = sign + whole;
            match text[end..].strip_prefix('.').map_or(0, digits) {
                0 => end,
                fraction => end + 1 + fraction,
            }
        }
    }
}

fn digits(text: &str) -> usize {
    text.bytes().take_while(u8::is_ascii_digit).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &[&str]) {
        let numbers: Vec<_> = coordinate_spans(text).into_iter().map(|span| &text[span]).collect();
        assert_eq!(numbers, expected, "{text}");
    }

    fn check_published(text: &str, expected: &[&str]) {
        let hidden: Vec<_> = published_coordinate_spans(text).into_iter().map(|span| &text[span]).collect();
        assert_eq!(hidden, expected, "{text}");
    }

    #[test]
    fn whole_numbers_are_found() {
        check("<pos> X: -12.5, Y: +7 <cs> A </cs> <POS> X:0,y:1e+06<cs>", &["-12.5", "+7", "0", "1e+06"]);
        check("<pos> X: .5, Y: 5. <cs>", &[".5", "5"]);
        check("<pos> X: 1e, Y: 3.4.5", &["1", "3.4"]);
    }

    #[test]
    fn only_headers_hold_coordinates() {
        check("X: 1, Y: 2", &[]);
        check("<pos> X: 1, Y: 2 <meta> MAX: 3, X: 4 <cs> X: 5 </cs>", &["1", "2"]);
        check("<pos> MAX: 3, X: 4", &["4"]);
    }

    #[test]
    fn broken_headers_have_no_coordinates() {
        check("<pos>", &[]);
        check("<pos> X: , Y: -", &[]);
        check("<pos> X 1, Y= 2 <cs>", &[]);
        check("<po", &[]);
        check("é<pos>é X: 1é", &["1"]);
    }

    #[test]
    fn the_published_rules_differ_as_described() {
        check_published("MAX: 3 DAY: 12", &["3", "12"]);
        check_published("X:12 Y:\u{a0}-3", &["2", "-3"]);
        check_published("X: +5, X: 1e+06", &["1"]);
        check_published("X:5 Y: . X: - X", &[]);
    }
}
