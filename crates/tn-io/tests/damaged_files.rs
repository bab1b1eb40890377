//! Damaged files end in errors, never in panics.

use std::fs;
use std::path::{Path, PathBuf};

use hdf5_pure::{AttrValue, FileBuilder};
use tn_io::{
    AnnData, AnnDataRow, AnnDataWriter, EncodeOptions, ReadError, SectionReader, TableError, TableReader, encode_file, inspect_file,
};
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
fn a_shape_that_the_file_could_not_fill_takes_no_memory() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("changed.h5ad");
    let bytes = fs::read(golden("csr.h5ad")).unwrap();
    // Every array of one value a cell, and the largest length it may grow to.
    let shape = [6_u64.to_le_bytes(), 6_u64.to_le_bytes()].concat();
    let places: Vec<usize> = (0..bytes.len() - shape.len()).filter(|&place| bytes[place..].starts_with(&shape)).collect();
    let mut refused = 0;
    for &place in &places {
        let mut changed = bytes.clone();
        changed[place..place + shape.len()].copy_from_slice(&[(1_u64 << 28).to_le_bytes(); 2].concat());
        fs::write(&path, &changed).unwrap();
        match read_all(&path) {
            Ok(()) => {}
            // The values are not looked at to see that there are too many of them.
            Err(ReadError::Damaged { .. }) => refused += 1,
            Err(error) => assert!(!error.to_string().contains("268435456"), "{error}"),
        }
    }
    assert!(refused > 3, "{refused} of {}", places.len());
}

/// Writes a section of two cells and two genes with three values, whose matrix has arrays of the given shapes.
fn write_matrix(path: &Path, data: &[u64], indices: &[u64], indptr: &[u64]) {
    let text = |value: &str| AttrValue::VarLenString(value.to_owned());
    let mut file = FileBuilder::new();
    let mut matrix = file.create_group("X");
    matrix.set_attr("encoding-type", text("csr_matrix"));
    matrix.create_dataset("data").with_f32_data(&[1.0, 2.0, 3.0]).with_shape(data);
    matrix.create_dataset("indices").with_i32_data(&[0, 1, 0]).with_shape(indices);
    matrix.create_dataset("indptr").with_i32_data(&[0, 2, 3]).with_shape(indptr);
    file.add_group(matrix.finish());
    for table in ["obs", "var"] {
        let mut group = file.create_group(table);
        group.set_attr("_index", text("name"));
        group.create_dataset("name").with_vlen_strings(&["A", "B"]);
        file.add_group(group.finish());
    }
    file.write(path).unwrap();
}

#[test]
fn arrays_of_a_sparse_matrix_have_one_axis() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.h5ad");
    let check = |data: &[u64], indices: &[u64], indptr: &[u64], expected: &str| {
        write_matrix(&path, data, indices, indptr);
        match read_all(&path) {
            Err(ReadError::WrongLength { object, expected: 3, found: 1, .. }) => assert_eq!(object, expected),
            other => panic!("{expected}: {other:?}"),
        }
    };
    check(&[1, 3], &[3], &[3], "X/data");
    check(&[3], &[1, 3], &[3], "X/indices");
    check(&[3], &[3], &[1, 3], "X/indptr");
    write_matrix(&path, &[3], &[3], &[3]);
    read_all(&path).unwrap();
}

#[test]
fn a_table_with_changed_bytes_never_panics() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("changed.parquet");
    let bytes = fs::read(golden("../sections/xenium/cells.parquet")).unwrap();
    for place in 0..bytes.len() {
        let mut changed = bytes.clone();
        changed[place] = [0xFF, 0x00, 0x80, changed[place].wrapping_add(1)][place % 4];
        fs::write(&path, &changed).unwrap();
        // Some bytes carry no meaning, so reading may well succeed.
        let _ = inspect_file(&path);
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
