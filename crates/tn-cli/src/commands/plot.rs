//! `tn plot`.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use serde_json::json;
use tissuenarrator::eval::plot::{
    BarSeries, CropCell, EnrichmentDot, FoldChangePoint, HeatMap, MapPanel, Neighborhood, VolcanoPoint, VolcanoThresholds, class_map,
    enrichment_dots, fold_change_scatter, heat_map, metric_bars, neighborhood_crop, volcano,
};
use tissuenarrator::eval::score_generated;
use tissuenarrator::io::{TableReader, TableRecord};
use tissuenarrator::sentence::{CellRecord, CellSentence, GeneratedRecord, Position, SpatialSentence, TaskRecord};

use crate::cell_tables;
use crate::error::{CliError, TableKind};
use crate::gene_panel;
use crate::ranges;
use crate::report::Report;
use crate::statistic_tables::{DifferentialRow, EnrichmentRow, InteractionRow};

/// Draw a figure from a table: SVG, or PNG by the extension of the output.
#[derive(Debug, Subcommand)]
pub(crate) enum Plot {
    /// Where the cells of each class are, a panel for each section
    Map(Map),
    /// The neighbors of a target, and the cell that was observed there
    Neighborhood(NeighborhoodPlot),
    /// Predicted against observed log fold changes
    Lfc(Lfc),
    /// Log fold changes against false discovery rates
    Volcano(Volcano),
    /// Scores of tables of generated cells, with their intervals
    Bars(Bars),
    /// Gene sets by enrichment
    Gsea(GseaPlot),
    /// How strongly groups may speak to each other
    Communication(CommunicationPlot),
}

/// Where a figure goes.
#[derive(Args, Debug)]
struct Output {
    /// The figure, .svg or .png
    #[arg(short, long, value_name = "OUT.svg")]
    output: PathBuf,
    /// Title [default: the name of the table]
    #[arg(long, value_name = "TEXT")]
    title: Option<String>,
    /// Pixels of a PNG for each pixel of the SVG
    #[arg(long, value_name = "FACTOR", default_value_t = 2.0, value_parser = ranges::positive)]
    scale: f64,
}

#[derive(Args, Debug)]
pub(crate) struct Map {
    /// Table of cells, as `tn encode` writes it
    cells: PathBuf,
    /// Column whose values are colored
    #[arg(long, value_name = "COLUMN", default_value = "class")]
    color_by: String,
    /// Sections to show [default: all]
    #[arg(long, value_name = "SECTIONS", value_delimiter = ',')]
    section: Option<Vec<String>>,
    #[command(flatten)]
    output: Output,
}

#[derive(Args, Debug)]
pub(crate) struct NeighborhoodPlot {
    /// Table of tasks, as `tn prompts` writes it
    tasks: PathBuf,
    /// Name of the target cell [default: the first]
    #[arg(long, value_name = "NAME")]
    cell: Option<String>,
    /// How far around the target to show, in micrometers [default: all neighbors]
    #[arg(long, value_name = "MICROMETERS", value_parser = ranges::positive)]
    reach: Option<f64>,
    #[command(flatten)]
    output: Output,
}

#[derive(Args, Debug)]
pub(crate) struct Lfc {
    /// Predicted changes, as `tn de` writes them
    predicted: PathBuf,
    /// Observed changes
    #[arg(long, value_name = "DE.csv")]
    observed: PathBuf,
    /// Leave out genes with a larger change on either side
    #[arg(long, value_name = "LFC", default_value_t = 10.0, value_parser = ranges::positive)]
    max_change: f64,
    #[command(flatten)]
    output: Output,
}

#[derive(Args, Debug)]
pub(crate) struct Volcano {
    /// Changes, as `tn de` writes them
    changes: PathBuf,
    /// Log fold change from which on a gene counts, either way
    #[arg(long, value_name = "LFC", default_value_t = 0.5, value_parser = ranges::not_negative)]
    min_change: f64,
    /// Leave out genes with a larger change, such as those that one group does not show at all
    #[arg(long, value_name = "LFC", default_value_t = 10.0, value_parser = ranges::positive)]
    max_change: f64,
    /// False discovery rate up to which a gene counts
    #[arg(long, value_name = "FDR", default_value_t = 0.001, value_parser = ranges::positive)]
    max_fdr: f64,
    #[command(flatten)]
    output: Output,
}

