//! What is measured in a process of its own: the start to the first token, and the peak of the memory.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};
use tissuenarrator::model::WeightType;
use tissuenarrator::model::kernels::packed_linear::WeightFormat;
use tissuenarrator::model::qwen3::PackedQwen3;

use super::Bench;
use super::inputs::tokens;
use super::our_training::OurTraining;
use super::prompts::Prompts;
use super::training::{Variant, compare, load_command, step_command};
use crate::bench::contest::{Contender, in_turns, in_turns_from_cold};
use crate::bench::machine;
use crate::bench::row::{Goal, Row, Side, Unit};
use crate::flags::FreshCommand;

/// Measures the time from the start of a program to its first token.
pub(super) fn first_token_rows(bench: &Bench) -> Result<Vec<Row>> {
    let name = "first-token";
    if !bench.wants(name) {
        return Ok(Vec::new());
    }
    let (config, length) = (&bench.sizes.generating, bench.sizes.first_prompt);
    let folder = &bench.inputs.checkpoint(config, WeightType::Bf16)?;
    let prompt = tokens(0, length, config.vocab_size);
    let mut found: Vec<(String, u64)> = Vec::new();
    let mut checks = Vec::new();
    let mut contenders = Vec::new();
    for format in WeightFormat::ALL {
        let arguments = ["first-token", &folder.to_string_lossy(), format.name(), &length.to_string()].map(str::to_owned);
        found.push((format!("ours, {}", format.name()), token_of(&this_program(bench, &arguments)?)?));
        contenders.push(Contender::new(Side::Ours, format.name(), move || {
            let start = Instant::now();
            this_program(bench, &arguments)?;
            Ok(start.elapsed().as_secs_f64())
        }));
    }
    if let Some(peer) = &bench.peer {
        for number in ["f32", "bf16"] {
            let command = json!({"do": "first_token", "folder": folder, "type": number, "prompt": prompt});
            let answer = peer.another()?.ask(&command)?;
            let imports = answer["import_seconds"].as_f64().context("the peer says how long its imports take")?;
            checks.push(format!("transformers, {number}: the import of torch and transformers takes {imports:.1} s of it"));
            found.push((format!("transformers, {number}"), token_of(&answer)?));
            contenders.push(Contender::new(Side::Peer, number, move || {
                let start = Instant::now();
                peer.another()?.ask(&command)?;
                Ok(start.elapsed().as_secs_f64())
            }));
        }
    }
    let expected = found[0].1;
    for (name, token) in &found[1..] {
        ensure!(*token == expected || !name.ends_with("f32"), "{name}: the first token is {token}, ours {expected}");
        checks.push(format!("{name}: the first token is {}", if *token == expected { "the same" } else { "another" }));
    }
    let what = format!("start of the program to the first token after {length}, from the file");
    let goal = Goal::Cost { reach: 0.3, moonshot: 0.1 };
    let measured = in_turns(contenders, bench.repeats)?;
    Ok(vec![Row { name: name.to_owned(), what, unit: Unit::Seconds, goal, measured, checks }])
}

