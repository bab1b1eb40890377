//! Reading several cells.

use crate::{
    ParseError, Skipped, SpatialSentence,
    cell_sentence::parser::{Collect, Defects, MissingColon, Part, Refuse, parse_block, parse_metadata, split_blocks},
};

pub(super) fn parse(text: &str) -> Result<SpatialSentence, ParseError> {
    parse_with(text, &mut Refuse)
}

/// Parses with the given treatment of defects inside a block; a block without a cell is an error.
pub(crate) fn parse_with(text: &str, defects: &mut impl Defects) -> Result<SpatialSentence, ParseError> {
    let (head, blocks) = split_blocks(Part::whole(text));
    let metadata = parse_metadata(head, MissingColon::IsUnexpected, defects)?;
    let cells = blocks.map(|block| parse_block(block, defects)).collect::<Result<_, _>>()?;
    Ok(SpatialSentence::new(cells).with_metadata(metadata))
}

pub(super) fn parse_lenient(text: &str) -> (SpatialSentence, Vec<Skipped>) {
    let mut defects = Collect::default();
    let (head, blocks) = split_blocks(Part::whole(text));
    let metadata = parse_metadata(head, MissingColon::IsUnexpected, &mut defects);
    let mut cells = Vec::new();
    for block in blocks {
        match parse_block(block, &mut defects) {
            Ok(cell) => cells.push(cell),
            Err(reason) => {
                // `Collect` goes on with whatever it is told.
                let _ = defects.note(block.trim().range(), reason);
            }
        }
    }
    let sentence = SpatialSentence::new(cells).with_metadata(metadata.unwrap_or_default());
    (sentence, defects.into_skipped())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_lenient(text: &str, expected: &str, skipped: &[&str]) {
        let (sentence, report) = SpatialSentence::parse_lenient(text);
        assert_eq!(sentence.to_string(), expected);
        let found: Vec<&str> = report.iter().map(|s| &text[s.range.clone()]).collect();
        assert_eq!(found, skipped);
    }

    #[test]
    fn a_malformed_block_is_skipped_and_the_rest_is_read() {
        check_lenient(
            "<pos> <pos> X: 1, Y: 1 <cs> A </cs> <pos> X: 2, Y: 2",
            "<pos> X: 1, Y: 1 <cs> A </cs>",
            &["<pos>", "<pos> X: 2, Y: 2"],
        );
    }

    #[test]
    fn text_before_the_first_cell_is_the_head() {
        check_lenient("Sure, section: S1 <pos> X: 1, Y: 1 <cs> A </cs>", "section: S1 <pos> X: 1, Y: 1 <cs> A </cs>", &["Sure"]);
    }

    #[test]
    fn a_bad_word_costs_only_itself() {
        check_lenient(
            "<pos> X: 1, Y: 1 oops <meta> :, a: b <cs> A <B> A C </cs> bye",
            "<pos> X: 1, Y: 1 <meta> a: b <cs> A C </cs>",
            &["oops", ":", "<B>", "A", "bye"],
        );
    }

    #[test]
    fn text_without_a_cell_gives_an_empty_sentence() {
        check_lenient("only prefix text", "", &["only prefix text"]);
        check_lenient("", "", &[]);
    }

    #[test]
    fn strict_parsing_refuses_the_first_defect() {
        let text = "<pos> X: 1, Y: 1 <cs> A </cs> <pos> X: 1; Y: 1 <cs> A </cs>";
        assert_eq!(SpatialSentence::parse(text), Err(ParseError::MissingCoordinate { expected: ",", offset: 40 }));
    }
}
