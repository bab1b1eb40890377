//! Whatever is drawn under a grammar is a cell that the strict parser reads.

use std::path::Path;

use proptest::prelude::*;
use tn_model::generation::{ForbiddenToken, Grammar, GrammarError, GrammarState, HeaderField};
use tn_model::{SentenceTokenizer, TokenizerOptions};
use tn_sentence::{CellSentence, Metadata, Vocabulary};

/// Symbols that are each other's beginning, without a letter, with signs, and plain ones.
const SYMBOLS: [&str; 14] =
    ["GFAP", "AQP4", "12", "1234", "125", "1700016P03RIK", "H2-K1", "H2-K2", "HLA-A", "HLA-DRA", "IGH@", "GAD1", "GAD10", "MT-ND4L"];
const CLASSES: [&str; 5] = ["Astro", "CD8+ T", "L2/3 IT, deep", "N/A", "50% of <it>"];
const CORPUS: [&str; 2] = [
    "<pos> X: -912, Y: 3506 <meta> class: Astro, spatial_domain: L2/3 <cs> GFAP H2-K1 </cs>",
    "<pos> X: 717, Y: 8393 <meta> class: CD8+ T, spatial_domain: N/A <cs> AQP4 1700016P03RIK </cs> <pos> X: 1, Y: 2 <cs> 12 </cs>",
];

fn panel() -> Vocabulary {
    Vocabulary::new(SYMBOLS).unwrap()
}

/// One token a gene, but for those without a letter.
fn trained() -> SentenceTokenizer {
    SentenceTokenizer::train(CORPUS, &panel(), &TokenizerOptions::new()).unwrap()
}

/// Most genes take several tokens: the tokenizer has learned another panel.
fn strange() -> SentenceTokenizer {
    let other = Vocabulary::new(["GFAP", "ACTB"]).unwrap();
    SentenceTokenizer::train([CORPUS[1], "H2-K1 H2-K1 HLA-A HLA-A GAD1 GAD1"], &other, &TokenizerOptions::new()).unwrap()
}

fn qwen3(test: &str) -> Option<SentenceTokenizer> {
    let path = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/qwen3-tokenizer/tokenizer.json"));
    if !path.exists() {
        eprintln!("skipped {test}: ../shared is absent");
        return None;
    }
    Some(SentenceTokenizer::from_file(path).unwrap())
}

fn closed_fields() -> Vec<HeaderField> {
    vec![HeaderField::one_of("class", CLASSES), HeaderField::one_of("spatial_domain", ["L2/3", "N/A", "hippocampus CA1"])]
}

fn free_fields() -> Vec<HeaderField> {
    vec![HeaderField::text("class", 5), HeaderField::one_of("domain", ["a", "a b"]), HeaderField::text("note", 3)]
}

/// Writes a cell by choosing among the allowed tokens, and checks every step.
fn write(tokenizer: &SentenceTokenizer, grammar: &Grammar, mut state: GrammarState, choices: &[u64]) -> String {
    let mut text = Vec::new();
    let mut choices = choices.iter().cycle();
    for _ in 0..1_000 {
        let allowed = state.allowed(grammar);
        if allowed.is_empty() {
            assert!(state.is_closed());
            return String::from_utf8(text).expect("whole characters");
        }
        assert!(allowed.is_sorted_by(|a, b| a < b), "{allowed:?}");
        let forced = state.forced(grammar);
        assert_eq!(forced.is_empty(), allowed.len() > 1);
        let token = allowed[*choices.next().unwrap() as usize % allowed.len()];
        assert!(forced.first().is_none_or(|&first| first == token));
        text.extend_from_slice(tokenizer.token_text(token));
        state.advance(grammar, token).unwrap();
    }
    panic!("the cell does not end: {}", String::from_utf8_lossy(&text));
}

fn check_cell(tokenizer: &SentenceTokenizer, grammar: &Grammar, keys: &[&str], max_genes: usize, choices: &[u64]) {
    let text = write(tokenizer, grammar, GrammarState::at_header(grammar), choices);
    let header = if keys.is_empty() { " <cs>" } else { "" };
    // The strict parser refuses unknown text, repeated genes and words that are none.
    let cell = CellSentence::parse(&format!("<pos> X: 1, Y: 2{header}{text}")).unwrap_or_else(|error| panic!("{text}: {error}"));
    assert_eq!(cell.metadata().iter().map(|(key, _)| key).collect::<Vec<_>>(), keys, "{text}");
    assert!(cell.ranking().len() <= max_genes, "{text}");
    assert!(cell.ranking().iter().all(|gene| panel().contains(gene)), "{text}");
    if let Some(class) = cell.metadata().get("class").filter(|_| keys.len() == 2) {
        assert!(CLASSES.contains(&class), "{text}");
    }
    if keys.len() < 3 {
        // What has no free text is in the tokenizer's own tokens.
        assert_eq!(tokenizer.encode_ids(&text), replay(tokenizer, grammar, choices), "{text}");
    }
}

