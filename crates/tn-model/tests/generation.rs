//! Writing cells: reproducible, well-formed under the panel, and the expected ranking as the mean of what is sampled.

use burn::tensor::Device;
use tn_model::generation::{CellWriter, GenerateError, GenerationOptions, LocalGenerator, Sampling, Shortened};
use tn_model::{Qwen3, Qwen3Config, SentenceTokenizer, TokenizerOptions};
use tn_sentence::{CellSentence, Conditioning, Coordinates, FinishReason, Position, PromptOrder, SpatialSentence, TaskRecord, Vocabulary};

const NEIGHBORS: &str = "<pos> X: 10, Y: 20 <meta> class: Astro <cs> GFAP AQP4 </cs> \
     <pos> X: 14, Y: 25 <meta> class: Oligo <cs> MBP PLP1 1700016P03RIK </cs>";

fn panel() -> Vocabulary {
    Vocabulary::new(["GFAP", "AQP4", "MBP", "PLP1", "1700016P03RIK", "HLA-DRA"]).unwrap()
}

fn tokenizer() -> SentenceTokenizer {
    SentenceTokenizer::train([NEIGHBORS.to_owned()], &panel(), &TokenizerOptions::default()).unwrap()
}

fn model() -> Qwen3 {
    let config = Qwen3Config { hidden_size: 32, num_hidden_layers: 2, ..Qwen3Config::tiny(tokenizer().vocab_size()) };
    Qwen3::initialize(&config, 3, &Device::flex())
}

fn task(name: &str) -> TaskRecord {
    TaskRecord {
        cell_name: name.to_owned(),
        prompt: NEIGHBORS.to_owned(),
        answer: "<pos> X: 12, Y: 22 <meta> class: Astro <cs> GFAP </cs>".to_owned(),
        x: 12.0,
        y: 22.0,
        class: "Astro".to_owned(),
        ..TaskRecord::default()
    }
}

fn writer(options: GenerationOptions) -> CellWriter<LocalGenerator> {
    CellWriter::new(free().with_panel(panel()).unwrap(), options).unwrap()
}

fn free() -> LocalGenerator {
    LocalGenerator::new(&model(), tokenizer()).unwrap()
}

fn options() -> GenerationOptions {
    GenerationOptions { samples: 5, sampling: Sampling::AS_TRAINED, max_new_tokens: 40, ..GenerationOptions::default() }
}

#[test]
fn cells_do_not_depend_on_their_company_or_on_threads() {
    let writer = writer(options());
    let tasks: Vec<TaskRecord> = ["a", "b", "c"].map(task).to_vec();
    let together = writer.generate(&tasks, || {});
    for (task, records) in tasks.iter().zip(&together) {
        assert_eq!(&writer.samples(task).unwrap(), records.as_ref().unwrap());
    }
    for threads in [1, 2] {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        let again = pool.install(|| writer.generate(&tasks, || {}));
        assert!(again.iter().zip(&together).all(|(a, b)| a.as_ref().unwrap() == b.as_ref().unwrap()), "{threads} threads");
    }
}

#[test]
fn samples_differ_by_cell_and_by_number() {
    let writer = writer(options());
    let texts = |name: &str| -> Vec<String> { writer.samples(&task(name)).unwrap().into_iter().map(|r| r.generated_text).collect() };
    let (a, b) = (texts("a"), texts("b"));
    assert_ne!(a, b);
    assert!(a.iter().any(|text| text != &a[0]), "five samples of a random model are the same: {a:?}");
}

#[test]
fn the_panel_keeps_gene_lists_well_formed() {
    for record in writer(options()).samples(&task("a")).unwrap() {
        assert_eq!(record.finish_reason, FinishReason::Closed, "{}", record.generated_text);
        let (sentence, skipped) = SpatialSentence::parse_lenient(&record.generated_block);
        assert!(skipped.is_empty(), "{skipped:?} in {}", record.generated_block);
        let genes = sentence.cells()[0].ranking().genes();
        assert!(genes.iter().all(|gene| panel().contains(gene.as_ref())), "{genes:?}");
        assert!(record.repairs > 0, "a random model writes other tokens too");
    }
}

#[test]
fn without_a_panel_anything_is_written() {
    let records = CellWriter::new(free(), options()).unwrap().samples(&task("a")).unwrap();
    assert!(records.iter().any(|r| r.finish_reason == FinishReason::Length));
    assert!(records.iter().all(|r| r.repairs == 0 && r.n_tokens <= 40));
}