#[derive(Args, Debug)]
pub(crate) struct Bars {
    /// Tables of generated cells
    #[arg(required = true)]
    generated: Vec<PathBuf>,
    /// Metrics to show
    #[arg(long, value_name = "METRICS", value_delimiter = ',', default_value = "overlap@10,overlap@30,overlap@50,ndcg@10,ndcg@30,ndcg@50")]
    metrics: Vec<String>,
    #[command(flatten)]
    output: Output,
}

#[derive(Args, Debug)]
pub(crate) struct GseaPlot {
    /// Gene sets, as `tn gsea` writes them
    sets: PathBuf,
    /// Sets to show, the farthest from 0
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = ranges::count())]
    top: usize,
    #[command(flatten)]
    output: Output,
}

#[derive(Args, Debug)]
pub(crate) struct CommunicationPlot {
    /// Interactions, as `tn communicate` writes them
    interactions: PathBuf,
    /// P-value up to which an interaction counts
    #[arg(long, value_name = "P", default_value_t = 0.05, value_parser = ranges::positive)]
    max_p: f64,
    #[command(flatten)]
    output: Output,
}

impl Plot {
    pub(super) fn run(&self) -> Result<Report, CliError> {
        match self {
            Self::Map(plot) => plot.output.draw(&plot.cells, |title| plot.svg(title)),
            Self::Neighborhood(plot) => plot.output.draw(&plot.tasks, |title| plot.svg(title)),
            Self::Lfc(plot) => plot.output.draw(&plot.predicted, |title| plot.svg(title)),
            Self::Volcano(plot) => plot.output.draw(&plot.changes, |title| plot.svg(title)),
            Self::Bars(plot) => plot.output.draw(&plot.generated[0], |title| plot.svg(title)),
            Self::Gsea(plot) => plot.output.draw(&plot.sets, |title| plot.svg(title)),
            Self::Communication(plot) => plot.output.draw(&plot.interactions, |title| plot.svg(title)),
        }
    }
}

impl Output {
    fn draw(&self, input: &Path, svg: impl FnOnce(&str) -> Result<String, CliError>) -> Result<Report, CliError> {
        cell_tables::check_is_no_input(&self.output, &[input])?;
        let extension = self.output.extension().unwrap_or_default().to_string_lossy().to_lowercase();
        if extension != "svg" && extension != "png" {
            return Err(CliError::NoFigure { path: self.output.clone() });
        }
        let name = input.file_stem().unwrap_or_default().to_string_lossy();
        let svg = svg(self.title.as_deref().unwrap_or(&name))?;
        let bytes = if extension == "png" { self.png(&svg)? } else { svg.into_bytes() };
        gene_panel::write_bytes(&bytes, &self.output)?;
        Ok(Report::summary(json!({ "figure": self.output, "bytes": bytes.len() })))
    }

    #[cfg(feature = "png")]
    fn png(&self, svg: &str) -> Result<Vec<u8>, CliError> {
        Ok(tissuenarrator::eval::plot::png(svg, self.scale)?)
    }

    #[cfg(not(feature = "png"))]
    fn png(&self, _svg: &str) -> Result<Vec<u8>, CliError> {
        tracing::debug!(scale = self.scale, "a picture was asked for");
        Err(CliError::PngNotBuilt { path: self.output.clone() })
    }
}

fn rows<R: TableRecord>(path: &Path) -> Result<Vec<R>, CliError> {
    let rows = TableReader::<R>::open(path)?.read_all()?;
    if rows.is_empty() { Err(CliError::EmptyTable { path: path.to_owned() }) } else { Ok(rows) }
}

