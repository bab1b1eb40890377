//! From a matrix to gene rankings.

use std::collections::BTreeSet;

use tn_sentence::{RankEncoder, TieBreak, Vocabulary};

use super::{golden, numbers, strings, text};

#[test]
fn rankings_agree_up_to_the_order_of_ties() {
    for case in golden("cell_sentences") {
        let expected = &case["expected"];
        let panel = Vocabulary::new(strings(&case["genes"])).unwrap();
        let symbols: Vec<&str> = expected["vocabulary"].as_array().unwrap().iter().map(|entry| text(&entry[0])).collect();
        assert_eq!(panel.iter().collect::<Vec<_>>(), symbols);

        for (cell, row) in case["matrix"].as_array().unwrap().iter().enumerate() {
            let values: Vec<f32> = numbers(row).iter().map(|&value| value as f32).collect();
            for tie_break in [TieBreak::Seed, TieBreak::Symbol] {
                let encoder = RankEncoder::new(&panel).with_tie_break(tie_break);
                let ranking = encoder.encode(&values).unwrap();
                if let Some(sentences) = expected.get("sentences") {
                    assert_eq!(ranking.to_string(), text(&sentences[cell]));
                    continue;
                }
                let mut genes = ranking.iter();
                for group in expected["tie_groups"][cell].as_array().unwrap() {
                    let group: BTreeSet<&str> = strings(group).into_iter().collect();
                    assert_eq!(genes.by_ref().take(group.len()).collect::<BTreeSet<_>>(), group);
                }
                assert_eq!(genes.next(), None);
            }
        }
    }
}
