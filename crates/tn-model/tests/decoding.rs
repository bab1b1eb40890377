//! Decoding where a gene takes several tokens: forced tokens, the expected ranking along the tree of genes, and headers of known form.

use burn::tensor::{Device, Tensor};
use tn_model::generation::{
    CellWriter, Continuation, EarlyStop, ExpectationOptions, ExpectedRanking, ForcedTokens, GenerateError, GenerationOptions, Grammar,
    GrammarState, HeaderField, LocalGenerator, Passes, Request, Sampling,
};
use tn_model::qwen3::Trained;
use tn_model::{Qwen3, Qwen3Config, SentenceTokenizer, TokenizerOptions};
use tn_sentence::{CellSentence, Conditioning, FinishReason, TaskRecord, Vocabulary};

const NEIGHBORS: &str = "<pos> X: 10, Y: 20 <meta> class: Astro <cs> GFAP AQP4 </cs> \
     <pos> X: 14, Y: 25 <meta> class: Oligo <cs> MBP PLP1 HLA </cs>";

/// Genes of one token and of several, one the beginning of another, some with forced tokens inside.
fn panel() -> Vocabulary {
    Vocabulary::new(["GFAP", "AQP4", "12", "1234", "125", "HLA-DRA", "HLA-DRB1", "HLA-B", "ZZTOP"]).unwrap()
}

fn tokenizer() -> SentenceTokenizer {
    let known = Vocabulary::new(["GFAP", "AQP4"]).unwrap();
    SentenceTokenizer::train([NEIGHBORS, "HLA-DRA HLA-DRA HLA-DRB1 HLA-B HLA-B"], &known, &TokenizerOptions::default()).unwrap()
}

/// A tokenizer without merges: every word has the blank as its first token.
fn bytes_only() -> SentenceTokenizer {
    let mut json: serde_json::Value = serde_json::from_str(&tokenizer().to_json()).unwrap();
    // The first ids are the end of text and the bytes.
    json["model"]["vocab"].as_object_mut().unwrap().retain(|_, id| id.as_u64().unwrap() <= 256);
    json["model"]["merges"] = serde_json::json!([]);
    SentenceTokenizer::from_json(&json.to_string()).unwrap()
}

/// Fresh weights with opinions: the embedding, and with it the head, is enlarged.
fn model() -> Qwen3 {
    model_with(tokenizer().vocab_size())
}

fn model_with(vocab_size: usize) -> Qwen3 {
    let config = Qwen3Config { hidden_size: 32, num_hidden_layers: 2, ..Qwen3Config::tiny(vocab_size) };
    let mut model = Qwen3::initialize(&config, 3, &Device::flex());
    model.update(Trained::Everything, &mut |name, tensor: Tensor<2>| if name.contains("embed") { tensor * 12.0 } else { tensor });
    model
}

fn grammar() -> Grammar {
    Grammar::new(&tokenizer(), &panel()).unwrap()
}

fn engine() -> LocalGenerator {
    LocalGenerator::new(&model(), tokenizer()).unwrap().with_grammar(grammar())
}

fn request(samples: u32, sampling: Sampling) -> Request {
    let header = "<pos> X: 12, Y: 22 <meta> class: Astro <cs>";
    Request {
        id: "a".to_owned(),
        prompt: format!("{NEIGHBORS} {header}"),
        header: header.to_owned(),
        samples,
        sampling,
        max_new_tokens: 90,
        seed: 42,
    }
}

fn unconditioned(samples: u32, sampling: Sampling) -> Request {
    let header = "<pos> X: 12, Y: 22";
    Request { prompt: format!("{NEIGHBORS} {header}"), header: header.to_owned(), ..request(samples, sampling) }
}

fn fields() -> [HeaderField; 2] {
    [HeaderField::one_of("class", ["Astro", "Oligo", "Oligo precursor"]), HeaderField::one_of("domain", ["L2/3"])]
}

fn with_fields() -> LocalGenerator {
    engine().with_grammar(grammar().with_fields(&tokenizer(), &fields()).unwrap())
}

fn cell(request: &Request, continuation: &Continuation) -> CellSentence {
    let text = format!("{}{}", request.header, continuation.text);
    CellSentence::parse(&text).unwrap_or_else(|error| panic!("{text}: {error}"))
}

