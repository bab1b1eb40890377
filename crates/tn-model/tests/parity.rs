//! Agreement with transformers, PEFT and torch on tiny random checkpoints.

use std::path::PathBuf;

use burn::tensor::{Device, Tensor};
use safetensors::SafeTensors;
use serde_json::Value;
use tn_model::kernels::adamw::{self, AdamWStep, Moments};
use tn_model::kernels::packed_linear::WeightFormat;
use tn_model::qwen3::{Branch, Continuations, Gradients, Keep, PackedQwen3, Qwen3, Trained};

fn folder(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../data-fixtures/checkpoints").join(name)
}

fn load(name: &str, device: &Device) -> Qwen3 {
    match name.split_once("-lora") {
        Some((base, _)) => Qwen3::load(folder(base), device).unwrap().with_adapter(folder(name)).unwrap(),
        None => Qwen3::load(folder(name), device).unwrap(),
    }
}

fn packed(name: &str, format: WeightFormat) -> PackedQwen3 {
    match name.contains("-lora") {
        true => PackedQwen3::pack(&load(name, &Device::flex()), format),
        false => PackedQwen3::load(folder(name), format).unwrap(),
    }
}

fn expected(name: &str) -> Value {
    serde_json::from_str(&std::fs::read_to_string(folder(name).join("expected.json")).unwrap()).unwrap()
}

fn arrays(name: &str) -> Vec<u8> {
    std::fs::read(folder(name).join("expected.safetensors")).unwrap()
}

fn array(bytes: &[u8], key: &str) -> Vec<f32> {
    let tensors = SafeTensors::deserialize(bytes).unwrap();
    tensors.tensor(key).unwrap().data().chunks_exact(4).map(|b| f32::from_le_bytes(b.try_into().unwrap())).collect()
}

fn has_array(bytes: &[u8], key: &str) -> bool {
    SafeTensors::deserialize(bytes).unwrap().tensor(key).is_ok()
}

fn ids(value: &Value) -> Vec<u32> {
    value.as_array().unwrap().iter().map(|id| id.as_u64().unwrap() as u32).collect()
}

fn values(tensor: Tensor<2>) -> Vec<f32> {
    tensor.into_data().try_into_vec().unwrap()
}

fn largest_difference(a: &[f32], b: &[f32]) -> f32 {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
}

fn relative_difference(a: &[f32], b: &[f32]) -> f32 {
    let scale = b.iter().fold(0.0f32, |m, x| m.max(x.abs()));
    largest_difference(a, b) / scale
}

/// Ids and targets of a batch: the label of the next token, `None` for -100.
fn batch(batch: &Value) -> Vec<(Vec<u32>, Vec<Option<u32>>)> {
    let sequence = |row: &Value| {
        let labels = row["labels"].as_array().unwrap().iter().skip(1).map(|l| u32::try_from(l.as_i64().unwrap()).ok()).chain([None]);
        (ids(&row["ids"]), labels.collect())
    };
    batch.as_array().unwrap().iter().map(sequence).collect()
}

fn labelled(batch: &[(Vec<u32>, Vec<Option<u32>>)]) -> usize {
    batch.iter().map(|(_, targets)| targets.iter().flatten().count()).sum()
}

fn batch_gradients(model: &Qwen3, batch: &[(Vec<u32>, Vec<Option<u32>>)], keep: Keep) -> (f64, Gradients) {
    let count = labelled(batch) as f64;
    let (mut sum, mut gradients) = (0.0, Gradients::new());
    for (ids, targets) in batch {
        let weights = vec![(1.0 / count) as f32; ids.len()];
        let loss = model.loss_and_gradients(ids, targets, &weights, model.trained(), keep);
        sum += loss.sum;
        gradients.merge(loss.gradients);
    }
    (sum, gradients)
}

fn check_logits(name: &str, device: &Device) {
    let (model, expected, arrays) = (load(name, device), expected(name), arrays(name));
    for input in expected["inputs"].as_array().unwrap() {
        let ids = ids(&input["ids"]);
        let first = input["first_position"].as_u64().unwrap() as usize;
        let logits = model.logits(&model.hidden(&ids).narrow(0, first, ids.len() - first));
        let difference = largest_difference(&values(logits), &array(&arrays, input["logits"].as_str().unwrap()));
        assert!(difference < 1e-4, "{name}, {} tokens: logits differ by {difference}", ids.len());
    }
}

