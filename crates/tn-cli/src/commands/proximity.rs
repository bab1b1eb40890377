//! `tn proximity`.

use std::path::PathBuf;

use clap::Args;
use serde_json::json;
use tissuenarrator::io::{CellTable, EncodeOptions, PROVENANCE_KEY, Provenance, TableWriter, open_section};
use tissuenarrator::perturb::ProximityGroups;
use tissuenarrator::sentence::{CellRecord, draw, request_seed};

use super::section_options::SectionOptions;
use crate::cell_tables;
use crate::error::CliError;
use crate::ranges;
use crate::report::Report;
use crate::statistic_tables::GroupRow;

/// Label the cells of a class by whether a cell of another class is near: `proximal` or `control`.
///
/// The table has a row for each focal cell: cell_name, section, x, y, class and group. `tn de FILE.h5ad --groups GROUPS.csv --group
/// proximal --reference control` compares their expression.
#[derive(Args, Debug)]
pub(crate) struct Proximity {
    /// Cells: .h5ad, or the output folder of Xenium, MERSCOPE or CosMx
    file: PathBuf,
    /// Table of the groups
    #[arg(short, long, value_name = "GROUPS.csv")]
    output: PathBuf,
    /// Column of classes
    #[arg(long, value_name = "COLUMN", default_value = "class")]
    class_column: String,
    /// Class of the cells that are labeled
    #[arg(long, value_name = "CLASS")]
    focal: String,
    /// Class that is near or not
    #[arg(long, value_name = "CLASS")]
    partner: String,
    /// How near, in micrometers: a partner at less than this makes a cell proximal
    #[arg(long, value_name = "MICROMETERS", default_value_t = 30.0, value_parser = ranges::positive)]
    radius: f64,
    /// Take only cells of these splits as focal cells [default: all]
    #[arg(long, value_name = "SPLITS", value_delimiter = ',')]
    split: Option<Vec<String>>,
    /// Controls to keep, drawn by the seed [default: all]
    #[arg(long, value_name = "N", value_parser = ranges::count())]
    max_controls: Option<usize>,
    #[command(flatten)]
    places: SectionOptions,
}

impl Proximity {
    pub(super) fn run(&self, seed: u64) -> Result<Report, CliError> {
        cell_tables::check_is_no_input(&self.output, &[&self.file])?;
        let cells = self.cells()?;
        let groups = ProximityGroups::new(&self.focal, &self.partner).within(self.radius).divide(&cells);
        let of_splits = |rows: &[usize]| rows.iter().copied().filter(|&row| self.is_of_splits(&cells[row])).collect::<Vec<_>>();
        let (proximal, control) = (of_splits(groups.proximal()), self.drawn(of_splits(groups.control()), &cells, seed));
        if proximal.is_empty() && control.is_empty() {
            return Err(self.no_focal_cells(&cells));
        }
        let mut rows: Vec<(usize, &str)> = proximal.iter().map(|&row| (row, "proximal")).collect();
        rows.extend(control.iter().map(|&row| (row, "control")));
        rows.sort_unstable();
        let mut writer = TableWriter::<GroupRow>::create(&self.output)?.with_metadata(PROVENANCE_KEY, &self.provenance(seed)?.to_json());
        for (row, group) in rows {
            writer.write(&GroupRow::new(&cells[row], group))?;
        }
        writer.finish()?;
        Ok(Report::summary(json!({ "proximal": proximal.len(), "control": control.len() })))
    }

    fn cells(&self) -> Result<Vec<CellRecord>, CliError> {
        let section = open_section(&self.file, None)?;
        let mut options = self.places.apply(EncodeOptions::new()).with_column_as(&self.class_column, "class");
        if self.split.is_some() {
            options = options.with_columns(["split"]);
        }
        Ok(CellTable::read(section.as_ref(), &options)?.records()?)
    }

    fn is_of_splits(&self, cell: &CellRecord) -> bool {
        self.split.as_ref().is_none_or(|splits| cell.split().is_some_and(|split| splits.iter().any(|other| other == split)))
    }

    /// Draws the controls that are kept: those whose names, hashed with the seed, come first.
    fn drawn(&self, mut control: Vec<usize>, cells: &[CellRecord], seed: u64) -> Vec<usize> {
        if let Some(n) = self.max_controls.filter(|&n| n < control.len()) {
            control.sort_by_cached_key(|&row| (draw(request_seed(seed, &cells[row].cell_name, 0), 0), row));
            control.truncate(n);
        }
        control
    }

    fn no_focal_cells(&self, cells: &[CellRecord]) -> CliError {
        let classes = cell_tables::distinct(cells.iter().filter_map(CellRecord::class));
        match (classes.contains(&self.focal), &self.split) {
            (true, Some(splits)) => {
                let found = cell_tables::distinct(cells.iter().filter_map(CellRecord::split));
                CliError::UnknownSplit { path: self.file.clone(), split: splits.clone(), splits: found }
            }
            _ => CliError::UnknownClass { path: self.file.clone(), option: "--focal", class: self.focal.clone(), classes },
        }
    }

    fn provenance(&self, seed: u64) -> Result<Provenance, CliError> {
        Ok(cell_tables::provenance("proximity", seed, &[&self.file])?
            .with_option("class_column", &self.class_column)
            .with_option("focal", &self.focal)
            .with_option("partner", &self.partner)
            .with_option("radius", self.radius)
            .with_option("split", &self.split)
            .with_option("max_controls", self.max_controls))
    }
}