#[test]
fn genes_of_several_tokens_are_written_whole_and_once() {
    let request = request(40, Sampling::AS_TRAINED);
    let continuations = engine().continuations(&request).unwrap();
    let mut lengths = Vec::new();
    for continuation in &continuations {
        assert_eq!(continuation.finish_reason, FinishReason::Closed, "{}", continuation.text);
        let cell = cell(&request, continuation);
        assert!(cell.ranking().iter().all(|gene| panel().contains(gene)), "{}", continuation.text);
        lengths.push(cell.ranking().len());
    }
    assert!(lengths.iter().max() > lengths.iter().min(), "{lengths:?}");
    let texts: String = continuations.into_iter().map(|continuation| continuation.text).collect();
    assert!(["12 ", "1234", "125", "HLA-DRB1", "ZZTOP"].iter().all(|gene| texts.contains(gene)), "{texts}");
}

#[test]
fn a_gene_that_the_limit_cuts_is_left_out() {
    for max_new_tokens in 1..30 {
        let request = Request { max_new_tokens, ..request(6, Sampling::AS_TRAINED) };
        for continuation in engine().continuations(&request).unwrap() {
            assert!(continuation.tokens as usize <= max_new_tokens);
            assert_eq!(continuation.is_cut_between_genes, continuation.finish_reason == FinishReason::Length);
            assert!(cell(&request, &continuation).ranking().iter().all(|gene| panel().contains(gene)), "{}", continuation.text);
        }
    }
}

#[test]
fn a_cell_closes_at_its_budget_of_genes() {
    for max_genes in [0, 1, 3] {
        let engine = engine().with_grammar(grammar().with_max_genes(max_genes));
        let request = request(20, Sampling::AS_TRAINED);
        let lengths = engine.continuations(&request).unwrap().iter().map(|c| cell(&request, c).ranking().len()).max();
        assert_eq!(lengths, Some(max_genes));
    }
}

fn check_forced(engine: &dyn Fn() -> LocalGenerator, request: &Request) -> Passes {
    let (together, passes) = engine().continuations_and_passes(request).unwrap();
    let (one_by_one, all) = engine().with_forced_tokens(ForcedTokens::OneByOne).continuations_and_passes(request).unwrap();
    assert_eq!(together, one_by_one);
    let longest = together.iter().map(|continuation| continuation.tokens as usize).max().unwrap();
    assert_eq!((all.made, all.saved, passes.made + passes.saved), (longest, 0, longest));
    passes
}

#[test]
fn forced_tokens_save_passes_and_change_nothing() {
    for sampling in [Sampling::GREEDY, Sampling::AS_TRAINED, Sampling::default()] {
        for samples in [1, 7] {
            let passes = check_forced(&engine, &request(samples, sampling));
            assert!(passes.saved > 0, "{sampling:?}, {samples} samples: {passes:?}");
            let passes = check_forced(&with_fields, &unconditioned(samples, sampling));
            assert!(passes.saved >= 5, "{sampling:?}, {samples} samples with a header: {passes:?}");
        }
    }
    // Cut inside a run of forced tokens, and a cell without a choice.
    for max_new_tokens in 1..12 {
        check_forced(&with_fields, &Request { max_new_tokens, ..unconditioned(3, Sampling::AS_TRAINED) });
    }
    let closed = || engine().with_grammar(grammar().with_max_genes(0));
    let (continuations, passes) = closed().continuations_and_passes(&request(2, Sampling::GREEDY)).unwrap();
    assert_eq!((continuations[0].text.as_str(), passes.made), (" </cs>", 0));
}

/// Counts the first genes of some cells.
fn first_genes(engine: &LocalGenerator, request: &Request) -> Vec<f64> {
    let mut counts = vec![0.0; panel().len() + 1];
    for continuation in engine.continuations(request).unwrap() {
        let gene = cell(request, &continuation).ranking().genes().first().and_then(|gene| panel().index_of(gene));
        counts[gene.unwrap_or(panel().len())] += 1.0;
    }
    counts
}

#[test]
fn forced_tokens_keep_the_distribution() {
    let (a, b) = (request(1_500, Sampling::AS_TRAINED), Request { seed: 43, ..request(1_500, Sampling::AS_TRAINED) });
    let together = first_genes(&engine(), &a);
    let one_by_one = first_genes(&engine().with_forced_tokens(ForcedTokens::OneByOne), &b);
    let pairs = together.iter().zip(&one_by_one).filter(|(a, b)| *a + *b > 0.0);
    let chi_square: f64 = pairs.map(|(a, b)| (a - b).powi(2) / (a + b)).sum();
    assert!(chi_square < 27.9, "chi-square {chi_square} with at most 9 degrees of freedom (p = 0.001 at 27.9)");
}

