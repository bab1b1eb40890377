//! Draws the figures of this crate from made-up numbers: `cargo run -p tn-eval --example figures -- FOLDER`, and also as PNG
//! pictures with `--features png`.

use std::error::Error;
use std::path::PathBuf;

use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use tn_eval::Estimate;
use tn_eval::plot::{
    BarSeries, BoxGroup, CropCell, EnrichmentDot, FoldChangePoint, HeatMap, MapPanel, Neighborhood, VolcanoPoint, VolcanoThresholds,
    box_with_points, class_map, enrichment_dots, fold_change_scatter, heat_map, metric_bars, neighborhood_crop, value_map, volcano,
};
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
        ("neighborhood.svg", neighborhood(&mut rng)?),
        ("volcano.svg", infiltration(&mut rng)?),
        ("enrichment.svg", enrichment()?),
        ("boxes.svg", boxes(&mut rng)?),
        ("heat_map.svg", communication(&mut rng)?),
    ];
    for (name, svg) in figures {
        #[cfg(feature = "png")]
        std::fs::write(folder.join(name).with_extension("png"), tn_eval::plot::png(&svg, 2.0)?)?;
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

/// A microglial cell and what is around it, every cell with the genes it is known by.
fn neighborhood(rng: &mut impl Rng) -> Result<String, Box<dyn Error>> {
    let markers = [
        ("Astrocyte", ["AQP4", "GFAP"]),
        ("Excitatory", ["SLC17A7", "NEUROD6"]),
        ("Inhibitory", ["GAD1", "SLC32A1"]),
        ("Microglia", ["CX3CR1", "P2RY12"]),
        ("OD Mature 1", ["MBP", "OPALIN"]),
    ];
    let cells = (0..46)
        .map(|_| {
            let position = Position::new(rng.random_range(430.0..570.0), rng.random_range(330.0..470.0))?;
            let (class, genes) = markers[rng.random_range(0..markers.len())];
            Ok(CropCell::new(position, class).with_genes(&genes))
        })
        .collect::<Result<Vec<_>, Box<dyn Error>>>()?;
    let target = CropCell::new(Position::new(500.0, 400.0)?, "Microglia").with_genes(&["SPP1", "CD74", "APOE"]);
    Ok(neighborhood_crop("A microglial cell to be written", &Neighborhood::new(target, cells).with_reach(60.0).with_classes(CLASSES))?)
}

/// Most genes do not change; the more a gene changes, the surer it is.
fn infiltration(rng: &mut impl Rng) -> Result<String, Box<dyn Error>> {
    let symbols = [
        "CXCL13", "GZMB", "PDCD1", "LAG3", "HAVCR2", "TIGIT", "IFNG", "CCL5", "NKG7", "PRF1", "IL7R", "CCR7", "TCF7", "SELL", "KLF2",
        "LEF1",
    ];
    let genes: Vec<VolcanoPoint> = (0..2_000)
        .map(|index| {
            let log_fold_change = match index {
                0..10 => rng.random_range(0.6..2.6),
                10..16 => rng.random_range(-2.0..-0.6),
                16..140 => rng.random_range(-1.0..1.0),
                _ => rng.random_range(-0.35..0.35_f64) * rng.random_range(0.0..1.0_f64),
            };
            let surprise = 18.0 * log_fold_change.abs() * rng.random_range(0.3..1.0_f64);
            let gene = symbols.get(index).map_or_else(|| format!("GENE{index}"), ToString::to_string);
            VolcanoPoint { gene, log_fold_change, fdr: if index == 0 { 0.0 } else { 10_f64.powf(-surprise) } }
        })
        .collect();
    Ok(volcano("T cells among malignant cells against T cells elsewhere", &genes, VolcanoThresholds::default())?)
}

fn enrichment() -> Result<String, Box<dyn Error>> {
    let sets = [
        ("Interferon gamma signaling", 2.31, 0.0, 0.62),
        ("Antigen processing and presentation", 2.05, 0.002, 0.55),
        (
            "Regulation of Insulin-like Growth Factor (IGF) transport and uptake by Insulin-like Growth Factor Binding Proteins (IGFBPs)",
            1.72,
            0.018,
            0.41,
        ),
        ("Extracellular matrix organization", 1.60, 0.031, 0.28),
        ("Chemokine receptors bind chemokines", 1.49, 0.052, 0.35),
        ("Neuronal system", -1.44, 0.058, 0.22),
        ("Potassium channels", -1.66, 0.021, 0.30),
        ("Transmission across chemical synapses", -1.93, 0.006, 0.47),
    ];
    let dots = sets.map(|(term, nes, fdr, gene_share)| EnrichmentDot { term: term.to_string(), nes, fdr, gene_share });
    Ok(enrichment_dots("Olfactory ensheathing cells beside transplanted thalamic neurons", &dots)?)
}

fn boxes(rng: &mut impl Rng) -> Result<String, Box<dyn Error>> {
    let mut group = |name: &str, cells: usize, middle: f64| {
        // The sum of three is close to a bell.
        let value = |rng: &mut ChaCha8Rng| middle + (0..3).map(|_| rng.random_range(-0.5..0.5)).sum::<f64>();
        let mut own = ChaCha8Rng::seed_from_u64(rng.random());
        BoxGroup::new(name, (0..cells).map(|_| value(&mut own)).collect())
    };
    let groups = [
        group("Near MYD88 knock-outs", 61, 1.1),
        group("Near IRAK1 knock-outs", 18, 1.5),
        group("Near controls", 420, 1.9),
        group("Near nobody", 3_000, 1.8),
    ];
    Ok(box_with_points("NFKBIA in T cells", "expression, log10(1 + count)", &groups)?)
}

fn communication(rng: &mut impl Rng) -> Result<String, Box<dyn Error>> {
    let groups = ["Astrocyte", "Endothelial 1", "Ependymal", "Excitatory", "Inhibitory", "Microglia", "OD Mature 1", "Pericytes"];
    let values = (0..groups.len() * groups.len()).map(|_| rng.random_range(0.0..0.4_f64).powi(2)).collect();
    let table = HeatMap::new(groups, groups, values)?.with_axes("sender", "receiver").with_value_name("communication probability");
    Ok(heat_map("SPP1 signaling", &table)?)
}