#[test]
fn logits_equal_those_of_transformers() {
    for name in ["tied", "untied", "wide", "tied-lora"] {
        check_logits(name, &Device::flex());
    }
}

#[test]
fn logits_after_long_inputs_equal_those_of_transformers() {
    let (expected, arrays) = (expected("long-inputs"), arrays("long-inputs"));
    for name in ["tied", "untied", "wide", "tied-lora"] {
        let model = load(name, &Device::flex());
        for input in expected["inputs"].as_array().unwrap() {
            let (length, ids) = (input["length"].as_u64().unwrap() as usize, ids(&input["ids"]));
            let first = input["first_position"].as_u64().unwrap() as usize;
            assert_eq!(ids.len(), length);
            let logits = model.logits(&model.hidden(&ids).narrow(0, first, length - first));
            let difference = largest_difference(&values(logits), &array(&arrays, &format!("{name}.logits.{length}")));
            assert!(difference < 1e-4, "{name}, {length} tokens: logits differ by {difference}");
        }
    }
}

#[test]
fn in_bf16_logits_are_at_most_half_again_as_far_off_as_those_of_transformers() {
    let (expected, arrays) = (expected("long-inputs"), arrays("long-inputs"));
    for name in ["tied", "untied", "wide", "tied-lora"] {
        let model = packed(name, WeightFormat::Bf16);
        for input in expected["inputs"].as_array().unwrap() {
            let (length, ids) = (input["length"].to_string(), ids(&input["ids"]));
            let found = values(Continuations::start(&model, &ids, 1, 1).logits().clone());
            let exact = array(&arrays, &format!("{name}.logits.{length}"));
            let exact = &exact[exact.len() - found.len()..];
            let squares: f32 = found.iter().zip(exact).map(|(a, b)| (a - b).powi(2)).sum();
            let (ours, theirs) = ((squares / found.len() as f32).sqrt(), expected["bf16_error"][name][&length].as_f64().unwrap() as f32);
            assert!(ours > 0.0 && ours < 1.5 * theirs, "{name}, {length} tokens: off by {ours}, transformers by {theirs}");
        }
    }
}

#[test]
fn the_reference_path_gives_the_same_logits() {
    check_logits("tied", &Device::flex().autodiff());
}

#[test]
fn greedy_tokens_equal_those_of_transformers() {
    let expected = expected("greedy-256");
    for name in ["tied", "untied", "wide", "tied-lora"] {
        let model = packed(name, WeightFormat::F32);
        let (prompt, tokens) = (ids(&expected[name]["prompt"]), ids(&expected[name]["tokens"]));
        assert_eq!(tokens.len(), 256);
        let mut continuations = Continuations::start(&model, &prompt, 2, tokens.len());
        let mut found = Vec::new();
        for _ in 0..tokens.len() {
            let best: Vec<u32> = values(continuations.logits().clone().argmax(1).float()).iter().map(|&id| id as u32).collect();
            assert_eq!(best[0], best[1], "two continuations of one prompt differ");
            continuations.push(&best);
            found.push(best[0]);
        }
        assert_eq!(found, tokens, "{name}");
    }
}

/// Differences of the logits after a prompt between a format and 32 bits, over the largest logit.
fn differences(name: &str, format: WeightFormat) -> (f32, f32) {
    let ids: Vec<u32> = (0..100u32).map(|i| i * 37 % 256).collect();
    let logits = |format| values(Continuations::start(&packed(name, format), &ids, 1, 1).logits().clone());
    let (exact, found) = (logits(WeightFormat::F32), logits(format));
    let largest = exact.iter().fold(0.0f32, |largest, logit| largest.max(logit.abs()));
    let squares: f32 = exact.iter().zip(&found).map(|(a, b)| (a - b).powi(2)).sum();
    (largest_difference(&exact, &found) / largest, (squares / exact.len() as f32).sqrt() / largest)
}

