//! Chunking and masking: the published behavior by name, and ours beside it.

use std::path::{Path, PathBuf};

use proptest::prelude::*;
use serde_json::Value;
use tn_model::{
    ChunkError, Chunker, CutCell, SentenceTokenizer, TokenSequence, TokenizerOptions, coordinate_spans, epoch_order,
    published_coordinate_spans,
};
use tn_sentence::Vocabulary;

fn golden(name: &str) -> PathBuf {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../data-fixtures/golden")).join(name)
}

fn cases(path: PathBuf) -> Vec<Value> {
    let file: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    file["cases"].as_array().unwrap().clone()
}

fn number(case: &Value, key: &str) -> usize {
    case[key].as_u64().unwrap() as usize
}

fn sequences(case: &Value) -> Vec<TokenSequence> {
    let numbers = |value: &Value| value.as_array().unwrap().iter().map(|n| n.as_i64().unwrap()).collect::<Vec<_>>();
    let sequence = |value: &Value| {
        let ids = numbers(&value["input_ids"]).into_iter().map(|id| id as u32).collect();
        let labels = numbers(&value["labels"]).into_iter().map(|label| label as i32).collect();
        TokenSequence::new(ids, labels)
    };
    case["expected"].as_array().unwrap().iter().map(sequence).collect()
}

/// A tokenizer with Qwen's splitting pattern and one with GPT-2's.
fn qwen_like() -> SentenceTokenizer {
    SentenceTokenizer::from_file(golden("split_and_mask_tokenizer.json")).unwrap()
}

fn gpt2_like() -> SentenceTokenizer {
    SentenceTokenizer::from_file(golden("split_and_mask_gpt2_tokenizer.json")).unwrap()
}

fn check_published(tokenizer: &SentenceTokenizer, file: PathBuf) {
    for (i, case) in cases(file).iter().enumerate() {
        let chunker = Chunker::new(tokenizer, number(case, "max_seq_length"))
            .with_overlap(number(case, "overlap"))
            .with_min_tokens(number(case, "min_length"))
            .with_published_rules();
        let chunks = chunker.chunk(case["text"].as_str().unwrap());
        if case["reference_never_returns"] == true {
            assert!(matches!(chunks, Err(ChunkError::NeverEnds { .. })), "case {i}");
        } else {
            assert!(chunks.unwrap().sequences == sequences(case), "case {i}");
        }
    }
}

#[test]
fn published_spans_are_those_of_the_published_program() {
    for case in cases(golden("mask_spans.json")) {
        let spans = published_coordinate_spans(case["text"].as_str().unwrap());
        let spans: Vec<_> = spans.into_iter().map(|span| [span.start as u64, span.end as u64]).collect();
        let expected: Vec<[u64; 2]> = serde_json::from_value(case["expected"].clone()).unwrap();
        assert_eq!(spans, expected, "{}", case["text"]);
    }
}

#[test]
fn published_chunks_are_those_of_the_published_program() {
    check_published(&qwen_like(), golden("split_and_mask.json"));
    check_published(&gpt2_like(), golden("split_and_mask_gpt2.json"));
}

#[test]
fn published_chunks_with_the_qwen3_tokenizer_are_those_of_the_published_program() {
    let shared = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared"));
    if !shared.exists() {
        eprintln!("skipped published_chunks_with_the_qwen3_tokenizer_are_those_of_the_published_program: ../shared is absent");
        return;
    }
    let tokenizer = SentenceTokenizer::load(shared.join("qwen3-tokenizer")).unwrap();
    check_published(&tokenizer, shared.join("golden/split_and_mask_qwen3.json"));
}

#[test]
fn joined_cells_are_encoded_as_the_whole_text_is() {
    for (tokenizer, file) in [(qwen_like(), golden("split_and_mask.json")), (gpt2_like(), golden("split_and_mask_gpt2.json"))] {
        for case in cases(file) {
            let text = case["text"].as_str().unwrap();
            for text in [text.to_owned(), format!("section: brain 3, region: OB {text}")] {
                let chunks = Chunker::new(&tokenizer, 1_000_000).with_min_tokens(0).chunk(&text).unwrap();
                assert_eq!(chunks.sequences, [TokenSequence::encode(&tokenizer, &text)]);
            }
        }
    }
}

