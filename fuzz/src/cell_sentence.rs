//! Any text as a cell and as a spatial sentence.

use tn_sentence::{CellSentence, CoordinateFormat, Skipped, SpatialSentence, compat};

/// Checks the parsers with a text.
///
/// # Panics
///
/// Panics if a parser does, or if it breaks a promise of its documentation.
pub fn check(text: &str) {
    let (sentence, skipped) = SpatialSentence::parse_lenient(text);
    crate::check_skipped(text, &skipped);
    match SpatialSentence::parse(text) {
        Ok(strict) => {
            assert_eq!((&strict, skipped.as_slice()), (&sentence, &[][..]));
            assert_eq!(compat::parse_spatial_sentence(text), Ok(strict));
        }
        Err(error) => assert!(error.offset() <= text.len() && !skipped.is_empty(), "{error}"),
    }
    // Nothing else than what was reported kept the text from being well-formed.
    assert_eq!(SpatialSentence::parse(&blank_out(text, &skipped)).as_ref(), Ok(&sentence));
    assert_eq!(SpatialSentence::parse(&sentence.to_string()).as_ref(), Ok(&sentence));
    for cell in sentence.cells() {
        assert_eq!(CellSentence::parse(&cell.to_string()).as_ref(), Ok(cell));
        let whole = CellSentence::parse(&cell.display(CoordinateFormat::Integer).to_string());
        assert_eq!(whole.as_ref().map(|whole| (whole.ranking(), whole.metadata())), Ok((cell.ranking(), cell.metadata())));
        // Such text does not always parse.
        let _ = CellSentence::parse(&cell.display(CoordinateFormat::PublishedG).to_string());
    }

    let (first, skipped) = CellSentence::parse_lenient(text);
    crate::check_skipped(text, &skipped);
    assert_eq!(first.as_ref(), sentence.cells().first());
    if let Ok(cell) = CellSentence::parse(text) {
        assert_eq!(compat::parse_cell(text), Ok(cell));
    }
}

fn blank_out(text: &str, skipped: &[Skipped]) -> String {
    let mut rest = String::with_capacity(text.len());
    let mut end = 0;
    for Skipped { range, .. } in skipped {
        rest.push_str(&text[end..range.start]);
        rest.extend(range.clone().map(|_| ' '));
        end = range.end;
    }
    rest.push_str(&text[end..]);
    rest
}
