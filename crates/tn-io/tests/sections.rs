//! Sections that anndata wrote in every encoding, against what anndata, h5py and pyarrow read from them.
//! `data-fixtures/golden/sections/make.py` made them.

use std::path::{Path, PathBuf};

use serde_json::Value;
use tn_io::{AnnData, ColumnKind, EncodeOptions, EncodedCells, ReadError, SectionReader};

fn golden(name: &str) -> PathBuf {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../data-fixtures/golden/sections")).join(name)
}

/// What anndata read.
struct Expected(Value);

impl Expected {
    fn read() -> Self {
        Self(serde_json::from_str(&std::fs::read_to_string(golden("expected.json")).unwrap()).unwrap())
    }

    fn texts(&self, key: &str) -> Vec<String> {
        self.0[key].as_array().unwrap().iter().map(|value| value.as_str().unwrap().to_owned()).collect()
    }

    /// The counts of the first genes.
    fn counts(&self, genes: usize) -> Vec<Vec<f32>> {
        let rows = self.0["counts"].as_array().unwrap().iter();
        rows.map(|row| row.as_array().unwrap()[..genes].iter().map(|value| value.as_f64().unwrap() as f32).collect()).collect()
    }

    fn column(&self, name: &str) -> &[Value] {
        self.0["columns"][name].as_array().unwrap()
    }
}

/// The matrix, read in blocks of an odd size and once more as a whole.
fn dense(section: &dyn SectionReader) -> Vec<Vec<f32>> {
    let genes = section.genes().len();
    let read = |step: usize| -> Vec<Vec<f32>> {
        let starts = (0..section.n_cells()).step_by(step);
        let blocks = starts.map(|start| section.rows(start..(start + step).min(section.n_cells())).unwrap());
        blocks.flat_map(|rows| (0..rows.len()).map(|row| spread(rows.row(row), genes)).collect::<Vec<_>>()).collect()
    };
    let rows = read(5);
    assert_eq!(rows, read(1_000));
    rows
}

fn spread((genes, values): (&[u32], &[f32]), n_genes: usize) -> Vec<f32> {
    let mut row = vec![0.0; n_genes];
    genes.iter().zip(values).for_each(|(&gene, &value)| row[gene as usize] += value);
    row
}

fn check_columns(section: &dyn SectionReader, expected: &Expected, columns: &[&str]) {
    for &name in columns {
        let (texts, kind) = (section.text_column(name).unwrap(), section.column_kind(name).unwrap());
        let numbers = section.number_column(name);
        for (cell, value) in expected.column(name).iter().enumerate() {
            match value {
                Value::Null => assert_eq!(texts.get(cell), None, "{name} of cell {cell}"),
                Value::String(text) => assert_eq!(texts.get(cell), Some(text.as_str()), "{name} of cell {cell}"),
                number => assert_eq!(texts.get(cell).unwrap().parse::<f64>().unwrap() as f32, number.as_f64().unwrap() as f32, "{name}"),
            }
            if matches!(kind, ColumnKind::Number | ColumnKind::Integer) {
                let found = numbers.as_ref().unwrap()[cell];
                assert!(value.as_f64().map_or(found.is_nan(), |number| number == found), "{name} of cell {cell}: {found}, not {value}");
            }
        }
    }
}

const COLUMNS: [&str; 15] = [
    "x",
    "y",
    "section",
    "class",
    "ordered",
    "truth",
    "nullable category",
    "note",
    "inside",
    "int8",
    "uint64",
    "half missing",
    "nullable integer",
    "nullable boolean",
    "nullable string",
];

#[test]
fn tables_and_matrices_are_those_of_anndata() {
    let expected = Expected::read();
    for name in ["plain.h5ad", "gzip.h5ad", "chunked.h5ad", "fixed_length_names.h5ad", "nullable_names.h5ad"] {
        let section = AnnData::open(golden(name)).unwrap();
        assert_eq!(section.cell_names().unwrap(), expected.texts("names"), "{name}");
        assert_eq!(section.genes(), expected.texts("genes"), "{name}");
        assert_eq!(section.columns(), COLUMNS, "{name}");
        check_columns(&section, &expected, &COLUMNS);
        assert_eq!(dense(&section), expected.counts(7), "{name}");
        let places = section.coordinates().unwrap().unwrap();
        assert_eq!(serde_json::to_value(places).unwrap(), expected.0["spatial"], "{name}");
        assert_eq!(section.unstructured_text("tissuenarrator/note").unwrap().as_deref(), Some("größer"), "{name}");
    }
}