impl Map {
    fn svg(&self, title: &str) -> Result<String, CliError> {
        let cells = cell_tables::read_cells(&self.cells, 0)?.rows;
        let mut sections: BTreeMap<String, Vec<(Position, String)>> = BTreeMap::new();
        for cell in &cells {
            if self.section.as_ref().is_none_or(|sections| sections.contains(&cell.section)) {
                let value = cell.metadata.get(&self.color_by).unwrap_or_default().to_owned();
                sections.entry(cell.section.clone()).or_default().push((cell.position, value));
            }
        }
        if sections.is_empty() {
            let sections = cell_tables::distinct(cells.iter().map(|cell| cell.section.as_str()));
            return Err(CliError::UnknownSection { path: self.cells.clone(), sections });
        }
        if cells.iter().all(|cell: &CellRecord| cell.metadata.get(&self.color_by).is_none()) {
            let columns = cell_tables::distinct(cells.iter().flat_map(|cell| cell.metadata.iter().map(|(key, _)| key)));
            let (file, column) = (self.cells.display().to_string(), self.color_by.clone());
            return Err(CliError::MissingColumn { file, column, option: "--color-by", columns });
        }
        let panels: Vec<MapPanel<String>> = sections.into_iter().map(|(section, cells)| MapPanel::new(section, at_origin(cells))).collect();
        Ok(class_map(title, &panels)?)
    }
}

/// Moves the cells of a section to the origin: sections have frames of their own, and panels one for all.
fn at_origin(cells: Vec<(Position, String)>) -> Vec<(Position, String)> {
    let least = |axis: fn(&Position) -> f64| cells.iter().map(|(position, _)| axis(position)).fold(f64::INFINITY, f64::min);
    let (x, y) = (least(Position::x), least(Position::y));
    let moved = |position: Position| Position::new(position.x() - x, position.y() - y).unwrap_or(position);
    cells.into_iter().map(|(position, value)| (moved(position), value)).collect()
}

impl NeighborhoodPlot {
    fn svg(&self, title: &str) -> Result<String, CliError> {
        let tasks = cell_tables::read::<TaskRecord>(&self.tasks, TableKind::Tasks)?.rows;
        let chosen = |task: &&TaskRecord| self.cell.as_ref().is_none_or(|cell| *cell == task.cell_name);
        let Some(task) = tasks.iter().find(chosen) else {
            return Err(CliError::UnknownCell { path: self.tasks.clone(), cell: self.cell.clone().unwrap_or_default() });
        };
        let crop = |cell: &CellSentence| {
            CropCell::new(cell.position(), cell.class().unwrap_or_default()).with_genes(cell.ranking().top(5).genes())
        };
        let position = Position::new(task.x, task.y).map_err(|source| CliError::NoPlace {
            path: self.tasks.clone(),
            cell: task.cell_name.clone(),
            source,
        })?;
        let answer = CellSentence::parse_lenient(&task.answer).0;
        let genes = answer.map(|cell| cell.ranking().top(5)).unwrap_or_default();
        let target = CropCell::new(position, task.class.as_str()).with_genes(genes.genes());
        let neighbors = SpatialSentence::parse_lenient(&task.prompt).0.cells().iter().map(crop).collect();
        let mut neighborhood = Neighborhood::new(target, neighbors);
        if let Some(reach) = self.reach {
            neighborhood = neighborhood.with_reach(reach);
        }
        Ok(neighborhood_crop(title, &neighborhood)?)
    }
}

impl Lfc {
    fn svg(&self, title: &str) -> Result<String, CliError> {
        let observed: HashMap<String, f64> =
            rows::<DifferentialRow>(&self.observed)?.into_iter().map(|row| (row.gene.gene, row.gene.log2_fold_change)).collect();
        let is_small = |change: f64| change.abs() <= self.max_change;
        let point = |row: DifferentialRow| {
            let (gene, predicted) = (row.gene.gene, row.gene.log2_fold_change);
            let planted = *observed.get(&gene)?;
            (is_small(planted) && is_small(predicted)).then_some(FoldChangePoint { gene, planted, predicted })
        };
        let points: Vec<FoldChangePoint> = rows(&self.predicted)?.into_iter().filter_map(point).collect();
        Ok(fold_change_scatter(title, "observed log2 fold change", "predicted log2 fold change", &points)?)
    }
}

