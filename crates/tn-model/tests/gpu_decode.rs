//! Generation on a GPU: paged attention and sampling kernels beside the processor, and the texts that come out.
//!
//! Runs on every device of the enabled features that this machine has.

#[path = "support/devices.rs"]
#[expect(dead_code, reason = "other tests need more of it")]
mod devices;

use burn::tensor::{DType, Device, Tensor, TensorData};
use devices::{cases, devices, values};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use tn_model::generation::{Batching, Continuation, Generator, Grammar, LocalGenerator, Request, Sampling};
use tn_model::kernels::attention::{self, AttentionShape};
use tn_model::kernels::packed_linear::WeightFormat;
use tn_model::kernels::paged_attention::{self, LayerPages, Limits, NewRows, PAGE, PageCopy, Run};
use tn_model::kernels::sample::{self, Draw, Drawn};
use tn_model::qwen3::{Branch, Continuations, PackedQwen3, Trained};
use tn_model::{Qwen3, Qwen3Config, SentenceTokenizer, TokenizerOptions};
use tn_sentence::Vocabulary;

fn random<const D: usize>(rng: &mut ChaCha8Rng, shape: [usize; D], (device, dtype): (&Device, DType)) -> Tensor<D> {
    let values: Vec<f32> = (0..shape.iter().product()).map(|_| rng.random_range(-1.0..1.0)).collect();
    Tensor::from_data(TensorData::new(values, shape).convert_dtype(dtype), (device, dtype))
}

fn assert_close(found: &[f32], expected: &[f32], tolerance: f32, what: &str) {
    assert_eq!(found.len(), expected.len(), "{what}");
    let off = found.iter().zip(expected).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    assert!(off <= tolerance, "{what}: off by {off}");
}

/// Texts in pages of one layer, and their keys and values once more as rows.
struct Texts {
    shape: AttentionShape,
    layer: LayerPages,
    /// Of each text.
    pages: Vec<Vec<u32>>,
    /// Of each text, `[length, key_heads * head_dim]`.
    keys: Vec<Tensor<2>>,
    values: Vec<Tensor<2>>,
    before: Vec<usize>,
}

