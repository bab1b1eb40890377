//! `tn encode`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use tissuenarrator::io::{EncodeOptions, LogarithmBase, Normalization, TARGET_SUM, encode_file, open_section};
use tissuenarrator::sentence::{GeneAliases, TieBreak};

use crate::error::CliError;
use crate::ranges;
use crate::report::Report;

/// Columns that later steps know by name, copied where the file has them.
const KNOWN_COLUMNS: [&str; 4] = ["class", "split", "spatial_domain", "perturbation"];

/// Turn expression into cell sentences: the genes of each cell from the highest to the lowest.
///
/// Files are read in blocks, so memory does not grow with their size.
#[derive(Args, Debug)]
pub(crate) struct Encode {
    /// Expression: .h5ad, or the output folder of Xenium, MERSCOPE or CosMx
    file: PathBuf,
    /// Table of cells
    #[arg(short, long, value_name = "CELLS.parquet")]
    output: PathBuf,
    /// Layer to take in place of X; raw/X for that of raw
    #[arg(long, value_name = "NAME")]
    layer: Option<String>,
    /// Column of horizontal coordinates, in micrometers [default: x, or obsm/spatial, or the instrument's]
    #[arg(long, value_name = "COLUMN")]
    x: Option<String>,
    /// Column of vertical coordinates, in micrometers [default: y, or obsm/spatial, or the instrument's]
    #[arg(long, value_name = "COLUMN")]
    y: Option<String>,
    /// Micrometers that a pixel is wide, where coordinates are in pixels: CosMx (0.12028), Perturb-FISH (0.108)
    #[arg(long, value_name = "MICROMETERS")]
    pixel_size: Option<f64>,
    /// Column of sections: cells that share a coordinate frame [default: section]
    #[arg(long, value_name = "COLUMN")]
    section: Option<String>,
    /// Columns to copy; NAME=COLUMN gives one the name that later steps look for, as in class=cell_type [default: those of class, split,
    /// spatial_domain and perturbation that exist]
    #[arg(long, value_name = "COLUMNS", value_delimiter = ',')]
    columns: Option<Vec<String>>,
    /// Former and current symbols of genes, two columns separated by a tab or a comma, without a header: former ones are replaced
    #[arg(long, value_name = "FILE.tsv")]
    gene_aliases: Option<PathBuf>,
    /// What happens to values before they are ranked. The order of the genes stays the same
    #[arg(long, value_enum, default_value_t = Normalize::Auto)]
    normalize: Normalize,
    /// Sum that the values of a cell are scaled to, with --normalize log1p, log1p2 or log1p10 [default: 10000]
    #[arg(long, value_name = "SUM", value_parser = ranges::positive)]
    target_sum: Option<f64>,
    /// Genes to keep of each cell, the highest [default: all]
    #[arg(long, value_name = "N", value_parser = ranges::count())]
    max_genes: Option<usize>,
    /// How genes of equal expression are ordered
    #[arg(long, value_enum, default_value_t = Ties::Seed)]
    tie_break: Ties,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Normalize {
    /// Counts as with log1p10, logarithms as they are
    Auto,
    /// As they are
    None,
    /// ln(1 + x) of scaled values, as scanpy's log1p
    Log1p,
    /// log2(1 + x) of scaled values
    Log1p2,
    /// log10(1 + x) of scaled values
    Log1p10,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Ties {
    /// At random, by the seed and the name of the cell
    Seed,
    /// By symbol
    Symbol,
}

impl Encode {
    pub(super) fn run(&self, seed: u64) -> Result<Report, CliError> {
        let summary = encode_file(&self.file, &self.output, &self.options(seed)?)?;
        serde_json::to_value(&summary).map(Report::summary).map_err(CliError::Json)
    }

    fn options(&self, seed: u64) -> Result<EncodeOptions, CliError> {
        let tie_break = match self.tie_break {
            Ties::Seed => TieBreak::Seed,
            Ties::Symbol => TieBreak::Symbol,
        };
        let mut options = EncodeOptions::new().with_normalization(self.normalization()?).with_tie_break(tie_break).with_seed(seed);
        for column in self.columns()? {
            options = match column.split_once('=') {
                Some((name, column)) => options.with_column_as(column.trim(), name.trim()),
                None => options.with_columns([column]),
            };
        }
        if let Some(layer) = &self.layer {
            options = options.with_layer(layer);
        }
        if self.x.is_some() || self.y.is_some() {
            options = options.with_coordinates(self.x.as_deref().unwrap_or("x"), self.y.as_deref().unwrap_or("y"));
        }
        if let Some(micrometers) = self.pixel_size {
            options = options.with_pixel_size(micrometers);
        }
        if let Some(section) = &self.section {
            options = options.with_section(section);
        }
        if let Some(max_genes) = self.max_genes {
            options = options.with_max_genes(max_genes);
        }
        if let Some(path) = &self.gene_aliases {
            let text = std::fs::read_to_string(path).map_err(|source| CliError::Open { path: path.clone(), source })?;
            let aliases = GeneAliases::parse(&text).map_err(|source| CliError::GeneAliases { path: path.clone(), source })?;
            options = options.with_gene_aliases(aliases);
        }
        Ok(options)
    }

    fn normalization(&self) -> Result<Normalization, CliError> {
        let log1p = |base| Normalization::Log1p { base, target_sum: self.target_sum.unwrap_or(TARGET_SUM) };
        Ok(match self.normalize {
            Normalize::Auto | Normalize::None if self.target_sum.is_some() => {
                return Err(CliError::MissingOption { what: "--target-sum".to_owned(), option: "--normalize log1p, log1p2 or log1p10" });
            }
            Normalize::Auto => Normalization::Auto,
            Normalize::None => Normalization::None,
            Normalize::Log1p => log1p(LogarithmBase::E),
            Normalize::Log1p2 => log1p(LogarithmBase::Two),
            Normalize::Log1p10 => log1p(LogarithmBase::Ten),
        })
    }

    fn columns(&self) -> Result<Vec<String>, CliError> {
        if let Some(columns) = &self.columns {
            return Ok(columns.iter().map(|column| column.trim().to_owned()).filter(|column| !column.is_empty()).collect());
        }
        let present = open_section(&self.file, self.layer.as_deref())?.columns();
        Ok(KNOWN_COLUMNS.into_iter().filter(|name| present.iter().any(|column| column == name)).map(str::to_owned).collect())
    }
}
