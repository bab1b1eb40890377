//! Mean measured expression of each class: the baseline that knows what a class looks like and nothing of the place.

use anyhow::Result;
use tissuenarrator::eval::baseline::ClassMeanTable;
use tissuenarrator::io::{AnnData, SectionReader, TARGET_SUM, ValueScale};
use tissuenarrator::prelude::*;

/// Averages the expression of the training cells of a file, by class: logarithms as they are, counts as `log10(1 + x)` of
/// counts scaled to 10,000 a cell.
pub(super) fn class_means(file: &AnnData, cells: &[CellRecord], panel: &Vocabulary) -> Result<ClassMeanTable> {
    let classes: std::collections::HashMap<&str, &str> = cells
        .iter()
        .filter(|cell| cell.split() == Some("train"))
        .map(|cell| (cell.cell_name.as_str(), cell.class().unwrap_or_default()))
        .collect();
    let names = file.cell_names()?;
    let mut table = ClassMeanTable::new(panel.clone());
    let step = file.rows_per_block().max(1);
    let mut counts = None;
    for start in (0..file.n_cells()).step_by(step) {
        let rows = file.rows(start..(start + step).min(file.n_cells()))?;
        let counts = *counts.get_or_insert_with(|| ValueScale::of_values(rows.values().iter().copied()) == ValueScale::Counts);
        for row in 0..rows.len() {
            let Some(class) = classes.get(names[start + row].as_str()) else { continue };
            let (genes, values) = rows.row(row);
            if counts { table.add(class, genes, &logarithms(values))? } else { table.add(class, genes, values)? }
        }
    }
    Ok(table)
}

fn logarithms(counts: &[f32]) -> Vec<f32> {
    let total: f64 = counts.iter().map(|&count| f64::from(count)).sum();
    counts.iter().map(|&count| (1.0 + f64::from(count) * TARGET_SUM / total).log10() as f32).collect()
}
