//! Prints what a simulated tissue looks like and how well simple predictors do on its held-out cells.
//!
//! `cargo run -p data-fixtures --example calibration -- '{"cells": 12000, "genes": 500}'`
#![allow(clippy::print_stdout, reason = "the table is the result")]

use std::collections::{BTreeMap, HashSet};
use std::error::Error;

use data_fixtures::{PROXIMITY_FOCAL, SimulatedCell, SimulatedTissue, SimulationConfig, SparseCounts, Split};
use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

const TOP: usize = 30;

fn main() -> Result<(), Box<dyn Error>> {
    let options = std::env::args().nth(1).unwrap_or_else(|| "{}".to_owned());
    let config: SimulationConfig = serde_json::from_str(&options)?;
    let tissue = SimulatedTissue::new(config)?;
    let cells: Vec<SimulatedCell> = tissue.cells().collect();
    describe(&tissue, &cells);
    score(&tissue, &cells);
    Ok(())
}

fn describe(tissue: &SimulatedTissue, cells: &[SimulatedCell]) {
    let n = cells.len() as f64;
    let seen = cells.iter().map(|cell| cell.counts.len()).sum::<usize>() as f64 / n;
    let counts = cells.iter().map(|cell| f64::from(cell.counts.counts.iter().sum::<u32>())).sum::<f64>() / n;
    println!(
        "cells {n}, genes seen per cell {seen:.1} ({:.3} of the panel), counts per cell {counts:.0}",
        seen / tissue.panel().len() as f64
    );
    for split in [Split::Train, Split::Val, Split::Test] {
        println!("  {split}: {} cells", cells.iter().filter(|cell| cell.split == split).count());
    }
    let mut classes: BTreeMap<&str, usize> = BTreeMap::new();
    for cell in cells {
        *classes.entry(cell.class).or_default() += 1;
    }
    for (class, count) in classes {
        println!("  {class:<10} {:.3}", count as f64 / n);
    }
    let share = |of: &dyn Fn(&&SimulatedCell) -> bool, in_: &dyn Fn(&&SimulatedCell) -> bool| {
        let all = cells.iter().filter(in_).count();
        cells.iter().filter(in_).filter(of).count() as f64 / all as f64
    };
    println!("proximal share of {PROXIMITY_FOCAL}: {:.3}", share(&|c| c.proximal, &|c| c.class == PROXIMITY_FOCAL));
    println!("share of Oligo beside a knock-out: {:.3}", share(&|c| c.knockout_neighbor, &|c| c.class == "Oligo"));
    println!("dispersion (median over genes, astrocytes): {:.3}", observed_dispersion(tissue, cells));
}

/// Median over genes of (variance - mean) / mean^2 of the counts divided by their own true mean.
fn observed_dispersion(tissue: &SimulatedTissue, cells: &[SimulatedCell]) -> f64 {
    let genes = tissue.panel().len();
    let (mut excess, mut weight) = (vec![0.0; genes], vec![0.0; genes]);
    for cell in cells.iter().filter(|cell| cell.class == PROXIMITY_FOCAL) {
        let counts = dense(&cell.counts, genes);
        for (gene, &mean) in tissue.true_mean(cell).iter().enumerate() {
            excess[gene] += (counts[gene] - f64::from(mean)).powi(2) - f64::from(mean);
            weight[gene] += f64::from(mean).powi(2);
        }
    }
    let mut ratios: Vec<f64> = (0..genes).filter(|&g| weight[g] > 50.0).map(|g| excess[g] / weight[g]).collect();
    ratios.sort_by(f64::total_cmp);
    ratios.get(ratios.len() / 2).copied().unwrap_or(f64::NAN)
}

