//! All pairs of positions within a radius, beside SciPy's k-d tree.

use std::fs;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use serde_json::json;
use tissuenarrator::io::TableReader;
use tissuenarrator::sentence::{CellRecord, Position};
use tissuenarrator::spatial::RadiusGraph;

use super::Bench;
use crate::bench::contest::{Contender, in_turns};
use crate::bench::row::{Goal, Measured, Row, Side, SizesOf, Unit};

/// The radius in micrometers: that of the proximity effect.
const RADIUS: f64 = 30.0;

/// Measures the radius graph of a section.
pub(super) fn rows(bench: &Bench) -> Result<Vec<Row>> {
    let name = "radius-graph";
    if !bench.wants(name) {
        return Ok(Vec::new());
    }
    let positions = positions(bench)?;
    let file = bench.inputs.output("positions.f64")?;
    let bytes: Vec<u8> = positions.iter().flat_map(|place| [place.x(), place.y()]).flat_map(f64::to_le_bytes).collect();
    fs::write(&file, bytes).with_context(|| format!("cannot write {}", file.display()))?;
    let (mut edges, mut pairs) = (0, None);
    let mut contenders = vec![Contender::new(Side::Ours, "ours", || {
        let start = Instant::now();
        edges = RadiusGraph::new(&positions, RADIUS)?.edges();
        Ok(start.elapsed().as_secs_f64())
    })];
    if let Some(peer) = &bench.peer {
        contenders.push(Contender::new(Side::Peer, "cKDTree", || {
            let answer = peer.ask(&json!({"do": "radius_graph", "file": file, "radius": RADIUS}))?;
            pairs = answer["pairs"].as_u64();
            answer["seconds"].as_f64().context("the peer measures seconds")
        }));
    }
    let mut measured = in_turns(contenders, bench.repeats)?;
    if bench.peer.is_none() && bench.sizes.of == SizesOf::Published {
        measured.push(Measured { name: "cKDTree, measured before".to_owned(), side: Side::Peer, values: vec![0.11] });
    }
    if let Some(pairs) = pairs {
        ensure!(edges as u64 == 2 * pairs, "{edges} neighbors, and {pairs} pairs of the peer");
    }
    let checks = vec![format!("{edges} neighbors{}", if pairs.is_some() { ", twice the pairs of cKDTree" } else { "" })];
    let what = format!("all pairs of {} positions within {RADIUS} micrometers, with distances", positions.len());
    Ok(vec![Row {
        name: name.to_owned(),
        what,
        unit: Unit::Milliseconds,
        goal: Goal::Speed { reach: 1.0, moonshot: 3.0 },
        measured,
        checks,
    }])
}

/// Lays the sections of a simulation side by side.
fn positions(bench: &Bench) -> Result<Vec<Position>> {
    let cells = TableReader::<CellRecord>::open(bench.inputs.cells(bench.sizes.cells)?)?.take(bench.sizes.positions);
    let mut sections: Vec<String> = Vec::new();
    cells
        .map(|cell| {
            let cell = cell?;
            let number = sections.iter().position(|section| *section == cell.section).unwrap_or_else(|| {
                sections.push(cell.section.clone());
                sections.len() - 1
            });
            Ok(Position::new(cell.position.x() + 1e5 * number as f64, cell.position.y())?)
        })
        .collect()
}
