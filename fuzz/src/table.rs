//! Any bytes as a table.

use std::collections::BTreeSet;
use std::fmt::Debug;
use std::path::Path;

use tn_io::{TableReader, TableRecord, TableWriter, TokenTableReader, TruthRecord, inspect_file};
use tn_sentence::{CellRecord, GeneratedRecord, SentenceRecord, SurpriseRecord, TaskRecord};

/// Formats of tables, chosen by the first byte of an input.
pub const EXTENSIONS: [&str; 5] = ["parquet", "csv", "tsv", "csv.gz", "tsv.gz"];
/// Rows that are read of a table, which can claim to hold any number.
const ROWS: usize = 5_000;

/// Checks the readers with a byte that chooses the format, and the bytes of a file.
///
/// # Panics
///
/// Panics if a reader does, or if what it read cannot be written and read again.
pub fn check(input: &[u8]) {
    let Some((&format, bytes)) = input.split_first() else { return };
    let folder = tempfile::tempdir().expect("a folder for temporary files");
    let extension = EXTENSIONS[usize::from(format) % EXTENSIONS.len()];
    let path = folder.path().join(format!("table.{extension}"));
    std::fs::write(&path, bytes).expect("space for temporary files");

    check_cells(&path);
    check_records::<SentenceRecord>(&path);
    check_records::<TaskRecord>(&path);
    check_records::<GeneratedRecord>(&path);
    check_records::<SurpriseRecord>(&path);
    check_records::<TruthRecord>(&path);
    if let Ok(rows) = TokenTableReader::open(&path) {
        for row in rows.take(ROWS).map_while(Result::ok) {
            assert!(row.labels.len() == row.input_ids.len() && row.weights.len() == row.input_ids.len());
        }
    }
    if let Ok(summary) = inspect_file(&path) {
        assert!(!summary.to_string().is_empty());
    }
}

fn check_records<R: TableRecord + Debug>(path: &Path) {
    let Some(records) = read::<R>(path) else { return };
    // Numbers that are no number differ from themselves, so text is compared.
    assert_eq!(format!("{:?}", write_and_read(path, &records, &[])), format!("{:?}", Some(&records)));
}

/// Cells have other columns besides, as metadata.
fn check_cells(path: &Path) {
    let Some(cells) = read::<CellRecord>(path) else { return };
    let keys: BTreeSet<&str> = cells.iter().flat_map(|cell| cell.metadata.iter().map(|(key, _)| key)).collect();
    if CellRecord::columns().iter().any(|spec| keys.contains(spec.name.as_str())) {
        return;
    }
    let keys: Vec<&str> = keys.into_iter().collect();
    let again = write_and_read(path, &cells, &keys).expect("cells that were read can be written and read");
    assert_eq!(again.len(), cells.len());
    for (again, cell) in again.iter().zip(&cells) {
        let plain = |cell: &CellRecord| CellRecord { metadata: Default::default(), ..cell.clone() };
        assert_eq!(plain(again), plain(cell));
        assert_eq!(again.metadata.iter().collect::<BTreeSet<_>>(), cell.metadata.iter().collect());
    }
}

fn read<R: TableRecord>(path: &Path) -> Option<Vec<R>> {
    TableReader::open(path).ok()?.take(ROWS).collect::<Result<_, _>>().ok()
}

fn write_and_read<R: TableRecord>(path: &Path, records: &[R], columns: &[&str]) -> Option<Vec<R>> {
    let path = path.with_file_name("again.parquet");
    let mut writer = TableWriter::create_with_columns(&path, columns).ok()?;
    writer.write_all(records).ok()?;
    writer.finish().ok()?;
    TableReader::open(&path).ok()?.read_all().ok()
}
