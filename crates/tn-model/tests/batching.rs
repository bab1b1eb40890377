//! Many requests in the same passes of the model: what is written for each does not depend on the others.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use burn::tensor::{Device, Tensor};
use proptest::prelude::*;
use tn_model::generation::{
    Batching, Continuation, EarlyStop, ExpectationOptions, ExpectedRanking, ForcedTokens, GenerateError, Generator, Grammar, HeaderField,
    LocalGenerator, Request, Sampling,
};
use tn_model::kernels::packed_linear::WeightFormat;
use tn_model::qwen3::{Branch, Continuations, PackedQwen3, Part, Step, Trained, pass};
use tn_model::{Qwen3, Qwen3Config, SentenceTokenizer, TokenizerOptions};
use tn_sentence::{FinishReason, Vocabulary};

const CELL: &str = "<pos> X: 10, Y: 20 <meta> class: Astro <cs> GFAP AQP4 HLA-DRA </cs>";

fn panel() -> Vocabulary {
    Vocabulary::new(["GFAP", "AQP4", "HLA-DRA", "HLA-DRB1", "HLA-B", "ZZTOP", "12", "1234"]).unwrap()
}

fn tokenizer() -> SentenceTokenizer {
    let known = Vocabulary::new(["GFAP", "AQP4"]).unwrap();
    SentenceTokenizer::train([CELL], &known, &TokenizerOptions::default()).unwrap()
}

/// Fresh weights with opinions: the embedding, and with it the head, is enlarged.
fn model() -> Qwen3 {
    let config = Qwen3Config { hidden_size: 32, num_hidden_layers: 2, ..Qwen3Config::tiny(tokenizer().vocab_size()) };
    let mut model = Qwen3::initialize(&config, 3, &Device::flex());
    model.update(Trained::Everything, &mut |name, tensor: Tensor<2>| if name.contains("embed") { tensor * 12.0 } else { tensor });
    model
}

fn free_engine() -> LocalGenerator {
    LocalGenerator::new(&model(), tokenizer()).unwrap()
}

fn engine() -> LocalGenerator {
    free_engine().with_panel(panel()).unwrap()
}

/// As large models are decoded.
fn in_one_batch(engine: LocalGenerator) -> LocalGenerator {
    engine.with_batching(Batching { small_model_bytes: 0, ..Batching::default() })
}

fn request(name: usize, neighbors: usize, samples: u32, sampling: Sampling) -> Request {
    let header = format!("<pos> X: {name}, Y: 22 <meta> class: Astro <cs>");
    let prompt = format!("{}{header}", format!("{CELL} ").repeat(neighbors));
    Request { id: format!("cell {name}"), prompt, header, samples, sampling, max_new_tokens: 25 + name % 7, seed: 42 }
}

type Found = BTreeMap<usize, Result<Vec<Continuation>, String>>;

fn generate(engine: &LocalGenerator, requests: &[Request]) -> Found {
    let found = Mutex::new(BTreeMap::new());
    engine.generate(requests, &|index, continuations| {
        let continuations = continuations.map_err(|error| error.to_string());
        assert!(found.lock().unwrap().insert(index, continuations).is_none(), "request {index} was delivered twice");
        ControlFlow::Continue(())
    });
    found.into_inner().unwrap()
}

fn on_threads<T: Send>(threads: usize, work: impl FnOnce() -> T + Send) -> T {
    rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap().install(work)
}

fn values(tensor: &Tensor<2>) -> Vec<f32> {
    tensor.to_data().try_into_vec().unwrap()
}

fn ids(seed: u32, count: usize) -> Vec<u32> {
    (0..count as u32).map(|i| (seed + i * 37) % 200).collect()
}

fn a_request() -> impl Strategy<Value = (usize, u32, bool)> {
    (0usize..12, 1u32..5, any::<bool>())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(20))]

    #[test]
    fn what_is_written_depends_on_the_request_only(
        shapes in proptest::collection::vec(a_request(), 1..9),
        tokens in prop::sample::select(vec![1, 64, 100, 512]),
        cache_bytes in prop::sample::select(vec![0, 1 << 18, usize::MAX]),
        small_model_bytes in prop::sample::select(vec![0, usize::MAX]),
        threads in 1usize..4,
        is_free in any::<bool>(),
    ) {
        let requests: Vec<Request> = shapes
            .iter()
            .enumerate()
            .map(|(name, &(neighbors, samples, greedy))| {
                request(name, neighbors, samples, if greedy { Sampling::GREEDY } else { Sampling::AS_TRAINED })
            })
            .collect();
        let engine = if is_free { free_engine() } else { engine() };
        let alone: Found = requests.iter().map(|request| engine.continuations(request).map_err(|e| e.to_string())).enumerate().collect();
        let engine = engine.with_batching(Batching { tokens, cache_bytes, small_model_bytes });
        let together = on_threads(threads, || generate(&engine, &requests));
        prop_assert_eq!(together, alone);
    }
}