/// Measures the peak of the memory of a training step with recomputation, once: it hardly varies.
pub(super) fn memory_rows(bench: &Bench) -> Result<Vec<Row>> {
    let (name, size) = ("memory", &bench.sizes.memory);
    if !bench.wants(name) {
        return Ok(Vec::new());
    }
    let folder = &bench.inputs.checkpoint(&size.config, WeightType::Bf16)?;
    let rank = size.rank.context("an adapter is trained")?;
    let adapter = &bench.inputs.adapter(folder, &size.config, rank)?;
    let paths = [folder, adapter].map(|path| path.to_string_lossy().into_owned());
    let arguments = ["training-step", &paths[0], &paths[1], &size.tokens.to_string()].map(str::to_owned);
    let (mut ours, mut checks) = (Value::Null, Vec::new());
    let measure = Contender::new(Side::Ours, "f32", || {
        ours = this_program(bench, &arguments)?;
        peak_of(&ours)
    });
    let mut measured = in_turns_from_cold(vec![measure], 1)?;
    checks.push(format!("ours, f32: the step takes {:.1} s", ours["seconds"].as_f64().unwrap_or(f64::NAN)));
    if let Some(peer) = &bench.peer {
        // A base in 32 bits takes more, and the lower peak counts.
        let (variant, sequence) = (Variant::SMALLEST, tokens(0, size.tokens, size.config.vocab_size));
        let mut answer = Value::Null;
        let measure = Contender::new(Side::Peer, variant.to_string(), || {
            let fresh = peer.another()?;
            fresh.ask(&load_command(folder, Some(adapter), variant, std::slice::from_ref(&sequence), true))?;
            answer = fresh.ask(&step_command(variant))?;
            peak_of(&answer)
        });
        measured.extend(in_turns_from_cold(vec![measure], 1)?);
        let losses = [&answer, &ours].map(|answer| answer["loss"].as_f64().into_iter().collect::<Vec<_>>());
        checks.push(compare(variant, &losses[0], &losses[1])?);
        checks.push(format!("{variant}: the step takes {:.1} s", answer["seconds"].as_f64().unwrap_or(f64::NAN)));
    }
    let (what, goal) = (format!("peak memory: {}, blocks recomputed", size.what()), Goal::Cost { reach: 0.7, moonshot: 0.33 });
    Ok(vec![Row { name: name.to_owned(), what, unit: Unit::Mebibytes, goal, measured, checks }])
}

/// Runs what this process was started for, and prints the answer as JSON.
pub(super) fn run(command: &FreshCommand) -> Result<()> {
    let answer = match command {
        FreshCommand::Encode { input, output, threads } => crate::bench::data::run_fresh(input, output, *threads)?,
        FreshCommand::FirstToken { folder, format, tokens, threads } => first_token(folder, format, *tokens, *threads)?,
        FreshCommand::TrainingStep { folder, adapter, tokens, threads } => training_step(folder, adapter, *tokens, *threads)?,
    };
    println!("{answer}");
    Ok(())
}

fn first_token(folder: &Path, format: &str, length: usize, threads: usize) -> Result<Value> {
    crate::bench::start_threads(threads)?;
    let found = WeightFormat::ALL.into_iter().find(|known| known.name() == format);
    let Some(format) = found else { bail!("{format} is no format of weights") };
    let model = PackedQwen3::load(folder, format)?;
    let mut prompts = Prompts::read(&model, &[tokens(0, length, model.config().vocab_size)], 1);
    Ok(json!({"token": prompts.decode(1)[0][0]}))
}

fn training_step(folder: &PathBuf, adapter: &Path, length: usize, threads: usize) -> Result<Value> {
    crate::bench::start_threads(threads)?;
    let vocabulary = tissuenarrator::model::Qwen3Config::load(folder)?.vocab_size;
    let mut training = OurTraining::load(folder, Some(adapter), &[tokens(0, length, vocabulary)], true)?;
    let report = training.step()?;
    Ok(json!({"loss": report.loss, "seconds": report.seconds, "peak_mib": machine::peak_memory()?}))
}

/// Starts this program again with other arguments, and returns what it prints.
fn this_program(bench: &Bench, arguments: &[String]) -> Result<Value> {
    let mut command = Command::new(std::env::current_exe()?);
    let output = command.args(["bench", "fresh"]).args(arguments).arg(bench.threads.to_string()).output()?;
    ensure!(output.status.success(), "{} ended with {}: {}", arguments[0], output.status, String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).with_context(|| format!("{} printed no JSON", arguments[0]))
}

fn token_of(answer: &Value) -> Result<u64> {
    answer["token"].as_u64().context("a first token is a number")
}

fn peak_of(answer: &Value) -> Result<f64> {
    answer["peak_mib"].as_f64().context("a peak of the memory is a number")
}
