//! The part `gemm`: the matrix products of a block of Qwen3-4B against torch.

use std::time::Instant;

use anyhow::Result;
use serde_json::json;
use tn_model::suite::work::Product;

use super::attempt;
use super::line::{Asked, Line};
use super::session::Session;
use super::turns::{Measured, in_turns, repeats_inside, seconds};

/// Inputs and outputs of the seven projections; those of equal shape are measured once and counted twice.
const SHAPES: [(&str, usize, usize, f64); 5] = [
    ("q", 2_560, 4_096, 1.0),
    ("k, v", 2_560, 1_024, 2.0),
    ("o", 4_096, 2_560, 1.0),
    ("gate, up", 2_560, 9_728, 2.0),
    ("down", 9_728, 2_560, 1.0),
];

/// The most important first: those of training, of reading prompts, and of decoding.
const ROWS: [usize; 6] = [4_096, 65_536, 512, 64, 16, 1];

/// A pass over a product.
#[derive(Clone, Copy)]
enum Pass {
    Forward,
    InputGradient,
}

impl Pass {
    fn name(self) -> &'static str {
        match self {
            Self::Forward => "forward",
            Self::InputGradient => "dX",
        }
    }
}

/// Work and time of the seven shapes together.
#[derive(Default)]
struct Sum {
    operations: f64,
    ours: f64,
    /// `None` from the first shape on that the peer has no time for.
    peer: f64,
    without_peer: bool,
    shapes: usize,
}

pub(super) fn measure(session: &Session, lines: &mut Vec<Line>) -> Result<()> {
    let (shapes, rows) = match session.quick() {
        true => (vec![("q", 64, 96, 1.0), ("down", 96, 64, 1.0)], vec![16, 33]),
        false => (SHAPES.to_vec(), ROWS.to_vec()),
    };
    let total = 2 * shapes.len();
    for rows in rows {
        let mut sum = Sum::default();
        for &(name, inputs, outputs, count) in &shapes {
            for pass in [Pass::Forward, Pass::InputGradient] {
                let (row, what) = (format!("{name}, {}", pass.name()), format!("M = {rows}, {inputs} to {outputs}"));
                if session.time_left().is_zero() {
                    lines.push(Line::absent(row, what, "the time of this part is used up"));
                    continue;
                }
                attempt(lines, &row.clone(), &what.clone(), |lines| {
                    let measured = measure_one(session, [rows, inputs, outputs], pass)?;
                    let operations = 2.0 * rows as f64 * inputs as f64 * outputs as f64;
                    sum.add(&measured, operations, count);
                    lines.push(line(session, row, what, &measured, operations));
                    Ok(())
                });
            }
        }
        lines.push(sum.line(session, rows, total));
    }
    Ok(())
}

fn measure_one(session: &Session, [rows, inputs, outputs]: [usize; 3], pass: Pass) -> Result<Measured> {
    let product = Product::new(&session.place, [rows, inputs, outputs]);
    let work = || match pass {
        Pass::Forward => product.forward(),
        Pass::InputGradient => product.input_gradient(),
    };
    let repeats = repeats_inside(session.device(), &work)?;
    let command = json!({
        "do": "gemm", "rows": rows, "inputs": inputs, "outputs": outputs, "pass": pass.name(), "repeats": repeats,
    });
    let mut ours = || seconds(session.device(), repeats, &work);
    let peer = session.peer();
    let mut theirs = || peer.map_or(Ok(f64::NAN), |peer| peer.ask_number(&command, "seconds"));
    let deadline: Instant = session.deadline(1.0);
    in_turns(session.repeats(), deadline, &mut ours, peer.is_some().then_some(&mut theirs as _))
}

fn line(session: &Session, row: String, what: String, measured: &Measured, operations: f64) -> Line {
    let rates = |seconds: &[f64]| seconds.iter().map(|seconds| operations / seconds / 1e12).collect();
    let note = if session.peer().is_some() { measured.without_peer.clone() } else { session.without_peer() };
    Line::new(row, what, "TFLOP/s", rates(&measured.ours), rates(&measured.peer)).noting(note)
}

impl Sum {
    fn add(&mut self, measured: &Measured, operations: f64, count: f64) {
        let median = |values: &[f64]| super::line::median(values);
        self.operations += count * operations;
        self.ours += count * median(&measured.ours).unwrap_or(f64::NAN);
        match median(&measured.peer) {
            Some(seconds) => self.peer += count * seconds,
            None => self.without_peer = true,
        }
        self.shapes += 1;
    }

    fn line(&self, session: &Session, rows: usize, total: usize) -> Line {
        let (name, what) = ("G1, seven shapes", format!("M = {rows}, forward and dX"));
        if self.shapes < total {
            return Line::absent(name, what, format!("{} of {total} products were measured", self.shapes));
        }
        let rate = |seconds: f64| self.operations / seconds / 1e12;
        let peer = if self.without_peer { Vec::new() } else { vec![rate(self.peer)] };
        Line::new(name, what, "TFLOP/s", vec![rate(self.ours)], peer)
            .asking(session.asked(Asked::faster(0.85, 1.0)))
            .noting(if self.without_peer { session.without_peer() } else { String::new() })
    }
}
