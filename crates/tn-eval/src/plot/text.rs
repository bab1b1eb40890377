//! How wide texts are, and how they are made to fit.
//!
//! A figure does not know the font it will be shown in, so that widths are upper estimates: each character is as wide as in the
//! widest of Liberation Sans (which is as wide as Arial and Helvetica), DejaVu Sans and Noto Sans.

use std::borrow::Cow;

use super::svg::TextStyle;

/// Widths of the printable ASCII characters from the space on, in thousandths of the font size.
#[rustfmt::skip]
const REGULAR: [u16; 95] = [
    318, 401, 460, 838, 636, 950, 780, 275, 390, 390, 551, 838, 318, 361, 318, 372, 636, 636, 636,
    636, 636, 636, 636, 636, 636, 636, 337, 337, 838, 838, 838, 556, 1015, 684, 686, 722, 770, 667,
    611, 778, 752, 339, 500, 667, 557, 907, 760, 787, 667, 787, 722, 667, 611, 732, 684, 989, 685,
    667, 685, 390, 372, 390, 838, 556, 580, 613, 635, 550, 635, 615, 352, 635, 634, 278, 278, 579,
    278, 974, 634, 612, 635, 635, 413, 521, 392, 634, 592, 818, 592, 592, 525, 636, 551, 636, 838,
];

#[rustfmt::skip]
const BOLD: [u16; 95] = [
    348, 456, 521, 838, 696, 1002, 872, 306, 457, 457, 545, 838, 380, 415, 380, 413, 696, 696, 696,
    696, 696, 696, 696, 696, 696, 696, 400, 400, 838, 838, 838, 611, 1000, 774, 762, 734, 830, 683,
    683, 821, 837, 389, 556, 775, 637, 995, 837, 850, 733, 850, 770, 720, 682, 812, 774, 1103, 771,
    724, 725, 457, 413, 457, 838, 556, 607, 675, 716, 593, 716, 678, 435, 716, 712, 343, 343, 665,
    343, 1042, 712, 687, 716, 716, 493, 595, 478, 712, 652, 924, 645, 652, 582, 712, 551, 712, 838,
];

/// Size of subscripts, as a share of the size of the text around them.
pub(super) const SUBSCRIPT: f64 = 0.72;

/// Returns the digit that a subscript digit such as `₂` stands for.
pub(super) fn subscript_digit(c: char) -> Option<char> {
    ('\u{2080}'..='\u{2089}').contains(&c).then(|| char::from(b'0' + (c as u32 - 0x2080) as u8))
}

/// Returns an upper estimate of the width of a text, in pixels.
pub(super) fn text_width(text: &str, style: TextStyle) -> f64 {
    text.chars().map(|c| advance(c, style.weight > 500)).sum::<f64>() * style.size
}

fn advance(c: char, bold: bool) -> f64 {
    if let Some(digit) = subscript_digit(c) {
        return SUBSCRIPT * advance(digit, bold);
    }
    if let Some(width) = (c as usize).checked_sub(' ' as usize).and_then(|index| if bold { BOLD.get(index) } else { REGULAR.get(index) }) {
        return f64::from(*width) / 1000.0;
    }
    let regular = match c {
        '\t' | '\n' | '\r' => 0.35,
        c if c.is_control() => 0.0,
        '\u{300}'..='\u{36F}' => 0.0,
        '·' => 0.34,
        '–' => 0.56,
        '°' | 'µ' | 'μ' | '•' => 0.65,
        '−' | '±' | '×' | '≤' | '≥' => 0.84,
        // Most of these scripts are narrower, few of their letters wider.
        '\u{A0}'..='\u{3FF}' if c.is_lowercase() => 0.75,
        '\u{A0}'..='\u{3FF}' => 1.0,
        '\u{1F000}'.. => 1.4,
        _ => 1.1,
    };
    if bold { 1.15 * regular } else { regular }
}

/// Returns the text, cut and ended by `…` if it is wider than `width`; nothing if not even that fits.
pub(super) fn fitted(text: &str, style: TextStyle, width: f64) -> Cow<'_, str> {
    if text_width(text, style) <= width {
        return Cow::Borrowed(text);
    }
    let mut room = width - text_width("…", style);
    if room < 0.0 {
        return Cow::Borrowed("");
    }
    let mut kept = 0;
    for (index, c) in text.char_indices() {
        room -= advance(c, style.weight > 500) * style.size;
        if room < 0.0 {
            break;
        }
        kept = index + c.len_utf8();
    }
    Cow::Owned(format!("{}…", text[..kept].trim_end()))
}

/// Returns the text in at most `lines` lines, broken behind blanks, hyphens, slashes and underscores; what is too long is cut.
pub(super) fn wrapped(text: &str, style: TextStyle, width: f64, lines: usize) -> Vec<String> {
    let mut rest = text.trim();
    let mut broken = Vec::new();
    while !rest.is_empty() && broken.len() + 1 < lines {
        let mut end = 0;
        for part in rest.split_inclusive([' ', '-', '/', '_']) {
            if text_width(rest[..end + part.len()].trim_end(), style) > width {
                break;
            }
            end += part.len();
        }
        if end == 0 || end == rest.len() {
            break;
        }
        broken.push(rest[..end].trim_end().to_owned());
        rest = rest[end..].trim_start();
    }
    if !rest.is_empty() {
        broken.push(fitted(rest, style, width).into_owned());
    }
    broken
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::super::svg::Anchor;
    use super::*;

    fn style() -> TextStyle {
        TextStyle::new(10.0, Anchor::Start)
    }

    #[test]
    fn no_character_is_wider_than_estimated() {
        let golden: Value = serde_json::from_str(include_str!("../../../../data-fixtures/golden/text_width.json")).unwrap();
        for (weight, style) in [("regular", style()), ("bold", style().bold())] {
            let cases = golden["cases"][weight].as_object().unwrap();
            assert!(cases.len() > 95);
            for (character, widths) in cases {
                let widest = widths.as_array().unwrap().iter().map(|width| width.as_f64().unwrap() / 100.0).fold(0.0, f64::max);
                let estimate = text_width(character, style);
                assert!(estimate >= widest - 1e-9, "{character:?} in {weight}: {estimate}, {widest}");
                assert!(!character.is_ascii() || estimate < widest + 0.01, "{character:?} in {weight}: {estimate}, {widest}");
            }
        }
    }

    #[test]
    fn a_long_text_is_cut() {
        assert_eq!(fitted("GFAP", style(), 100.0), "GFAP");
        assert_eq!(fitted("GFAP AQP4", style(), 45.0), "GFAP…");
        assert_eq!(fitted("GFAP", style(), 5.0), "");
        let cut = fitted("Ünïcödé Ünïcödé", style(), 60.0);
        assert!(cut.ends_with('…') && text_width(&cut, style()) <= 60.0);
    }

    #[test]
    fn lines_break_behind_words() {
        let check = |text: &str, width: f64, expected: &[&str]| assert_eq!(wrapped(text, style(), width, 2), expected);
        check("Interferon gamma signaling", 300.0, &["Interferon gamma signaling"]);
        check("Interferon gamma signaling", 100.0, &["Interferon gamma", "signaling"]);
        check("HALLMARK_INTERFERON_GAMMA_RESPONSE", 150.0, &["HALLMARK_INTERFERON_", "GAMMA_RESPONSE"]);
        check("HALLMARK_INTERFERON_GAMMA_RESPONSE", 100.0, &["HALLMARK_", "INTERFERON_GA…"]);
        check("Immunoglobulin", 40.0, &["Imm…"]);
        check(" ", 40.0, &[]);
    }
}