fn score(tissue: &SimulatedTissue, cells: &[SimulatedCell]) {
    let genes = tissue.panel().len();
    let train: Vec<&SimulatedCell> = cells.iter().filter(|cell| cell.split == Split::Train).collect();
    let test: Vec<&SimulatedCell> = cells.iter().filter(|cell| cell.split == Split::Test).collect();
    let class_means = group_means(&train, genes, |cell| cell.class.to_owned());
    let domain_means = group_means(&train, genes, |cell| format!("{}/{}", cell.class, cell.spatial_domain));
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let all: Vec<usize> = (0..genes).collect();

    let mut sums = [0.0; 6];
    let mut focal = [0.0; 4];
    let mut proximal_cells = 0.0;
    for cell in &test {
        let truth = top(&dense(&cell.counts, genes), &mut rng);
        let nearest = test
            .iter()
            .filter(|other| other.section == cell.section && other.name != cell.name)
            .min_by(|a, b| distance(a, cell).total_cmp(&distance(b, cell)));
        let by_class = top(&class_means[cell.class], &mut rng);
        let by_domain = domain_means
            .get(&format!("{}/{}", cell.class, cell.spatial_domain))
            .map_or_else(|| by_class.clone(), |means| top(means, &mut rng));
        let mean: Vec<f64> = tissue.true_mean(cell).iter().map(|&mean| f64::from(mean)).collect();
        let oracle = top(&mean, &mut rng);
        let replicate = top(&dense(&tissue.replicate(cell), genes), &mut rng);
        let random: HashSet<usize> = all.sample(&mut rng, TOP).copied().collect();
        let nearest = nearest.map(|other| top(&dense(&other.counts, genes), &mut rng)).unwrap_or_default();
        let overlaps = [&random, &nearest, &by_class, &by_domain, &oracle, &replicate].map(|p| overlap(p, &truth));
        for (sum, overlap) in sums.iter_mut().zip(overlaps) {
            *sum += overlap;
        }
        if cell.proximal {
            proximal_cells += 1.0;
            for (sum, overlap) in focal.iter_mut().zip(&overlaps[2..]) {
                *sum += overlap;
            }
        }
    }
    let n = test.len() as f64;
    let names = ["random", "nearest neighbor", "class mean", "class x domain mean", "oracle", "replicate"];
    println!("overlap@{TOP} on {n} held-out cells");
    for (name, sum) in names.iter().zip(sums) {
        println!("  {name:<20} {:.4}", sum / n);
    }
    let gap = (sums[4] - sums[2]) / n;
    println!("oracle - class mean {gap:.4}; class x domain closes {:.2}", (sums[3] - sums[2]) / n / gap);
    println!(
        "proximal astrocytes only: class mean {:.4}, class x domain {:.4}, oracle {:.4}, replicate {:.4}",
        focal[0] / proximal_cells,
        focal[1] / proximal_cells,
        focal[2] / proximal_cells,
        focal[3] / proximal_cells
    );
}

fn dense(counts: &SparseCounts, genes: usize) -> Vec<f64> {
    let mut dense = vec![0.0; genes];
    for (&gene, &count) in counts.genes.iter().zip(&counts.counts) {
        dense[gene as usize] = f64::from(count);
    }
    dense
}

/// Mean of log10(1 + counts scaled to 10,000) over the cells of each group.
fn group_means(cells: &[&SimulatedCell], genes: usize, group: impl Fn(&SimulatedCell) -> String) -> BTreeMap<String, Vec<f64>> {
    let mut sums: BTreeMap<String, Vec<f64>> = BTreeMap::new();
    for cell in cells {
        let sum = sums.entry(group(cell)).or_insert_with(|| vec![0.0; genes]);
        let total: u32 = cell.counts.counts.iter().sum();
        for (&gene, &count) in cell.counts.genes.iter().zip(&cell.counts.counts) {
            sum[gene as usize] += (1.0 + f64::from(count) * 1e4 / f64::from(total)).log10();
        }
    }
    sums
}

/// The genes with the highest positive values; ties in random order.
fn top(values: &[f64], rng: &mut ChaCha8Rng) -> HashSet<usize> {
    let mut order: Vec<(f64, u64, usize)> =
        values.iter().enumerate().filter(|(_, v)| **v > 0.0).map(|(gene, &v)| (v, rng.random(), gene)).collect();
    order.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
    order.into_iter().take(TOP).map(|(_, _, gene)| gene).collect()
}

fn overlap(predicted: &HashSet<usize>, truth: &HashSet<usize>) -> f64 {
    predicted.intersection(truth).count() as f64 / TOP as f64
}

fn distance(a: &SimulatedCell, b: &SimulatedCell) -> f64 {
    (a.x - b.x).hypot(a.y - b.y)
}
