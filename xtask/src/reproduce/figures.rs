//! The figures of a run.

use std::collections::{BTreeMap, HashMap};

use anyhow::Result;
use tissuenarrator::eval::ExpressionModel;
use tissuenarrator::eval::plot::{BarSeries, FoldChangePoint, MapPanel, class_map, fold_change_scatter, metric_bars, value_map};
use tissuenarrator::prelude::*;

use super::generation::Generated;
use super::proximity::{PlantedGene, ProximityResult};
use super::scoring::ModeScores;
use super::tissue::Tissue;

/// A figure and what it shows.
pub(super) struct Figure {
    /// The name of its file.
    pub(super) name: &'static str,
    /// What to see in it.
    pub(super) caption: String,
    pub(super) svg: String,
}

const METRICS: [&str; 3] = ["overlap@10", "overlap@30", "overlap@50"];

/// Draws all figures.
pub(super) fn draw(
    tissue: &Tissue,
    genes: usize,
    generated: &Generated,
    conditioned: &ModeScores,
    unconditioned: &ModeScores,
    proximity: Option<&ProximityResult>,
) -> Result<Vec<Figure>> {
    let map = HeldOutMap::new(tissue, &generated.unconditioned);
    let mut figures = vec![
        Figure {
            name: "conditioned",
            caption:
                "Share of the first 10, 30 and 50 predicted genes that are among the first 10, 30 and 50 genes of the held-out cell, with \
                      95% intervals over cells. The metadata of the cell is given."
                    .to_owned(),
            svg: bars("Held-out cells, class given", conditioned)?,
        },
        Figure {
            name: "unconditioned",
            caption: "The same where only the place and its neighbors are given; the model writes the class itself.".to_owned(),
            svg: bars("Held-out cells, class not given", unconditioned)?,
        },
        Figure {
            name: "classes",
            caption:
                "Held-out cells where they lie, colored by their measured class and by the class that the model wrote for the place. Grey: \
                      the other cells of the section."
                    .to_owned(),
            svg: map.classes()?,
        },
        map.marker(genes)?,
    ];
    if let Some(result) = proximity {
        figures.extend(fold_changes(result)?);
    }
    Ok(figures)
}

fn bars(title: &str, scores: &ModeScores) -> Result<String> {
    let series =
        scores.iter().map(|scored| BarSeries::from_scores(scored.name, &scored.scores, &METRICS)).collect::<Result<Vec<_>, _>>()?;
    Ok(metric_bars(title, &METRICS, &series)?)
}

/// The held-out cells of the section that has most of them.
struct HeldOutMap<'a> {
    section: &'a str,
    cells: Vec<(Position, &'a GeneratedRecord)>,
    context: Vec<Position>,
}

impl<'a> HeldOutMap<'a> {
    fn new(tissue: &'a Tissue, generated: &'a [GeneratedRecord]) -> Self {
        let by_name = tissue.by_name();
        let found: Vec<(&CellRecord, &GeneratedRecord)> =
            generated.iter().filter_map(|record| Some((*by_name.get(record.task.cell_name.as_str())?, record))).collect();
        let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
        for (cell, _) in &found {
            *counts.entry(&cell.section).or_default() += 1;
        }
        let section = counts.into_iter().max_by_key(|(_, count)| *count).map_or("", |(section, _)| section);
        let cells = found.into_iter().filter(|(cell, _)| cell.section == section).map(|(cell, record)| (cell.position, record)).collect();
        let context = tissue.cells.iter().filter(|cell| cell.section == section).map(|cell| cell.position).collect();
        Self { section, cells, context }
    }

    fn classes(&self) -> Result<String> {
        let written = |record: &GeneratedRecord| {
            let (cell, _) = CellSentence::parse_lenient(&record.generated_block);
            cell.as_ref().and_then(CellSentence::class).unwrap_or("none").to_owned()
        };
        let measured = self.cells.iter().map(|(position, record)| (*position, record.task.class.clone())).collect();
        let generated = self.cells.iter().map(|(position, record)| (*position, written(record))).collect();
        let panels = [
            MapPanel::new("Measured", measured).with_context(self.context.clone()),
            MapPanel::new("Generated, class not given", generated).with_context(self.context.clone()),
        ];
        Ok(class_map(&format!("Classes in {}", self.section), &panels)?)
    }