/// The texts whose tokens carry no loss.
fn hidden(tokenizer: &SentenceTokenizer, sequence: &TokenSequence) -> Vec<String> {
    let tokens = sequence.ids.iter().zip(&sequence.labels);
    tokens.filter(|(_, label)| **label == TokenSequence::NO_LOSS).map(|(&id, _)| tokenizer.decode(&[id])).collect()
}

#[test]
fn differs_from_the_published_mask_in_the_sign() {
    let (tokenizer, text) = (qwen_like(), "<pos> X: -12.5, Y: 7 <cs> GENE1 </cs>");
    let published = Chunker::new(&tokenizer, 100).with_min_tokens(0).with_published_rules().chunk(text).unwrap();
    assert_eq!(hidden(&tokenizer, &published.sequences[0]), ["1", "2", ".", "5", "7"]);
    assert_eq!(hidden(&tokenizer, &TokenSequence::encode(&tokenizer, text)), [" -", "1", "2", ".", "5", "7"]);
}

#[test]
fn differs_from_the_published_mask_in_tokens_that_only_touch_a_number() {
    let (tokenizer, text) = (gpt2_like(), "<pos> X: 416, Y: 3440 <cs> GENE1 </cs>");
    let published = Chunker::new(&tokenizer, 100).with_min_tokens(0).with_published_rules().chunk(text).unwrap();
    assert_eq!(hidden(&tokenizer, &published.sequences[0]), ["16", "40"]);
    assert_eq!(hidden(&tokenizer, &TokenSequence::encode(&tokenizer, text)), [" 4", "16", " 34", "40"]);
}

#[test]
fn differs_from_the_published_mask_outside_headers_and_without_a_blank() {
    let text = "<pos> X:12, Y: 3 <meta> MAX: 5 <cs> A </cs>";
    let texts = |spans: Vec<std::ops::Range<usize>>| spans.into_iter().map(|span| &text[span]).collect::<Vec<_>>();
    assert_eq!(texts(published_coordinate_spans(text)), ["2", "3", "5"]);
    assert_eq!(texts(coordinate_spans(text)), ["12", "3"]);
}

/// Cells of ten tokens each, told apart by their coordinate.
fn cells(range: std::ops::Range<usize>) -> String {
    range.map(|x| format!("<pos> X: {x}, Y: 7 <cs> GFAP AQP4 </cs>")).collect::<Vec<_>>().join(" ")
}

fn trained() -> SentenceTokenizer {
    let panel = Vocabulary::new(["GFAP", "AQP4"]).unwrap();
    SentenceTokenizer::train(["section: brain 3"], &panel, &TokenizerOptions::new().with_min_frequency(1)).unwrap()
}

fn check_chunks(chunker: Chunker<'_>, tokenizer: &SentenceTokenizer, text: &str, expected: &[String]) {
    let chunks = chunker.with_min_tokens(0).chunk(text).unwrap();
    let texts: Vec<_> = chunks.sequences.iter().map(|sequence| tokenizer.decode(&sequence.ids)).collect();
    assert_eq!(texts, expected);
}

#[test]
fn differs_from_the_published_chunks_in_the_overlap() {
    let tokenizer = trained();
    let text = cells(0..8);
    let chunker = |overlap| Chunker::new(&tokenizer, 50).with_overlap(overlap);
    check_chunks(chunker(2), &tokenizer, &text, &[cells(0..5), cells(3..8)]);
    check_chunks(chunker(1), &tokenizer, &text, &[cells(0..5), cells(4..8)]);
    check_chunks(chunker(0), &tokenizer, &text, &[cells(0..5), cells(5..8)]);
    // The published rules repeat three cells for two, and skip cell 5 for none.
    check_chunks(chunker(2).with_published_rules(), &tokenizer, &text, &[cells(0..5), cells(2..7), cells(4..8)]);
    check_chunks(chunker(0).with_published_rules(), &tokenizer, &text, &[cells(0..5), cells(6..8)]);
}

#[test]
fn differs_from_the_published_chunks_in_always_ending() {
    let tokenizer = trained();
    let text = cells(0..4);
    let chunker = Chunker::new(&tokenizer, 20).with_overlap(2).with_min_tokens(0);
    check_chunks(chunker.clone(), &tokenizer, &text, &[cells(0..2), cells(1..3), cells(2..4)]);
    let error = chunker.with_published_rules().chunk(&text).unwrap_err();
    assert_eq!(error, ChunkError::NeverEnds { sentence: 0, cell: 0, cells: 2, overlap: 2 });
    check_chunks(Chunker::new(&tokenizer, 10).with_overlap(9), &tokenizer, &text, &[0, 1, 2, 3].map(|i| cells(i..i + 1)));
}