/// Adds the probability of every first gene, by the definition: the product over its tokens, each among those that may follow.
fn first_gene_by_definition(model: &Qwen3, ids: &[u32], written: &str, state: &GrammarState, weight: f32, presence: &mut [f32]) {
    let (grammar, tokenizer) = (grammar(), tokenizer());
    let logits: Vec<f32> = model.logits(&model.hidden(ids).narrow(0, ids.len() - 1, 1)).into_data().try_into_vec().unwrap();
    let allowed = state.allowed(&grammar);
    let total: f32 = allowed.iter().map(|&token| logits[token as usize].exp()).sum();
    for &token in allowed {
        let weight = weight * logits[token as usize].exp() / total;
        let mut next = state.clone();
        next.advance(&grammar, token).unwrap();
        // A word that begins ends the one before it, and may be a gene by itself already.
        let written = format!("{written}{}", tokenizer.decode(&[token]));
        match written.split_whitespace().next().filter(|_| next.genes() > 0) {
            Some(gene) => presence[panel().index_of(gene).unwrap()] += weight,
            None if next.is_closed() => {}
            None => first_gene_by_definition(model, &[ids, &[token]].concat(), &written, &next, weight, presence),
        }
    }
}

fn expected(expand_above: f32, samples: u32) -> ExpectedRanking {
    let engine = engine().with_expectation(ExpectationOptions { expand_above, early_stop: None });
    engine.expected_ranking(&request(samples, Sampling::AS_TRAINED)).unwrap().1
}

#[test]
fn a_fully_expanded_first_rank_is_the_product_along_the_tree() {
    let mut by_definition = vec![0.0; panel().len()];
    let ids = tokenizer().encode_ids(&request(1, Sampling::AS_TRAINED).prompt);
    first_gene_by_definition(&model(), &ids, "", &GrammarState::in_genes(&grammar()), 1.0, &mut by_definition);
    let found = expected(0.0, 3);
    for (gene, (a, b)) in found.presence(1).iter().zip(&by_definition).enumerate() {
        assert!((a - b).abs() < 1e-4, "{}: {a} by expansion, {b} by definition", panel().symbol(gene));
    }
    let largest = found.standard_error(1).into_iter().fold(0.0, f32::max);
    // A difference of squares in 32 bits.
    assert!(largest < 5e-4, "the first rank leaves nothing to chance: {largest}");
}

#[test]
fn expansion_and_sampling_agree() {
    let (full, some, none) = (expected(0.0, 400), expected(0.1, 400), expected(1.0, 1_500));
    for k in [1, 2, 4] {
        for other in [&some, &none] {
            let errors = full.standard_error(k).into_iter().zip(other.standard_error(k));
            for (gene, ((a, b), (x, y))) in full.presence(k).into_iter().zip(other.presence(k)).zip(errors).enumerate() {
                // Sampling misses what is rare: the error cannot be told from no hit.
                let bound = 4.5 * x.hypot(y) + 0.003;
                assert!((a - b).abs() < bound, "{} among the first {k}: {a} and {b}, more than {bound} apart", panel().symbol(gene));
            }
        }
        let total = |ranking: &ExpectedRanking| ranking.standard_error(k).iter().sum::<f32>() * (ranking.trajectories() as f32).sqrt();
        assert!(total(&full) < total(&none), "looking at all branches leaves less to chance");
    }
}

#[test]
fn the_expected_ranking_is_the_frequency_among_samples() {
    let ranking = expected(0.05, 300);
    let request = request(2_000, Sampling::AS_TRAINED);
    let cells: Vec<CellSentence> = engine().continuations(&request).unwrap().iter().map(|c| cell(&request, c)).collect();
    for k in [1, 3] {
        for (gene, (p, error)) in ranking.presence(k).into_iter().zip(ranking.standard_error(k)).enumerate() {
            let seen = cells.iter().filter(|cell| cell.ranking().iter().take(k).any(|g| g == panel().symbol(gene))).count();
            let frequency = seen as f32 / cells.len() as f32;
            let bound = 4.5 * (p * (1.0 - p).max(0.0) / cells.len() as f32 + error * error).sqrt() + 0.003;
            assert!((p - frequency).abs() < bound, "{} among the first {k}: {p} and {frequency}", panel().symbol(gene));
        }
    }
}

