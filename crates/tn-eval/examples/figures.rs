//! Draws the figures of this crate from made-up numbers: `cargo run -p tn-eval --example figures -- FOLDER`.

use std::error::Error;
use std::path::PathBuf;

use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use tn_eval::Estimate;
use tn_eval::plot::{BarSeries, FoldChangePoint, MapPanel, class_map, fold_change_scatter, metric_bars, value_map};
use tn_sentence::Position;

const CLASSES: [&str; 15] = [
    "Astrocyte",
    "Endothelial 1",
    "Endothelial 2",
    "Endothelial 3",
    "Ependymal",
    "Excitatory",
    "Inhibitory",
    "Microglia",
    "OD Immature 1",
    "OD Immature 2",
    "OD Mature 1",
    "OD Mature 2",
    "OD Mature 3",
    "OD Mature 4",
    "Pericytes",
];

fn main() -> Result<(), Box<dyn Error>> {
    let folder = std::env::args().nth(1).map_or_else(|| PathBuf::from("."), PathBuf::from);
    let mut rng = ChaCha8Rng::seed_from_u64(7);
    let figures = [
        ("class_map.svg", tissue_by_class(&mut rng)?),
        ("value_map.svg", tissue_by_value(&mut rng)?),
        ("metric_bars.svg", predictors()?),
        ("fold_changes.svg", fold_changes(&mut rng)?),
    ];
    for (name, svg) in figures {
        std::fs::write(folder.join(name), svg)?;
    }
    Ok(())
}

/// Layers of classes; the generated panel has one cell in ten wrong.
fn tissue_by_class(rng: &mut impl Rng) -> Result<String, Box<dyn Error>> {
    let (mut measured, mut generated, mut context) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..6_000 {
        let position = Position::new(rng.random_range(0.0..1800.0), rng.random_range(0.0..1600.0))?;
        let in_test_block = (position.x() / 250.0) as i64 % 3 == 1 && (position.y() / 250.0) as i64 % 2 == 0;
        if !in_test_block {
            context.push(position);
            continue;
        }
        let layer = (position.y() / 120.0 + rng.random_range(0.0..2.0)) as usize % CLASSES.len();
        measured.push((position, CLASSES[layer]));
        let written = if rng.random_bool(0.1) { rng.random_range(0..CLASSES.len()) } else { layer };
        generated.push((position, CLASSES[written]));
    }
    let panels = [
        MapPanel::new("Measured", measured).with_context(context.clone()),
        MapPanel::new("Generated, class not given", generated).with_context(context),
    ];
    Ok(class_map("Mouse hypothalamus, held-out blocks", &panels)?)
}

fn tissue_by_value(rng: &mut impl Rng) -> Result<String, Box<dyn Error>> {
    let (mut measured, mut generated) = (Vec::new(), Vec::new());
    for _ in 0..3_000 {
        let position = Position::new(rng.random_range(0.0..900.0), rng.random_range(0.0..600.0))?;
        let gradient = (position.x() / 300.0).sin().abs();
        measured.push((position, gradient + rng.random_range(-0.3..0.3)));
        generated.push((position, gradient + rng.random_range(-0.1..0.1)));
    }
    let panels = [MapPanel::new("Measured", measured), MapPanel::new("Generated", generated)];
    Ok(value_map("GFAP", "log10(1 + count)", &panels)?)
}

fn predictors() -> Result<String, Box<dyn Error>> {
    let series = |name: &str, means: [f64; 3]| {
        let estimate = |mean: f64| Estimate { mean, low: Some(mean - 0.02), high: Some(mean + 0.02) };
        BarSeries::new(name, means.map(estimate).to_vec())
    };
    let series = [
        series("TissueNarrator, expected ranking", [0.58, 0.63, 0.61]),
        series("TissueNarrator, one sample", [0.53, 0.57, 0.56]),
        series("Class mean", [0.57, 0.60, 0.59]),
        series("Nearest neighbor", [0.34, 0.46, 0.51]),
        series("Random", [0.07, 0.22, 0.37]),
        series("Oracle", [0.66, 0.71, 0.68]),
        series("Replicate", [0.49, 0.57, 0.58]),
    ];
    Ok(metric_bars("Held-out cells, conditioned on their class", &["overlap@10", "overlap@30", "overlap@50"], &series)?)
}

fn fold_changes(rng: &mut impl Rng) -> Result<String, Box<dyn Error>> {
    let symbols = ["SPP1", "GFAP", "CD74", "APOE", "C1QA", "LPL", "CST7", "ITGAX", "TREM2", "P2RY12", "TMEM119", "CX3CR1"];
    let genes: Vec<FoldChangePoint> = (0..300)
        .map(|index| {
            let planted = match index {
                0..12 => rng.random_range(-2.0..2.0_f64),
                12..60 => rng.random_range(-0.5..0.5),
                _ => 0.0,
            };
            let gene = symbols.get(index).map_or_else(|| format!("GENE{index}"), ToString::to_string);
            FoldChangePoint { gene, planted, predicted: 0.7 * planted + rng.random_range(-0.15..0.15) }
        })
        .collect();
    Ok(fold_change_scatter("Microglia beside plaques", "planted", "predicted", &genes)?)
}
