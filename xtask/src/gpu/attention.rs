//! The part `attention`: causal attention with grouped queries against torch's flash attention.

use std::collections::BTreeMap;

use anyhow::Result;
use serde_json::json;
use tissuenarrator::model::kernels::attention::{AttentionShape, Determinism};
use tn_model::suite::work::Attention;

use super::attempt;
use super::line::{Asked, Line, median};
use super::session::Session;
use super::turns::{Measured, in_turns, repeats_inside, seconds};

/// A pass whose time counts.
#[derive(Clone, Copy, PartialEq)]
enum Pass {
    Forward,
    Backward(Determinism),
}

/// Name, pass, and products of its size.
const PASSES: [(&str, Pass, f64); 3] = [
    ("forward", Pass::Forward, 2.0),
    ("backward, sums in any order", Pass::Backward(Determinism::Relaxed), 5.0),
    ("backward, exact sums", Pass::Backward(Determinism::Exact), 5.0),
];

pub(super) fn measure(session: &Session, lines: &mut Vec<Line>) -> Result<()> {
    let (lengths, shape) = match session.quick() {
        true => (vec![64, 100], AttentionShape { heads: 4, key_heads: 2, head_dim: 32 }),
        // The one that is judged first.
        false => (vec![32_768, 2_048, 4_096, 8_192, 16_384], AttentionShape { heads: 32, key_heads: 8, head_dim: 128 }),
    };
    for tokens in lengths {
        let what = format!("{tokens} tokens, {} and {} heads of {}", shape.heads, shape.key_heads, shape.head_dim);
        if session.time_left().is_zero() {
            lines.push(Line::absent("attention", what, "the time of this part is used up"));
            continue;
        }
        attempt(lines, "attention", &what, |lines| measure_length(session, tokens, shape, &what, lines));
    }
    Ok(())
}

fn measure_length(session: &Session, tokens: usize, shape: AttentionShape, what: &str, lines: &mut Vec<Line>) -> Result<()> {
    session.release();
    let work = Attention::new(&session.place, tokens, shape);
    let mut medians = BTreeMap::new();
    for (name, pass, products) in PASSES {
        // Half of the scores are hidden.
        let operations = products * (tokens * tokens) as f64 * (shape.heads * shape.head_dim) as f64;
        let measured = measure_pass(session, &work, tokens, shape, pass)?;
        medians.insert(name, (median(&measured.ours), median(&measured.peer)));
        let rates = |seconds: &[f64]| seconds.iter().map(|seconds| operations / seconds / 1e12).collect();
        let note = if session.peer().is_some() { measured.without_peer.clone() } else { session.without_peer() };
        lines.push(Line::new(name, what, "TFLOP/s", rates(&measured.ours), rates(&measured.peer)).noting(note));
    }
    let (forward, backward) = (medians["forward"], medians["backward, sums in any order"]);
    let rate = |forward: Option<f64>, backward: Option<f64>| {
        let seconds = forward? + backward?;
        Some(7.0 * (tokens * tokens) as f64 * (shape.heads * shape.head_dim) as f64 / seconds / 1e12)
    };
    let of = |values: Option<f64>| values.into_iter().collect::<Vec<_>>();
    let (ours, peer) = (of(rate(forward.0, backward.0)), of(rate(forward.1, backward.1)));
    let asked = if tokens == 32_768 { session.asked(Asked::faster(0.7, 1.3)) } else { None };
    let name = if tokens == 32_768 { "G2, forward and backward" } else { "forward and backward" };
    lines.push(Line::new(name, what, "TFLOP/s", ours, peer).asking(asked).noting(session.without_peer()));
    lines.push(memory(session, tokens, shape, what));
    Ok(())
}

fn command(tokens: usize, shape: AttentionShape, pass: &str, repeats: usize) -> serde_json::Value {
    let AttentionShape { heads, key_heads, head_dim } = shape;
    json!({
        "do": "attention", "tokens": tokens, "heads": heads, "key_heads": key_heads, "head_dim": head_dim, "pass": pass, "repeats": repeats,
    })
}

fn measure_pass(session: &Session, work: &Attention, tokens: usize, shape: AttentionShape, pass: Pass) -> Result<Measured> {
    let run = || match pass {
        Pass::Forward => work.forward(),
        Pass::Backward(determinism) => work.backward(determinism),
    };
    let repeats = repeats_inside(session.device(), &run)?;
    let command = command(tokens, shape, if pass == Pass::Forward { "forward" } else { "backward" }, repeats);
    let peer = session.peer();
    let mut theirs = || peer.map_or(Ok(f64::NAN), |peer| peer.ask_number(&command, "seconds"));
    let mut ours = || seconds(session.device(), repeats, &run);
    in_turns(session.repeats(), session.deadline(1.0), &mut ours, peer.is_some().then_some(&mut theirs as _))
}

/// What both sides have reserved after a forward and a backward pass.
fn memory(session: &Session, tokens: usize, shape: AttentionShape, what: &str) -> Line {
    let name = "reserved memory";
    session.release();
    let work = Attention::new(&session.place, tokens, shape);
    work.backward(Determinism::Relaxed);
    let _synced = session.device().sync();
    let Some(ours) = session.reserved() else { return Line::absent(name, what, "the device does not report its memory") };
    let peer = session.peer().and_then(|peer| peer.ask_number(&command(tokens, shape, "memory", 1), "bytes").ok());
    let gigabytes = |bytes: f64| vec![bytes / 1e9];
    Line::new(name, what, "GB", gigabytes(ours), peer.map(gigabytes).unwrap_or_default()).noting(session.without_peer())
}