#[test]
fn differs_from_the_published_chunks_in_the_head() {
    let tokenizer = trained();
    let head = "section: brain 3";
    assert_eq!(tokenizer.encode_ids(head).len(), 3);
    let text = format!("{head} {}", cells(0..4));
    let chunker = Chunker::new(&tokenizer, 33).with_overlap(1);
    let expected = [format!("{head} {}", cells(0..3)), format!("{head} {}", cells(2..4))];
    check_chunks(chunker.clone(), &tokenizer, &text, &expected);
    check_chunks(chunker.with_published_rules(), &tokenizer, &text, &[cells(0..3), cells(2..4)]);
}

#[test]
fn a_head_that_leaves_no_room_is_an_error() {
    let tokenizer = trained();
    let error = Chunker::new(&tokenizer, 3).with_min_tokens(0).chunk_all(&["", "section: brain 3 <pos>"]).unwrap_err();
    assert_eq!(error, ChunkError::HeadTooLong { sentence: 1, tokens: 3, max_tokens: 3 });
}

#[test]
fn a_cell_longer_than_the_context_is_cut_alone_and_reported() {
    let tokenizer = trained();
    let long = "<pos> X: 5, Y: 7 <cs> GFAP GFAP GFAP GFAP GFAP GFAP GFAP GFAP GFAP GFAP GFAP GFAP </cs>";
    assert_eq!(tokenizer.encode_ids(long).len(), 20);
    let text = format!("{} {long} {}", cells(0..2), cells(2..3));
    let chunks = Chunker::new(&tokenizer, 18).with_min_tokens(0).with_end_token().chunk(&text).unwrap();
    let texts: Vec<_> = chunks.sequences.iter().map(|sequence| tokenizer.decode(&sequence.ids)).collect();
    let cut = long.strip_suffix(" GFAP GFAP </cs>").unwrap();
    assert_eq!(texts, [cells(0..1), cells(1..2), cut.to_owned(), cells(2..3) + "<|endoftext|>"]);
    assert_eq!(chunks.report.cut_cells, [CutCell { sentence: 0, cell: 2, tokens: 20 }]);
}

#[test]
fn the_end_token_follows_the_last_cell_only_and_carries_loss() {
    let tokenizer = trained();
    let chunks = Chunker::new(&tokenizer, 31).with_overlap(0).with_min_tokens(0).with_end_token().chunk(&cells(0..4)).unwrap();
    let [first, last] = chunks.sequences.as_slice() else { panic!() };
    assert_eq!(first.len(), 30);
    assert_eq!((last.ids[10], last.labels[10]), (tokenizer.end_of_text(), tokenizer.end_of_text() as i32));
    assert_eq!(last.labelled_tokens(), 10 - 1 - 2 + 1);
    assert_eq!(chunks.report.tokens, 41);
    assert_eq!(chunks.report.labelled_tokens, 3 * 8 - 1 + 8);
}

#[test]
fn short_chunks_are_dropped_and_counted() {
    let tokenizer = trained();
    let chunker = Chunker::new(&tokenizer, 30).with_overlap(0).with_min_tokens(11);
    let chunks = chunker.chunk_all(&[cells(0..4), cells(0..1), String::new(), cells(0..2)]).unwrap();
    assert_eq!(chunks.sequences.iter().map(TokenSequence::len).collect::<Vec<_>>(), [30, 20]);
    assert_eq!((chunks.report.sentences, chunks.report.without_cells, chunks.report.cells), (4, 1, 7));
    assert_eq!(chunks.report.dropped_chunks, 2);
    let error = Chunker::new(&tokenizer, 99).chunk("").unwrap_err();
    assert_eq!(error, ChunkError::NothingKept { max_tokens: 99, min_tokens: 100 });
}

#[test]
fn the_loss_can_be_taken_off_a_prompt() {
    let tokenizer = trained();
    let sequence = TokenSequence::encode(&tokenizer, &cells(0..2)).without_loss_before(10);
    assert_eq!(sequence.labelled_tokens(), 8);
    assert_eq!(sequence.without_loss_before(100).labelled_tokens(), 0);
}

#[test]
fn any_number_of_threads_gives_the_same_sequences() {
    let tokenizer = trained();
    let sentences: Vec<_> = (1..60).map(|n| cells(0..n)).collect();
    let chunker = Chunker::new(&tokenizer, 80).with_min_tokens(30);
    let with = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| chunker.chunk_all(&sentences).unwrap())
    };
    assert_eq!(with(1), with(4));
}