#[test]
fn expected_rankings_depend_on_the_request_only() {
    let early_stop = Some(EarlyStop { ranks: 2, every: 2 });
    let stopping = || engine().with_expectation(ExpectationOptions { early_stop, ..ExpectationOptions::default() });
    for engine in [engine(), in_one_batch(engine()), stopping(), in_one_batch(stopping())] {
        check_expected_rankings(&engine);
    }
}

fn check_expected_rankings(engine: &LocalGenerator) {
    let requests: Vec<Request> = (0..7).map(|name| request(name, name * 2, 3 + name as u32, Sampling::AS_TRAINED)).collect();
    let alone: BTreeMap<usize, (Continuation, ExpectedRanking)> =
        requests.iter().map(|request| engine.expected_ranking(request).unwrap()).enumerate().collect();
    for threads in 1..4 {
        let found = Mutex::new(BTreeMap::new());
        on_threads(threads, || {
            engine.expected_rankings(&requests, |index, ranked| {
                found.lock().unwrap().insert(index, ranked.unwrap());
                ControlFlow::Continue(())
            });
        });
        assert!(found.into_inner().unwrap() == alone, "{threads} threads");
    }
}

#[test]
fn many_texts_at_once_are_drawn_on_several_threads() {
    let engine = in_one_batch(engine()).with_batching(Batching { tokens: 4_096, small_model_bytes: 0, ..Batching::default() });
    let requests: Vec<Request> = (0..16).map(|name| request(name, 1, 100, Sampling::AS_TRAINED)).collect();
    let alone: Found = requests.iter().map(|request| Ok(engine.continuations(request).unwrap())).enumerate().collect();
    for threads in [1, 3] {
        assert!(on_threads(threads, || generate(&engine, &requests)) == alone, "{threads} threads");
    }
}

#[test]
fn no_more_requests_are_begun_than_there_is_memory_for() {
    let requests: Vec<Request> = (0..6).map(|name| request(name, 8, 2, Sampling::AS_TRAINED)).collect();
    let packed = PackedQwen3::pack(&model(), WeightFormat::F32);
    let prompt = tokenizer().encode_ids(&requests[0].prompt).len();
    let bytes_of_one = Continuations::size_in_bytes(&packed, prompt, 2, requests[0].max_new_tokens);
    let most_at_once = |cache_bytes, small_model_bytes, threads| {
        let engine = engine().with_batching(Batching { cache_bytes, small_model_bytes, ..Batching::default() });
        let (begun, most) = (Mutex::new(BTreeSet::new()), AtomicUsize::new(0));
        let delivered = AtomicUsize::new(0);
        on_threads(threads, || {
            engine.stream(
                &requests,
                &|index, _, _| {
                    let mut begun = begun.lock().unwrap();
                    begun.insert(index);
                    most.fetch_max(begun.len(), Ordering::Relaxed);
                    ControlFlow::Continue(())
                },
                &|index, continuations| {
                    assert!(continuations.is_ok());
                    begun.lock().unwrap().remove(&index);
                    delivered.fetch_add(1, Ordering::Relaxed);
                    ControlFlow::Continue(())
                },
            );
        });
        assert_eq!(delivered.into_inner(), 6);
        most.into_inner()
    };
    assert!(most_at_once(usize::MAX, 0, 1) > 2);
    assert_eq!(most_at_once(bytes_of_one * 5 / 2, 0, 1), 2);
    assert_eq!(most_at_once(1, 0, 1), 1);
    // Where each thread decodes a request of its own.
    assert_eq!(most_at_once(1, usize::MAX, 3), 1);
}

#[test]
fn continuations_that_are_kept_go_on_as_they_were() {
    let packed = PackedQwen3::pack(&model(), WeightFormat::F32);
    let mut all = Continuations::start(&packed, &ids(1, 30), 4, 60);
    let mut some = Continuations::start(&packed, &ids(1, 30), 4, 60);
    let run = |number: u32| vec![number * 7, number + 40];
    let rows = |continuations: &Continuations<'_>, wanted: &[usize]| -> Vec<Vec<f32>> {
        let logits = values(continuations.logits());
        let vocabulary = logits.len() / continuations.count();
        wanted.iter().map(|&row| logits[row * vocabulary..][..vocabulary].to_vec()).collect()
    };
    // Beyond the room that a cache begins with.
    for step in 0..25 {
        let runs: Vec<Vec<u32>> = (0..4).map(|number| run(number + step % 3)).collect();
        all.push_runs(&runs);
        let kept: &[usize] = if step < 5 { &[0, 1, 2, 3] } else { &[3, 1] };
        if step == 5 {
            some.keep(kept);
        }
        some.push_runs(&kept.iter().map(|&number| runs[number].clone()).collect::<Vec<_>>());
        assert_eq!(rows(&some, &(0..kept.len()).collect::<Vec<_>>()), rows(&all, kept), "step {step}");
    }
}