#[test]
fn every_layer_holds_the_counts_whatever_its_encoding() {
    let counts = Expected::read().counts(7);
    let file = golden("chunked.h5ad");
    let mut layers = AnnData::open(&file).unwrap().layers().to_vec();
    layers.retain(|layer| !["boolean", "log", "zeros"].contains(&layer.as_str()));
    assert_eq!(layers.len(), 13, "{layers:?}");
    for layer in &layers {
        let section = AnnData::open_layer(&file, layer).unwrap();
        assert_eq!(dense(&section), counts, "{layer}: {:?}", section.matrix_encoding());
    }
    let transformed = |layer: &str| dense(&AnnData::open_layer(&file, layer).unwrap());
    let map = |function: fn(f32) -> f32| counts.iter().map(|row| row.iter().map(|&x| function(x)).collect()).collect::<Vec<Vec<f32>>>();
    assert_eq!(transformed("boolean"), map(|x| f32::from(x > 1.0)));
    assert_eq!(transformed("zeros"), map(|_| 0.0));
    for (found, expected) in transformed("log").iter().flatten().zip(map(|x| (1.0 + x).log10()).iter().flatten()) {
        assert!((found - expected).abs() < 1e-6);
    }
}

#[test]
fn raw_has_its_own_genes() {
    let expected = Expected::read();
    let section = AnnData::open_raw(golden("gzip.h5ad")).unwrap();
    assert!(section.has_raw().unwrap());
    assert_eq!(section.genes(), expected.texts("raw_genes"));
    assert_eq!(section.matrix_encoding(), ("raw/X".to_owned(), "compressed sparse columns, float32".to_owned()));
    assert_eq!(dense(&section), expected.counts(11));
    check_columns(&section, &expected, &["class"]);
}

#[test]
fn a_file_without_raw_says_what_it_holds() {
    let golden = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../data-fixtures/golden/anndata/dense.h5ad"));
    let error = AnnData::open_raw(golden).unwrap_err();
    assert!(
        matches!(&error, ReadError::MissingObject { object, found, .. } if object == "raw" && found.contains(&"obs".to_owned())),
        "{error}"
    );
}

#[test]
fn a_matrix_by_genes_is_encoded_like_one_by_cells() {
    let options = EncodeOptions::new().with_columns(["class"]);
    let encode = |layer: &str| -> Vec<_> {
        let section = AnnData::open_layer(golden("chunked.h5ad"), layer).unwrap();
        EncodedCells::new(&section, &options).unwrap().map(Result::unwrap).collect()
    };
    let by_genes = encode("csc small chunks");
    assert!(by_genes.len() > 30);
    assert_eq!(by_genes, encode("csr small chunks"));
}

#[test]
fn a_file_without_cells_is_read() {
    let section = AnnData::open(golden("no_cells.h5ad")).unwrap();
    assert_eq!((section.n_cells(), section.genes().len()), (0, 7));
    assert_eq!(section.rows(0..0).unwrap().len(), 0);
    assert!(section.cell_names().unwrap().is_empty());
    assert!(section.text_column("class").unwrap().codes.is_empty() && section.number_column("x").unwrap().is_empty());
}

