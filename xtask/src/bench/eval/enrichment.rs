//! Pre-ranked enrichment on one thread, beside GSEApy.

use std::collections::BTreeMap;
use std::fs;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use serde_json::json;
use tissuenarrator::eval::{GeneSet, GeneSets, Prerank};
use tissuenarrator::sentence::draw;

use super::Bench;
use crate::bench::contest::{Contender, in_turns};
use crate::bench::row::{Goal, Measured, Row, Side, SizesOf, Unit};

/// Measures enrichment.
pub(super) fn rows(bench: &Bench) -> Result<Vec<Row>> {
    let name = "prerank";
    if !bench.wants(name) {
        return Ok(Vec::new());
    }
    let (n_genes, n_sets, permutations) = (bench.size(5_000, 500), bench.size(500, 20), bench.size(1_000, 50));
    // Scores in which no two are equal.
    let score = |gene: u64| (draw(1, gene) % 1_000_000) as f64 / 1e5 - 5.0 + gene as f64 * 1e-9;
    let scored: Vec<(String, f64)> = (0..n_genes as u64).map(|gene| (format!("G{gene}"), score(gene))).collect();
    let set = |set: u64| {
        let genes = (0..15 + draw(2, set) % 200).map(|gene| format!("G{}", draw(1_000 + set, gene) % n_genes as u64));
        GeneSet { name: format!("S{set}"), description: String::new(), genes: genes.collect() }
    };
    let sets = GeneSets::new((0..n_sets as u64).map(set));
    let file = bench.folder.join("prerank.json");
    let by_name: BTreeMap<&str, &[String]> = sets.sets().iter().map(|set| (set.name.as_str(), &set.genes[..])).collect();
    fs::write(&file, json!({"ranking": scored, "sets": by_name}).to_string())
        .with_context(|| format!("cannot write {}", file.display()))?;

    let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build()?;
    let prerank = Prerank::new().with_sizes(5, 500).with_permutations(permutations);
    let (mut ours, mut theirs) = (None, None);
    let mut contenders = vec![Contender::new(Side::Ours, "ours", || {
        let start = Instant::now();
        ours = Some(pool.install(|| prerank.run(&scored, &sets))?);
        Ok(start.elapsed().as_secs_f64())
    })];
    if let Some(peer) = &bench.peer {
        contenders.push(Contender::new(Side::Peer, "GSEApy", || {
            let answer = peer.ask(&json!({"do": "prerank", "file": file, "permutations": permutations}))?;
            theirs = answer["scores"].as_object().cloned();
            answer["seconds"].as_f64().context("the peer measures seconds")
        }));
    }
    let mut measured = in_turns(contenders, bench.repeats)?;
    if bench.peer.is_none() && bench.sizes == SizesOf::Published {
        measured.push(Measured { name: "GSEApy, measured before".to_owned(), side: Side::Peer, values: vec![16.9] });
    }
    let ours = ours.context("it was measured")?;
    let mut checks = vec![format!("{} sets", ours.sets().len())];
    if let Some(theirs) = theirs {
        for set in ours.sets() {
            let score = theirs.get(&set.name).and_then(serde_json::Value::as_f64).with_context(|| format!("GSEApy has no {}", set.name))?;
            ensure!(
                (score - set.enrichment_score).abs() < 1e-9,
                "the score of {} is {score} in GSEApy, ours {}",
                set.name,
                set.enrichment_score
            );
        }
        checks.push("every enrichment score within 1e-9 of GSEApy's".to_owned());
    }
    let what = format!("{n_genes} genes, {n_sets} sets, {permutations} permutations, 1 thread on both sides");
    let goal = Goal::Speed { reach: 3.0, moonshot: 20.0 };
    Ok(vec![Row { name: name.to_owned(), what, unit: Unit::Seconds, goal, measured, checks }])
}
