//! Scoring an observed cell: leave-one-out prompts that share their beginning, against whole prompts.

use std::hint::black_box;
use std::time::Duration;

use benches::{GENES, METADATA, NEIGHBORS, cell_records, panel, tasks, tissue};
use criterion::{Criterion, SamplingMode};
use tissuenarrator::model::kernels::packed_linear::WeightFormat;
use tissuenarrator::model::likelihood::CellScorer;
use tissuenarrator::model::qwen3::{PackedQwen3, ReadSequence};
use tissuenarrator::model::{Device, Qwen3, Qwen3Config, SentenceTokenizer, TokenizerOptions};
use tissuenarrator::prelude::*;
use tissuenarrator::sentence::CoordinateFormat;

fn main() {
    let mut criterion = Criterion::default().sample_size(10).configure_from_args();
    influence(&mut criterion);
    criterion.final_summary();
}

fn influence(criterion: &mut Criterion) {
    let tissue = tissue(1_000);
    let (panel, cells) = (panel(&tissue), cell_records(&tissue));
    let task = tasks(&cells, 1).remove(0);
    let tokenizer = tokenizer(&panel, &cells);
    let config = Qwen3Config::tiny(tokenizer.vocab_size());
    let model = Qwen3::initialize(&config, 1, &Device::flex()).with_context(4_096);
    let packed = || PackedQwen3::pack(&model, WeightFormat::F32);
    let prompts = PromptBuilder::new(Conditioning::Conditioned);
    let texts = Texts::of_task(&prompts, &tokenizer, &task);
    let slow = packed();
    let scorer = CellScorer::new(packed(), tokenizer, prompts).expect("the tokenizer is the model's");
    let check = |influences: &[f64]| {
        assert_eq!(influences.len(), NEIGHBORS);
        for (influence, expected) in influences.iter().zip(texts.influences(&slow)) {
            assert!((influence - expected).abs() < 1e-4, "{influence} and {expected} nats");
        }
    };
    let shared = scorer.score(&task).expect("the prompt fits").influences;
    check(&shared);

    let mut group = criterion.benchmark_group(format!("model/influence/{NEIGHBORS}_neighbors"));
    group.sampling_mode(SamplingMode::Flat).measurement_time(Duration::from_secs(10));
    group.bench_function("shared_beginning", |bencher| {
        bencher.iter(|| assert!(scorer.score(black_box(&task)).expect("the prompt fits").influences == shared));
    });
    group.bench_function("whole_prompts", |bencher| {
        bencher.iter(|| assert_eq!(texts.influences(black_box(&slow)).len(), NEIGHBORS));
    });
    group.finish();
}

/// The tokens of a prompt with its answer: as it is, and without each neighbor.
struct Texts {
    whole: (Vec<u32>, usize),
    without: Vec<(Vec<u32>, usize)>,
}

impl Texts {
    fn of_task(prompts: &PromptBuilder, tokenizer: &SentenceTokenizer, task: &TaskRecord) -> Self {
        let prompt = prompts.build(task).expect("a simulated cell");
        let observed: CellSentence = task.answer.parse().expect("a simulated cell");
        let answer = format!("{} {} </cs>", prompt.header_text, observed.ranking());
        let tokens = |neighbors: &[CellSentence]| {
            let text = SpatialSentence::new(neighbors.to_vec()).display(CoordinateFormat::Integer).to_string();
            let ids = tokenizer.encode_ids(&format!("{text} {answer}"));
            // Each gene is a token, and so is the closing tag.
            let scored = ids.len() - observed.ranking().len() - 1;
            (ids, scored)
        };
        let without = |left_out| {
            let mut neighbors = prompt.neighbors.clone();
            neighbors.remove(left_out);
            tokens(&neighbors)
        };
        Self { whole: tokens(&prompt.neighbors), without: (0..prompt.neighbors.len()).map(without).collect() }
    }

    /// Returns the influence of each neighbor, every text read from its beginning.
    fn influences(&self, model: &PackedQwen3) -> Vec<f64> {
        let total = |(ids, scored): &(Vec<u32>, usize)| {
            let scores = ReadSequence::read(model, ids, *scored).1;
            scores[..scores.len() - 1].iter().sum::<f64>()
        };
        let whole = total(&self.whole);
        self.without.iter().map(|text| whole - total(text)).collect()
    }
}

fn tokenizer(panel: &Vocabulary, cells: &[CellRecord]) -> SentenceTokenizer {
    let options = PatchOptions::default().with_truncate(GENES).with_meta(METADATA).with_repeats(1);
    let sentences = patch_neighborhoods(cells, Neighborhood::default().with_max_cells(NEIGHBORS), &options);
    let texts = sentences.into_iter().take(200).map(|record| record.sentence);
    SentenceTokenizer::train(texts, panel, &TokenizerOptions::default()).expect("sentences can be tokenized")
}