fn replay(tokenizer: &SentenceTokenizer, grammar: &Grammar, choices: &[u64]) -> Vec<u32> {
    let (mut state, mut tokens) = (GrammarState::at_header(grammar), Vec::new());
    while let Some(&token) = {
        let allowed = state.allowed(grammar);
        allowed.get(choices[tokens.len() % choices.len()] as usize % allowed.len().max(1))
    } {
        state.advance(grammar, token).unwrap();
        tokens.push(token);
    }
    assert_eq!(state.genes(), tokenizer.decode(&tokens).split("<cs>").last().unwrap().split_whitespace().count() - 1);
    tokens
}

fn grammars(tokenizer: &SentenceTokenizer, max_genes: usize) -> [(Grammar, &'static [&'static str]); 3] {
    let grammar = Grammar::new(tokenizer, &panel()).unwrap().with_max_genes(max_genes);
    let with = |fields: &[HeaderField]| grammar.clone().with_fields(tokenizer, fields).unwrap();
    [(grammar.clone(), &[]), (with(&closed_fields()), &["class", "spatial_domain"]), (with(&free_fields()), &["class", "domain", "note"])]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn every_drawn_cell_is_read_strictly(choices in prop::collection::vec(any::<u64>(), 60..90), max_genes in prop_oneof![0usize..20, Just(usize::MAX)]) {
        for tokenizer in [trained(), strange()] {
            for (grammar, keys) in grammars(&tokenizer, max_genes) {
                check_cell(&tokenizer, &grammar, keys, max_genes, &choices);
            }
        }
    }
}

#[test]
fn every_cell_drawn_with_the_qwen3_tokenizer_is_read_strictly() {
    let Some(tokenizer) = qwen3("every_cell_drawn_with_the_qwen3_tokenizer_is_read_strictly") else { return };
    assert!(!Grammar::new(&tokenizer, &panel()).unwrap().has_one_token_genes());
    for max_genes in [0, 1, 5, usize::MAX] {
        let grammars = grammars(&tokenizer, max_genes);
        let mut runner = proptest::test_runner::TestRunner::deterministic();
        runner
            .run(&prop::collection::vec(any::<u64>(), 60..90), |choices| {
                grammars.iter().for_each(|(grammar, keys)| check_cell(&tokenizer, grammar, keys, max_genes, &choices));
                Ok(())
            })
            .unwrap();
    }
}

/// Walks over all ways to write a cell, and returns the texts.
fn all_texts(tokenizer: &SentenceTokenizer, grammar: &Grammar, state: GrammarState, text: &str, texts: &mut Vec<String>) {
    if state.is_closed() {
        texts.push(text.to_owned());
    }
    for &token in state.allowed(grammar) {
        let mut next = state.clone();
        next.advance(grammar, token).unwrap();
        all_texts(tokenizer, grammar, next, &format!("{text}{}", tokenizer.decode(&[token])), texts);
    }
}

#[test]
fn the_cells_of_a_small_panel_are_all_arrangements_of_its_genes() {
    let panel = Vocabulary::new(["12", "1234", "125", "GFAP"]).unwrap();
    for tokenizer in [trained(), strange()].into_iter().chain(qwen3("a part of the_cells_of_a_small_panel")) {
        for (max_genes, expected) in [(0, 1), (1, 1 + 4), (2, 1 + 4 + 12), (9, 1 + 4 + 12 + 24 + 24)] {
            let grammar = Grammar::new(&tokenizer, &panel).unwrap().with_max_genes(max_genes);
            let mut texts = Vec::new();
            all_texts(&tokenizer, &grammar, GrammarState::in_genes(&grammar), "", &mut texts);
            texts.sort_unstable();
            let found = texts.len();
            texts.dedup();
            assert_eq!((found, texts.len()), (expected, expected), "{max_genes} genes at most: {texts:?}");
        }
    }
}

#[test]
fn a_header_with_one_value_is_forced_and_read_back() {
    let tokenizer = trained();
    let fields = [HeaderField::one_of(" Class ", ["50% of <it>, %2C"]), HeaderField::one_of("domain", ["N/A"])];
    let grammar = Grammar::new(&tokenizer, &panel()).unwrap().with_fields(&tokenizer, &fields).unwrap();
    let mut state = GrammarState::at_header(&grammar);
    assert!(!state.has_genes() && !state.is_between_genes(&grammar));
    let forced = state.forced(&grammar);
    let header = tokenizer.decode(&forced);
    assert_eq!(header, " <meta> class: 50% of %3Cit>%2C %252C, domain: N/A <cs>");
    let cell = CellSentence::parse(&format!("<pos> X: 1, Y: 2{header} </cs>")).unwrap();
    assert_eq!(cell.metadata().get("class"), Some("50% of <it>, %2C"));
    forced.iter().for_each(|&token| state.advance(&grammar, token).unwrap());
    assert!(state.has_genes() && state.is_between_genes(&grammar) && state.forced(&grammar).is_empty());
}

