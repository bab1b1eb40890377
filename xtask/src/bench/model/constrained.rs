//! The row of constrained decoding: what a grammar of genes costs, beside decoding without one.

use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use tissuenarrator::model::generation::{Grammar, LocalGenerator, Passes, Request, Sampling};
use tissuenarrator::model::kernels::packed_linear::WeightFormat;
use tissuenarrator::model::qwen3::PackedQwen3;
use tissuenarrator::model::{Qwen3Config, SentenceTokenizer, TokenizerOptions, WeightType};
use tissuenarrator::prelude::Vocabulary;

use super::Bench;
use crate::bench::contest::{Contender, in_turns};
use crate::bench::row::{Goal, Row, Side, Unit};
use crate::workspace::root;

/// Beginnings of gene names; each gene of the panel has a number after one.
const FAMILIES: [&str; 14] =
    ["SLC", "GABR", "HTR", "CALB", "KCN", "CACNA", "GRM", "FOXP", "IGF", "TNFRSF", "HLA-D", "MT-ND", "COL", "NEUROD"];

/// Cells of which the longest is written.
const SEEDS: u64 = 8;

/// Measures a model whose tokenizer has a token for each gene, and one with the tokenizer of Qwen3 where it is there.
pub(super) fn rows(bench: &Bench) -> Result<Vec<Row>> {
    let panel = panel(bench.sizes.panel)?;
    let mut rows = Vec::new();
    if bench.wants("constrained-own") {
        let tokenizer = SentenceTokenizer::train([""], &panel, &TokenizerOptions::default())?;
        let eos_token_ids = vec![0];
        let config = Qwen3Config { vocab_size: tokenizer.vocab_size(), eos_token_ids, ..bench.sizes.generating.clone() };
        rows.push(row(bench, "constrained-own", "one token a gene", &config, tokenizer, &panel)?);
    }
    let published = published_tokenizer();
    if bench.wants("constrained-qwen3") && bench.sizes.has_qwen3_vocabulary() {
        match published.exists() {
            true => {
                let tokenizer = SentenceTokenizer::load(&published)?;
                rows.push(row(bench, "constrained-qwen3", "tokenizer of Qwen3", &bench.sizes.generating, tokenizer, &panel)?);
            }
            false => eprintln!("constrained-qwen3: absent, as is the tokenizer of Qwen3 in ../shared"),
        }
    }
    Ok(rows)
}

fn published_tokenizer() -> PathBuf {
    let mut path = root();
    path.push(Path::new("../shared/qwen3-tokenizer"));
    path
}

fn panel(genes: usize) -> Result<Vocabulary> {
    let symbols = (0..genes).map(|gene| format!("{}{}", FAMILIES[gene % FAMILIES.len()], gene / FAMILIES.len() + 1));
    Vocabulary::new(symbols).context("the symbols differ")
}

fn row(bench: &Bench, name: &str, spelling: &str, config: &Qwen3Config, tokenizer: SentenceTokenizer, panel: &Vocabulary) -> Result<Row> {
    let folder = bench.inputs.checkpoint(config, WeightType::Bf16)?;
    let model = PackedQwen3::load(folder, WeightFormat::Bf16)?;
    let grammar = Grammar::new(&tokenizer, panel)?;
    let free = LocalGenerator::from_packed(model.clone(), tokenizer.clone())?;
    let constrained = LocalGenerator::from_packed(model, tokenizer)?.with_grammar(grammar);
    let (request, passes) = longest_cell(&constrained, bench.sizes.written)?;
    let (written, free_written) = (&constrained.continuations(&request)?[0], &free.continuations(&request)?[0]);
    let [tokens, free_tokens] = [written.tokens, free_written.tokens];
    ensure!(tokens == free_tokens, "{tokens} tokens were written with a panel and {free_tokens} without");
    let what = format!("{} genes, {spelling}: constrained against free decoding, for each token", panel.len());
    let checks = vec![format!("{tokens} tokens each; with the panel in {} passes, {} repairs", passes.made, written.repairs)];
    let contenders = vec![
        Contender::new(Side::Ours, "constrained", || seconds_per_token(&constrained, &request)),
        Contender::new(Side::Peer, "free", || seconds_per_token(&free, &request)),
    ];
    let measured = in_turns(contenders, bench.repeats)?;
    let goal = Goal::Cost { reach: 1.05, moonshot: 1.0 };
    Ok(Row { name: name.to_owned(), what, unit: Unit::Milliseconds, goal, measured, checks })
}

/// Returns a request for as many tokens as the panel lets a cell have, of the longest of some cells: fresh weights end a cell at any time.
fn longest_cell(generator: &LocalGenerator, most: usize) -> Result<(Request, Passes)> {
    let prompt = "<pos> X: 1, Y: 2 <meta> class: Astro <cs>".to_owned();
    let request = |seed| Request {
        id: "cell".to_owned(),
        prompt: prompt.clone(),
        header: prompt.clone(),
        samples: 1,
        sampling: Sampling::default(),
        max_new_tokens: most,
        seed,
    };
    let mut longest: Option<(Request, Passes)> = None;
    for request in (0..SEEDS).map(request) {
        let (written, passes) = generator.continuations_and_passes(&request)?;
        let tokens = written[0].tokens as usize;
        if longest.as_ref().is_none_or(|(longest, _)| tokens > longest.max_new_tokens) {
            longest = Some((Request { max_new_tokens: tokens, ..request }, passes));
        }
        if tokens == most {
            break;
        }
    }
    longest.context("no cell was written")
}

fn seconds_per_token(generator: &LocalGenerator, request: &Request) -> Result<f64> {
    let start = Instant::now();
    let written = generator.continuations(request)?;
    let seconds = start.elapsed().as_secs_f64();
    let tokens = written[0].tokens;
    ensure!(tokens > 0, "nothing was written");
    Ok(seconds / f64::from(tokens))
}