impl Texts {
    /// Texts of some lengths, of which the first `shared` tokens are the same in the same pages, whose last tokens are new.
    fn new(shape: AttentionShape, shared: usize, lengths: &[(usize, usize)], on: (&Device, DType)) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(shared as u64 + lengths.len() as u64);
        let width = shape.key_heads * shape.head_dim;
        let shared_pages = shared / PAGE;
        let beginning = [(); 2].map(|()| random(&mut rng, [shared_pages * PAGE, width], on));
        // Pages in no order.
        let total: usize = shared_pages + lengths.iter().map(|(before, new)| (before + new).div_ceil(PAGE) - shared_pages).sum::<usize>();
        let mut free: Vec<u32> = (0..total as u32).collect();
        (1..total).for_each(|i| free.swap(i, rng.random_range(0..=i)));
        let first = free.split_off(total - shared_pages);
        let mut texts = Self {
            shape,
            layer: LayerPages::empty(total, shape, on.1, on.0),
            pages: Vec::new(),
            keys: Vec::new(),
            values: Vec::new(),
            before: lengths.iter().map(|(before, _)| *before).collect(),
        };
        for (before, new) in lengths {
            let length = before + new;
            let own = free.split_off(free.len() + shared_pages - length.div_ceil(PAGE));
            texts.pages.push([&first[..], &own].concat());
            let [keys, values] = beginning.clone().map(|shared| {
                let own = random(&mut rng, [length - shared_pages * PAGE, width], on);
                if shared_pages == 0 { own } else { Tensor::cat(vec![shared, own], 0) }
            });
            texts.keys.push(keys);
            texts.values.push(values);
        }
        // What is there before the new tokens, text after text; then the new tokens in one pass.
        for (text, &before) in texts.before.iter().enumerate().filter(|(_, before)| **before > 0) {
            let rows = NewRows::new(&[Run { pages: &texts.pages[text], before: 0, tokens: before }], LIMITS);
            let first = |all: &[Tensor<2>]| all[text].clone().narrow(0, 0, before);
            texts.layer.write(&first(&texts.keys), &first(&texts.values), &rows);
        }
        let rows = NewRows::new(&texts.runs(), LIMITS);
        let new = |all: &[Tensor<2>]| {
            let last = |(text, keys): (usize, &Tensor<2>)| keys.clone().narrow(0, texts.before[text], texts.tokens(text));
            Tensor::cat(all.iter().enumerate().map(last).collect(), 0)
        };
        let (keys, values) = (new(&texts.keys), new(&texts.values));
        texts.layer.write(&keys, &values, &rows);
        texts
    }

    fn tokens(&self, text: usize) -> usize {
        self.keys[text].dims()[0] - self.before[text]
    }

    fn runs(&self) -> Vec<Run<'_>> {
        let runs = (0..self.pages.len()).map(|text| Run { pages: &self.pages[text], before: self.before[text], tokens: self.tokens(text) });
        runs.collect()
    }

    fn queries(&self) -> Tensor<2> {
        let rows = self.runs().iter().map(|run| run.tokens).sum();
        let width = self.shape.heads * self.shape.head_dim;
        random(&mut ChaCha8Rng::seed_from_u64(99), [rows, width], (&self.keys[0].device(), self.keys[0].dtype())) * 3.0
    }

    /// The attention of each text by itself, on the processor.
    fn expected(&self, q: &Tensor<2>) -> Vec<f32> {
        let host = |tensor: Tensor<2>| Tensor::<2>::from_data(tensor.to_data().convert_dtype(DType::F32), &Device::flex());
        let (q, mut row) = (host(q.clone()), 0);
        let mut expected = Vec::new();
        for text in 0..self.pages.len() {
            let tokens = self.tokens(text);
            let (keys, of_text) = (host(self.keys[text].clone()), q.clone().narrow(0, row, tokens));
            expected.extend(values(&attention::forward(&of_text, &keys, &host(self.values[text].clone()), self.shape).output));
            row += tokens;
        }
        expected
    }
}

const LIMITS: Limits = Limits { rows: 8, keys: 2 * PAGE };

/// Head counts and sizes.
const SHAPES: [[usize; 3]; 4] = [[4, 2, 32], [8, 2, 64], [4, 2, 128], [3, 1, 48]];

fn check(shape: [usize; 3], shared: usize, lengths: &[(usize, usize)], on: (&Device, DType)) {
    let [heads, key_heads, head_dim] = shape;
    let tolerance = if on.1 == DType::F32 { 1e-5 } else { 1.0 / 128.0 };
    let texts = Texts::new(AttentionShape { heads, key_heads, head_dim }, shared, lengths, on);
    let q = texts.queries();
    let expected = texts.expected(&q);
    for limits in [LIMITS, Limits { rows: 1, keys: PAGE }, texts.layer.limits(texts.shape)] {
        let rows = NewRows::new(&texts.runs(), limits);
        let found = paged_attention::forward(&q, &texts.layer, &rows, texts.shape);
        let what = format!("{shape:?}, {shared} shared, {lengths:?}, {limits:?}, {on:?}");
        assert_close(&values(&found), &expected, tolerance, &what);
        check_padded(&texts, &q, limits, &values(&found), &what);
    }
}

/// Empty rows behind the others change nothing, and give 0.
fn check_padded(texts: &Texts, q: &Tensor<2>, limits: Limits, expected: &[f32], what: &str) {
    let [rows, width] = q.dims();
    let padded = NewRows::padded(&texts.runs(), limits, rows + 3);
    let q = Tensor::cat(vec![q.clone(), Tensor::ones([3, width], (&q.device(), q.dtype()))], 0);
    let found = values(&paged_attention::forward(&q, &texts.layer, &padded, texts.shape));
    assert_eq!(found[..expected.len()], *expected, "{what}: as without empty rows");
    assert!(found[expected.len()..].iter().all(|&value| value == 0.0), "{what}: empty rows");
}