#[test]
#[should_panic(expected = "cannot be kept")]
fn a_continuation_is_not_kept_twice() {
    let packed = PackedQwen3::pack(&model(), WeightFormat::F32);
    Continuations::start(&packed, &ids(1, 3), 2, 5).keep(&[1, 1]);
}

#[test]
fn a_request_without_a_prompt_fails_by_itself() {
    let engine = in_one_batch(engine());
    let mut requests: Vec<Request> = (0..3).map(|name| request(name, 1, 1, Sampling::GREEDY)).collect();
    requests[1].prompt.clear();
    requests[2].max_new_tokens = usize::MAX;
    let found = generate(&engine, &requests);
    assert!(found[&0].is_ok());
    assert_eq!(found[&1].as_ref().unwrap_err(), "the prompt of cell cell 1 is empty");
    assert!(found[&2].as_ref().unwrap_err().contains("cell 2"));
}

#[test]
fn samples_that_end_at_their_first_draw_are_followed_by_others() {
    let early_stop = Some(EarlyStop { ranks: 1, every: 1 });
    // The first token is that of a tag before the class: none of the samples comes to its genes.
    let fields = [HeaderField::one_of("class", ["Astro"])];
    let grammar = Grammar::new(&tokenizer(), &panel()).unwrap().with_fields(&tokenizer(), &fields).unwrap();
    let engine = engine().with_grammar(grammar).with_forced_tokens(ForcedTokens::OneByOne);
    let engine = engine.with_expectation(ExpectationOptions { early_stop, ..ExpectationOptions::default() });
    let header = "<pos> X: 1, Y: 2".to_owned();
    let request = Request { prompt: header.clone(), header, max_new_tokens: 1, ..request(1, 0, 4_096, Sampling::AS_TRAINED) };
    let (_, ranking) = engine.expected_ranking(&request).unwrap();
    assert_eq!(ranking.trajectories(), 0);
}

#[test]
fn logits_are_the_same_bits_beside_any_others_and_in_any_parts() {
    let model = model();
    for format in WeightFormat::ALL {
        let packed = PackedQwen3::pack(&model, format);
        let runs = [vec![5], vec![6, 7, 8]];
        let branches = [Branch { continuation: 1, tokens: vec![9, 10] }, Branch { continuation: 0, tokens: vec![11] }];
        // One prompt by itself.
        let mut alone = Continuations::start(&packed, &ids(1, 300), 2, 20);
        let prompt = values(alone.logits());
        alone.push_runs(&runs);
        let (pushed, peeked) = (values(alone.logits()), values(&alone.peek(&branches)));

        // The same in parts, while others are read and written.
        let mut other = Continuations::start(&packed, &ids(2, 90), 3, 20);
        let mut third = Continuations::new(&packed, ids(3, 411), 1, 20);
        let mut found = Continuations::new(&packed, ids(1, 300), 2, 20);
        let others = [vec![1], vec![2], vec![3, 4]];
        for (step, of_third) in
            [(Step::Read(64), 128), (Step::Read(192), 64), (Step::Read(44), 64), (Step::Push(&runs), 128), (Step::Peek(&branches), 27)]
        {
            let logits = pass(&mut [
                Part { continuations: &mut other, step: Step::Push(&others) },
                Part { continuations: &mut found, step },
                Part { continuations: &mut third, step: Step::Read(of_third) },
            ]);
            if let Step::Peek(_) = step {
                assert_eq!(values(logits[1].as_ref().unwrap()), peeked, "{format}, branches");
            } else if matches!(step, Step::Read(44)) {
                assert_eq!(values(found.logits()), prompt, "{format}, prompt");
            }
        }
        assert_eq!(values(found.logits()), pushed, "{format}, runs");
        let whole = Continuations::start(&packed, &ids(3, 411), 1, 20);
        assert_eq!(values(third.logits()), values(whole.logits()), "{format}, another prompt");
    }
}

#[test]
fn a_request_that_cannot_be_run_does_not_stop_the_others() {
    let engine = in_one_batch(engine());
    let mut requests: Vec<Request> = (0..5).map(|name| request(name, 3, 2, Sampling::AS_TRAINED)).collect();
    let good = generate(&engine, &requests);
    requests[2].prompt = format!("{CELL} ").repeat(5_000);
    let mut found = generate(&engine, &requests);
    assert!(found.remove(&2).unwrap().unwrap_err().contains("cell 2"));
    assert_eq!(found.len(), 4);
    assert!(found.iter().all(|(index, continuations)| continuations == &good[index]));
}

