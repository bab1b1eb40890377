//! Sentences to tokens, and prompts to the nearest neighbor.

use std::time::Instant;

use anyhow::{Context, Result, ensure};
use tissuenarrator::eval::baseline::NearestNeighbor;
use tissuenarrator::model::{Chunker, SentenceTokenizer, TokenizerOptions};
use tissuenarrator::sentence::{CellPredictor, TaskRecord, Vocabulary};
use tissuenarrator::spatial::{BinGrid, PatchOptions, TaskOptions, Tasks, Traversal, patch_bins};

use super::inputs::read_cells;
use super::{Bench, limits};
use crate::bench::row::{Goal, Row, Unit};
use crate::workspace::root;

/// Tokens of a training sequence.
const CONTEXT: usize = 32_000;
/// Tokens of the trained tokenizer, as many as the reference has.
const VOCABULARY: usize = 8_192;
/// Neighbors of a prompt.
const NEIGHBORS: usize = 99;

/// Measures tokenizing and masking, with a tokenizer trained on the sentences and, where it is there, with that of Qwen3.
pub(super) fn token_rows(bench: &Bench) -> Result<Vec<Row>> {
    let (own, qwen) = ("tokens-8k", "tokens-qwen3");
    if !bench.wants(own) && !bench.wants(qwen) {
        return Ok(Vec::new());
    }
    let cells = read_cells(&bench.inputs.cells(bench.sizes.cells)?)?;
    let sentences = patch_bins(&cells, &BinGrid::new(200.0)?, Traversal::nearest_first(), &PatchOptions::default().with_meta(["class"]));
    let panel: std::collections::BTreeSet<&str> = cells.iter().flat_map(|cell| cell.ranking.iter()).collect();
    let panel = Vocabulary::new(panel)?;
    let mut rows = Vec::new();
    if bench.wants(own) {
        let texts = sentences.iter().map(|record| record.sentence.as_str());
        let options = TokenizerOptions::new().with_vocab_size(VOCABULARY);
        let json = SentenceTokenizer::train(texts.take(500), &panel, &options)?.to_json();
        let texts: Vec<&str> = sentences.iter().map(|record| record.sentence.as_str()).collect();
        rows.push(token_row(bench, own, &json, &texts, 1.0, 36.5)?);
    }
    let file = root().join("../shared/qwen3-tokenizer").join(SentenceTokenizer::FILE_NAME);
    if bench.wants(qwen) && file.exists() {
        let json = std::fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))?;
        let texts: Vec<&str> = sentences.iter().map(|record| record.sentence.as_str()).collect();
        rows.push(token_row(bench, qwen, &json, &texts, 6.7 / 5.6, 58.5)?);
    }
    Ok(rows)
}

fn token_row(bench: &Bench, name: &str, json: &str, texts: &[&str], share: f64, published: f64) -> Result<Row> {
    let fresh = || SentenceTokenizer::from_json(json).context("a tokenizer");
    let tokenizer = fresh()?;
    let wanted = (bench.sizes.tokens as f64 * share) as usize;
    let mut tokens = 0;
    let is_below = |text: &&&str| {
        let is_below = tokens < wanted;
        tokens += tokenizer.encode_ids(text).len();
        is_below
    };
    let texts: Vec<&str> = texts.iter().take_while(is_below).copied().collect();
    let report = Chunker::new(&tokenizer, CONTEXT).chunk_all(&texts)?.report;
    let (tokens, labelled) = (report.tokens, report.labelled_tokens);
    // Fewer tokens are no faster.
    let published = published * tokens as f64 / wanted as f64;
    let measured = bench.beside_published(published, || {
        // No word is known at the beginning.
        let tokenizer = fresh()?;
        let chunker = Chunker::new(&tokenizer, CONTEXT);
        let start = Instant::now();
        let chunks = chunker.chunk_all(&texts)?;
        let seconds = start.elapsed().as_secs_f64();
        ensure!(chunks.report == report, "{:?} and {report:?} of the same sentences", chunks.report);
        Ok(seconds)
    })?;
    let checks = vec![
        format!("{tokens} tokens, of which {labelled} carry loss; the published seconds are for as many"),
        limits::of_memory(texts.iter().copied(), measured[0].median()),
    ];
    let what = format!("tokenize, chunk and mask {:.1} million tokens, vocabulary {}", tokens as f64 / 1e6, tokenizer.vocab_size());
    let goal = Goal::Speed { reach: 25.0, moonshot: 60.0 };
    Ok(Row { name: name.to_owned(), what, unit: Unit::Seconds, goal, measured, checks })
}

/// Measures the baseline that copies the nearest cell of a prompt.
pub(super) fn baseline_rows(bench: &Bench) -> Result<Vec<Row>> {
    let name = "nearest";
    if !bench.wants(name) {
        return Ok(Vec::new());
    }
    let cells = read_cells(&bench.inputs.cells(bench.sizes.cells)?)?;
    let plan = Tasks::plan(&cells, &TaskOptions::default().with_neighbors(NEIGHBORS))?;
    let tasks: Vec<TaskRecord> = plan.build(0..bench.sizes.prompts.min(plan.len()));
    let expected: Vec<&str> = tasks.iter().map(|task| task.neighbor_cell_names.last().map_or("", String::as_str)).collect();
    let rankings: std::collections::HashMap<&str, _> = cells.iter().map(|cell| (cell.cell_name.as_str(), &cell.ranking)).collect();
    let mut agreeing = 0;
    let measured = bench.beside_published(27.4, || {
        let mut nearest = NearestNeighbor::closest();
        let start = Instant::now();
        let copied: Vec<_> = tasks.iter().map(|task| nearest.predict(task)).collect::<Result<_, _>>()?;
        let seconds = start.elapsed().as_secs_f64();
        let is_nearest = |(cell, name): &(&tissuenarrator::sentence::CellSentence, &&str)| {
            rankings.get(**name).is_some_and(|ranking| ranking.top(100) == *cell.ranking())
        };
        agreeing = copied.iter().zip(&expected).filter(is_nearest).count();
        // Prompts hold whole micrometers, so of two nearly as close cells the other one may be copied.
        ensure!(agreeing * 10 >= tasks.len() * 8, "only {agreeing} of {} cells are the nearest", tasks.len());
        Ok(seconds)
    })?;
    let checks = vec![
        format!("{agreeing} of {} are the nearest by the unrounded positions as well", tasks.len()),
        limits::of_memory(tasks.iter().map(|task| task.prompt.as_str()), measured[0].median()),
    ];
    let what = format!("nearest-neighbor baseline, {} prompts of {NEIGHBORS} cells", tasks.len());
    Ok(vec![Row { name: name.to_owned(), what, unit: Unit::Seconds, goal: Goal::Speed { reach: 50.0, moonshot: 200.0 }, measured, checks }])
}
