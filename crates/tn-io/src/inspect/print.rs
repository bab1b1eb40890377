//! The summary as text for a terminal.

use std::fmt;

use super::bins::{BIN_WIDTH, ENOUGH_CELLS};
use super::tokens::GENES;
use super::{BinOccupancy, FileSummary, TokenSummary};
use crate::read_error::list;

/// Prints the summary as text for a terminal.
impl fmt::Display for FileSummary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}, {} rows", self.file, self.format, self.rows)?;
        if let Some(genes) = self.genes {
            write!(f, ", {genes} genes ({}, …)", list(&self.first_genes))?;
        }
        writeln!(f)?;
        print_matrices(self, f)?;
        print_columns(self, f)?;
        for (section, cells) in &self.sections {
            writeln!(f, "  {section:<16} {cells} cells")?;
        }
        print_bins(&self.bins, f)?;
        if let Some(tokens) = &self.tokens {
            writeln!(f, "{tokens}")?;
        }
        if let Some(provenance) = &self.provenance {
            writeln!(f, "made by {provenance}")?;
        }
        self.warnings.iter().try_for_each(|warning| writeln!(f, "warning: {warning}"))
    }
}

fn print_matrices(summary: &FileSummary, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    for matrix in summary.matrix.iter().chain(&summary.layers) {
        write!(f, "  {:<16} {}", matrix.name, matrix.encoding)?;
        if let Some(values) = &matrix.values {
            write!(f, "; {values}")?;
        }
        writeln!(f)?;
    }
    if summary.has_spatial_coordinates {
        writeln!(f, "  {:<16} of all cells", "coordinates")?;
    }
    Ok(())
}

fn print_columns(summary: &FileSummary, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    writeln!(f, "columns")?;
    for column in &summary.columns {
        write!(f, "  {:<16} {}", column.name, column.kind)?;
        if let Some(distinct) = column.distinct {
            write!(f, ", {distinct} distinct")?;
        }
        match column.examples.as_slice() {
            [] => {}
            [low, high] if column.distinct.is_none() => write!(f, ", {low} to {high}")?,
            examples => write!(f, ": {}", examples.join(", "))?,
        }
        writeln!(f)?;
    }
    for candidate in &summary.candidates {
        writeln!(f, "--{:<15} {} ({})", candidate.role.as_str(), candidate.column, candidate.reason)?;
    }
    if let Some(unit) = &summary.unit {
        writeln!(f, "coordinates are in {unit}")?;
    }
    Ok(())
}

fn print_bins(bins: &[BinOccupancy], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    if !bins.is_empty() {
        writeln!(f, "bins of {BIN_WIDTH} micrometers")?;
    }
    bins.iter().try_for_each(|occupancy| writeln!(f, "  {:<16} {occupancy}", occupancy.section.as_deref().unwrap_or("all cells")))
}

impl fmt::Display for BinOccupancy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { bins, lower_quartile, median, upper_quartile, sparse_share, .. } = self;
        write!(f, "{bins} with {median} cells (median; quartiles {lower_quartile} and {upper_quartile}), ")?;
        write!(f, "{:.1}% of the cells in bins of fewer than {ENOUGH_CELLS}", 100.0 * sparse_share)
    }
}

impl fmt::Display for TokenSummary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { sentences, mean, max, per_cell, sampled_sentences, sampled_cells } = self;
        write!(f, "{sentences} sentences of these bins have {mean:.0} tokens on average, {max:.0} at most, ")?;
        write!(f, "{per_cell:.1} a cell of {GENES} genes ({sampled_cells} cells of {sampled_sentences} bins were looked at)")
    }
}