#[test]
fn streamed_text_is_the_text_of_the_continuation() {
    for engine in [engine(), free_engine(), in_one_batch(engine()), in_one_batch(free_engine())] {
        let mut requests: Vec<Request> = (0..5).map(|name| request(name, 2, 3, Sampling::AS_TRAINED)).collect();
        // Texts that begin before the gene list.
        requests[4].header = "<pos> X: 1, Y: 2".to_owned();
        requests[4].prompt = format!("{CELL} {}", requests[4].header);
        let (heard, delivered) = (Mutex::new(BTreeMap::<(usize, u32), Vec<String>>::new()), Mutex::new(BTreeMap::new()));
        engine.stream(
            &requests,
            &|index, sample, text| {
                heard.lock().unwrap().entry((index, sample)).or_default().push(text.to_owned());
                ControlFlow::Continue(())
            },
            &|index, continuations| {
                delivered.lock().unwrap().insert(index, continuations.unwrap());
                ControlFlow::Continue(())
            },
        );
        let (heard, delivered) = (heard.into_inner().unwrap(), delivered.into_inner().unwrap());
        assert_eq!(delivered.len(), 5);
        for (index, continuations) in delivered {
            for (sample, continuation) in (0..).zip(continuations) {
                let pieces = heard.get(&(index, sample)).map_or(&[][..], Vec::as_slice);
                assert_eq!(pieces.concat(), continuation.text, "request {index}, sample {sample}");
                assert!(pieces.len() > 1 || continuation.tokens < 4, "{pieces:?} came at once");
            }
        }
    }
}

#[test]
fn a_request_is_given_up_while_it_is_written() {
    for engine in [engine(), in_one_batch(engine())] {
        check_giving_up(&engine);
    }
}

fn check_giving_up(engine: &LocalGenerator) {
    let requests: Vec<Request> = (0..4).map(|name| request(name, 2, 2, Sampling::AS_TRAINED)).collect();
    let mut expected = generate(engine, &requests);
    expected.remove(&1);
    let (pieces, found) = (AtomicUsize::new(0), Mutex::new(BTreeMap::new()));
    engine.stream(
        &requests,
        &|index, _, _| match index {
            1 if pieces.fetch_add(1, Ordering::Relaxed) == 2 => ControlFlow::Break(()),
            _ => ControlFlow::Continue(()),
        },
        &|index, continuations| {
            found.lock().unwrap().insert(index, continuations.map_err(|error| error.to_string()));
            ControlFlow::Continue(())
        },
    );
    assert_eq!(pieces.into_inner(), 3, "text came after the request was given up");
    assert_eq!(found.into_inner().unwrap(), expected);
}

#[test]
fn a_break_gives_up_all_that_is_not_delivered() {
    let engine = engine();
    let requests: Vec<Request> = (0..40).map(|name| request(name, 2, 2, Sampling::AS_TRAINED)).collect();
    let delivered = AtomicUsize::new(0);
    on_threads(1, || {
        engine.generate(&requests, &|_, _| {
            delivered.fetch_add(1, Ordering::Relaxed);
            ControlFlow::Break(())
        });
    });
    assert_eq!(delivered.into_inner(), 1);
}

#[test]
fn an_interrupt_ends_a_request_in_the_middle() {
    for engine in [engine(), in_one_batch(engine())] {
        check_interrupt(engine);
    }
}

fn check_interrupt(engine: LocalGenerator) {
    let flag = Arc::new(AtomicBool::new(false));
    let engine = engine.with_interrupt(Arc::clone(&flag));
    let requests: Vec<Request> = (0..3).map(|name| request(name, 2, 2, Sampling::AS_TRAINED)).collect();
    let hear = |_, _, _: &str| {
        flag.store(true, Ordering::Relaxed);
        ControlFlow::Continue(())
    };
    engine.stream(&requests, &hear, &|index, _| panic!("request {index} was delivered"));
    assert!(matches!(engine.continuations(&requests[0]), Err(GenerateError::Unanswered { .. })));
}

#[test]
fn a_request_without_samples_has_none() {
    let engine = engine();
    let request = request(1, 1, 0, Sampling::AS_TRAINED);
    assert_eq!(engine.continuations(&request).unwrap(), []);
    assert!(matches!(engine.expected_ranking(&request), Err(GenerateError::InvalidSampling { name: "samples", .. })));
    let nothing = Request { max_new_tokens: 0, samples: 2, ..request };
    let found = engine.continuations(&nothing).unwrap();
    assert!(found.iter().all(|c| c.text.is_empty() && c.finish_reason == FinishReason::Length), "{found:?}");
}
