//! Properties: what was printed parses to the same value, and no text makes a parser panic.

use proptest::prelude::*;
use tn_sentence::{
    CellHeader, CellSentence, CoordinateFormat, GeneRanking, GeneSymbol, Metadata, Position, SpatialSentence, clean_generated_genes,
    compat, gene_words,
};

fn position() -> impl Strategy<Value = Position> {
    let coordinate = prop_oneof![Just(0.0), Just(-0.0), -1e5..1e5, any::<f64>().prop_filter("finite", |value| value.is_finite())];
    (coordinate.clone(), coordinate).prop_map(|(x, y)| Position::new(x, y).unwrap())
}

fn ranking() -> impl Strategy<Value = GeneRanking> {
    let symbol = prop_oneof!["[A-Z0-9-]{1,8}", "\\PC{1,4}"];
    prop::collection::vec(symbol, 0..40).prop_map(|words| {
        let mut genes: Vec<GeneSymbol> = words.iter().filter_map(|word| GeneSymbol::new(word).ok()).collect();
        let mut seen = std::collections::HashSet::new();
        genes.retain(|gene| seen.insert(gene.clone()));
        GeneRanking::from_symbols(genes).unwrap()
    })
}

fn metadata() -> impl Strategy<Value = Metadata> {
    let key = prop_oneof!["[A-Za-z_ ]{1,10}", "\\PC{1,4}"];
    let value = prop_oneof!["[A-Za-z ,:%<>/]{0,12}", "(%2C|%25|%|<pos>|<cs>|</cs>|,| |a){0,5}", any::<String>()];
    prop::collection::vec((key, value), 0..4).prop_map(|pairs| {
        let mut metadata = Metadata::new();
        for (key, value) in pairs {
            // Keys that cannot be written are refused here, before there is a value to print.
            let _ = metadata.insert(&key, &value);
        }
        metadata
    })
}

fn cell() -> impl Strategy<Value = CellSentence> {
    (position(), metadata(), ranking())
        .prop_map(|(position, metadata, ranking)| CellSentence::from_header(CellHeader::new(position).with_metadata(metadata), ranking))
}

fn sentence() -> impl Strategy<Value = SpatialSentence> {
    (metadata(), prop::collection::vec(cell(), 0..5)).prop_map(|(metadata, cells)| SpatialSentence::new(cells).with_metadata(metadata))
}

/// Text that looks like what a model writes: pieces of sentences in any order.
fn generated() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        "(<pos>|<POS>|<meta>|<cs>|</cs>|<pos|cs>)",
        "(X: 1|Y: -2.5|X:|Y|, | |,,|:|%2|%2C|é)",
        "[A-Za-z0-9]{1,5} ",
        "class: [A-Z]{1,3}",
        any::<char>().prop_map(String::from),
    ];
    prop::collection::vec(piece, 0..30).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn a_printed_cell_parses_to_itself(cell in cell()) {
        prop_assert_eq!(CellSentence::parse(&cell.to_string()), Ok(cell.clone()));
        prop_assert_eq!(compat::parse_cell(&cell.to_string()), Ok(cell));
    }

    #[test]
    fn a_printed_sentence_parses_to_itself(sentence in sentence()) {
        let text = sentence.to_string();
        prop_assert_eq!(SpatialSentence::parse(&text), Ok(sentence.clone()));
        prop_assert_eq!(SpatialSentence::parse_lenient(&text), (sentence, vec![]));
    }

    #[test]
    fn whole_coordinates_are_off_by_half_at_most(x in -1e6..1e6, y in -1e6..1e6) {
        let cell = CellSentence::new(Position::new(x, y).unwrap(), GeneRanking::default());
        let read = CellSentence::parse(&cell.display(CoordinateFormat::Integer).to_string()).unwrap();
        prop_assert!((read.position().x() - x).abs() <= 0.5 && (read.position().y() - y).abs() <= 0.5);
    }

    #[test]
    fn lenient_parsing_accounts_for_any_text(text in generated()) {
        let (sentence, skipped) = SpatialSentence::parse_lenient(&text);
        for part in &skipped {
            prop_assert!(text.get(part.range.clone()).is_some_and(|part| !part.is_empty()));
            prop_assert!(part.reason.offset() <= text.len());
        }
        match SpatialSentence::parse(&text) {
            Ok(strict) => prop_assert_eq!((strict, vec![]), (sentence, skipped)),
            Err(_) => prop_assert!(!skipped.is_empty()),
        }
        let (first, _) = CellSentence::parse_lenient(&text);
        prop_assert_eq!(first, SpatialSentence::parse_lenient(&text).0.into_cells().into_iter().next());
    }

    #[test]
    fn generated_words_can_always_be_cleaned_up(text in any::<String>(), top in 0usize..10) {
        let panel = tn_sentence::Vocabulary::new(["A", "B", "C"]).unwrap();
        prop_assert!(clean_generated_genes(gene_words(&text), &panel, top).len() <= top);
        compat::clean_generated_genes(&text, &panel, top);
        let _ = CellSentence::parse(&text);
    }

    #[test]
    fn an_order_is_a_permutation(
        distances in prop::collection::vec(prop_oneof![0.0..1e3, Just(0.0), Just(f64::INFINITY)], 0..50),
        tau in -5.0..5.0,
        seed: u64,
    ) {
        use tn_sentence::{PromptOrder, draw};
        let draws: Vec<u64> = (0..distances.len() as u64).map(|i| draw(seed, i)).collect();
        let orders = [
            PromptOrder::FarToNearWeighted { tau },
            PromptOrder::FarToNear,
            PromptOrder::NearToFar,
            PromptOrder::Random,
            PromptOrder::AsGiven,
        ];
        for order in orders {
            let mut found = order.order(&distances, &draws);
            found.sort_unstable();
            prop_assert_eq!(found, (0..distances.len()).collect::<Vec<_>>());
        }
    }
}