#[test]
fn paged_attention_is_the_attention_of_each_text() {
    for case in cases() {
        let on = (&case.device, case.dtype);
        for shape in SHAPES {
            // Around the ends of pages.
            for length in [1, 33, 63, 64, 65, 128, 300] {
                check(shape, 0, &[(length - 1, 1)], on);
            }
            // Samples of one prompt, which is a group from the first whole page.
            for (samples, shared) in [(1, 64), (2, 0), (2, 192), (3, 64), (4, 192), (5, 64), (5, 192)] {
                let lengths: Vec<(usize, usize)> = (0..samples).map(|sample| (shared + 11 * sample, 1)).collect();
                check(shape, shared, &lengths, on);
            }
            // Runs of several tokens, a part of a prompt among them, and other texts beside them.
            check(shape, 128, &[(130, 3), (128, 1), (191, 2), (200, 70)], on);
            check(shape, 0, &[(0, 150), (64, 1), (5, 64)], on);
        }
    }
}

#[test]
fn the_reference_is_the_attention_of_each_text() {
    // The slow path is for devices without kernels, such as this one.
    let on = (&Device::flex(), DType::F32);
    check([4, 2, 32], 128, &[(130, 3), (128, 1), (191, 2), (200, 7)], on);
    check([4, 2, 32], 0, &[(0, 1), (62, 1), (63, 1), (64, 2)], on);
}

#[test]
fn a_group_reads_its_shared_keys_once() {
    let pages: Vec<Vec<u32>> = (0..5).map(|sample| vec![0, 1, 2, 3, 4 + sample]).collect();
    let runs: Vec<Run<'_>> = pages.iter().map(|pages| Run { pages, before: 4 * PAGE + 9, tokens: 1 }).collect();
    assert_eq!(NewRows::new(&runs, LIMITS).keys_read(), 4 * PAGE + 5 * 10);
    let alone: usize = runs.iter().map(|run| NewRows::new(&[*run], LIMITS).keys_read()).sum();
    assert_eq!(alone, 5 * (4 * PAGE + 10));
}

#[test]
fn the_result_of_a_text_does_not_depend_on_the_others() {
    for (_, device) in devices() {
        let shape = AttentionShape { heads: 4, key_heads: 2, head_dim: 32 };
        let texts = Texts::new(shape, 192, &[(195, 1), (250, 1), (199, 1), (192, 4)], (&device, DType::F32));
        let (q, runs) = (texts.queries(), texts.runs());
        let forward = |runs: &[Run<'_>], first: usize, rows: usize| {
            let q = q.clone().narrow(0, first, rows);
            values(&paged_attention::forward(&q, &texts.layer, &NewRows::new(runs, LIMITS), shape))
        };
        let together = forward(&runs, 0, 7);
        assert_eq!(together, forward(&runs, 0, 7), "the same twice");
        // Without its first member, the group reads the same chunks.
        assert_eq!(together[128..], forward(&runs[1..], 1, 6));
    }
}

#[test]
fn pages_are_copied_and_added() {
    for device in devices().map(|(_, device)| device).chain([Device::flex()]) {
        let shape = AttentionShape { heads: 4, key_heads: 2, head_dim: 32 };
        let mut texts = Texts::new(shape, 0, &[(99, 1)], (&device, DType::F32));
        let q = texts.queries();
        let expected = texts.expected(&q);
        texts.layer.grow(3);
        assert_eq!(texts.layer.pages(), 5);
        let copies = [PageCopy { from: texts.pages[0][0], to: 4 }, PageCopy { from: texts.pages[0][1], to: 2 }];
        texts.layer.copy(&copies);
        let pages = [4, 2];
        let rows = NewRows::new(&[Run { pages: &pages, before: 99, tokens: 1 }], LIMITS);
        assert_close(&values(&paged_attention::forward(&q, &texts.layer, &rows, shape)), &expected, 1e-5, "copied pages");
    }
}

#[test]
#[should_panic(expected = "a text has a page beyond the 1 that there are")]
fn a_page_that_there_is_not_is_refused() {
    let shape = AttentionShape { heads: 4, key_heads: 2, head_dim: 32 };
    let layer = LayerPages::empty(1, shape, DType::F32, &Device::flex());
    let rows = NewRows::new(&[Run { pages: &[1], before: 0, tokens: 1 }], LIMITS);
    let _output = paged_attention::forward(&Tensor::zeros([1, 128], &Device::flex()), &layer, &rows, shape);
}