#[test]
fn smaller_formats_change_logits_by_their_rounding() {
    for name in ["tied", "untied", "wide", "tied-lora"] {
        for (format, largest, typical) in [(WeightFormat::Bf16, 0.04, 0.01), (WeightFormat::Int8, 0.08, 0.02)] {
            let (worst, root_mean_square) = differences(name, format);
            assert!(worst > 0.0, "{name}, {format}: nothing was rounded");
            assert!(worst < largest && root_mean_square < typical, "{name}, {format}: {worst}, {root_mean_square}");
        }
    }
}

#[test]
fn a_model_packed_from_its_file_equals_one_packed_from_memory() {
    let ids: Vec<u32> = (0..30u32).map(|i| i * 37 % 256).collect();
    for name in ["tied", "untied", "wide"] {
        for format in WeightFormat::ALL {
            let loaded = packed(name, format);
            let model = PackedQwen3::pack(&load(name, &Device::flex()), format);
            let logits = |model| values(Continuations::start(model, &ids, 1, 1).logits().clone());
            assert_eq!(logits(&loaded), logits(&model), "{name}, {format}");
            assert_eq!(loaded.size_in_bytes(), model.size_in_bytes());
        }
    }
}

#[test]
fn greedy_tokens_without_a_cache_are_the_same() {
    let expected = expected("greedy-256");
    for name in ["tied", "untied", "wide", "tied-lora"] {
        let model = load(name, &Device::flex());
        let (prompt, tokens) = (ids(&expected[name]["prompt"]), ids(&expected[name]["tokens"]));
        let all = [&prompt[..], &tokens].concat();
        let hidden = model.hidden(&all).narrow(0, prompt.len() - 1, tokens.len());
        let best: Vec<u32> = values(model.logits(&hidden).argmax(1).float()).iter().map(|&id| id as u32).collect();
        assert_eq!(best, tokens, "{name}");
    }
}

#[test]
fn cached_logits_equal_those_of_the_whole_sequence() {
    let model = load("tied", &Device::flex());
    let ids: Vec<u32> = (0..40u32).map(|i| i * 37 % 512).collect();
    let packed = PackedQwen3::pack(&model, WeightFormat::F32);
    let mut continuations = Continuations::start(&packed, &ids[..25], 3, 15);
    for (at, &id) in ids.iter().enumerate().skip(25) {
        let whole = values(model.logits(&model.hidden(&ids[..at]).narrow(0, at - 1, 1)));
        for row in values(continuations.logits().clone()).chunks_exact(512) {
            assert!(largest_difference(row, &whole) < 1e-4);
        }
        let others = [id, (id + 1) % 512, (id + 2) % 512];
        match continuations.logits().dims()[0] {
            3 => continuations.push(&others),
            _ => continuations.push(&[id]),
        }
        if at == 30 {
            continuations.keep(&[0]);
        }
        let keep_first_only = continuations.logits().dims()[0] == 3;
        if keep_first_only {
            continuations.keep(&[0]);
        }
    }
}

#[test]
fn runs_and_branches_give_the_logits_of_single_steps() {
    let model = load("tied", &Device::flex());
    let ids: Vec<u32> = (0..40u32).map(|i| i * 37 % 512).collect();
    let whole = |tokens: &[u32]| values(model.logits(&model.hidden(tokens).narrow(0, tokens.len() - 1, 1)));
    let after = |prompt: &[u32], more: &[&[u32]]| whole(&[prompt, &more.concat()].concat());
    let check = |found: &Tensor<2>, row: usize, expected: &[f32], what: &str| {
        assert!(largest_difference(&values(found.clone())[row * 512..(row + 1) * 512], expected) < 1e-4, "{what} {row}");
    };
    let (prompt, a, b) = (&ids[..25], &ids[25..28], &ids[30..31]);
    let packed = PackedQwen3::pack(&model, WeightFormat::F32);
    let mut continuations = Continuations::start(&packed, prompt, 2, 15);
    // Runs of different lengths, twice.
    for round in 1..=2 {
        continuations.push_runs(&[a.to_vec(), b.to_vec()]);
        check(continuations.logits(), 0, &after(prompt, &vec![a; round]), "run");
        check(continuations.logits(), 1, &after(prompt, &vec![b; round]), "run");
    }
    let branches = [(1, a), (0, b), (0, a), (1, b)].map(|(continuation, tokens)| Branch { continuation, tokens: tokens.to_vec() });
    let peeked = continuations.peek(&branches);
    for (row, (before, tokens)) in [([b, b], a), ([a, a], b), ([a, a], a), ([b, b], b)].into_iter().enumerate() {
        check(&peeked, row, &after(prompt, &[before[0], before[1], tokens]), "branch");
    }
    // Looking ahead has left no trace.
    continuations.push_runs(&[b.to_vec(), a.to_vec()]);
    check(continuations.logits(), 1, &after(prompt, &[b, b, a]), "run after branches");
    continuations.restart(3);
    check(continuations.logits(), 2, &whole(prompt), "restart");
    continuations.push_runs(&[b.to_vec(), a.to_vec(), a.to_vec()]);
    check(continuations.logits(), 2, &after(prompt, &[a]), "run after a restart");
}

