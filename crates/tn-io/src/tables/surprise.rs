//! Tables of surprises.

use tn_sentence::{CellLikelihood, GeneRanking, SurpriseRecord};

use super::{ColumnSpec, RowReader, RowWriter, TableError, TableRecord};
use crate::ColumnKind;

/// Columns `task, cell_name, section, x, y, class, split`, then `n_genes, log_likelihood, surprise,
/// log_likelihood_without_neighbors, gain, header, close`, the lists `genes, gene_log_probabilities, neighbors, influences`, and
/// `neighbors_left_out, error`.
///
/// Numbers are in nats. A row with an `error` has none of them. `n_genes`, `log_likelihood`, `surprise` and `gain` follow from the others
/// and are not read.
impl TableRecord for SurpriseRecord {
    fn columns() -> Vec<ColumnSpec> {
        vec![
            ColumnSpec::required("task", ColumnKind::Integer),
            ColumnSpec::required("cell_name", ColumnKind::Text),
            ColumnSpec::optional("section", ColumnKind::Text),
            ColumnSpec::required("x", ColumnKind::Number),
            ColumnSpec::required("y", ColumnKind::Number),
            ColumnSpec::optional("class", ColumnKind::Text),
            ColumnSpec::optional("split", ColumnKind::Text),
            ColumnSpec::optional("n_genes", ColumnKind::Integer),
            ColumnSpec::optional("log_likelihood", ColumnKind::Number),
            ColumnSpec::optional("surprise", ColumnKind::Number),
            ColumnSpec::required("log_likelihood_without_neighbors", ColumnKind::Number),
            ColumnSpec::optional("gain", ColumnKind::Number),
            ColumnSpec::optional("header", ColumnKind::Number),
            ColumnSpec::required("close", ColumnKind::Number),
            ColumnSpec::required("genes", ColumnKind::List),
            ColumnSpec::required("gene_log_probabilities", ColumnKind::NumberList),
            ColumnSpec::optional("neighbors", ColumnKind::List),
            ColumnSpec::optional("influences", ColumnKind::NumberList),
            ColumnSpec::optional("neighbors_left_out", ColumnKind::Integer),
            ColumnSpec::optional("error", ColumnKind::Text),
        ]
    }

    fn write(&self, row: &mut RowWriter<'_>) {
        row.integer("task", self.task);
        row.text("cell_name", &self.cell_name);
        row.text("section", &self.section);
        row.number("x", self.x);
        row.number("y", self.y);
        row.text("class", &self.class);
        row.text("split", &self.split);
        match &self.outcome {
            Ok(likelihood) => write_likelihood(likelihood, row),
            Err(error) => row.text("error", error),
        }
    }

    fn read(row: &RowReader<'_>) -> Result<Self, TableError> {
        let text = |column| row.optional_text(column).unwrap_or_default().to_owned();
        let outcome = match row.optional_text("error") {
            Some(error) if !error.is_empty() => Err(error.to_owned()),
            _ => Ok(read_likelihood(row)?),
        };
        Ok(Self {
            task: row.integer("task")?,
            cell_name: row.text("cell_name")?.to_owned(),
            section: text("section"),
            x: row.number("x")?,
            y: row.number("y")?,
            class: text("class"),
            split: text("split"),
            outcome,
        })
    }
}

fn write_likelihood(likelihood: &CellLikelihood, row: &mut RowWriter<'_>) {
    let genes: Vec<String> = likelihood.genes.iter().map(str::to_owned).collect();
    row.integer("n_genes", u32::try_from(genes.len()).unwrap_or(u32::MAX));
    row.number("log_likelihood", likelihood.total());
    row.number("surprise", likelihood.surprise());
    row.number("log_likelihood_without_neighbors", likelihood.without_neighbors);
    row.number("gain", likelihood.gain());
    row.number("header", likelihood.header);
    row.number("close", likelihood.close);
    row.list("genes", &genes);
    row.number_list("gene_log_probabilities", &likelihood.gene_log_probabilities);
    row.list("neighbors", &likelihood.neighbors);
    row.number_list("influences", &likelihood.influences);
    row.integer("neighbors_left_out", likelihood.neighbors_left_out);
}

fn read_likelihood(row: &RowReader<'_>) -> Result<CellLikelihood, TableError> {
    let genes = row.list("genes");
    Ok(CellLikelihood {
        genes: GeneRanking::new(&genes).map_err(|source| row.invalid("genes", &genes.join(" "), source))?,
        gene_log_probabilities: row.number_list("gene_log_probabilities"),
        header: row.optional_number("header").unwrap_or(0.0),
        close: row.number("close")?,
        without_neighbors: row.number("log_likelihood_without_neighbors")?,
        neighbors: row.list("neighbors"),
        influences: row.number_list("influences"),
        neighbors_left_out: row.optional_integer("neighbors_left_out")?.unwrap_or(0),
    })
}
