//! Rows of training: a step of a small decoder, and one of an adapter.

use std::cell::RefCell;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use tissuenarrator::model::WeightType;

use super::Bench;
use super::contest::{Contender, in_turns};
use super::inputs::tokens;
use super::our_training::{CLIP_NORM, LEARNING_RATE, OurTraining, WEIGHT_DECAY};
use super::row::{Goal, Row, Side, Unit};
use super::sizes::TrainingSize;

/// Measures the rows.
pub(super) fn rows(bench: &Bench) -> Result<Vec<Row>> {
    let wanted = bench.sizes.training.iter().filter(|size| bench.wants(&size.name()));
    wanted.map(|size| row(bench, size).with_context(|| format!("row {}", size.name()))).collect()
}

fn row(bench: &Bench, size: &TrainingSize) -> Result<Row> {
    // What is frozen is 16 bits in its file, as published checkpoints are: then both types of the peer start from the same weights.
    let weights = if size.rank.is_some() { WeightType::Bf16 } else { WeightType::F32 };
    let folder = bench.inputs.checkpoint(&size.config, weights)?;
    let adapter = size.rank.map(|rank| bench.inputs.adapter(&folder, &size.config, rank)).transpose()?;
    let sequences: Vec<Vec<u32>> = (0..size.sequences).map(|text| tokens(text, size.tokens, size.config.vocab_size)).collect();

    let mut ours = OurTraining::load(&folder, adapter.as_deref(), &sequences, false)?;
    let losses = [const { RefCell::new(Vec::new()) }; 3];
    let mut contenders = vec![Contender::new(Side::Ours, "f32", || {
        let report = ours.step()?;
        losses[0].borrow_mut().push(report.loss);
        Ok(report.seconds)
    })];
    if let Some(peer) = &bench.peer {
        for (number, losses) in ["f32", "bf16"].into_iter().zip(&losses[1..]) {
            peer.ask(&load_command(&folder, adapter.as_deref(), number, &sequences, false))?;
            contenders.push(Contender::new(Side::Peer, number, move || {
                let answer = peer.ask(&step_command(number))?;
                losses.borrow_mut().push(answer["loss"].as_f64().context("a step has a loss")?);
                answer["seconds"].as_f64().context("a step has a time")
            }));
        }
    }
    let measured = in_turns(contenders, bench.repeats)?;
    if let Some(peer) = &bench.peer {
        peer.ask(&json!({"do": "forget"}))?;
    }
    let [ours, rest @ ..] = losses.map(RefCell::into_inner);
    let found = ["f32", "bf16"].into_iter().zip(&rest).filter(|(_, losses)| !losses.is_empty());
    let checks = found.map(|(number, losses)| compare(number, losses, &ours)).collect::<Result<_>>()?;
    let (unit, goal) = (Unit::Tokens(size.sequences * size.tokens), Goal::Speed { reach: 0.8, moonshot: 1.3 });
    Ok(Row { name: size.name(), what: size.what(), unit, goal, measured, checks })
}

/// Returns the command that makes the peer load a model that is trained.
pub(super) fn load_command(
    folder: &std::path::Path,
    adapter: Option<&std::path::Path>,
    number: &str,
    sequences: &[Vec<u32>],
    recompute: bool,
) -> Value {
    json!({"do": "training", "folder": folder, "adapter": adapter, "type": number, "sequences": sequences, "recompute": recompute})
}

/// Returns the command that makes the peer do a step.
pub(super) fn step_command(number: &str) -> Value {
    json!({"do": "step", "type": number, "learning_rate": LEARNING_RATE, "weight_decay": WEIGHT_DECAY, "clip_norm": CLIP_NORM})
}

/// Says how close the losses of the steps are to ours.
///
/// # Errors
/// An error says that they differ by more than rounding explains.
pub(super) fn compare(number: &str, losses: &[f64], ours: &[f64]) -> Result<String> {
    ensure!(losses.len() == ours.len(), "torch, {number}: {} losses for {} of ours", losses.len(), ours.len());
    let difference = losses.iter().zip(ours).map(|(a, b)| (a - b).abs() / b).fold(0.0, f64::max);
    let tolerance = if number == "f32" { 1e-4 } else { 0.02 };
    ensure!(difference <= tolerance, "torch, {number}: losses {losses:.5?}, ours {ours:.5?}");
    let (first, last) = (ours.first().context("there is a step")?, ours.last().context("there is a step")?);
    Ok(format!("torch, {number}: losses of {} steps within {difference:.1e} of ours, {first:.4} to {last:.4}", ours.len()))
}
