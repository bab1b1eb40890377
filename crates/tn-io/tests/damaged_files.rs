//! Damaged files end in errors, never in panics.

use std::fs;
use std::path::{Path, PathBuf};

use tn_io::{AnnData, AnnDataRow, AnnDataWriter, EncodeOptions, ReadError, SectionReader, TableError, TableReader, encode_file};
use tn_sentence::{CellRecord, Position};

fn golden(name: &str) -> PathBuf {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../data-fixtures/golden/anndata")).join(name)
}

/// Reads everything there is to read.
fn read_all(path: &Path) -> Result<(), ReadError> {
    let section = AnnData::open(path)?;
    section.cell_names()?;
    section.coordinates()?;
    for column in section.columns() {
        section.text_column(&column)?;
        match section.number_column(&column) {
            Ok(_) | Err(ReadError::NotNumbers { .. }) => {}
            Err(error) => return Err(error),
        }
    }
    section.rows(0..section.n_cells())?;
    Ok(())
}

#[test]
fn a_file_cut_off_anywhere_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("cut.h5ad");
    for name in ["csr.h5ad", "csc.h5ad", "dense.h5ad", "nullable.h5ad"] {
        let bytes = fs::read(golden(name)).unwrap();
        let lengths = (0..200).chain((200..bytes.len()).step_by(bytes.len() / 60)).chain(bytes.len() - 200..bytes.len());
        for length in lengths {
            fs::write(&path, &bytes[..length]).unwrap();
            assert!(read_all(&path).is_err(), "{name} cut to {length} bytes was read");
        }
    }
}

/// Writes a file of one cell.
fn write_small(path: &Path) {
    let mut writer = AnnDataWriter::create(path, &["A", "B"], &["section"]).unwrap();
    let position = Position::new(1.0, 2.0).unwrap();
    writer.push(&AnnDataRow { name: "c", position, columns: &["s"], genes: &[0, 1], values: &[1.0, 2.0] }).unwrap();
    writer.finish().unwrap();
}

#[test]
fn a_small_file_cut_off_at_any_byte_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.h5ad");
    write_small(&path);
    read_all(&path).unwrap();
    let length = fs::metadata(&path).unwrap().len();
    let cut = fs::OpenOptions::new().write(true).open(&path).unwrap();
    for length in (0..length).rev() {
        cut.set_len(length).unwrap();
        assert!(read_all(&path).is_err(), "cut to {length} bytes was read");
    }
}

#[test]
fn a_table_cut_off_at_any_byte_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let (file, table) = (folder.path().join("a.h5ad"), folder.path().join("a.parquet"));
    write_small(&file);
    encode_file(&file, &table, &EncodeOptions::new()).unwrap();

    let length = fs::metadata(&table).unwrap().len();
    let cut = fs::OpenOptions::new().write(true).open(&table).unwrap();
    for length in (0..length).rev() {
        cut.set_len(length).unwrap();
        let read = TableReader::<CellRecord>::open(&table).and_then(TableReader::read_all);
        assert!(read.is_err(), "cut to {length} bytes was read");
    }
}

#[test]
fn a_file_with_changed_bytes_never_panics() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("changed.h5ad");
    for name in ["csr.h5ad", "csc.h5ad", "old_categories.h5ad"] {
        let bytes = fs::read(golden(name)).unwrap();
        for (round, place) in (0..bytes.len()).step_by(67).enumerate() {
            let mut changed = bytes.clone();
            let patterns = [0xFF, 0x00, 0x80, changed[place].wrapping_add(1)];
            for (offset, byte) in changed[place..].iter_mut().take(4).enumerate() {
                *byte = patterns[(round + offset) % 4];
            }
            fs::write(&path, &changed).unwrap();
            // Some bytes carry no meaning, so reading may well succeed.
            let _ = read_all(&path);
        }
    }
}

#[test]
fn other_files_are_told_from_damaged_ones() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.h5ad");
    for content in ["", "cell,x,y\n"] {
        fs::write(&path, content).unwrap();
        assert!(matches!(AnnData::open(&path), Err(ReadError::NotHdf5 { .. })), "{content:?}");
    }
    assert!(matches!(AnnData::open(folder.path().join("none.h5ad")), Err(ReadError::Open { .. })));
}

#[test]
fn a_damaged_parquet_file_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.parquet");
    fs::write(&path, "PAR1 and then nothing").unwrap();
    assert!(matches!(TableReader::<CellRecord>::open(&path), Err(TableError::Parquet { .. })));
}
