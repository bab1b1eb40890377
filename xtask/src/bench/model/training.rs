//! Rows of training: a step of a small decoder, and one of an adapter.

use std::cell::RefCell;
use std::fmt;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use tissuenarrator::model::WeightType;

use super::Bench;
use super::inputs::tokens;
use super::our_training::{CLIP_NORM, LEARNING_RATE, OurTraining, WEIGHT_DECAY};
use super::sizes::TrainingSize;
use crate::bench::contest::{Contender, in_turns};
use crate::bench::row::{Goal, Row, Side, Unit};

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
    let our_losses = RefCell::new(Vec::new());
    let variants = variants(size.rank.is_some());
    let losses: Vec<RefCell<Vec<f64>>> = variants.iter().map(|_| RefCell::default()).collect();
    let mut contenders = vec![Contender::new(Side::Ours, "f32", || {
        let report = ours.step()?;
        our_losses.borrow_mut().push(report.loss);
        Ok(report.seconds)
    })];
    if let Some(peer) = &bench.peer {
        for (&variant, losses) in variants.iter().zip(&losses) {
            peer.ask(&load_command(&folder, adapter.as_deref(), variant, &sequences, false))?;
            contenders.push(Contender::new(Side::Peer, variant.to_string(), move || {
                let answer = peer.ask(&step_command(variant))?;
                losses.borrow_mut().push(answer["loss"].as_f64().context("a step has a loss")?);
                answer["seconds"].as_f64().context("a step has a time")
            }));
        }
    }
    let measured = in_turns(contenders, bench.repeats)?;
    let mut checks = Vec::new();
    if let Some(peer) = &bench.peer {
        peer.ask(&json!({"do": "forget"}))?;
        let ours = our_losses.into_inner();
        let compared = variants.iter().zip(losses).map(|(&variant, losses)| compare(variant, &losses.into_inner(), &ours));
        checks = compared.collect::<Result<_>>()?;
    }
    let (unit, goal) = (Unit::Tokens(size.sequences * size.tokens), Goal::Speed { reach: 0.8, moonshot: 1.3 });
    Ok(Row { name: size.name(), what: size.what(), unit, goal, measured, checks })
}

/// How the peer trains.
#[derive(Clone, Copy)]
pub(super) struct Variant {
    library: &'static str,
    number: &'static str,
}

impl Variant {
    /// The least memory: a base of 16 bits under PEFT.
    pub(super) const SMALLEST: Self = Self { library: "transformers", number: "bf16" };
}

impl fmt::Display for Variant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, {}", self.library, self.number)
    }
}

/// Returns the ways of the peer to train; that of plain torch knows no adapters.
fn variants(is_adapter: bool) -> Vec<Variant> {
    let of = |library| ["f32", "bf16"].map(|number| Variant { library, number });
    if is_adapter { of("transformers").to_vec() } else { [of("torch"), of("transformers")].concat() }
}

/// Returns the command that makes the peer load a model that is trained.
pub(super) fn load_command(folder: &Path, adapter: Option<&Path>, variant: Variant, sequences: &[Vec<u32>], recompute: bool) -> Value {
    let Variant { library, number } = variant;
    json!({
        "do": "training",
        "folder": folder,
        "adapter": adapter,
        "library": library,
        "type": number,
        "sequences": sequences,
        "recompute": recompute,
    })
}

/// Returns the command that makes the peer do a step.
pub(super) fn step_command(Variant { library, number }: Variant) -> Value {
    json!({
        "do": "step",
        "library": library,
        "type": number,
        "learning_rate": LEARNING_RATE,
        "weight_decay": WEIGHT_DECAY,
        "clip_norm": CLIP_NORM,
    })
}

/// Says how close the losses of the steps are to ours.
///
/// # Errors
/// An error says that they differ by more than rounding explains.
pub(super) fn compare(variant: Variant, losses: &[f64], ours: &[f64]) -> Result<String> {
    ensure!(losses.len() == ours.len(), "{variant}: {} losses for {} of ours", losses.len(), ours.len());
    let difference = losses.iter().zip(ours).map(|(a, b)| (a - b).abs() / b).fold(0.0, f64::max);
    let tolerance = if variant.number == "f32" { 1e-4 } else { 0.02 };
    ensure!(difference <= tolerance, "{variant}: losses {losses:.5?}, ours {ours:.5?}");
    let (first, last) = (ours.first().context("there is a step")?, ours.last().context("there is a step")?);
    Ok(format!("{variant}: {} losses within {difference:.1e} of ours, from {first:.4} to {last:.4}", ours.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn losses_that_rounding_does_not_explain_are_refused() {
        let exact = Variant { library: "torch", number: "f32" };
        assert!(compare(exact, &[5.0, 4.0], &[5.0, 4.0002]).is_ok());
        assert!(compare(exact, &[5.0, 4.0], &[5.0, 4.001]).is_err());
        assert!(compare(Variant::SMALLEST, &[5.0, 4.0], &[5.0, 4.001]).is_ok());
        assert!(compare(Variant::SMALLEST, &[5.0], &[5.0, 4.0]).is_err());
    }
}
