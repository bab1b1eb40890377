//! `tn communicate`.

use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use serde_json::json;
use tissuenarrator::eval::communication::{
    Average, Communication, CommunicationTable, LigandReceptorPair, PairLayout, PairTable, PairTableError,
};
use tissuenarrator::io::{CellTable, EncodeOptions, PROVENANCE_KEY, Provenance, TableWriter};
use tissuenarrator::sentence::{CellRecord, Position};
use tissuenarrator::spatial::RadiusGraph;

use super::expression_options::{Expression, ExpressionOptions};
use super::section_options::SectionOptions;
use crate::cell_tables;
use crate::error::CliError;
use crate::ranges;
use crate::report::Report;
use crate::statistic_tables::InteractionRow;

/// Interactions and pairs that the summary names.
const SHOWN: usize = 5;
/// Micrometers between sections, so that nobody is near a cell of another one: more than any section is wide.
const SECTION_GAP: f64 = 1e6;

/// Which groups of cells may speak to each other, by ligands and receptors.
///
/// Communication probabilities as CellChat defines them, with p-values by permuting the groups. With --radius, only cells that are near
/// each other speak. The table has a row for each pair and each two groups that could speak by it, the strongest first.
#[derive(Args, Debug)]
pub(crate) struct Communicate {
    #[command(flatten)]
    expression: ExpressionOptions,
    /// Ligand-receptor pairs in the layout of CellChatDB, CellPhoneDB, LIANA or OmniPath
    #[arg(long, value_name = "PAIRS.csv")]
    pairs: PathBuf,
    /// Complexes and their subunits, where the pairs name them
    #[arg(long, value_name = "COMPLEXES.csv")]
    complexes: Option<PathBuf>,
    /// Proteins and their genes, where the pairs name proteins (CellPhoneDB)
    #[arg(long, value_name = "PROTEINS.csv")]
    proteins: Option<PathBuf>,
    /// Co-factors and their genes, where the pairs name them (CellChatDB) [default: they count as absent]
    #[arg(long, value_name = "COFACTORS.csv")]
    co_factors: Option<PathBuf>,
    /// Table of interactions
    #[arg(short, long, value_name = "OUT.csv")]
    output: PathBuf,
    /// Column whose values are the groups
    #[arg(long, value_name = "COLUMN", default_value = "class")]
    group_by: String,
    /// Only cells at most this far apart speak, in micrometers [default: all]
    #[arg(long, value_name = "MICROMETERS", value_parser = ranges::positive)]
    radius: Option<f64>,
    #[command(flatten)]
    places: SectionOptions,
    /// How the cells of a group are averaged
    #[arg(long, value_enum, default_value_t = AverageName::Trimean)]
    average: AverageName,
    /// Leave out groups of fewer cells
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = ranges::count())]
    min_cells: usize,
    /// Permutations of the groups
    #[arg(long, value_name = "N", default_value_t = 1_000)]
    permutations: usize,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum AverageName {
    /// Tukey's trimean: nothing for a gene that fewer than a quarter of the cells show
    Trimean,
    /// The mean without a tenth of the cells at either end
    Truncated,
    /// The mean
    Mean,
}

impl Communicate {
    pub(super) fn run(&self, seed: u64) -> Result<Report, CliError> {
        cell_tables::check_is_no_input(&self.output, &[&self.expression.file, &self.pairs])?;
        let (layout, pairs) = self.read_pairs()?;
        let n_pairs = pairs.len();
        let expression = self.expression.read()?;
        let labels = expression.labels(&self.group_by, "--group-by")?;
        let communication = Communication::new(pairs)
            .with_average(match self.average {
                AverageName::Trimean => Average::Trimean,
                AverageName::Truncated => Average::Truncated(0.1),
                AverageName::Mean => Average::Mean,
            })
            .with_min_cells(self.min_cells)
            .with_permutations(self.permutations)
            .with_seed(seed);
        let table = match self.radius {
            None => communication.infer(&expression.matrix, &labels),
            Some(radius) => communication.infer_near(&expression.matrix, &labels, &self.contacts(&expression, radius)?),
        };
        let table = table.map_err(|source| CliError::Communication { path: self.expression.file.clone(), source })?;
        let provenance = self.provenance(seed, &expression)?;
        let mut writer = TableWriter::<InteractionRow>::create(&self.output)?.with_metadata(PROVENANCE_KEY, &provenance.to_json());
        for interaction in table.interactions() {
            writer.write(&InteractionRow(interaction.clone()))?;
        }
        writer.finish()?;
        Ok(summary(layout, n_pairs, &table))
    }

