//! A disk that fills up is an error that names the file, and leaves nothing behind.
//!
//! The limit on the size of files stands in for the size of the disk: the tests run themselves once more beneath it.
#![cfg(unix)]

use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use tn_io::{
    AnnDataRow, AnnDataWriter, EncodeOptions, EncodeSectionError, InstrumentFolder, ReadError, SectionReader, TableError, TokenRow,
    TokenTableWriter, WriteError, encode_file,
};
use tn_sentence::Position;

/// The folder that the test beneath the limit works in.
const FOLDER: &str = "TN_IO_FULL_DISK_FOLDER";
/// Blocks of 512 bytes that a file can have.
const BLOCKS: &str = "512";

/// Runs a test of this program that is otherwise ignored, where no file can grow beyond the limit.
fn run_limited(test: &str, folder: &Path) {
    let output = Command::new("sh")
        // Ignored signals stay ignored: writing too much is then an error and not the end.
        .args(["-c", "trap '' XFSZ; ulimit -f \"$1\"; exec \"$2\" --exact \"$3\" --ignored", "sh", BLOCKS])
        .arg(std::env::current_exe().unwrap())
        .arg(test)
        .env(FOLDER, folder)
        .env("TMPDIR", folder)
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && text.contains("1 passed"), "{text}{}", String::from_utf8_lossy(&output.stderr));
}

fn limited_folder() -> PathBuf {
    std::env::var_os(FOLDER).map(PathBuf::from).unwrap()
}

/// Writes a folder of many counts.
fn merscope(folder: &Path) -> PathBuf {
    let path = folder.join("region");
    fs::create_dir(&path).unwrap();
    let (mut cells, mut counts) = ("cell,center_x,center_y\n".to_owned(), "cell".to_owned());
    (0..100).for_each(|gene| write!(counts, ",G{gene}").unwrap());
    counts.push('\n');
    for cell in 0..3_000 {
        writeln!(cells, "c{cell},{cell},{}", cell % 50).unwrap();
        writeln!(counts, "c{cell}{}", ",1".repeat(100)).unwrap();
    }
    fs::write(path.join("cell_metadata.csv"), cells).unwrap();
    fs::write(path.join("cell_by_gene.csv"), counts).unwrap();
    path
}

#[test]
fn no_room_for_a_temporary_file_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let path = merscope(folder.path());
    InstrumentFolder::open(&path).unwrap().rows(0..1).unwrap();
    run_limited("no_room_for_a_temporary_file", folder.path());
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[test]
#[ignore = "runs beneath a limit on the size of files"]
fn no_room_for_a_temporary_file() {
    let folder = limited_folder();
    let error = InstrumentFolder::open(folder.join("region")).unwrap().rows(0..1).unwrap_err();
    assert!(matches!(error, ReadError::TemporaryFile { .. }), "{error:?}");
    assert!(error.to_string().contains("region") && error.to_string().contains("TMPDIR"), "{error}");
}

/// Tables that do not fit.
const TABLES: [&str; 3] = ["cells.csv", "cells.tsv", "cells.parquet"];

#[test]
fn no_room_for_a_table_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let input = folder.path().join("a.h5ad");
    write_cells(&input, 6_000).unwrap();
    for table in TABLES {
        encode_file(&input, &folder.path().join(table), &EncodeOptions::new()).unwrap();
        fs::remove_file(folder.path().join(table)).unwrap();
    }
    run_limited("no_room_for_a_table", folder.path());
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[test]
#[ignore = "runs beneath a limit on the size of files"]
fn no_room_for_a_table() {
    let folder = limited_folder();
    for table in TABLES {
        let error = encode_file(&folder.join("a.h5ad"), &folder.join(table), &EncodeOptions::new()).unwrap_err();
        assert!(matches!(error, EncodeSectionError::Write(_)) && error.to_string().contains(table), "{error:?}");
    }
}

#[test]
fn no_room_for_tokens_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    write_tokens(&folder.path().join("tokens.parquet")).unwrap();
    fs::remove_file(folder.path().join("tokens.parquet")).unwrap();
    run_limited("no_room_for_tokens", folder.path());
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
#[ignore = "runs beneath a limit on the size of files"]
fn no_room_for_tokens() {
    let error = write_tokens(&limited_folder().join("tokens.parquet")).unwrap_err();
    assert!(error.to_string().contains("tokens.parquet"), "{error:?}");
}

fn write_tokens(path: &Path) -> Result<(), TableError> {
    let mut writer = TokenTableWriter::create(path)?;
    for row in 0..300 {
        let input_ids: Vec<i32> = (0..1_000).map(|place| scramble(row * 1_000 + place) as i32).collect();
        writer.write(&TokenRow { labels: input_ids.clone(), weights: vec![1.0; input_ids.len()], input_ids })?;
    }
    writer.finish()
}

#[test]
fn no_room_for_an_anndata_file_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    run_limited("no_room_for_an_anndata_file", folder.path());
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
#[ignore = "runs beneath a limit on the size of files"]
fn no_room_for_an_anndata_file() {
    // Once a spool of expression fills up, once the file itself.
    for cells in [3_000, 500] {
        let error = write_cells(&limited_folder().join("a.h5ad"), cells).unwrap_err();
        assert!(matches!(error, WriteError::Io { .. } | WriteError::Hdf5 { .. }), "{error:?}");
        assert!(error.to_string().contains("a.h5ad"), "{error}");
    }
}

/// Returns a number that has nothing in common with those of the neighbors of a number.
fn scramble(number: u32) -> u32 {
    let mixed = (number ^ number >> 16).wrapping_mul(0x7FEB_352D);
    let mixed = (mixed ^ mixed >> 15).wrapping_mul(0x846C_A68B);
    mixed ^ mixed >> 16
}

fn write_cells(path: &Path, cells: u32) -> Result<(), WriteError> {
    let symbols: Vec<String> = (0..100).map(|gene| format!("G{gene}")).collect();
    let genes: Vec<u32> = (0..100).collect();
    let mut writer = AnnDataWriter::create(path, &symbols, &["section"])?;
    for cell in 0..cells {
        // Values without a pattern, nor their order, which compression cannot make small.
        let values: Vec<f32> = genes.iter().map(|gene| scramble(cell * 100 + gene) as f32 + 1.0).collect();
        let name = format!("{cell}{}", "-long name".repeat(20));
        let position = Position::new(f64::from(cell), 0.0).unwrap();
        writer.push(&AnnDataRow { name: &name, position, columns: &["s"], genes: &genes, values: &values })?;
    }
    writer.finish()
}
