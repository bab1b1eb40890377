//! Scores of generated cells, beside the seconds of the published program.

use std::collections::BTreeSet;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use tissuenarrator::eval::score_generated;
use tissuenarrator::sentence::{FinishReason, GeneratedRecord, TaskRecord, draw};

use super::Bench;
use crate::bench::contest::{Contender, in_turns};
use crate::bench::row::{Goal, Measured, Row, Side, SizesOf, Unit};

/// Genes of the panel, of a prediction and of an answer.
const GENES: [u64; 3] = [1_122, 50, 110];

/// Measures scoring at all cutoffs.
pub(super) fn rows(bench: &Bench) -> Result<Vec<Row>> {
    let name = "score";
    if !bench.wants(name) {
        return Ok(Vec::new());
    }
    let rows = bench.size(10_000, 200);
    let generated: Vec<GeneratedRecord> = (0..rows as u64).map(record).collect();
    let mut overlap = None;
    let ours = Contender::new(Side::Ours, "ours", || {
        let start = Instant::now();
        let scores = score_generated(&generated, &[10, 30, 50])?;
        let seconds = start.elapsed().as_secs_f64();
        ensure!(scores.rows == rows && scores.unreadable == 0, "{} rows, {} unreadable", scores.rows, scores.unreadable);
        overlap = scores.mean("overlap@50");
        Ok(seconds)
    });
    let mut measured = in_turns(vec![ours], bench.repeats)?;
    if bench.sizes == SizesOf::Published {
        measured.push(Measured { name: "published program".to_owned(), side: Side::Peer, values: vec![1.30] });
    }
    let checks = vec![format!("overlap@50 is {:.4}", overlap.context("it was measured")?)];
    let what =
        format!("scores of {rows} cells of {} genes at k = 10, 30, 50, parsing included; the published seconds of another run", GENES[1]);
    let goal = Goal::Speed { reach: 50.0, moonshot: 200.0 };
    Ok(vec![Row { name: name.to_owned(), what, unit: Unit::Milliseconds, goal, measured, checks }])
}

fn record(cell: u64) -> GeneratedRecord {
    let [panel, predicted, observed] = GENES;
    let block = |stream: u64, genes: u64| {
        let mut seen = BTreeSet::new();
        // Low numbers are more common: the genes that most cells show.
        let drawn = (0..).map(|index| draw(stream, index) % (1 + draw(stream ^ 77, index) % panel));
        let genes: Vec<String> = drawn.filter(|gene| seen.insert(*gene)).take(genes as usize).map(|gene| format!("GEN{gene}")).collect();
        format!("<pos> X: {cell}, Y: 7 <meta> class: C{} <cs> {} </cs>", cell % 30, genes.join(" "))
    };
    let class = format!("C{}", cell % 30);
    let task = TaskRecord { cell_name: format!("cell-{cell}"), answer: block(2 * cell, observed), class, ..TaskRecord::default() };
    GeneratedRecord {
        task,
        sample: 0,
        model_prompt: String::new(),
        generated_text: String::new(),
        generated_block: block(2 * cell + 1, predicted),
        finish_reason: FinishReason::Closed,
        n_tokens: 60,
        repairs: 0,
    }
}
