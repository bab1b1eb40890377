//! Several cells: parsing and printing.

use serde_json::Value;
use tn_sentence::{CoordinateFormat, SpatialSentence, compat};

use super::{assert_cell, assert_same_text, golden, pairs, text};

fn assert_sentence(sentence: &SpatialSentence, expected: &Value) {
    assert_eq!(serde_json::json!(pairs(sentence.metadata())), expected["meta"]);
    let cells = expected["cells"].as_array().unwrap();
    assert_eq!(sentence.cells().len(), cells.len());
    for (cell, expected) in sentence.cells().iter().zip(cells) {
        assert_cell(cell, expected);
    }
    let printed = sentence.display(CoordinateFormat::PublishedG).to_string();
    assert_same_text(&printed, text(&expected["to_string"]));
}

#[test]
fn lenient_parsing_reads_what_the_published_program_reads() {
    for case in golden("spatial_sentence") {
        let (sentence, _) = SpatialSentence::parse_lenient(text(&case["text"]));
        assert_sentence(&sentence, &case["expected"]["lenient"]["ok"]);
    }
}

#[test]
fn strict_parsing_refuses_what_the_published_program_refuses() {
    for case in golden("spatial_sentence") {
        let input = text(&case["text"]);
        let parsed = compat::parse_spatial_sentence(input);
        match case["expected"]["strict"].get("ok") {
            Some(expected) => assert_sentence(&parsed.unwrap(), expected),
            None => assert!(parsed.is_err(), "{input}"),
        }
    }
}

#[test]
fn our_strict_parsing_also_refuses_text_that_is_no_head() {
    for case in golden("spatial_sentence") {
        let input = text(&case["text"]);
        let expect_ok = case["expected"]["strict"].get("ok").is_some() && input != "only prefix text";
        assert_eq!(SpatialSentence::parse(input).is_ok(), expect_ok, "{input}");
    }
}