    fn read_pairs(&self) -> Result<(PairLayout, Vec<LigandReceptorPair>), CliError> {
        let mut names = PairTable::new();
        if let Some(path) = &self.complexes {
            names = read_table(path, |table| names.with_complexes(table))?;
        }
        if let Some(path) = &self.proteins {
            names = read_table(path, |table| names.with_proteins(table))?;
        }
        if let Some(path) = &self.co_factors {
            names = read_table(path, |table| names.with_co_factors(table))?;
        }
        read_table(&self.pairs, |table| names.read(table))
    }

    /// Finds who is near whom. Sections are laid apart.
    fn contacts(&self, expression: &Expression, radius: f64) -> Result<RadiusGraph, CliError> {
        let cells = CellTable::read(expression.section.as_ref(), &self.places.apply(EncodeOptions::new()))?.records()?;
        let sections = cell_tables::distinct(cells.iter().map(|cell| cell.section.as_str()));
        let place = |cell: &CellRecord| {
            let section = sections.binary_search(&cell.section).unwrap_or_default();
            Position::new(cell.position.x() + section as f64 * SECTION_GAP, cell.position.y()).map_err(|source| CliError::NoPlace {
                path: self.expression.file.clone(),
                cell: cell.cell_name.clone(),
                source,
            })
        };
        let places: Vec<Position> = cells.iter().map(place).collect::<Result<_, _>>()?;
        Ok(RadiusGraph::new(&places, radius)?)
    }

    fn provenance(&self, seed: u64, expression: &Expression) -> Result<Provenance, CliError> {
        let mut provenance = self.expression.provenance("communicate", expression.section.as_ref())?.with_seed(seed);
        for path in [Some(&self.pairs), self.complexes.as_ref(), self.proteins.as_ref(), self.co_factors.as_ref()].into_iter().flatten() {
            provenance = provenance.with_input(path).map_err(|source| CliError::Open { path: path.clone(), source })?;
        }
        Ok(provenance
            .with_option("group_by", &self.group_by)
            .with_option("radius", self.radius)
            .with_option("average", format!("{:?}", self.average))
            .with_option("min_cells", self.min_cells)
            .with_option("permutations", self.permutations))
    }
}

fn read_table<T>(path: &Path, read: impl FnOnce(BufReader<File>) -> Result<T, PairTableError>) -> Result<T, CliError> {
    let file = File::open(path).map_err(|source| CliError::Open { path: path.to_owned(), source })?;
    read(BufReader::new(file)).map_err(|source| CliError::Pairs { path: path.to_owned(), source })
}

fn summary(layout: PairLayout, n_pairs: usize, table: &CommunicationTable) -> Report {
    let first = table.interactions().iter().take(SHOWN);
    let strongest: Vec<String> =
        first.map(|row| format!("{} > {}: {} - {} ({:.3})", row.source, row.target, row.ligand, row.receptor, row.probability)).collect();
    let unmeasured = table.unmeasured();
    Report::summary(json!({
        "layout": layout.to_string(),
        "pairs": n_pairs,
        "pairs_not_measured": unmeasured.len(),
        "for_example": unmeasured.iter().take(SHOWN).collect::<Vec<_>>(),
        "groups": table.groups().iter().map(|group| (group.group.clone(), json!(group.cells))).collect::<serde_json::Map<_, _>>(),
        "groups_left_out": table.left_out().iter().map(|group| (group.group.clone(), json!(group.cells))).collect::<serde_json::Map<_, _>>(),
        "interactions": table.interactions().len(),
        "p_below_0.05": table.interactions().iter().filter(|row| row.p_value < 0.05).count(),
        "strongest": strongest,
    }))
}
