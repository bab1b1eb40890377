//! The expression that a statistic is computed of.

use std::path::PathBuf;

use clap::Args;
use tissuenarrator::eval::ExpressionMatrix;
use tissuenarrator::io::{NormalizedExpression, Provenance, SectionReader, TextColumn, open_section};
use tissuenarrator::sentence::LogarithmBase;

use super::normalize_options::NormalizeOptions;
use crate::error::CliError;

/// Rows that are read at once.
const BLOCK: usize = 4_096;

/// Which matrix of which file.
#[derive(Args, Debug)]
pub(super) struct ExpressionOptions {
    /// Expression: .h5ad, or the output folder of Xenium, MERSCOPE or CosMx
    pub(super) file: PathBuf,
    /// Layer to take in place of X; raw/X for that of raw
    #[arg(long, value_name = "NAME")]
    layer: Option<String>,
    #[command(flatten)]
    normalize: NormalizeOptions,
}

/// The expression of a file in memory, and the file for its columns.
pub(super) struct Expression {
    pub(super) section: Box<dyn SectionReader>,
    pub(super) matrix: ExpressionMatrix,
    /// Base of the logarithms, where it is known.
    pub(super) base: Option<LogarithmBase>,
}

impl ExpressionOptions {
    /// Reads the expression of all cells.
    pub(super) fn read(&self) -> Result<Expression, CliError> {
        let section = open_section(&self.file, self.layer.as_deref())?;
        let unusable = |source| CliError::Expression { path: self.file.clone(), source };
        let mut matrix = ExpressionMatrix::new(section.genes().iter().cloned()).map_err(unusable)?;
        let expression = NormalizedExpression::new(section.as_ref(), self.normalize.normalization()?)?;
        for start in (0..section.n_cells()).step_by(BLOCK) {
            let rows = expression.rows(start..(start + BLOCK).min(section.n_cells()))?;
            for row in 0..rows.len() {
                let (genes, values) = rows.row(row);
                matrix.push(genes, values).map_err(unusable)?;
            }
        }
        let base = expression.base();
        Ok(Expression { section, matrix, base })
    }

    /// Starts the record of where an output came from.
    pub(super) fn provenance(&self, command: &str, section: &dyn SectionReader) -> Result<Provenance, CliError> {
        let mut provenance = Provenance::new(command).with_option("layer", &self.layer);
        provenance = provenance.with_option("normalize", self.normalize.normalization()?.to_string());
        for path in section.inputs() {
            provenance = provenance.with_input(&path).map_err(|source| CliError::Open { path, source })?;
        }
        Ok(provenance)
    }
}

impl Expression {
    /// Returns the label of every cell in a column; an empty one where it is missing.
    pub(super) fn labels(&self, column: &str, option: &'static str) -> Result<Vec<String>, CliError> {
        let column = self.text_column(column, option)?;
        Ok((0..column.codes.len()).map(|cell| column.get(cell).unwrap_or_default().to_owned()).collect())
    }

    fn text_column(&self, column: &str, option: &'static str) -> Result<TextColumn, CliError> {
        let columns = self.section.columns();
        match columns.iter().any(|other| other == column) {
            true => Ok(self.section.text_column(column)?),
            false => Err(CliError::MissingColumn { file: self.section.file_name(), column: column.to_owned(), option, columns }),
        }
    }
}