/// Ways to draw that a device can.
fn samplings() -> Vec<Sampling> {
    let bounded = Sampling { top_k: 10, ..Sampling::AS_TRAINED };
    vec![
        Sampling::GREEDY,
        Sampling::default(),
        bounded,
        Sampling { top_k: 1, ..bounded },
        Sampling { top_k: 64, ..bounded },
        Sampling { top_p: 0.5, ..bounded },
        Sampling { top_p: 0.3, min_p: 0.2, temperature: 2.0, ..bounded },
        Sampling { min_p: 1.0, ..bounded },
        Sampling { temperature: 0.01, ..bounded },
    ]
}

fn draw_of<'a>(sampling: &Sampling, uniform: f32, allowed: Option<&'a [u32]>) -> Draw<'a> {
    let Sampling { temperature, top_k, top_p, min_p } = *sampling;
    Draw { temperature, top_k, top_p, min_p, uniform, allowed }
}

/// Compares draws from some rows of logits, each under its mask, with the processor's. Returns how many the device left to the processor.
fn check_draws(rows: &[Vec<f32>], masks: &[Option<Vec<u32>>], sampling: &Sampling, seed: u64, device: &Device) -> usize {
    let all: Vec<u32> = (0..rows[0].len() as u32).collect();
    let uniform = |row: usize| ChaCha8Rng::seed_from_u64(seed + row as u64).random::<f32>();
    let draws: Vec<Draw<'_>> = masks.iter().enumerate().map(|(row, mask)| draw_of(sampling, uniform(row), mask.as_deref())).collect();
    let logits = Tensor::<2>::from_data(TensorData::new(rows.concat(), [rows.len(), all.len()]), device);
    let drawn = sample::draw(&logits, &draws).expect("the logits are on a GPU");
    let mut left = 0;
    for (row, (logits, mask)) in rows.iter().zip(masks).enumerate() {
        let mut rng = ChaCha8Rng::seed_from_u64(seed + row as u64);
        let expected = sampling.draw_among(mask.as_deref().unwrap_or(&all), logits, &mut rng);
        assert_eq!(drawn[row].most_probable, Sampling::most_probable(logits), "row {row}");
        match drawn[row].token {
            Some(token) => assert_eq!(token, expected, "row {row} of {} tokens, {sampling:?}, {:?}", all.len(), draws[row].uniform),
            None => left += 1,
        }
    }
    left
}

#[test]
fn a_device_draws_what_the_processor_draws() {
    for (_, device) in devices() {
        let mut rng = ChaCha8Rng::seed_from_u64(11);
        let mut left = 0;
        for vocabulary in [90, 300, 4096, 9001] {
            for (round, sampling) in (0..).zip(samplings()) {
                // Ties, within and across blocks.
                let logit = |rng: &mut ChaCha8Rng| (rng.random_range(-4.0f32..4.0) * 50.0).round() / 50.0;
                let rows: Vec<Vec<f32>> = (0..8).map(|_| (0..vocabulary).map(|_| logit(&mut rng)).collect()).collect();
                let mask = |rng: &mut ChaCha8Rng| (0..vocabulary).filter(|_| rng.random_bool(0.3)).collect::<Vec<u32>>();
                let masks: Vec<Option<Vec<u32>>> = (0..8).map(|row| (row % 2 == 0).then(|| mask(&mut rng))).collect();
                left += check_draws(&rows, &masks, &sampling, 100 * round, &device);
            }
        }
        assert!(left < 60, "{left} of 288 draws are left to the processor");
    }
}

