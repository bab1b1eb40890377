//! Any task as a prompt, and any continuation of it as a cell.

use std::collections::BTreeSet;

use tn_sentence::{
    CellSentence, Conditioning, CoordinateFormat, GeneSymbol, ModelPrompt, PromptBuilder, PromptOrder, TaskRecord, Vocabulary,
    clean_generated_genes, compat, gene_words,
};

const MODES: [Conditioning; 3] = [Conditioning::Conditioned, Conditioning::Unconditioned, Conditioning::PositionOnly];
const ORDERS: [PromptOrder; 5] = [
    PromptOrder::FarToNearWeighted { tau: 1.0 },
    PromptOrder::FarToNear,
    PromptOrder::NearToFar,
    PromptOrder::Random,
    PromptOrder::AsGiven,
];

/// Checks prompts and clean-up with a text of lines: name, x, y, class, neighbors, answer, continuation.
///
/// # Panics
///
/// Panics if a builder or parser does, or if it breaks a promise of its documentation.
pub fn check(text: &str) {
    let mut lines = text.split('\n');
    let mut line = || lines.next().unwrap_or_default();
    let task = TaskRecord {
        cell_name: line().to_owned(),
        x: line().parse().unwrap_or_default(),
        y: line().parse().unwrap_or_default(),
        class: line().to_owned(),
        prompt: line().to_owned(),
        answer: line().to_owned(),
        ..TaskRecord::default()
    };
    let continuation = line();
    let (max_cells, nearest) = (text.len() % 7, text.len() % 5);
    for mode in MODES {
        for order in ORDERS {
            let builder = PromptBuilder::new(mode).with_order(order).with_max_cells(max_cells).with_nearest(nearest);
            if let Ok(prompt) = builder.build(&task) {
                assert!(prompt.neighbors.len() <= max_cells.min(nearest));
                check_prompt(&task, &prompt, mode);
                check_continuation(&prompt, continuation, mode);
            }
        }
    }
    check_clean_up(continuation, text.len() % 11);
}

fn check_prompt(task: &TaskRecord, prompt: &ModelPrompt, mode: Conditioning) {
    crate::check_skipped(&task.prompt, &prompt.skipped);
    assert!(prompt.text.ends_with(&prompt.header_text));
    assert!(mode != Conditioning::PositionOnly || !prompt.text.contains("<meta>"), "{}", prompt.text);
    // With genes at its end, a prompt is a sentence of the neighbors and the target.
    let tag = if mode == Conditioning::Unconditioned { " <cs>" } else { "" };
    let cells = tn_sentence::SpatialSentence::parse(&format!("{}{tag} GFAP </cs>", prompt.text)).map(|sentence| sentence.into_cells());
    let found: Result<Vec<_>, _> = cells.map(|cells| cells.into_iter().map(CellSentence::into_ranking).collect());
    let mut expected: Vec<_> = prompt.neighbors.iter().map(|cell| cell.ranking().clone()).collect();
    expected.extend(tn_sentence::GeneRanking::parse("GFAP"));
    assert_eq!(found, Ok(expected), "{}", prompt.text);
}

fn check_continuation(prompt: &ModelPrompt, continuation: &str, mode: Conditioning) {
    let text = format!("{} {continuation}", prompt.header_text);
    let (cell, skipped) = CellSentence::parse_lenient(&text);
    crate::check_skipped(&text, &skipped);
    if mode != Conditioning::Unconditioned {
        let cell = cell.expect("the header alone is a cell");
        let position_text = |header: &tn_sentence::CellHeader| header.position_text(CoordinateFormat::Integer);
        assert_eq!(position_text(cell.header()), position_text(&prompt.header));
        assert_eq!(cell.metadata(), prompt.header.metadata());
    }
}

fn check_clean_up(continuation: &str, top: usize) {
    let words = gene_words(continuation);
    let known: BTreeSet<GeneSymbol> = words.iter().step_by(2).filter_map(|word| GeneSymbol::new(word).ok()).collect();
    let Ok(panel) = Vocabulary::new(known.iter()) else { return };
    let all = clean_generated_genes(&words, &panel, usize::MAX);
    assert_eq!(all.genes().iter().collect::<BTreeSet<_>>(), panel.symbols().iter().collect::<BTreeSet<_>>());
    assert_eq!(clean_generated_genes(&words, &panel, top), all.top(top));
    assert!(compat::clean_generated_genes(continuation, &panel, top).len() <= top);
}
