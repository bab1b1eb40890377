//! Rows of generation: reading a prompt, decoding one sequence and several.

use std::path::Path;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use serde_json::json;
use tissuenarrator::model::WeightType;
use tissuenarrator::model::kernels::packed_linear::WeightFormat;
use tissuenarrator::model::qwen3::PackedQwen3;

use super::Bench;
use super::agreement;
use super::inputs::tokens;
use super::prompts::Prompts;
use crate::bench::contest::{Contender, in_turns};
use crate::bench::row::{Goal, Row, Side, Unit};

/// Number formats that are measured in turns. Between groups, everything is freed.
const GROUPS: [(&[WeightFormat], &str); 2] = [(&[WeightFormat::F32], "f32"), (&[WeightFormat::Bf16, WeightFormat::Int8], "bf16")];
/// The peer sends one in so many logits.
const STRIDE: usize = 997;

type Models = Vec<(WeightFormat, PackedQwen3)>;

/// What one row asks for.
struct Task {
    prompts: Vec<Vec<u32>>,
    /// Tokens decoded; none where the reading of the prompts is measured.
    decoded: usize,
}

/// Measures the rows.
pub(super) fn rows(bench: &Bench) -> Result<Vec<Row>> {
    let mut rows = wanted(bench);
    if rows.is_empty() {
        return Ok(Vec::new());
    }
    let folder = bench.inputs.checkpoint(&bench.sizes.generating, WeightType::Bf16)?;
    let mut expected: Vec<Option<Expected>> = rows.iter().map(|_| None).collect();
    for (formats, peer_type) in GROUPS {
        let models = load(bench, &folder, formats, peer_type)?;
        for ((row, task), expected) in rows.iter_mut().zip(&mut expected) {
            measure(bench, &models, peer_type, row, task, expected).with_context(|| format!("row {}", row.name))?;
        }
        drop(models);
        if let Some(peer) = &bench.peer {
            peer.ask(&json!({"do": "forget"}))?;
        }
    }
    Ok(rows.into_iter().map(|(row, _)| row).collect())
}

fn wanted(bench: &Bench) -> Vec<(Row, Task)> {
    let (sizes, vocabulary) = (&bench.sizes, bench.sizes.generating.vocab_size);
    let one = vec![tokens(0, sizes.prompt, vocabulary)];
    let (count, length) = sizes.prompts;
    let several = (0..count).map(|text| tokens(text, length, vocabulary)).collect();
    let row = |name: &str, what: String, tokens, (reach, moonshot)| {
        let (name, unit, goal) = (name.to_owned(), Unit::Tokens(tokens), Goal::Speed { reach, moonshot });
        Row { name, what, unit, goal, measured: Vec::new(), checks: Vec::new() }
    };
    let rows = [
        (
            row("prefill", format!("prefill of {} tokens", sizes.prompt), sizes.prompt, (0.7, 1.2)),
            Task { prompts: one.clone(), decoded: 0 },
        ),
        (
            row("decode-1", format!("decode after {} tokens, one sequence", sizes.prompt), sizes.decoded, (1.5, 5.0)),
            Task { prompts: one, decoded: sizes.decoded },
        ),
        (
            row(
                &format!("decode-{count}"),
                format!("decode, {count} sequences after different prompts of {length} tokens"),
                count * sizes.decoded,
                (1.5, 4.0),
            ),
            Task { prompts: several, decoded: sizes.decoded },
        ),
    ];
    rows.into_iter().filter(|(row, _)| bench.wants(&row.name)).collect()
}

fn load(bench: &Bench, folder: &Path, formats: &[WeightFormat], peer_type: &str) -> Result<Models> {
    if let Some(peer) = &bench.peer {
        peer.ask(&json!({"do": "load", "folder": folder, "type": peer_type}))?;
    }
    let load = |&format| Ok((format, PackedQwen3::load(folder, format)?));
    formats.iter().map(load).collect()
}

/// What the most exact of our formats found, to compare the others with.
struct Expected {
    logits: Vec<Vec<f32>>,
    tokens: Vec<Vec<u32>>,
}

/// Measures a group of formats of a row, and adds them to it.
fn measure(bench: &Bench, models: &Models, peer_type: &str, row: &mut Row, task: &Task, expected: &mut Option<Expected>) -> Result<()> {
    let mut contenders = Vec::new();
    for (format, model) in models {
        let mut read = Prompts::read(model, &task.prompts, task.decoded + 1);
        let found = Expected { logits: sampled(&read.logits()), tokens: read.decode(task.decoded) };
        match expected {
            None => *expected = Some(found),
            Some(expected) => row.checks.push(compare("ours", format.name(), &found, expected)?),
        }
        contenders.push(match task.decoded {
            0 => Contender::new(Side::Ours, format.name(), move || Ok(seconds(|| Prompts::read(model, &task.prompts, 1)))),
            decoded => Contender::new(Side::Ours, format.name(), move || {
                read.restart();
                Ok(seconds(|| read.decode(decoded)))
            }),
        });
    }
    if let (Some(peer), Some(expected)) = (&bench.peer, expected.as_ref()) {
        let read = json!({"do": "read", "type": peer_type, "prompts": task.prompts});
        let decode = json!({"do": "decode", "type": peer_type, "tokens": task.decoded});
        let logits = peer.ask(&read)?["logits"].take();
        let tokens = if task.decoded == 0 { json!([]) } else { peer.ask(&decode)?["tokens"].take() };
        let found = Expected { logits: serde_json::from_value(logits)?, tokens: serde_json::from_value(tokens)? };
        row.checks.push(compare("transformers", peer_type, &found, expected)?);
        let command = if task.decoded == 0 { read } else { decode };
        contenders.push(Contender::new(Side::Peer, peer_type, move || peer.ask_number(&command, "seconds")));
    }
    row.measured.extend(in_turns(contenders, bench.repeats)?);
    Ok(())
}

/// Returns the logits that the peer sends too.
fn sampled(logits: &[Vec<f32>]) -> Vec<Vec<f32>> {
    logits.iter().map(|logits| logits.iter().copied().step_by(STRIDE).collect()).collect()
}

/// Says how close results are to the expected ones.
///
/// # Errors
/// An error says that 32-bit tokens differ, or logits by more than rounding explains.
fn compare(side: &str, format: &str, found: &Expected, expected: &Expected) -> Result<String> {
    let difference = agreement::relative_difference(&found.logits, &expected.logits);
    let tolerance = match format {
        "f32" => 1e-3,
        "bf16" => 0.1,
        _ => 0.3,
    };
    ensure!(difference <= tolerance, "{side}, {format}: logits differ by {difference:.1e} of their spread, {tolerance} allowed");
    let pairs = || found.tokens.iter().flatten().zip(expected.tokens.iter().flatten());
    let (equal, all) = (pairs().filter(|(a, b)| a == b).count(), expected.tokens.iter().flatten().count());
    ensure!(found.tokens.iter().flatten().count() == all, "{side}, {format}: other numbers of tokens were decoded");
    ensure!(format != "f32" || equal == all, "{side}, {format}: {equal} of {all} greedy tokens are equal");
    let tokens = if all > 0 { format!(", {equal} of {all} greedy tokens equal") } else { String::new() };
    Ok(format!("{side}, {format}: logits within {difference:.1e} of their spread{tokens}"))
}

/// Returns how long something takes.
fn seconds<T>(work: impl FnOnce() -> T) -> f64 {
    let start = Instant::now();
    let made = work();
    let seconds = start.elapsed().as_secs_f64();
    drop(made);
    seconds
}
