//! Wilcoxon's test between groups of cells, beside scanpy.

use std::time::Instant;

use anyhow::{Context, Result, ensure};
use serde_json::json;
use tissuenarrator::eval::{DifferentialExpression, ExpressionMatrix};

use super::Bench;
use crate::bench::contest::{Contender, in_turns};
use crate::bench::row::{Goal, Measured, Row, Side, SizesOf, Unit};

/// Cells in groups of one size, the rest being the control.
struct Groups {
    cells: usize,
    genes: usize,
    /// Of 1,024 values, so many are other than 0.
    shown: u64,
    groups: usize,
    per_group: usize,
}

/// Two groups of cells that show a tenth of the genes.
pub(super) fn two_groups(bench: &Bench) -> Result<Vec<Row>> {
    let per_group = bench.size(5_000, 100);
    let groups = Groups { cells: 2 * per_group, genes: bench.size(1_000, 50), shown: 102, groups: 1, per_group };
    row(bench, "wilcoxon", &groups, Goal::Speed { reach: 10.0, moonshot: 40.0 }, 1.03)
}

/// Thirty-five knock-outs against one control, as large as Perturb-FISH.
pub(super) fn knockouts(bench: &Bench) -> Result<Vec<Row>> {
    let per_group = bench.size(1_000, 20);
    let groups = Groups { cells: bench.size(39_250, 800), genes: bench.size(154, 20), shown: 341, groups: 35, per_group };
    row(bench, "knock-outs", &groups, Goal::Speed { reach: 20.0, moonshot: 100.0 }, 3.4)
}

fn row(bench: &Bench, name: &str, groups: &Groups, goal: Goal, before: f64) -> Result<Vec<Row>> {
    if !bench.wants(name) {
        return Ok(Vec::new());
    }
    let &Groups { cells, genes, shown, groups: n, per_group } = groups;
    let matrix = matrix(cells, genes, shown)?;
    let label = |cell: usize| if cell < n * per_group { format!("group{:02}", cell / per_group) } else { "control".to_owned() };
    let labels: Vec<String> = (0..cells).map(label).collect();
    let test = DifferentialExpression::wilcoxon().with_reference("control");
    let (mut ours, mut theirs) = (None, None);
    let question = json!({"do": "wilcoxon", "cells": cells, "genes": genes, "shown": shown, "groups": n, "per_group": per_group});
    let mut contenders = vec![Contender::new(Side::Ours, "ours", || {
        let start = Instant::now();
        let tables = test.compare_all(&matrix, &labels)?;
        let seconds = start.elapsed().as_secs_f64();
        let first = &tables[0].genes()[0];
        ours = Some((first.gene.clone(), first.score));
        Ok(seconds)
    })];
    if let Some(peer) = &bench.peer {
        contenders.push(Contender::new(Side::Peer, "scanpy", || {
            let answer = peer.ask(&question)?;
            theirs = answer["gene"].as_str().map(str::to_owned).zip(answer["score"].as_f64());
            answer["seconds"].as_f64().context("the peer measures seconds")
        }));
    }
    let mut measured = in_turns(contenders, bench.repeats)?;
    if bench.peer.is_none() && bench.sizes == SizesOf::Published {
        measured.push(Measured { name: "scanpy, measured before".to_owned(), side: Side::Peer, values: vec![before] });
    }
    let (gene, score) = ours.context("it was measured")?;
    let mut checks = vec![format!("the first gene is {gene} with the score {score:.4}")];
    if let Some((their_gene, their_score)) = theirs {
        ensure!(
            their_gene == gene && (their_score - score).abs() < 1e-4,
            "scanpy has {their_gene} with {their_score}, ours is {gene} with {score}"
        );
        checks.push("as scanpy has it".to_owned());
    }
    let what =
        format!("rank-sum tests corrected for ties, {n} x {per_group} cells against {}, {genes} genes, sparse", cells - n * per_group);
    Ok(vec![Row { name: name.to_owned(), what, unit: Unit::Milliseconds, goal, measured, checks }])
}

/// Skewed values with two decimals, many of them equal: the numbers that the peer makes.
fn matrix(cells: usize, genes: usize, shown: u64) -> Result<ExpressionMatrix> {
    let mut matrix = ExpressionMatrix::new((0..genes).map(|gene| format!("G{gene}")))?;
    for cell in 0..cells {
        let value = |gene: usize| {
            let random = tissuenarrator::sentence::draw(0, (cell * genes + gene) as u64);
            let hundredths = 100_000 / (50 + (random >> 10) % 1_000);
            if random % 1_024 < shown { hundredths as f32 / 100.0 } else { 0.0 }
        };
        matrix.push_dense(&(0..genes).map(value).collect::<Vec<f32>>())?;
    }
    Ok(matrix)
}