#[test]
fn equal_logits_are_drawn_by_the_processors_rules() {
    for (_, device) in devices() {
        let mut rng = ChaCha8Rng::seed_from_u64(12);
        // Few different values: the tokens as probable as the last candidate are sometimes more than the device looks at.
        let rows: Vec<Vec<f32>> = (0..32).map(|_| (0..120).map(|_| rng.random_range(0..12) as f32 / 2.0).collect()).collect();
        let mask = |rng: &mut ChaCha8Rng| Some((0..120).filter(|_| rng.random_bool(0.4)).collect::<Vec<u32>>());
        let masks: Vec<_> = (0..32).map(|_| mask(&mut rng)).collect();
        for (round, sampling) in (0..).zip(samplings()) {
            check_draws(&rows, &masks, &sampling, 1000 * round, &device);
        }
        // Different logits whose probabilities are equal are ordered by their ids.
        let close = |rng: &mut ChaCha8Rng| -> Vec<f32> {
            let small = (0..30).map(|_| rng.random_range(0.0..1e-9));
            std::iter::once(8.0).chain(small).chain([f32::NEG_INFINITY; 100]).collect()
        };
        let rows: Vec<Vec<f32>> = (0..16).map(|_| close(&mut rng)).collect();
        let warm = Sampling { temperature: 4.0, top_k: 40, ..Sampling::AS_TRAINED };
        assert_eq!(check_draws(&rows, &vec![None; 16], &warm, 77, &device), 0);
        // Half of the mass of four equal tokens is exactly two of them.
        let four = vec![vec![1.0f32; 4].into_iter().chain(vec![-30.0; 96]).collect::<Vec<f32>>(); 16];
        let half = Sampling { top_p: 0.5, top_k: 4, ..Sampling::AS_TRAINED };
        assert_eq!(check_draws(&four, &vec![None; 16], &half, 5, &device), 0);
    }
}

#[test]
fn more_equal_tokens_than_are_looked_at_are_left_to_the_processor() {
    for (_, device) in devices() {
        let equal = vec![vec![0.5; 200]];
        assert_eq!(check_draws(&equal, &[None], &Sampling { top_k: 10, ..Sampling::AS_TRAINED }, 1, &device), 1);
        assert_eq!(check_draws(&equal, &[Some(vec![3, 5, 199])], &Sampling { top_k: 10, ..Sampling::AS_TRAINED }, 1, &device), 0);
        assert_eq!(check_draws(&equal, &[None], &Sampling::GREEDY, 1, &device), 0);
    }
}

#[test]
fn numbers_that_are_none_are_passed_over() {
    for (_, device) in devices() {
        let (nothing, nan, inf) = (f32::NEG_INFINITY, f32::NAN, f32::INFINITY);
        let pad = |first: &[f32]| [first, &[nothing; 100]].concat();
        let rows = vec![
            pad(&[nan, 1.0, nan, 1.0]),
            pad(&[nothing, nan, -0.0, 0.0]),
            pad(&[nan, nan, nothing, nan]),
            pad(&[1.0, inf, 2.0, inf]),
            pad(&[-2.0, -3.0, f32::MIN, 1e-30]),
        ];
        for (round, sampling) in (0..).zip(samplings()) {
            check_draws(&rows, &vec![None; 5], &sampling, round, &device);
            check_draws(&rows, &vec![Some(vec![0, 2, 3]); 5], &sampling, round, &device);
        }
    }
}

#[test]
fn what_needs_all_logits_is_no_draw_of_a_device() {
    let check = |sampling: Sampling, is_bounded: bool| assert_eq!(draw_of(&sampling, 0.5, None).is_bounded(), is_bounded, "{sampling:?}");
    check(Sampling::AS_TRAINED, false);
    check(Sampling { top_k: 65, ..Sampling::AS_TRAINED }, false);
    check(Sampling::GREEDY, true);
    check(Sampling::default(), true);
    let logits = Tensor::zeros([1, 10], &Device::flex());
    assert_eq!(sample::draw(&logits, &[draw_of(&Sampling::GREEDY, 0.0, None)]), None::<Vec<Drawn>>);
}

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

/// Fresh weights with opinions: the embedding, and with it the head, is enlarged.
fn model(device: &Device) -> Qwen3 {
    let config = Qwen3Config { hidden_size: 32, num_hidden_layers: 2, ..Qwen3Config::tiny(tokenizer().vocab_size()) };
    let mut model = Qwen3::initialize(&config, 3, device);
    model.update(Trained::Everything, &mut |name, tensor: Tensor<2>| if name.contains("embed") { tensor * 12.0 } else { tensor });
    model
}