#[test]
fn an_epoch_visits_every_sequence_once() {
    let mut order = epoch_order(1000, 3407, 2);
    assert_ne!(order, epoch_order(1000, 3407, 1));
    order.sort_unstable();
    assert!(order.into_iter().eq(0..1000));
}

proptest! {
    #[test]
    fn chunks_fit_cover_every_cell_and_end(
        genes in prop::collection::vec(0usize..12, 1..40), max_tokens in 12usize..90, overlap in 0usize..6, head in any::<bool>(),
    ) {
        let tokenizer = trained();
        let cells: Vec<_> = genes
            .iter()
            .enumerate()
            .map(|(x, &genes)| format!("<pos> X: {x}, Y: 7 <cs>{} </cs>", " GFAP".repeat(genes)))
            .collect();
        let head = if head { "section: brain 3 " } else { "" };
        let text = format!("{head}{}", cells.join(" "));
        let chunks = Chunker::new(&tokenizer, max_tokens).with_overlap(overlap).with_min_tokens(0).chunk(&text).unwrap();
        prop_assert!(chunks.sequences.len() <= cells.len());
        let mut next = 0;
        for sequence in &chunks.sequences {
            prop_assert!(sequence.len() <= max_tokens);
            let text = tokenizer.decode(&sequence.ids);
            prop_assert!(text.starts_with(head));
            // The cell numbers of a chunk are consecutive and include the next one due.
            let numbers: Vec<usize> = text
                .split("<pos> X: ")
                .skip(1)
                .map(|cell| cell.split(',').next().unwrap().parse().unwrap())
                .collect();
            prop_assert!(numbers.windows(2).all(|pair| pair[1] == pair[0] + 1));
            prop_assert!(numbers[0] <= next && next <= numbers[numbers.len() - 1]);
            prop_assert!(next - numbers[0] <= overlap);
            next = numbers[numbers.len() - 1] + 1;
        }
        prop_assert_eq!(next, cells.len());
    }

    #[test]
    fn any_text_can_be_chunked(text in "(<pos>|<POS>|<cs>|</cs>|X:|Y: |[-+.0-9e]{0,4}| |é|GFAP){0,40}") {
        let tokenizer = trained();
        for chunker in [Chunker::new(&tokenizer, 40), Chunker::new(&tokenizer, 40).with_published_rules()] {
            let _ = chunker.with_min_tokens(0).chunk(&text);
        }
    }
}

#[test]
fn the_last_cell_of_a_neighborhood_has_the_weight_that_was_asked_for() {
    let tokenizer = qwen_like();
    let text = cells(0..3);
    let plain = TokenSequence::encode(&tokenizer, &text);
    assert!(plain.weights.iter().all(|&weight| weight == 1.0));

    let weighted = TokenSequence::encode_neighborhood(&tokenizer, &text, 8.0);
    assert_eq!((&weighted.ids, &weighted.labels), (&plain.ids, &plain.labels));
    let last = TokenSequence::encode(&tokenizer, &format!(" {}", cells(2..3))).len();
    let (before, target) = weighted.weights.split_at(weighted.len() - last);
    assert!(before.iter().all(|&weight| weight == 1.0) && target.iter().all(|&weight| weight == 8.0));

    // Cut into chunks, only the last cell of the last chunk is the target.
    let whole = Chunker::new(&tokenizer, 10_000).with_min_tokens(0).with_target_weight(8.0);
    assert_eq!(whole.chunk(&text).unwrap().sequences, [weighted]);
    let longest = TokenSequence::encode(&tokenizer, &cells(0..2)).len();
    let cut = Chunker::new(&tokenizer, longest + 2).with_overlap(1).with_min_tokens(0).with_target_weight(8.0).with_end_token();
    let chunks = cut.chunk(&text).unwrap().sequences;
    let heavy = |sequence: &TokenSequence| sequence.weights.iter().filter(|&&weight| weight == 8.0).count();
    assert_eq!(chunks.iter().map(heavy).collect::<Vec<_>>(), [vec![0; chunks.len() - 1], vec![last]].concat());
}

#[test]
fn a_neighborhood_without_cells_can_be_encoded() {
    let tokenizer = qwen_like();
    assert!(TokenSequence::encode_neighborhood(&tokenizer, "", 8.0).is_empty());
}
