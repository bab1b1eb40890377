//! The clean-up of generated genes.

use tn_sentence::{Vocabulary, clean_generated_genes, compat};

use super::{golden, strings, text};

#[test]
fn the_published_clean_up_is_reproduced() {
    for case in golden("post_process") {
        let panel = Vocabulary::new(strings(&case["vocab"])).unwrap();
        let sentence = text(&case["sentence"]);
        for (key, top) in [("genes", 100), ("genes_top5", 5)] {
            assert_eq!(compat::clean_generated_genes(sentence, &panel, top), strings(&case["expected"][key]), "{sentence}");
        }
    }
}

#[test]
fn ours_differs_only_in_the_placeholder() {
    for case in golden("post_process") {
        let sentence = text(&case["sentence"]);
        if sentence.contains('\n') {
            // The published program reads two genes on two lines as one word that is no gene.
            continue;
        }
        let panel = Vocabulary::new(strings(&case["vocab"])).unwrap();
        let ranking = clean_generated_genes(sentence.split_whitespace(), &panel, 100);
        let mut expected = strings(&case["expected"]["genes"]);
        expected.retain(|word| *word != compat::NOT_A_GENE);
        assert_eq!(ranking.iter().collect::<Vec<_>>(), expected, "{sentence}");
    }
}

#[test]
fn the_other_published_clean_up_differs_only_in_its_placeholders() {
    for case in golden("post_process") {
        let sentence = text(&case["sentence"]);
        if sentence.contains('\n') {
            continue;
        }
        let panel = Vocabulary::new(strings(&case["vocab"])).unwrap();
        let outside = sentence.split(' ').filter(|word| !panel.contains(word)).count();
        assert_eq!(case["expected"]["c2s_n_replaced"].as_u64(), Some(outside as u64), "{sentence}");
        let mut expected = strings(&case["expected"]["c2s_words"]);
        expected.retain(|word| *word != compat::NOT_A_GENE);
        let ranking = clean_generated_genes(sentence.split_whitespace(), &panel, usize::MAX);
        assert_eq!(ranking.iter().collect::<Vec<_>>(), expected, "{sentence}");
    }
}
