//! Writing a cell: the prompt is read once, then all trajectories grow together.

use std::hint::black_box;
use std::time::Duration;

use benches::{GENES, METADATA, NEIGHBORS, cell_records, panel, tasks, tissue};
use criterion::{Criterion, SamplingMode, Throughput};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use tissuenarrator::model::generation::{CellWriter, GenerationOptions, Grammar, GrammarState, LocalGenerator, Sampling};
use tissuenarrator::model::kernels::packed_linear::WeightFormat;
use tissuenarrator::model::qwen3::{Continuations, PackedQwen3};
use tissuenarrator::model::{Device, Qwen3, Qwen3Config, SentenceTokenizer, TokenizerOptions};
use tissuenarrator::prelude::*;

const TRAJECTORIES: u32 = 16;

fn main() {
    let mut criterion = Criterion::default().sample_size(10).configure_from_args();
    expected_ranking(&mut criterion);
    grammar(&mut criterion);
    criterion.final_summary();
}

fn expected_ranking(criterion: &mut Criterion) {
    let tissue = tissue(1_000);
    let (panel, cells) = (panel(&tissue), cell_records(&tissue));
    let task = tasks(&cells, 1).remove(0);
    let writer = writer(&panel, &cells);

    let expected = writer.expected_ranking(&task).expect("the prompt fits").ranking;
    assert_eq!(expected.trajectories(), TRAJECTORIES);
    // Each of the first ranks holds one gene, unless a trajectory ended before.
    let presence: f32 = expected.presence(10).iter().sum();
    assert!((5.0..=10.0).contains(&presence), "the first 10 ranks hold {presence} genes");

    let mut group = criterion.benchmark_group("generation");
    group.sampling_mode(SamplingMode::Flat).measurement_time(Duration::from_secs(10));
    group.bench_function("expected_ranking/16_trajectories", |bencher| {
        bencher.iter(|| {
            let found = writer.expected_ranking(black_box(&task)).expect("the prompt fits").ranking;
            assert!(found == expected, "the same task gave another ranking");
        });
    });
    group.finish();
}

/// Tokens of the vocabulary of Qwen3.
const VOCABULARY: usize = 151_669;
const PANEL: usize = 1_122;

/// The cost of the grammar for each token, to be laid beside that of a decoding step.
fn grammar(criterion: &mut Criterion) {
    let families = ["SLC", "GABR", "HTR", "CALB", "KCN", "CACNA", "GRM", "FOXP", "IGF", "TNFRSF", "HLA-D", "MT-ND", "COL", "NEUROD"];
    let symbols = (0..PANEL).map(|gene| format!("{}{}", families[gene % families.len()], gene / families.len() + 1));
    let panel = Vocabulary::new(symbols).expect("different symbols");
    let own = SentenceTokenizer::train([""], &panel, &TokenizerOptions::default()).expect("a panel can be tokenized");
    let published = std::path::Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/qwen3-tokenizer"));
    write_cells(criterion, "one_token_genes", &own, &panel);
    match published.exists() {
        true => write_cells(criterion, "qwen3_tokens", &SentenceTokenizer::load(published).expect("the published file"), &panel),
        false => eprintln!("generation/grammar/qwen3_tokens: absent, as is ../shared"),
    }

    let shape = Qwen3Config::tiny(VOCABULARY);
    let (hidden_size, intermediate_size) = (1_024, 3_072);
    let (num_attention_heads, num_key_value_heads, head_dim) = (16, 8, 128);
    let shape =
        Qwen3Config { hidden_size, intermediate_size, num_hidden_layers: 1, num_attention_heads, num_key_value_heads, head_dim, ..shape };
    let model = PackedQwen3::pack(&Qwen3::initialize(&shape, 1, &Device::flex()), WeightFormat::F32);
    let mut continuations = Continuations::start(&model, &[1; 64], 1, 1);
    criterion.bench_function("generation/grammar/decode_step/one_layer", |bencher| {
        bencher.iter(|| {
            continuations.restart(1);
            continuations.push(black_box(&[7]));
            assert_eq!(continuations.logits().dims(), [1, VOCABULARY]);
        });
    });
}

/// Writes a cell of 100 genes from the same logits at each step.
fn write_cells(criterion: &mut Criterion, name: &str, tokenizer: &SentenceTokenizer, panel: &Vocabulary) {
    let mut source = ChaCha8Rng::seed_from_u64(1);
    let mut logits: Vec<f32> = (0..VOCABULARY).map(|_| source.random_range(-4.0..4.0)).collect();
    let grammar = Grammar::new(tokenizer, panel).expect("the tokenizer knows all letters").with_max_genes(100);
    let close = tokenizer.encode_ids(" </cs>")[0];
    logits[close as usize] = -1e4;
    let write = |logits: &[f32]| {
        let mut draws = ChaCha8Rng::seed_from_u64(2);
        let (mut state, mut tokens, mut repairs) = (GrammarState::in_genes(&grammar), 0u64, 0);
        while !state.is_closed() {
            let allowed = state.allowed(&grammar);
            repairs += u32::from(allowed.binary_search(&Sampling::most_probable(logits)).is_err());
            let token = Sampling::default().draw_among(allowed, logits, &mut draws);
            state.advance(&grammar, token).expect("drawn from what is allowed");
            tokens += 1;
        }
        (tokens, state.genes(), repairs)
    };
    let (tokens, genes, _) = write(&logits);
    assert_eq!(genes, 100);
    let mut group = criterion.benchmark_group("generation/grammar");
    group.throughput(Throughput::Elements(tokens));
    group.bench_function(format!("{name}/{PANEL}_genes"), |bencher| {
        bencher.iter(|| assert_eq!(write(black_box(&logits)).1, 100));
    });
    group.finish();
}

/// A decoder with fresh weights: as fast as a trained one, up to the length of its cells.
fn writer(panel: &Vocabulary, cells: &[CellRecord]) -> CellWriter<LocalGenerator> {
    let options = PatchOptions::default().with_truncate(GENES).with_meta(METADATA).with_repeats(1);
    let sentences = patch_neighborhoods(cells, Neighborhood::default().with_max_cells(NEIGHBORS), &options);
    let texts = sentences.into_iter().take(200).map(|record| record.sentence);
    let tokenizer = SentenceTokenizer::train(texts, panel, &TokenizerOptions::default()).expect("sentences can be tokenized");
    let config = Qwen3Config::tiny(tokenizer.vocab_size());
    let model = Qwen3::initialize(&config, 1, &Device::flex()).with_context(4_096);
    let options = GenerationOptions { samples: TRAJECTORIES, max_new_tokens: 80, ..GenerationOptions::default() };
    let engine = LocalGenerator::new(&model, tokenizer).expect("the tokenizer is the model's");
    let engine = engine.with_panel(panel.clone()).expect("every gene is one token");
    CellWriter::new(engine, options).expect("the options are in range")
}
