//! Writing a cell: the prompt is read once, then all trajectories grow together.

use std::hint::black_box;
use std::time::Duration;

use benches::{GENES, METADATA, NEIGHBORS, cell_records, panel, tasks, tissue};
use criterion::{Criterion, SamplingMode, Throughput};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use tissuenarrator::model::generation::{Batching, CellWriter, GenerationOptions, Grammar, GrammarState, LocalGenerator, Sampling};
use tissuenarrator::model::kernels::packed_linear::WeightFormat;
use tissuenarrator::model::qwen3::{Continuations, PackedQwen3, Part, Step, pass};
use tissuenarrator::model::{Device, Qwen3, Qwen3Config, SentenceTokenizer, TokenizerOptions};
use tissuenarrator::prelude::*;

const TRAJECTORIES: u32 = 16;

fn main() {
    let mut criterion = Criterion::default().sample_size(10).configure_from_args();
    expected_ranking(&mut criterion);
    cells_together(&mut criterion);
    prompts_together(&mut criterion);
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

/// Many cells of a small model: one for each thread at a time, in one batch, and one after another.
fn cells_together(criterion: &mut Criterion) {
    let tissue = tissue(1_000);
    let (panel, cells) = (panel(&tissue), cell_records(&tissue));
    let tasks = tasks(&cells, 16);
    let options = GenerationOptions { samples: 1, max_new_tokens: 80, ..GenerationOptions::default() };
    let engine = |batching| {
        let engine = engine(&panel, &cells).with_batching(batching);
        CellWriter::new(engine, options.clone()).expect("the options are in range")
    };
    let one_a_thread = engine(Batching::default());
    let together = engine(Batching { small_model_bytes: 0, ..Batching::default() });
    let generate = |writer: &CellWriter<LocalGenerator>| -> Vec<_> {
        writer.generate(&tasks, || {}).into_iter().map(|cells| cells.expect("the prompt fits")).collect()
    };
    let expected: Vec<_> = tasks.iter().map(|task| together.samples(task).expect("the prompt fits")).collect();
    let mut group = criterion.benchmark_group("generation/cells");
    group.sampling_mode(SamplingMode::Flat).throughput(Throughput::Elements(tasks.len() as u64));
    for (name, writer) in [("one_for_each_thread", &one_a_thread), ("in_one_batch", &together)] {
        group.bench_function(name, |bencher| bencher.iter(|| assert!(generate(writer) == expected)));
    }
    group.bench_function("one_after_another", |bencher| {
        bencher.iter(|| tasks.iter().zip(&expected).for_each(|(task, cells)| assert!(together.samples(task).is_ok_and(|c| c == *cells))));
    });
    group.finish();

    let options = GenerationOptions { samples: TRAJECTORIES, ..options };
    let [together, one_a_thread] = [together, one_a_thread].map(|writer| writer.with_options(options.clone()).expect("they are in range"));
    let consensus = |writer: &CellWriter<LocalGenerator>| -> Vec<_> {
        writer.consensus(&tasks, || {}).into_iter().map(|cell| cell.expect("the prompt fits").ranking).collect()
    };
    let expected = consensus(&one_a_thread);
    let mut group = criterion.benchmark_group("generation/expected_rankings");
    group.sampling_mode(SamplingMode::Flat).throughput(Throughput::Elements(tasks.len() as u64));
    for (name, writer) in [("one_for_each_thread", &one_a_thread), ("in_one_batch", &together)] {
        group.bench_function(name, |bencher| bencher.iter(|| assert!(consensus(writer) == expected)));
    }
    group.finish();
}

/// Layers of the shape of Qwen3-0.6B, and a vocabulary that is small beside them.
fn layers(count: usize, vocabulary: usize) -> Qwen3Config {
    Qwen3Config {
        hidden_size: 1_024,
        intermediate_size: 3_072,
        num_hidden_layers: count,
        num_attention_heads: 16,
        num_key_value_heads: 8,
        head_dim: 128,
        ..Qwen3Config::tiny(vocabulary)
    }
}

/// Steps of eight prompts of a large model: in the same passes, and each in its own.
fn prompts_together(criterion: &mut Criterion) {
    const PROMPTS: u32 = 8;
    const STEPS: u32 = 4;
    let model = Qwen3::initialize(&layers(4, 1_024), 1, &Device::flex());
    for format in WeightFormat::ALL {
        let model = PackedQwen3::pack(&model, format);
        let prompt = |number: u32| -> Vec<u32> { (0..1_000).map(|i| (i * 37 + number * 11) % 1_024).collect() };
        let mut prompts: Vec<Continuations<'_>> =
            (0..PROMPTS).map(|number| Continuations::start(&model, &prompt(number), 1, STEPS as usize)).collect();
        let mut together = || {
            prompts.iter_mut().for_each(|prompt| prompt.restart(1));
            for step in 0..STEPS {
                let runs = [vec![step]];
                let mut parts: Vec<Part<'_, '_>> =
                    prompts.iter_mut().map(|continuations| Part { continuations, step: Step::Push(&runs) }).collect();
                black_box(pass(&mut parts));
            }
            prompts.iter().map(|prompt| prompt.logits().to_data()).collect::<Vec<_>>()
        };
        let expected = together();
        let mut group = criterion.benchmark_group("generation/prompts");
        group.sampling_mode(SamplingMode::Flat).throughput(Throughput::Elements(u64::from(PROMPTS * STEPS)));
        group.bench_function(format!("together/{format}"), |bencher| bencher.iter(|| assert!(together() == expected)));
        group.bench_function(format!("one_after_another/{format}"), |bencher| {
            bencher.iter(|| {
                for (prompt, expected) in prompts.iter_mut().zip(&expected) {
                    prompt.restart(1);
                    (0..STEPS).for_each(|step| prompt.push(&[step]));
                    assert!(prompt.logits().to_data() == *expected);
                }
            });
        });
        group.finish();
    }
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

    let shape = layers(1, VOCABULARY);
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

fn writer(panel: &Vocabulary, cells: &[CellRecord]) -> CellWriter<LocalGenerator> {
    let options = GenerationOptions { samples: TRAJECTORIES, max_new_tokens: 80, ..GenerationOptions::default() };
    CellWriter::new(engine(panel, cells), options).expect("the options are in range")
}

/// A decoder with fresh weights: as fast as a trained one, up to the length of its cells.
fn engine(panel: &Vocabulary, cells: &[CellRecord]) -> LocalGenerator {
    let options = PatchOptions::default().with_truncate(GENES).with_meta(METADATA).with_repeats(1);
    let sentences = patch_neighborhoods(cells, Neighborhood::default().with_max_cells(NEIGHBORS), &options);
    let texts = sentences.into_iter().take(200).map(|record| record.sentence);
    let tokenizer = SentenceTokenizer::train(texts, panel, &TokenizerOptions::default()).expect("sentences can be tokenized");
    let config = Qwen3Config::tiny(tokenizer.vocab_size());
    let model = Qwen3::initialize(&config, 1, &Device::flex()).with_context(4_096);
    let engine = LocalGenerator::new(&model, tokenizer).expect("the tokenizer is the model's");
    engine.with_panel(panel.clone()).expect("every gene is one token")
}