fn engine(device: &Device) -> LocalGenerator {
    let grammar = Grammar::new(&tokenizer(), &panel()).unwrap();
    LocalGenerator::new(&model(device), tokenizer()).unwrap().with_grammar(grammar)
}

fn requests(samples: u32, sampling: Sampling) -> Vec<Request> {
    let request = |cell: u64| {
        // Some prompts are longer than a page.
        let header = format!("<pos> X: {}, Y: 22 <meta> class: Astro <cs>", 10 + cell);
        let prompt = format!("{} {header}", vec![NEIGHBORS; 1 + cell as usize % 3].join(" "));
        Request { id: format!("cell {cell}"), prompt, header, samples, sampling, max_new_tokens: 60, seed: cell }
    };
    (0..5).map(request).collect()
}

fn generate(engine: &LocalGenerator, requests: &[Request]) -> Vec<Vec<Continuation>> {
    let answers = std::sync::Mutex::new(vec![Vec::new(); requests.len()]);
    engine.generate(requests, &|index, continuations| {
        answers.lock().unwrap()[index] = continuations.unwrap();
        std::ops::ControlFlow::Continue(())
    });
    answers.into_inner().unwrap()
}

fn check_generation(sampling: Sampling, batching: Batching, device: &Device) {
    let requests = requests(3, sampling);
    let expected = generate(&engine(&Device::flex()), &requests);
    let found = generate(&engine(device).with_batching(batching), &requests);
    assert!(expected.iter().flatten().all(|continuation| !continuation.text.is_empty()));
    assert_eq!(found, expected, "{sampling:?}, {batching:?}");
}

#[test]
fn a_device_writes_what_the_processor_writes() {
    for (_, device) in devices() {
        check_generation(Sampling::GREEDY, Batching::default(), &device);
        // Prompts in parts, beside samples of others.
        check_generation(Sampling::GREEDY, Batching { tokens: 64, ..Batching::default() }, &device);
        check_generation(Sampling::default(), Batching::default(), &device);
        // Draws that need all logits are made on the processor.
        check_generation(Sampling::AS_TRAINED, Batching { tokens: 64, ..Batching::default() }, &device);
    }
}

#[test]
fn a_cell_that_cannot_fit_is_an_error_for_that_cell_only() {
    for (name, device) in devices() {
        let mut requests = requests(1, Sampling::GREEDY);
        requests[1].samples = u32::MAX;
        let answers = std::sync::Mutex::new(vec![None; requests.len()]);
        engine(&device).generate(&requests, &|index, continuations| {
            answers.lock().unwrap()[index] = Some(continuations.map_err(|error| error.to_string()));
            std::ops::ControlFlow::Continue(())
        });
        let answers = answers.into_inner().unwrap();
        let Some(Err(error)) = &answers[1] else { panic!("{name}: {:?}", answers[1]) };
        assert!(error.starts_with("the prompt of cell cell 1 and its samples take"), "{error}");
        assert!([0, 2, 3, 4].iter().all(|&other| matches!(answers[other], Some(Ok(_)))), "{name}: {answers:?}");
    }
}

#[test]
fn a_device_finds_the_ranking_that_the_processor_finds() {
    for (_, device) in devices() {
        let request = &requests(4, Sampling::AS_TRAINED)[1];
        let [(text, ranking), (expected_text, expected)] =
            [device, Device::flex()].map(|device| engine(&device).expected_ranking(request).unwrap());
        assert_eq!(text.text, expected_text.text);
        assert_eq!(ranking.genes(), expected.genes());
        assert_close(&ranking.presence(3), &expected.presence(3), 1e-4, "presence");
    }
}

/// Devices that record passes, and whether they do.
fn recording_devices() -> Vec<(Device, bool)> {
    let always = devices().map(|(name, device)| (device, name != "CUDA C++ on the processor"));
    // Of the devices on processors, this one records.
    let vulkan = tn_model::DeviceChoice::Wgpu.open().map(|device| (device, true));
    let mut found: Vec<(Device, bool)> = always.chain(vulkan).collect();
    found.dedup();
    found
}