#[test]
fn an_unknown_compression_says_how_to_save_again() {
    let error = AnnData::open(golden("blosc.h5ad")).unwrap().rows(0..1).unwrap_err();
    assert!(matches!(&error, ReadError::UnsupportedEncoding { object, .. } if object == "X"), "{error:?}");
    let text = error.to_string();
    assert!(text.contains("32001") && text.contains(r#"write_h5ad(OUT, compression="gzip")"#), "{text}");
}

#[cfg(feature = "zarr")]
mod zarr {
    use super::*;
    use tn_io::{PROVENANCE_KEY, Provenance, TableReader, encode_file, inspect_file, open_section};
    use tn_sentence::{CellRecord, Position};

    const COLUMNS: [&str; 8] = ["x", "y", "section", "class", "truth", "note", "inside", "nullable integer"];

    #[test]
    fn both_formats_hold_what_the_file_holds() {
        let expected = Expected::read();
        for name in ["v2.zarr", "v3.zarr"] {
            let section = AnnData::open(golden(name)).unwrap();
            assert_eq!(section.cell_names().unwrap(), expected.texts("names"), "{name}");
            assert_eq!(section.columns(), COLUMNS, "{name}");
            check_columns(&section, &expected, &COLUMNS);
            let places = section.coordinates().unwrap().unwrap();
            assert_eq!(serde_json::to_value(places).unwrap(), expected.0["spatial"], "{name}");
            assert_eq!(dense(&section), expected.counts(7), "{name}");
            assert_eq!(section.layers().len(), 5, "{name}: {:?}", section.layers());
            for layer in section.layers() {
                assert_eq!(dense(&AnnData::open_layer(golden(name), layer).unwrap()), expected.counts(7), "{name}: {layer}");
            }
        }
    }

    #[test]
    fn the_only_table_of_a_spatialdata_folder_is_its_section() {
        let expected = Expected::read();
        for path in ["spatialdata.zarr", "spatialdata.zarr/tables/table"] {
            let section = AnnData::open(golden(path)).unwrap();
            assert_eq!(section.columns(), ["section", "class", "region", "instance_id"], "{path}");
            check_columns(&section, &expected, &["section", "class"]);
            assert_eq!(dense(&section), expected.counts(7), "{path}");
            let places = section.coordinates().unwrap().unwrap();
            assert_eq!(serde_json::to_value(places).unwrap(), expected.0["spatial"], "{path}");
        }
    }

    #[test]
    fn one_of_several_tables_must_be_named() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("data.zarr");
        copy(&golden("spatialdata.zarr"), &root);
        copy(&root.join("tables/table"), &root.join("tables/other"));
        let error = AnnData::open(&root).unwrap_err();
        assert!(matches!(&error, ReadError::SeveralTables { tables, .. } if tables.len() == 2), "{error:?}");
        assert!(AnnData::open(root.join("tables/other")).is_ok());
    }

    #[test]
    fn a_folder_is_encoded_and_inspected_like_a_file() {
        let folder = tempfile::tempdir().unwrap();
        let options = EncodeOptions::new().with_columns(["class"]);
        let encode = |input: &str, output: &str| {
            let output = folder.path().join(output);
            encode_file(&golden(input), &output, &options).unwrap();
            let table = TableReader::<CellRecord>::open(output).unwrap();
            let provenance = Provenance::from_json(&table.metadata()[PROVENANCE_KEY]).unwrap();
            (table.read_all().unwrap(), provenance)
        };
        let (from_file, _) = encode("plain.h5ad", "file.parquet");
        let bins = inspect_file(&golden("plain.h5ad")).unwrap().bins;
        assert_eq!(bins.iter().map(|section| section.cells).collect::<Vec<_>>(), [20, 17]);
        for name in ["v2.zarr", "v3.zarr"] {
            let (cells, provenance) = encode(name, &format!("{name}.parquet"));
            assert_eq!(cells, from_file, "{name}");
            assert!(provenance.inputs[0].name == name && provenance.inputs[0].bytes > 1_000, "{provenance}");
            let summary = inspect_file(&golden(name)).unwrap();
            assert_eq!((summary.format.as_str(), summary.rows, summary.genes), ("AnnData, Zarr", 37, Some(7)), "{name}");
            assert_eq!(summary.bins, bins, "{name}");
        }
    }

    #[test]
    fn a_spatialdata_folder_is_encoded_like_a_file() {
        let options = EncodeOptions::new().with_columns(["class"]);
        let encode = |section: &AnnData| -> Vec<CellRecord> { EncodedCells::new(section, &options).unwrap().map(Result::unwrap).collect() };
        let file = AnnData::open(golden("plain.h5ad")).unwrap();
        let (names, places) = (file.cell_names().unwrap(), file.coordinates().unwrap().unwrap());
        let mut expected = encode(&file);
        // The folder has no columns x and y, so that its cells are where obsm/spatial says.
        for cell in &mut expected {
            let [x, y] = places[names.iter().position(|name| *name == cell.cell_name).unwrap()];
            cell.position = Position::new(x, y).unwrap();
        }
        assert!(expected.len() > 30 && expected != encode(&file));
        assert_eq!(encode(&AnnData::open(golden("spatialdata.zarr")).unwrap()), expected);
    }

    #[test]
    fn damaged_folders_are_errors() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["v2.zarr", "v3.zarr"] {
            let root = folder.path().join(name);
            copy(&golden(name), &root);
            let mut files = Vec::new();
            list(&root, &mut files);
            for file in files {
                let bytes = std::fs::read(&file).unwrap();
                for length in [0, bytes.len() / 2, bytes.len().saturating_sub(1)] {
                    std::fs::write(&file, &bytes[..length]).unwrap();
                    // Attributes that are cut off may leave the rest readable, but nothing may panic.
                    let _ = read_all(&root);
                }
                std::fs::write(&file, &bytes).unwrap();
            }
            read_all(&root).unwrap();
        }
        std::fs::create_dir(folder.path().join("empty")).unwrap();
        assert!(matches!(AnnData::open(folder.path().join("empty")), Err(ReadError::NotZarr { .. })));
        assert!(matches!(open_section(&folder.path().join("empty"), None).err(), Some(ReadError::UnknownFolder { .. })));
    }

    #[test]
    fn an_unknown_compression_says_how_to_save_again() {
        let folder = tempfile::tempdir().unwrap();
        for (name, array, codec) in
            [("v2.zarr", "layers/dense zlib/.zarray", "\"zlib\""), ("v3.zarr", "layers/dense gzip/zarr.json", "\"gzip\"")]
        {
            let root = folder.path().join(name);
            copy(&golden(name), &root);
            let metadata = std::fs::read_to_string(root.join(array)).unwrap();
            assert!(metadata.contains(codec), "{metadata}");
            std::fs::write(root.join(array), metadata.replace(codec, "\"imaginary\"")).unwrap();
            let layer = array.split('/').nth(1).unwrap();
            let error = AnnData::open_layer(&root, layer).unwrap_err();
            assert!(matches!(&error, ReadError::UnsupportedEncoding { object, .. } if object.ends_with(layer)), "{error:?}");
            assert!(error.to_string().contains("imaginary") && error.to_string().contains("write_zarr(OUT)"), "{error}");
            assert_eq!(dense(&AnnData::open(&root).unwrap()), Expected::read().counts(7), "{name}");
        }
    }

    fn read_all(root: &Path) -> Result<(), ReadError> {
        let section = AnnData::open(root)?;
        section.cell_names()?;
        section.coordinates()?;
        for column in section.columns() {
            section.text_column(&column)?;
        }
        for layer in section.layers() {
            AnnData::open_layer(root, layer)?.rows(0..section.n_cells())?;
        }
        section.rows(0..section.n_cells())?;
        Ok(())
    }

    fn list(folder: &Path, files: &mut Vec<PathBuf>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() { list(&path, files) } else { files.push(path) }
        }
    }

    fn copy(from: &Path, to: &Path) {
        std::fs::create_dir_all(to).unwrap();
        for entry in std::fs::read_dir(from).unwrap() {
            let path = entry.unwrap().path();
            let target = to.join(path.file_name().unwrap());
            match path.is_dir() {
                true => copy(&path, &target),
                false => assert!(std::fs::copy(&path, &target).is_ok(), "{}", path.display()),
            }
        }
    }
}

#[cfg(not(feature = "zarr"))]
#[test]
fn a_zarr_folder_names_the_feature_that_reads_it() {
    let error = AnnData::open(golden("v3.zarr")).unwrap_err();
    assert!(matches!(error, ReadError::ZarrNotBuilt { .. }) && error.to_string().contains("--features zarr"), "{error}");
}
