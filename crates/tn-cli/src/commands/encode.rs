//! `tn encode`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use tissuenarrator::io::{EncodeOptions, encode_file, open_section};
use tissuenarrator::sentence::{GeneAliases, TieBreak};

use super::normalize_options::NormalizeOptions;
use super::section_options::SectionOptions;
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
    #[command(flatten)]
    places: SectionOptions,
    /// Columns to copy; NAME=COLUMN gives one the name that later steps look for, as in class=cell_type [default: those of class, split,
    /// spatial_domain and perturbation that exist]
    #[arg(long, value_name = "COLUMNS", value_delimiter = ',')]
    columns: Option<Vec<String>>,
    /// Former and current symbols of genes, two columns separated by a tab or a comma, without a header: former ones are replaced
    #[arg(long, value_name = "FILE.tsv")]
    gene_aliases: Option<PathBuf>,
    #[command(flatten)]
    normalize: NormalizeOptions,
    /// Genes to keep of each cell, the highest [default: all]
    #[arg(long, value_name = "N", value_parser = ranges::count())]
    max_genes: Option<usize>,
    /// How genes of equal expression are ordered
    #[arg(long, value_enum, default_value_t = Ties::Seed)]
    tie_break: Ties,
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
        let mut options =
            EncodeOptions::new().with_normalization(self.normalize.normalization()?).with_tie_break(tie_break).with_seed(seed);
        for column in self.columns()? {
            options = match column.split_once('=') {
                Some((name, column)) => options.with_column_as(column.trim(), name.trim()),
                None => options.with_columns([column]),
            };
        }
        if let Some(layer) = &self.layer {
            options = options.with_layer(layer);
        }
        options = self.places.apply(options);
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

    fn columns(&self) -> Result<Vec<String>, CliError> {
        if let Some(columns) = &self.columns {
            return Ok(columns.iter().map(|column| column.trim().to_owned()).filter(|column| !column.is_empty()).collect());
        }
        let present = open_section(&self.file, self.layer.as_deref())?.columns();
        Ok(KNOWN_COLUMNS.into_iter().filter(|name| present.iter().any(|column| column == name)).map(str::to_owned).collect())
    }
}