impl Volcano {
    fn svg(&self, title: &str) -> Result<String, CliError> {
        let point = |row: DifferentialRow| VolcanoPoint {
            gene: row.gene.gene,
            log_fold_change: row.gene.log2_fold_change,
            fdr: row.gene.adjusted_p_value,
        };
        let mut points: Vec<VolcanoPoint> = rows(&self.changes)?.into_iter().map(point).collect();
        let all = points.len();
        points.retain(|point| point.log_fold_change.abs() <= self.max_change || point.log_fold_change.is_nan());
        if points.len() < all {
            tracing::warn!(genes = all - points.len(), "genes that change by more than --max-change are left out");
        }
        Ok(volcano(title, &points, VolcanoThresholds { log_fold_change: self.min_change, fdr: self.max_fdr })?)
    }
}

impl Bars {
    fn svg(&self, title: &str) -> Result<String, CliError> {
        let ks: BTreeSet<usize> = self.metrics.iter().filter_map(|metric| metric.split_once('@')?.1.parse().ok()).collect();
        let ks: Vec<usize> = ks.into_iter().collect();
        let metrics: Vec<&str> = self.metrics.iter().map(String::as_str).collect();
        let series = |path: &PathBuf| {
            let generated = cell_tables::read::<GeneratedRecord>(path, TableKind::Generated)?.rows;
            let scores = score_generated(&generated, &ks).map_err(|source| CliError::Score { path: path.clone(), source })?;
            let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            Ok::<_, CliError>(BarSeries::from_scores(name, &scores, &metrics)?)
        };
        let series: Vec<BarSeries> = self.generated.iter().map(series).collect::<Result<_, _>>()?;
        Ok(metric_bars(title, &metrics, &series)?)
    }
}

impl GseaPlot {
    fn svg(&self, title: &str) -> Result<String, CliError> {
        let mut sets = rows::<EnrichmentRow>(&self.sets)?;
        sets.retain(|set| set.normalized_score.is_finite());
        sets.sort_by(|a, b| b.normalized_score.abs().total_cmp(&a.normalized_score.abs()));
        sets.truncate(self.top);
        sets.sort_by(|a, b| b.normalized_score.total_cmp(&a.normalized_score));
        let dot = |set: EnrichmentRow| EnrichmentDot {
            gene_share: share(&set.tag),
            term: set.term,
            nes: set.normalized_score,
            fdr: set.false_discovery_rate,
        };
        Ok(enrichment_dots(title, &sets.into_iter().map(dot).collect::<Vec<_>>())?)
    }
}

/// Reads a share such as `12/35`; what is none is 0.
fn share(tag: &str) -> f64 {
    let parts = tag.split_once('/').and_then(|(part, whole)| Some((part.parse::<f64>().ok()?, whole.parse::<f64>().ok()?)));
    parts.filter(|(_, whole)| *whole > 0.0).map_or(0.0, |(part, whole)| part / whole)
}

impl CommunicationPlot {
    fn svg(&self, title: &str) -> Result<String, CliError> {
        let interactions = rows::<InteractionRow>(&self.interactions)?;
        let groups = cell_tables::distinct(interactions.iter().flat_map(|row| [row.0.source.as_str(), row.0.target.as_str()]));
        let place = |group: &String| groups.binary_search(group).unwrap_or_default();
        let mut strengths = vec![0.0; groups.len() * groups.len()];
        for InteractionRow(row) in interactions.iter().filter(|row| row.0.p_value <= self.max_p) {
            strengths[place(&row.source) * groups.len() + place(&row.target)] += row.probability;
        }
        let table = HeatMap::new(groups.iter().cloned(), groups.iter().cloned(), strengths)?;
        Ok(heat_map(title, &table.with_axes("source", "target").with_value_name("sum of probabilities"))?)
    }
}