#[test]
fn an_expected_ranking_does_not_need_a_choice_of_the_first_token() {
    let panel = Vocabulary::new(["GFAP", "12", "1234", "MBP"]).unwrap();
    // Long enough for all genes: what the limit cuts is seen in part.
    let request = Request { max_new_tokens: 40, ..request(12, Sampling::AS_TRAINED) };
    for expand_above in [0.0, 1.0] {
        let [together, one_by_one] = [ForcedTokens::Together, ForcedTokens::OneByOne].map(|forced| {
            let engine = LocalGenerator::new(&model_with(bytes_only().vocab_size()), bytes_only()).unwrap();
            let engine = engine.with_panel(panel.clone()).unwrap().with_forced_tokens(forced);
            let engine = engine.with_expectation(ExpectationOptions { expand_above, early_stop: None });
            engine.expected_ranking(&request).unwrap().1
        });
        assert!(!together.genes().is_empty() && together.expected_length() > 0.0);
        for k in 1..=panel.len() {
            for (gene, (a, b)) in together.presence(k).iter().zip(one_by_one.presence(k)).enumerate() {
                assert!((a - b).abs() < 1e-3, "{} among the first {k}: {a} together, {b} one by one", panel.symbol(gene));
            }
        }
    }
}

#[test]
fn no_samples_are_no_continuations_and_no_ranking() {
    let none = request(0, Sampling::AS_TRAINED);
    assert!(engine().continuations(&none).unwrap().is_empty());
    assert!(matches!(engine().expected_ranking(&none), Err(GenerateError::InvalidSampling { name: "samples", .. })));
}

#[test]
#[should_panic(expected = "another tokenizer")]
fn a_grammar_of_another_tokenizer_is_refused() {
    let _engine = engine().with_grammar(Grammar::new(&bytes_only(), &panel()).unwrap());
}

#[test]
fn an_expected_ranking_stops_early_when_asked_to() {
    let stopping = |ranks, every| {
        let options = ExpectationOptions { early_stop: Some(EarlyStop { ranks, every }), ..ExpectationOptions::default() };
        let ranking = engine().with_expectation(options).expected_ranking(&request(100, Sampling::AS_TRAINED)).unwrap().1;
        (ranking.trajectories(), ranking.genes())
    };
    // Nothing compared is always the same.
    assert_eq!(stopping(0, 4).0, 8);
    let (trajectories, genes) = stopping(2, 10);
    assert!((20..100).contains(&trajectories), "{trajectories} trajectories");
    assert_eq!(genes[..2], expected(0.05, 100).genes()[..2]);
    assert_eq!(stopping(9, 100).0, 100);
    assert_eq!(stopping(9, 0).0.min(2), 2);
}

#[test]
fn a_header_with_fields_is_written_in_its_form() {
    let request = unconditioned(60, Sampling::AS_TRAINED);
    let engine = with_fields();
    let mut classes: Vec<String> = Vec::new();
    for continuation in engine.continuations(&request).unwrap() {
        let cell = cell(&request, &continuation);
        assert_eq!(cell.metadata().get("domain"), Some("L2/3"));
        classes.push(cell.metadata().get("class").unwrap().to_owned());
        assert_eq!(cell.metadata().len(), 2);
    }
    classes.sort_unstable();
    classes.dedup();
    assert!(classes.len() > 1 && classes.iter().all(|class| ["Astro", "Oligo", "Oligo precursor"].contains(&class.as_str())));

    let (consensus, ranking) = engine.expected_ranking(&request).unwrap();
    assert_eq!(ranking.trajectories(), 60);
    assert!(cell(&request, &consensus).metadata().get("class").is_some());
}

#[test]
fn without_fields_a_header_is_free_and_its_genes_are_not() {
    let request = Request { max_new_tokens: 400, ..unconditioned(10, Sampling { temperature: 3.0, ..Sampling::AS_TRAINED }) };
    for continuation in engine().continuations(&request).unwrap() {
        let Some((_, genes)) = continuation.text.split_once("<cs>") else { continue };
        let genes: Vec<&str> = genes.split_whitespace().filter(|word| *word != "</cs>").collect();
        assert!(genes.iter().all(|gene| panel().contains(gene)), "{}", continuation.text);
    }
}

#[test]
fn a_writer_of_tasks_works_with_any_panel() {
    let task = TaskRecord {
        cell_name: "a".to_owned(),
        prompt: NEIGHBORS.to_owned(),
        x: 12.0,
        y: 22.0,
        class: "Astro".to_owned(),
        ..TaskRecord::default()
    };
    let options = GenerationOptions { samples: 3, conditioning: Conditioning::Unconditioned, ..GenerationOptions::default() };
    let writer = CellWriter::new(with_fields(), options).unwrap();
    for record in writer.samples(&task).unwrap() {
        CellSentence::parse(&record.generated_block).unwrap();
    }
    CellSentence::parse(&writer.expected_ranking(&task).unwrap().record.generated_block).unwrap();
}