#[test]
fn a_repeated_pass_gives_what_it_gave_when_it_was_launched() {
    for (device, records) in recording_devices() {
        let packed = PackedQwen3::pack(&model(&device), WeightFormat::F32);
        let prompt: Vec<u32> = (0..70).map(|i| (i * 37 + 5) % 200).collect();
        let write = |samples: u32, prompt: &[u32]| -> Vec<Vec<f32>> {
            let mut continuations = Continuations::start(&packed, prompt, samples as usize, 100);
            let mut before = values(continuations.logits());
            let step = |step: u32| {
                let kept = continuations.logits().clone();
                // Every third step has runs of two tokens.
                let run = |sample: u32| (0..1 + u32::from(step.is_multiple_of(3))).map(|i| (7 * step + 31 * sample + i) % 250).collect();
                continuations.push_runs(&(0..samples).map(run).collect::<Vec<Vec<u32>>>());
                assert_eq!(values(&kept), before, "logits are not written over");
                before = values(continuations.logits());
                before.clone()
            };
            (0..12).map(step).collect()
        };
        let launched = write(3, &prompt);
        let other = write(5, &prompt[..9]);
        for _ in 0..2 {
            assert_eq!(write(3, &prompt), launched);
            assert_eq!(write(5, &prompt[..9]), other);
        }
        let repeated = packed.repeated_passes();
        assert_eq!(repeated > 40, records, "{repeated} passes are repeated");
        if !records {
            continue;
        }
        // Pages that move, and longer texts with other rotations.
        let long: Vec<u32> = (0..1100).map(|i| (i * 37 + 5) % 200).collect();
        let of_long = write(2, &long);
        assert_eq!(write(3, &prompt), launched);
        assert_eq!(write(2, &long), of_long);
        assert!(packed.repeated_passes() > repeated);
    }
}

#[test]
fn continuations_in_pages_are_those_in_host_memory() {
    for (_, device) in devices() {
        let packed = [device, Device::flex()].map(|device| PackedQwen3::pack(&model(&device), WeightFormat::F32));
        let prompt: Vec<u32> = (0..130).map(|i| (i * 37 + 5) % 200).collect();
        let [mut paged, mut expected] = packed.each_ref().map(|model| Continuations::start(model, &prompt, 3, 100));
        let both = |paged: &Continuations<'_>, expected: &Continuations<'_>, what: &str| {
            assert_close(&values(paged.logits()), &values(expected.logits()), 2e-4, what);
        };
        both(&paged, &expected, "after the prompt");
        for step in 0..30u32 {
            let runs: Vec<Vec<u32>> =
                (0..3).map(|sample| (0..1 + (step + sample) % 3).map(|i| (7 * step + 31 * sample + i) % 250).collect()).collect();
            for continuations in [&mut paged, &mut expected] {
                continuations.push_runs(&runs);
            }
        }
        both(&paged, &expected, "after runs of different lengths");
        let branches = [(0, vec![4, 5]), (2, vec![6]), (2, vec![7, 8, 9])].map(|(continuation, tokens)| Branch { continuation, tokens });
        let [seen, expected_seen] = [&mut paged, &mut expected].map(|continuations| values(&continuations.peek(&branches)));
        assert_close(&seen, &expected_seen, 2e-4, "branches");
        for continuations in [&mut paged, &mut expected] {
            continuations.push(&[1, 2, 3]);
        }
        both(&paged, &expected, "after branches that were only looked at");
        for continuations in [&mut paged, &mut expected] {
            continuations.keep(&[2, 0]);
        }
        for continuations in [&mut paged, &mut expected] {
            continuations.push(&[9, 8]);
        }
        both(&paged, &expected, "of those that were kept");
        for continuations in [&mut paged, &mut expected] {
            continuations.restart(2);
        }
        for continuations in [&mut paged, &mut expected] {
            continuations.push(&[3, 150]);
        }
        both(&paged, &expected, "of new continuations");
    }
}
