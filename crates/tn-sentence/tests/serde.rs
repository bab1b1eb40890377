//! Serialized values come back, and values that cannot exist do not.
#![cfg(feature = "serde")]

use serde_json::json;
use tn_sentence::{CellSentence, GeneRanking, Metadata, Position, SpatialSentence, Vocabulary};

#[test]
fn a_sentence_comes_back() {
    let text = "section: S1 <pos> X: 1.5, Y: 2 <meta> class: A%2C b <cs> GAD1 GFAP </cs>";
    let sentence: SpatialSentence = text.parse().unwrap();
    let serialized = serde_json::to_string(&sentence).unwrap();
    assert_eq!(serde_json::from_str::<SpatialSentence>(&serialized).unwrap(), sentence);
}

#[test]
fn values_that_cannot_exist_are_refused() {
    assert!(serde_json::from_value::<GeneRanking>(json!(["A", "a"])).is_err());
    assert!(serde_json::from_value::<Vocabulary>(json!(["A", "a"])).is_err());
    assert!(serde_json::from_value::<Metadata>(json!([["", "x"]])).is_err());
    assert!(serde_json::from_value::<Position>(json!([0.0, null])).is_err());
    assert!(serde_json::from_value::<CellSentence>(json!({})).is_err());
}