#[test]
fn greedy_samples_are_equal() {
    let records = writer(GenerationOptions { sampling: Sampling::GREEDY, ..options() }).samples(&task("a")).unwrap();
    assert!(records.iter().all(|record| record.generated_text == records[0].generated_text));
}

#[test]
fn an_expected_ranking_is_the_mean_of_samples() {
    let many = writer(GenerationOptions { samples: 600, ..options() });
    let expected = many.expected_ranking(&task("a")).unwrap().ranking;
    let samples = many.samples(&task("a")).unwrap();
    for k in [1, 3] {
        let presence = expected.presence(k);
        for (gene, symbol) in panel().iter().enumerate() {
            let seen = samples.iter().filter(|record| {
                let (sentence, _) = SpatialSentence::parse_lenient(&record.generated_block);
                sentence.cells().first().is_some_and(|cell| cell.ranking().genes().iter().take(k).any(|g| g.as_ref() == symbol))
            });
            let frequency = seen.count() as f32 / samples.len() as f32;
            // Four standard errors of a frequency near 1/2 over 600 samples.
            assert!((presence[gene] - frequency).abs() < 0.082, "{symbol} among the first {k}: {} against {frequency}", presence[gene]);
        }
    }
}

#[test]
fn the_cell_of_an_expected_ranking_lists_the_panel_in_order() {
    let consensus = writer(options()).expected_ranking(&task("a")).unwrap();
    assert!(consensus.record.generated_block.starts_with("<pos> X: 12, Y: 22 <meta> class: Astro <cs> "));
    let (sentence, skipped) = SpatialSentence::parse_lenient(&consensus.record.generated_block);
    assert!(skipped.is_empty());
    let genes: Vec<String> = sentence.cells()[0].ranking().genes().iter().map(ToString::to_string).collect();
    let expected: Vec<&str> = consensus.ranking.genes().into_iter().map(|gene| panel().symbol(gene).to_owned().leak() as &str).collect();
    assert_eq!(genes, expected);
    assert_eq!(consensus.ranking.trajectories(), 5);
}

#[test]
fn a_mode_decides_what_the_model_sees() {
    let prompt =
        |conditioning| writer(GenerationOptions { conditioning, ..options() }).samples(&task("a")).unwrap()[0].model_prompt.clone();
    assert!(prompt(Conditioning::Conditioned).ends_with("X: 12, Y: 22 <meta> class: Astro <cs>"));
    assert!(prompt(Conditioning::Unconditioned).ends_with("X: 12, Y: 22"));
    assert!(!prompt(Conditioning::PositionOnly).contains("class"));
}

#[test]
fn a_model_that_is_not_told_coordinates_writes_cells_at_their_places() {
    let written = |coordinates, x: f64| {
        let writer = writer(GenerationOptions { coordinates, order: PromptOrder::NearToFar, ..options() });
        writer.samples(&TaskRecord { x, ..task("a") }).unwrap().swap_remove(0)
    };
    let (here, there) = (written(Coordinates::Hidden, 12.0), written(Coordinates::Hidden, 11.0));
    let neighbors = "<pos> <meta> class: Astro <cs> GFAP AQP4 </cs> <pos> <meta> class: Oligo <cs> MBP PLP1 1700016P03RIK </cs>";
    assert_eq!(here.model_prompt, format!("{neighbors} <pos> <meta> class: Astro <cs>"));
    assert_eq!((&here.model_prompt, &here.generated_text), (&there.model_prompt, &there.generated_text));
    let place = |block: &str| CellSentence::parse_lenient(block).0.unwrap().position();
    assert_eq!(place(&here.generated_block), Position::new(12.0, 22.0).unwrap());
    assert_eq!(place(&there.generated_block), Position::new(11.0, 22.0).unwrap());
    assert_ne!(written(Coordinates::Shown, 12.0).model_prompt, written(Coordinates::Shown, 11.0).model_prompt);
}

/// A writer whose model reads so many tokens at most.
fn writer_with_context(context: usize) -> CellWriter<LocalGenerator> {
    let config = Qwen3Config { max_position_embeddings: context, ..model().config().clone() };
    let narrow = Qwen3::initialize(&config, 3, &Device::flex());
    CellWriter::new(LocalGenerator::new(&narrow, tokenizer()).unwrap(), options()).unwrap()
}