#[test]
fn the_last_gene_and_the_budget_force_the_closing_tag() {
    for tokenizer in [trained(), strange()] {
        let panel = Vocabulary::new(["GFAP", "AQP4"]).unwrap();
        for (max_genes, written) in [(1, 1), (2, 2), (9, 2)] {
            let grammar = Grammar::new(&tokenizer, &panel).unwrap().with_max_genes(max_genes);
            let mut state = GrammarState::in_genes(&grammar);
            for token in tokenizer.encode_ids(&[" GFAP", " AQP4"][..written].concat()) {
                state.advance(&grammar, token).unwrap();
            }
            assert_eq!((state.genes(), state.is_written(0)), (written, true));
            assert_eq!(tokenizer.decode(&state.forced(&grammar)), " </cs>");
        }
    }
}

#[test]
fn a_token_that_may_not_follow_leaves_the_state_as_it_is() {
    let tokenizer = trained();
    let grammar = Grammar::new(&tokenizer, &panel()).unwrap();
    let mut state = GrammarState::in_genes(&grammar);
    let gene = tokenizer.single_token(" GFAP").unwrap();
    state.advance(&grammar, gene).unwrap();
    let before = state.allowed(&grammar).to_vec();
    assert_eq!(state.advance(&grammar, gene), Err(ForbiddenToken { token: gene }));
    assert_eq!(state.advance(&grammar, tokenizer.end_of_text()), Err(ForbiddenToken { token: tokenizer.end_of_text() }));
    assert_eq!(state.allowed(&grammar), before);
}

#[test]
fn an_empty_panel_is_an_empty_cell() {
    let tokenizer = trained();
    let grammar = Grammar::new(&tokenizer, &Vocabulary::new::<[&str; 0]>([]).unwrap()).unwrap();
    assert_eq!(tokenizer.decode(&GrammarState::in_genes(&grammar).forced(&grammar)), " </cs>");
}

#[test]
fn cells_with_other_fields_have_none_in_common() {
    let fields =
        |cells: &[&[(&str, &str)]]| HeaderField::of_cells(cells.iter().map(|pairs| Metadata::from_pairs(pairs.iter().copied()).unwrap()));
    assert_eq!(fields(&[&[("a", "1"), ("b", "")], &[("a", "1"), ("b", "2")]]).unwrap()[1].values(), Some(&["2".to_owned()][..]));
    let (a, b, both, none): (&[_], &[_], &[_], &[_]) = (&[("a", "1")], &[("b", "1")], &[("a", "1"), ("b", "1")], &[]);
    for cells in [&[][..], &[none], &[a, b], &[a, both], &[both, a], &[a, none]] {
        assert_eq!(fields(cells), None, "{cells:?}");
    }
}

#[test]
fn what_cannot_be_written_or_read_back_is_refused() {
    let tokenizer = trained();
    let grammar = Grammar::new(&tokenizer, &panel()).unwrap();
    let refused = |fields: &[HeaderField]| grammar.clone().with_fields(&tokenizer, fields).unwrap_err();
    assert!(matches!(refused(&[HeaderField::one_of("a:b", ["x"])]), GrammarError::Key(_)));
    assert_eq!(
        refused(&[HeaderField::one_of("class", ["x"]), HeaderField::text("Class", 3)]),
        GrammarError::RepeatedKey { key: "class".into() }
    );
    assert_eq!(refused(&[HeaderField::one_of::<[&str; 0]>("class", [])]), GrammarError::NoValue { key: "class".into() });
    for (value, read) in [("", ""), (" x", "x"), ("x\n", "x")] {
        let expected = GrammarError::Value { key: "class".into(), value: value.into(), read: read.into() };
        assert_eq!(refused(&[HeaderField::one_of("class", ["y", value])]), expected);
    }
    assert_eq!(refused(&[HeaderField::text("class", 0)]), GrammarError::EndlessText { key: "class".into() });
}

#[test]
fn a_gene_that_does_not_come_back_is_named() {
    let Some(tokenizer) = qwen3("a_gene_that_does_not_come_back_is_named") else { return };
    // Qwen3 composes accented letters.
    let decomposed = Vocabulary::new(["GFAP", "E\u{301}1"]).unwrap();
    let error = Grammar::new(&tokenizer, &decomposed).unwrap_err();
    assert_eq!(error, GrammarError::NotLossless { text: " E\u{301}1".into(), decoded: " \u{c9}1".into() });
}