#[test]
fn loss_and_gradients_equal_those_of_torch() {
    let (model, expected, arrays) = (load("tied", &Device::flex()), expected("tied"), arrays("tied"));
    let first = batch(&expected["batches"][0]);
    for keep in [Keep::Everything, Keep::Input] {
        let (loss, gradients) = batch_gradients(&model, &first, keep);
        let wanted = expected["loss"].as_f64().unwrap();
        assert!((loss - wanted).abs() < 1e-5, "loss {loss}, expected {wanted}");
        for (name, norm) in expected["gradient_norms"].as_object().unwrap() {
            let found = values(gradients.get(name).unwrap().clone()).iter().map(|&g| f64::from(g).powi(2)).sum::<f64>().sqrt();
            let wanted = norm.as_f64().unwrap();
            assert!((found / wanted - 1.0).abs() < 1e-4, "{name}: norm {found}, expected {wanted}");
        }
        for (name, key) in expected["gradients"].as_object().unwrap() {
            let wanted = array(&arrays, key.as_str().unwrap());
            let found = values(gradients.get(name).unwrap().clone());
            let difference = relative_difference(&found[..wanted.len()], &wanted);
            assert!(difference < 1e-4, "{name}: relative difference {difference}");
        }
    }
}

#[test]
fn adapter_gradients_equal_those_of_peft() {
    for (name, projections) in [("tied-lora", 7), ("tied-lora-qv", 2)] {
        let (model, arrays) = (load(name, &Device::flex()), arrays(name));
        let (loss, gradients) = batch_gradients(&model, &batch(&expected("tied")["batches"][0]), Keep::Everything);
        let wanted = expected(name)["loss"].as_f64().unwrap();
        assert!((loss - wanted).abs() < 1e-5, "{name}: loss {loss}, expected {wanted}");
        let mut compared = 0;
        for (key, gradient) in gradients.iter() {
            let wanted = array(&arrays, &format!("grad.base_model.model.{key}"));
            let difference = relative_difference(&values(gradient.clone()), &wanted);
            assert!(difference < 1e-4, "{name}, {key}: relative difference {difference}");
            compared += 1;
        }
        assert_eq!(compared, 3 * projections * 2);
    }
}

#[test]
fn recomputing_blocks_gives_the_same_bits() {
    for name in ["tied", "tied-lora"] {
        let (model, batch) = (load(name, &Device::flex()), batch(&expected("tied")["batches"][0]));
        let (stored, recomputed) = (batch_gradients(&model, &batch, Keep::Everything), batch_gradients(&model, &batch, Keep::Input));
        assert_eq!(stored.0.to_bits(), recomputed.0.to_bits());
        assert_eq!(stored.1.iter().count(), recomputed.1.iter().count());
        for ((name, stored), (_, recomputed)) in stored.1.iter().zip(recomputed.1.iter()) {
            assert!(values(stored.clone()) == values(recomputed.clone()), "{name}");
        }
    }
}