#[test]
fn the_farthest_neighbors_are_left_out_of_a_prompt_that_is_too_long() {
    let target = task("a");
    let whole = writer(options()).samples(&target).unwrap()[0].model_prompt.clone();
    let context = tokenizer().encode_ids(&whole).len() + options().max_new_tokens;
    let shown = SpatialSentence::parse_lenient(&target.prompt).0.cells().to_vec();
    let distance = |cell: &CellSentence| cell.position().distance(&Position::new(target.x, target.y).unwrap());
    for (context, left_out) in [(context, 0), (context - 1, 1), (context - 30, 2)] {
        let writer = writer_with_context(context);
        let prompt = writer.samples(&target).unwrap()[0].model_prompt.clone();
        let shortened = writer.shortened();
        assert_eq!(shortened.prompts, usize::from(left_out > 0));
        assert!(shortened.neighbors >= left_out, "{shortened:?}");
        assert!(tokenizer().encode_ids(&prompt).len() + options().max_new_tokens <= context);
        // The nearest ones are still there, the farthest are not.
        let mut by_distance = shown.clone();
        by_distance.sort_by(|a, b| distance(a).total_cmp(&distance(b)));
        for (rank, cell) in by_distance.iter().enumerate() {
            assert_eq!(prompt.contains(&cell.to_string()), rank < shown.len() - shortened.neighbors, "{context}: neighbor {rank}");
        }
    }
}

#[test]
fn a_target_that_does_not_fit_alone_is_an_error_of_that_cell() {
    let alone = TaskRecord { prompt: String::new(), ..task("b") };
    let prompt = writer(options()).samples(&alone).unwrap()[0].model_prompt.clone();
    let context = tokenizer().encode_ids(&prompt).len() + options().max_new_tokens;
    let writer = writer_with_context(context);
    let long = TaskRecord { answer: format!("<pos> X: 1, Y: 1 <meta> class: {} <cs> A </cs>", "Astro ".repeat(20)), ..task("a") };
    let results = writer.generate(&[long, alone], || {});
    assert!(matches!(&results[0], Err(GenerateError::PromptTooLong { context: found, .. }) if *found == context));
    assert!(results[1].is_ok());
    assert_eq!(writer.shortened(), Shortened::default());
}

#[test]
fn a_malformed_prompt_is_no_panic() {
    let writer = writer(options());
    for prompt in ["<pos> X: , <cs> </cs> <pos>", "é<cs>é", "<pos> X: 1e999, Y: nan <cs> A </cs>"] {
        assert!(writer.samples(&TaskRecord { prompt: prompt.to_owned(), ..task("a") }).is_ok(), "{prompt}");
    }
    assert!(matches!(writer.samples(&TaskRecord { x: f64::NAN, ..task("a") }), Err(GenerateError::Prompt { .. })));
}

#[test]
fn a_gene_list_cut_at_the_limit_is_closed_in_its_block() {
    let records = writer(GenerationOptions { max_new_tokens: 2, ..options() }).samples(&task("a")).unwrap();
    let cut = records.iter().find(|record| record.finish_reason == FinishReason::Length).expect("two tokens are too few for most");
    assert!(cut.generated_block.ends_with(" </cs>") && !cut.generated_text.contains("</cs>"));
}

#[test]
fn an_expected_ranking_without_any_gene_list_says_so() {
    let unconditioned = GenerationOptions { conditioning: Conditioning::Unconditioned, max_new_tokens: 2, ..options() };
    let consensus = writer(unconditioned).expected_ranking(&task("a")).unwrap();
    assert_eq!(consensus.ranking.trajectories(), 0);
    assert_eq!(consensus.record.finish_reason, FinishReason::Length);
    assert!(!consensus.record.generated_block.contains("</cs>"));
}

#[test]
fn options_and_tokenizers_that_cannot_work_are_refused() {
    let refused = |options| CellWriter::new(free(), options).err().map(|error| error.to_string()).unwrap_or_default();
    assert!(refused(GenerationOptions { samples: 0, ..options() }).starts_with("samples is 0"));
    assert!(refused(GenerationOptions { samples: 5_000, ..options() }).starts_with("samples is 5000"));
    assert!(refused(GenerationOptions { max_new_tokens: 0, ..options() }).starts_with("max-new-tokens is 0"));
    let smaller = Qwen3::initialize(&Qwen3Config::tiny(100), 1, &Device::flex());
    assert!(matches!(LocalGenerator::new(&smaller, tokenizer()), Err(GenerateError::Tokenizer(_))));
    let huge = writer(GenerationOptions { max_new_tokens: usize::MAX, ..options() });
    assert!(matches!(huge.samples(&task("a")), Err(GenerateError::PromptTooLong { .. })));
}
