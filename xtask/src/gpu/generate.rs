//! The part `generate`: cells of 400 tokens after long prompts against transformers, and how near decoding is to the device's bandwidth.

use std::time::{Duration, Instant};

use anyhow::Result;
use serde_json::json;
use tissuenarrator::model::kernels::packed_linear::WeightFormat;
use tissuenarrator::model::qwen3::{Continuations, PackedQwen3};
use tissuenarrator::model::{Precision, Qwen3Config};
use tn_model::suite::work::random_decoder;
use tn_model::suite::writing::{Reading, write};

use super::line::{Asked, Line};
use super::session::Session;
use super::turns::in_turns;
use super::{attempt, gates, shapes};

/// Tokens that go through the decoder together while prompts are read.
const AT_ONCE: usize = 8_192;
/// Share of the free memory for the keys and values of our prompts, whose pages stay: the peer needs as much, and both need room to work.
const SHARE: f64 = 0.4;
/// Prompts that are written at once, at most.
const MOST_PROMPTS: u64 = 48;

/// How large everything is.
struct Sizes {
    config: Qwen3Config,
    prompt: usize,
    tokens: usize,
}

impl Sizes {
    fn of(session: &Session) -> Self {
        match session.quick() {
            true => Self { config: shapes::small(), prompt: 40, tokens: 6 },
            false => Self { config: shapes::qwen3_4b(), prompt: 12_288, tokens: 400 },
        }
    }
}

pub(super) fn measure(session: &Session, lines: &mut Vec<Line>) -> Result<()> {
    let sizes = Sizes::of(session);
    let model = PackedQwen3::pack(&random_decoder(&sizes.config, &session.place, 1), WeightFormat::F32);
    session.release();
    let mut without_peer = session.without_peer();
    if let Some(peer) = session.peer()
        && let Err(error) = peer.ask(&json!({"do": "load_decoder", "config": shapes::named(&sizes.config)}))
    {
        without_peer = format!("peer absent: {error:#}");
    }
    let free = session.free_memory();
    attempt(lines, "decode-1", "one text", |lines| decode_one(session, &sizes, &model, lines));
    for (samples, moonshot, share) in [(1, 25.0, 0.5), (5, 50.0, 1.0)] {
        let name = format!("cells, k = {samples}");
        if session.time_left().is_zero() {
            lines.push(Line::absent(name, "", "the time of this part is used up"));
            continue;
        }
        session.release();
        let asked = session.asked(Asked::faster(5.0, moonshot));
        attempt(lines, &name.clone(), "cells", |lines| {
            let deadline = session.deadline(share);
            let count = prompts_at_once(session, &sizes, &model, samples, free);
            lines.push(cells(session, &sizes, &model, [count, samples], deadline, &without_peer)?.asking(asked));
            Ok(())
        });
    }
    // vLLM would need the device for itself; its numbers come from a run of its own.
    lines.push(Line::absent("cells against vLLM", "12k prompts", "this program does not start vLLM"));
    Ok(())
}

/// Decoding of a single text, as a share of the bandwidth of a copy on the same device.
fn decode_one(session: &Session, sizes: &Sizes, model: &PackedQwen3, lines: &mut Vec<Line>) -> Result<()> {
    let bandwidth = gates::bandwidth(session)?;
    lines.push(Line::new("bandwidth", "of a copy", "GB/s", vec![bandwidth / 1e9], Vec::new()));
    let Sizes { config, prompt, .. } = sizes;
    let steps = if session.quick() { 2 } else { 32 };
    let value = if session.place.precision() == Precision::Bf16 { 2 } else { 4 };
    let entries = 2 * config.num_hidden_layers * config.num_key_value_heads * config.head_dim;
    let bytes = value * (config.parameter_count() + prompt * entries);
    let room = steps * (session.repeats() + 1);
    let mut reading = Reading::new(model, &[shapes::tokens(0, *prompt, config.vocab_size)], 1, room, AT_ONCE);
    let (mut rates, mut of_host) = (Vec::new(), Vec::new());
    for repeat in 0..=session.repeats() {
        let (start, mut giving) = (Instant::now(), Duration::ZERO);
        for _ in 0..steps {
            let tokens = reading.most_probable();
            let given = Instant::now();
            reading.push(&tokens);
            giving += given.elapsed();
        }
        let all = start.elapsed();
        // The first round compiles.
        if repeat > 0 {
            rates.push(steps as f64 / all.as_secs_f64());
            of_host.push(giving.as_secs_f64() / all.as_secs_f64());
        }
    }
    let limit = bandwidth / bytes as f64;
    let what = format!("one text after {prompt} tokens");
    lines.push(Line::new("decode-1", what.clone(), "tok/s", rates.clone(), Vec::new()).noting(format!("the bandwidth allows {limit:.0}")));
    let shares = rates.iter().map(|rate| rate / limit).collect();
    let note = format!("{} passes were repeated from a recording", model.repeated_passes());
    let host = Line::new("decode-1, share of the host", format!("{what}: giving a step to the device"), "", of_host, Vec::new());
    lines.push(host.asking(session.asked(Asked::at_most(0.05))).noting(note));
    let asked = session.asked(Asked::at_least(0.4, 0.8));
    lines.push(Line::new("decode-1, share of the bandwidth", what, "", shares, Vec::new()).asking(asked));
    Ok(())
}

/// Cells in a second of both sides, each with as many prompts at once as it has memory for.
fn cells(
    session: &Session,
    sizes: &Sizes,
    model: &PackedQwen3,
    [count, samples]: [usize; 2],
    deadline: Instant,
    without_peer: &str,
) -> Result<Line> {
    let Sizes { config, prompt, tokens } = sizes;
    let prompts: Vec<Vec<u32>> = (0..count).map(|text| shapes::tokens(text, *prompt, config.vocab_size)).collect();
    let mut ours = || {
        let start = Instant::now();
        let written = write(model, &prompts, samples, *tokens, AT_ONCE);
        let rate = written.len() as f64 / start.elapsed().as_secs_f64();
        if session.peer().is_some() {
            session.release();
        }
        Ok(rate)
    };
    let command = json!({
        "do": "generate", "prompts": count, "prompt": prompt, "samples": samples, "tokens": tokens, "vocabulary": config.vocab_size,
    });
    let peer = session.peer().filter(|_| without_peer.is_empty());
    let mut theirs = || peer.map_or(Ok(f64::NAN), |peer| peer.ask_number(&command, "cells_per_second"));
    let measured = in_turns(session.repeats(), deadline, &mut ours, peer.is_some().then_some(&mut theirs as _))?;
    let what = format!("{count} prompts of {prompt} tokens at once, {samples} cells of {tokens} tokens each");
    let note = match (peer.is_some(), measured.without_peer.as_str()) {
        (false, _) => without_peer.to_owned(),
        (true, "") => "ours takes the most probable token, transformers draws".to_owned(),
        (true, reason) => format!("peer absent: {reason}"),
    };
    Ok(Line::new(format!("cells, k = {samples}"), what, "cells/s", measured.ours, measured.peer).noting(note))
}

fn prompts_at_once(session: &Session, sizes: &Sizes, model: &PackedQwen3, samples: usize, free: Option<u64>) -> usize {
    let bytes = Continuations::size_in_bytes(model, sizes.prompt, samples, sizes.tokens) as f64;
    match (session.quick(), free) {
        (true, _) => 2,
        (false, Some(free)) => ((SHARE * free as f64 / bytes) as u64).clamp(1, MOST_PROMPTS) as usize,
        (false, None) => 4,
    }
}
