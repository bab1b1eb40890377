//! Writing a cell: the prompt is read once, then all trajectories grow together.

use std::hint::black_box;
use std::time::Duration;

use benches::{GENES, METADATA, NEIGHBORS, cell_records, panel, tasks, tissue};
use criterion::{Criterion, SamplingMode};
use tissuenarrator::model::generation::{CellWriter, GenerationOptions, LocalGenerator};
use tissuenarrator::model::{Device, Qwen3, Qwen3Config, SentenceTokenizer, TokenizerOptions};
use tissuenarrator::prelude::*;

const TRAJECTORIES: u32 = 16;

fn main() {
    let mut criterion = Criterion::default().sample_size(10).configure_from_args();
    expected_ranking(&mut criterion);
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
