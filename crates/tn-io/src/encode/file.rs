//! From an expression file to a table of cells.

use std::collections::BTreeMap;
use std::path::Path;

use tn_sentence::CellRecord;

use super::{EncodeOptions, EncodeSectionError, EncodedCells, RankedCell, ValueScale};
use crate::section_reader::SectionReader;
use crate::{PROVENANCE_KEY, ReadError, RowWriter, TableWriter, open_section};

/// Key of a cell table's metadata that holds the gene panel as a JSON array, in the order of the matrix.
pub const PANEL_KEY: &str = "tn.panel";

/// What [`encode_file`] wrote.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
#[non_exhaustive]
pub struct EncodeSummary {
    /// Cells that were written.
    pub cells: usize,
    /// Cells without any expression, which were left out.
    pub skipped: usize,
    /// Genes of the panel.
    pub genes: usize,
    /// Written cells of every section.
    pub sections: BTreeMap<String, usize>,
    /// What the values of the matrix look like.
    pub value_scale: ValueScale,
    /// Mean number of genes of a written cell.
    pub mean_genes: f64,
}

/// Encodes a section into a table of cells: an AnnData file or any other input of [`open_section`].
///
/// The table's metadata holds provenance ([`PROVENANCE_KEY`]) and the gene panel ([`PANEL_KEY`]).
///
/// # Errors
///
/// Returns an error if the input cannot be encoded or the output cannot be written; then there is no output.
pub fn encode_file(input: &Path, output: &Path, options: &EncodeOptions) -> Result<EncodeSummary, EncodeSectionError> {
    let section = open_section(input, options.layer.as_deref())?;
    let mut cells = EncodedCells::new(section.as_ref(), options)?;
    let mut provenance = options.provenance();
    if !options.gene_aliases.is_empty() {
        let renamed = |gene: &String| Some(format!("{gene}={}", options.gene_aliases.current(gene)?));
        provenance = provenance.with_option("gene_aliases", section.genes().iter().filter_map(renamed).collect::<Vec<_>>());
    }
    for path in section.inputs() {
        provenance = provenance.with_input(&path).map_err(|source| ReadError::Open { path, source })?;
    }
    let keys: Vec<String> = options.columns.iter().map(|column| column.name.trim().to_lowercase()).collect();
    let panel = serde_json::Value::from_iter(cells.vocabulary().iter());
    let mut writer = TableWriter::<CellRecord>::create_with_columns(output, &keys)?
        .with_metadata(PROVENANCE_KEY, &provenance.to_json())
        .with_metadata(PANEL_KEY, &panel.to_string());

    let (mut written, mut genes) = (0, 0);
    let mut sections: BTreeMap<String, usize> = BTreeMap::new();
    while let Some(ranked) = cells.next_blocks()? {
        writer.write_rows(&ranked, |cell, row| cells.write(cell, row))?;
        written += ranked.len();
        for cell in &ranked {
            genes += cell.genes.len();
            let section = cells.table.section(cell.cell);
            match sections.get_mut(section) {
                Some(count) => *count += 1,
                None => drop(sections.insert(section.to_owned(), 1)),
            }
        }
    }
    if written == 0 {
        return Err(EncodeSectionError::NoExpression { file: section.file_name(), cells: cells.skipped() });
    }
    if cells.skipped() > 0 {
        tracing::warn!(skipped = cells.skipped(), "cells without any expression were left out");
    }
    writer.finish()?;
    Ok(EncodeSummary {
        cells: written,
        skipped: cells.skipped(),
        genes: cells.vocabulary().len(),
        sections,
        value_scale: cells.value_scale(),
        mean_genes: genes as f64 / written as f64,
    })
}

impl<R: SectionReader + ?Sized> EncodedCells<'_, R> {
    /// Writes a cell as its record would be written, without making that.
    fn write(&self, ranked: &RankedCell, row: &mut RowWriter<'_>) {
        let symbols = self.vocabulary.symbols();
        row.text("cell_name", self.table.name(ranked.cell));
        row.text_with("sentence", |text| {
            for (rank, &gene) in ranked.genes.iter().enumerate() {
                if rank > 0 {
                    text.push(' ');
                }
                text.push_str(&symbols[gene as usize]);
            }
        });
        row.number("x", ranked.position.x());
        row.number("y", ranked.position.y());
        row.text("section", self.table.section(ranked.cell));
        self.table.metadata(ranked.cell).for_each(|(key, value)| row.text(key, value));
    }
}