#[test]
fn accumulating_over_micro_batches_changes_nothing() {
    for name in ["tied", "tied-lora"] {
        let model = load(name, &Device::flex());
        let all: Vec<_> = expected("tied")["batches"].as_array().unwrap().iter().flat_map(batch).collect();
        assert_eq!(all.len(), 8);
        let weight = (1.0 / labelled(&all) as f64) as f32;
        let gradients = |batch: &[(Vec<u32>, Vec<Option<u32>>)]| {
            let mut sum = Gradients::new();
            for (ids, targets) in batch {
                sum.merge(model.loss_and_gradients(ids, targets, &vec![weight; ids.len()], model.trained(), Keep::Everything).gradients);
            }
            sum
        };
        let whole = gradients(&all);
        for accumulation in [2, 4, 8] {
            let mut sum = Gradients::new();
            // The parts are added up one by one and then to each other: another order than that of the whole.
            all.chunks(8 / accumulation).rev().for_each(|part| sum.merge(gradients(part)));
            for (name, wanted) in whole.iter() {
                let difference = relative_difference(&values(sum.get(name).unwrap().clone()), &values(wanted.clone()));
                assert!(difference < 1e-6, "{name}, {accumulation} parts: {difference}");
            }
        }
    }
}

#[test]
fn twenty_steps_follow_torch() {
    for (name, compared) in [("tied", 3), ("tied-lora", 2 * 7), ("tied-lora-qv", 3 * 2 * 2)] {
        let mut model = load(name, &Device::flex());
        let trained = model.trained();
        let batches: Vec<_> = expected("tied")["batches"].as_array().unwrap().iter().map(batch).collect();
        let mut moments: std::collections::BTreeMap<String, Moments<2>> = std::collections::BTreeMap::new();
        for (step, wanted) in expected(name)["training_losses"].as_array().unwrap().iter().enumerate() {
            let (loss, gradients) = batch_gradients(&model, &batches[step % batches.len()], Keep::Everything);
            let wanted = wanted.as_f64().unwrap();
            assert!((loss - wanted).abs() < 1e-5, "{name}, step {step}: loss {loss}, expected {wanted}");
            let constants =
                AdamWStep { learning_rate: 1e-3, beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weight_decay: 0.01, step: step as u64 + 1 };
            model.update(trained, &mut |name, parameter| {
                let state = moments.remove(name).unwrap_or_else(|| Moments::zeros(&parameter));
                let (parameter, state) = adamw::step(parameter, gradients.get(name).unwrap(), 1.0, state, &constants);
                moments.insert(name.to_owned(), state);
                parameter
            });
        }
        let arrays = arrays(name);
        let prefix = if name == "tied" { "trained." } else { "trained.base_model.model." };
        let mut found = 0;
        model.update(trained, &mut |key, parameter| {
            if has_array(&arrays, &format!("{prefix}{key}")) {
                let difference = largest_difference(&values(parameter.clone()), &array(&arrays, &format!("{prefix}{key}")));
                assert!(difference < 1e-4, "{name}, {key}: weights differ by {difference}");
                found += 1;
            }
            parameter
        });
        assert_eq!(found, compared, "{name}");
    }
}

#[test]
fn the_hand_written_reverse_pass_equals_automatic_differentiation() {
    let (fast, batches) = (load("tied", &Device::flex()), batch(&expected("tied")["batches"][0]));
    let (ids, targets) = &batches[0];
    let count = targets.iter().flatten().count() as f32;
    let found = fast.loss_and_gradients(ids, targets, &vec![1.0 / count; ids.len()], Trained::Everything, Keep::Everything).gradients;

    let mut tracked = Vec::new();
    let mut slow = load("tied", &Device::flex().autodiff());
    slow.update(Trained::Everything, &mut |name, parameter| {
        let parameter = parameter.detach().require_grad();
        tracked.push((name.to_owned(), parameter.clone()));
        parameter
    });
    let logits = slow.logits(&slow.hidden(ids));
    let log_probabilities = burn::tensor::activation::log_softmax(logits, 1);
    let mut loss = Tensor::<1>::zeros([1], &log_probabilities.device());
    for (row, target) in targets.iter().enumerate() {
        if let Some(target) = target {
            loss = loss - log_probabilities.clone().slice([row..row + 1, *target as usize..*target as usize + 1]).reshape([1]);
        }
    }
    let tape = (loss / count).backward();
    for (name, parameter) in tracked {
        let wanted = parameter.grad(&tape).unwrap_or_else(|| panic!("no gradient for {name}"));
        let difference = relative_difference(&values(found.get(&name).unwrap().clone()), &values(wanted));
        assert!(difference < 1e-4, "{name}: relative difference {difference}");
    }
}