    /// Draws the gene whose presence differs most between classes.
    fn marker(&self, genes: usize) -> Result<Figure> {
        let ranking = |text: &str| CellSentence::parse_lenient(text).0.map(CellSentence::into_ranking).unwrap_or_default().top(genes);
        let measured: Vec<GeneRanking> = self.cells.iter().map(|(_, record)| ranking(&record.task.answer)).collect();
        let generated: Vec<GeneRanking> = self.cells.iter().map(|(_, record)| ranking(&record.generated_block)).collect();
        let classes: Vec<&str> = self.cells.iter().map(|(_, record)| record.task.class.as_str()).collect();
        let gene = marker_gene(&measured, &classes).unwrap_or_default();
        let panel = |title: &str, rankings: &[GeneRanking]| {
            let values = self.cells.iter().zip(rankings).map(|((position, _), ranking)| (*position, expression(ranking, &gene)));
            MapPanel::new(title, values.collect()).with_context(self.context.clone())
        };
        let panels = [panel("Measured", &measured), panel("Generated, class not given", &generated)];
        Ok(Figure {
            name: "marker",
            caption: format!(
                "{gene}, the gene that tells the classes apart best, in the same cells: expression reconstructed from the rank of the gene among \
                 the first {genes}, 0 where it is not among them. What was measured is one draw, what the model wrote is an expectation."
            ),
            svg: value_map(&format!("{gene} in {}", self.section), "expression reconstructed from rank, log10(1 + count)", &panels)?,
        })
    }
}

/// Returns the expression that the published fit expects at the rank of a gene.
fn expression(ranking: &GeneRanking, gene: &str) -> f64 {
    ranking.iter().position(|other| other == gene).map_or(0.0, |rank| ExpressionModel::MERFISH_BRAIN.at_rank(rank).max(0.0))
}

/// Returns the gene whose presence varies most between classes; of equals the first in the alphabet.
fn marker_gene(rankings: &[GeneRanking], classes: &[&str]) -> Option<String> {
    let mut sizes: HashMap<&str, f64> = HashMap::new();
    let mut counts: BTreeMap<&str, BTreeMap<&str, f64>> = BTreeMap::new();
    for (ranking, &class) in rankings.iter().zip(classes) {
        *sizes.entry(class).or_default() += 1.0;
        for gene in ranking.iter() {
            *counts.entry(gene).or_default().entry(class).or_default() += 1.0;
        }
    }
    let cells = rankings.len() as f64;
    let variance = |counts: &BTreeMap<&str, f64>| {
        let mean = counts.values().sum::<f64>() / cells;
        let absent = cells - counts.keys().map(|class| sizes[class]).sum::<f64>();
        let seen: f64 = counts.iter().map(|(class, count)| sizes[class] * (count / sizes[class] - mean).powi(2)).sum();
        seen + absent * mean * mean
    };
    let mut best: Option<(&str, f64)> = None;
    for (gene, counts) in &counts {
        let variance = variance(counts);
        if best.is_none_or(|(_, most)| variance > most) {
            best = Some((gene, variance));
        }
    }
    best.map(|(gene, _)| gene.to_owned())
}

fn fold_changes(result: &ProximityResult) -> Result<Vec<Figure>> {
    let ProximityResult { focal, partner, pairs, .. } = result;
    let scatter = |title: &str, y: &str, of: fn(&PlantedGene) -> f64| {
        let point = |gene: &PlantedGene| FoldChangePoint { gene: gene.gene.clone(), planted: gene.planted, predicted: of(gene) };
        let points: Vec<FoldChangePoint> = result.genes.iter().map(point).collect();
        fold_change_scatter(title, "planted", y, &points)
    };
    Ok(vec![
        Figure {
            name: "fold-changes",
            caption: format!(
                "Genes that the simulation changes in {focal} near {partner}. To the right: the change planted. Upwards: the change of the model's \
                 expected presence when {partner} cells are put next to {pairs} held-out {focal} cells that have none near."
            ),
            svg: scatter(&format!("{focal} with {partner} put next to it"), "generated", |gene| gene.generated)?,
        },
        Figure {
            name: "fold-changes-control",
            caption: format!(
                "The same with cells of another class in place of {partner}: nothing was planted for them, so nothing should line up."
            ),
            svg: scatter(&format!("{focal} with another class put next to it"), "generated", |gene| gene.control)?,
        },
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_marker_is_the_gene_that_classes_differ_in() {
        let rankings = ["A B", "A B", "A C", "A C"].map(|text| GeneRanking::parse(text).unwrap());
        assert_eq!(marker_gene(&rankings, &["x", "x", "y", "y"]).as_deref(), Some("B"));
        assert_eq!(marker_gene(&[], &[]), None);
    }

    #[test]
    fn an_absent_gene_has_no_expression() {
        let ranking = GeneRanking::parse("A B").unwrap();
        assert_eq!(expression(&ranking, "C"), 0.0);
        assert!(expression(&ranking, "A") > expression(&ranking, "B"));
    }
}
