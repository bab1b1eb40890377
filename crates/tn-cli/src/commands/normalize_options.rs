//! On which scale expression is taken.

use clap::{Args, ValueEnum};
use tissuenarrator::io::{Normalization, TARGET_SUM};
use tissuenarrator::sentence::LogarithmBase;

use crate::error::CliError;
use crate::ranges;

/// How expression is made comparable between cells.
#[derive(Args, Debug)]
pub(super) struct NormalizeOptions {
    /// How values are made comparable between cells. The order of the genes of a cell stays the same
    #[arg(long, value_enum, default_value_t = Normalize::Auto)]
    normalize: Normalize,
    /// Sum that the values of a cell are scaled to, with --normalize log1p, log1p2 or log1p10 [default: 10000]
    #[arg(long, value_name = "SUM", value_parser = ranges::positive)]
    target_sum: Option<f64>,
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

impl NormalizeOptions {
    pub(super) fn normalization(&self) -> Result<Normalization, CliError> {
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
}
