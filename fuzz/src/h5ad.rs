//! Any bytes as an AnnData file.

use std::path::Path;

use tn_io::{AnnData, EncodeOptions, EncodedCells, MISSING, ReadError, SectionReader, inspect_file};

/// Blocks of rows and records that are read of a file, which can claim to hold any number.
const BLOCKS: usize = 4;
const RECORDS: usize = 1_000;

/// Checks the reader with the bytes of a file.
///
/// # Panics
///
/// Panics if the reader does, or if what it returns does not fit together.
pub fn check(bytes: &[u8]) {
    let folder = tempfile::tempdir().expect("a folder for temporary files");
    let path = folder.path().join("section.h5ad");
    std::fs::write(&path, bytes).expect("space for temporary files");

    let Ok(section) = AnnData::open_without_matrix(&path) else { return };
    // Errors are as good as results.
    let _ = check_table(&section);
    let layers = section.layers().iter().map(|layer| AnnData::open_layer(&path, layer));
    for section in layers.chain([AnnData::open(&path), AnnData::open_raw(&path)]).flatten() {
        let _ = check_rows(&section);
        check_records(&section);
    }
    check_summary(&path);
}

fn check_table(section: &AnnData) -> Result<(), ReadError> {
    let cells = section.n_cells();
    assert_eq!(section.cell_names()?.len(), cells);
    assert!(section.coordinates()?.is_none_or(|places| places.len() == cells));
    for name in section.columns() {
        let _ = section.column_kind(&name);
        assert!(section.number_column(&name).map_or(true, |values| values.len() == cells));
        if let Ok(column) = section.text_column(&name) {
            assert_eq!(column.codes.len(), cells);
            assert!(column.codes.iter().all(|&code| code == MISSING || (code as usize) < column.categories.len()));
        }
    }
    section.unstructured_text("tissuenarrator/provenance")?;
    Ok(())
}

fn check_rows(section: &AnnData) -> Result<(), ReadError> {
    let step = section.rows_per_block();
    for start in (0..section.n_cells()).step_by(step).take(BLOCKS) {
        let range = start..section.n_cells().min(start + step);
        let rows = section.rows(range.clone())?;
        assert_eq!(rows.len(), range.len());
        let genes = section.genes().len();
        assert!((0..rows.len()).all(|row| rows.row(row).0.iter().all(|&gene| (gene as usize) < genes)));
        // A row is the same in any block; values that are no number differ from themselves.
        let last = section.rows(range.end - 1..range.end)?;
        assert_eq!(format!("{:?}", last.row(0)), format!("{:?}", rows.row(rows.len() - 1)));
    }
    Ok(())
}

fn check_records(section: &AnnData) {
    let columns = section.columns();
    let has_class = columns.iter().any(|column| column == "class");
    let options = EncodeOptions::new().with_columns(has_class.then_some("class"));
    let Ok(cells) = EncodedCells::new(section, &options) else { return };
    let panel = cells.vocabulary().clone();
    for cell in cells.take(RECORDS).map_while(Result::ok) {
        assert!(!cell.ranking.is_empty() && cell.ranking.iter().all(|gene| panel.contains(gene)));
    }
}

fn check_summary(path: &Path) {
    if let Ok(summary) = inspect_file(path) {
        assert!(!summary.to_string().is_empty());
    }
}
