//! Zarr folders that the anndata of this machine writes, against the file that they were made of.
//!
//! Needs a Python with anndata and zarr 3, named by `TN_PYTHON`; without it the test is skipped by name.
#![cfg(feature = "zarr")]

use std::path::Path;
use std::process::Command;

use tn_io::{AnnDataRow, AnnDataWriter, EncodeOptions, TableReader, encode_file};
use tn_sentence::{CellRecord, Position};

const SCRIPT: &str = r#"
import sys
import anndata

source, folder = sys.argv[1:]
data = anndata.read_h5ad(source)
dense = data.copy()
dense.X = dense.X.toarray()
columns = data.copy()
columns.X = columns.X.tocsc()
for version in (2, 3):
    anndata.settings.zarr_write_format = version
    data.write_zarr(f"{folder}/rows.v{version}.zarr")
    columns.write_zarr(f"{folder}/columns.v{version}.zarr")
    # Chunks that do not divide the matrix.
    dense.write_zarr(f"{folder}/dense.v{version}.zarr", chunks=(37, 3))
"#;

/// Writes 500 cells of five genes.
fn write(path: &Path) {
    let genes = ["Gfap", "Aqp4", "größe", "MT-ND1", "Mbp"];
    let mut writer = AnnDataWriter::create(path, &genes, &["section", "class"]).unwrap();
    for cell in 0..500_u32 {
        let stored: Vec<(u32, f32)> = (0..5).map(|gene| (gene, (cell * (gene + 3) % 7) as f32)).filter(|(_, count)| *count > 0.0).collect();
        let (genes, values): (Vec<u32>, Vec<f32>) = stored.into_iter().unzip();
        let position = Position::new(f64::from(cell) / 3.0, -f64::from(cell)).unwrap();
        let columns = &[["s1", "s2"][cell as usize % 2], ["Oligo", "", "Micro/glia"][cell as usize % 3]];
        writer.push(&AnnDataRow { name: &format!("cell {cell}"), position, columns, genes: &genes, values: &values }).unwrap();
    }
    writer.finish().unwrap();
}

#[test]
fn the_folders_of_anndata_hold_the_cells_of_the_file() {
    let Some(python) = std::env::var_os("TN_PYTHON") else {
        eprintln!("skipped the_folders_of_anndata_hold_the_cells_of_the_file: TN_PYTHON names no Python with anndata and zarr");
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("section.h5ad");
    write(&file);
    let output = Command::new(python).args(["-W", "ignore", "-c", SCRIPT]).args([&file, folder.path()]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));

    let encode = |name: &str| {
        let table = folder.path().join("cells.parquet");
        encode_file(&folder.path().join(name), &table, &EncodeOptions::new().with_columns(["class"])).unwrap();
        TableReader::<CellRecord>::open(&table).unwrap().read_all().unwrap()
    };
    let expected = encode("section.h5ad");
    assert!(expected.len() > 400);
    for matrix in ["rows", "columns", "dense"] {
        for version in ["v2", "v3"] {
            let name = format!("{matrix}.{version}.zarr");
            assert!(encode(&name) == expected, "{name}");
        }
    }
}
