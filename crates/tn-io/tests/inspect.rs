//! What is in a file, as far as can be told.

use std::path::{Path, PathBuf};

use tn_io::{ColumnRole, EncodeOptions, FileSummary, ValueScale, encode_file, inspect_file};

fn golden(name: &str) -> PathBuf {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../data-fixtures/golden/anndata")).join(name)
}

fn best(summary: &FileSummary, role: ColumnRole) -> Option<&str> {
    summary.candidates.iter().find(|candidate| candidate.role == role).map(|candidate| candidate.column.as_str())
}

#[test]
fn an_anndata_file_is_summarized() {
    let summary = inspect_file(&golden("csr.h5ad")).unwrap();
    assert_eq!((summary.rows, summary.genes), (6, Some(4)));
    let matrix = summary.matrix.as_ref().unwrap().values.as_ref().unwrap();
    assert_eq!((matrix.scale, matrix.smallest, matrix.largest), (ValueScale::Counts, 1.0, 7.0));
    assert_eq!(summary.layers[0].values.as_ref().unwrap().scale, ValueScale::Logarithms);
    assert_eq!(summary.sections.iter().map(|(name, cells)| (name.as_str(), *cells)).collect::<Vec<_>>(), [("s1", 3), ("s2", 3)]);
    let roles = [ColumnRole::X, ColumnRole::Y, ColumnRole::Section, ColumnRole::Class].map(|role| best(&summary, role));
    assert_eq!(roles, [Some("x"), Some("y"), Some("section"), Some("class")]);
    assert!(summary.has_spatial_coordinates);
    assert!(summary.to_string().contains("class            categories, 3 distinct: Astro, Micro/glia, Oligo"), "{summary}");
}

#[test]
fn an_unreadable_matrix_does_not_hide_the_rest() {
    let summary = inspect_file(&golden("../sections/blosc.h5ad")).unwrap();
    let matrix = summary.matrix.as_ref().unwrap();
    assert!(matrix.values.is_none() && matrix.encoding.contains("compression=\"gzip\""), "{matrix:?}");
    assert_eq!((summary.rows, summary.sections["s1"]), (37, 20));
    let layers: Vec<(&str, bool)> = summary.layers.iter().map(|layer| (layer.name.as_str(), layer.values.is_some())).collect();
    let names = ["layers/csc", "layers/log", "layers/boolean", "layers/dense", "raw/X"];
    assert!(layers.len() == 5 && names.iter().all(|name| layers.contains(&(name, true))), "{layers:?}");
}

#[test]
fn a_file_that_is_not_there_is_an_error() {
    for name in ["none.h5ad", "none.parquet", "none.csv"] {
        assert!(inspect_file(&golden(name)).is_err(), "{name}");
    }
}

#[test]
fn a_table_is_summarized() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["cells.parquet", "cells.csv"] {
        let path = folder.path().join(name);
        encode_file(&golden("csr.h5ad"), &path, &EncodeOptions::new().with_columns(["class"])).unwrap();
        let summary = inspect_file(&path).unwrap();
        assert_eq!(summary.rows, 5, "{name}");
        assert_eq!(summary.sections["s2"], 3, "{name}");
        assert_eq!(best(&summary, ColumnRole::X), Some("x"), "{name}");
        assert_eq!(summary.provenance.is_some(), name.ends_with("parquet"));
        if name.ends_with("parquet") {
            let text = summary.to_string();
            let shown = ["made by encode", "seed 42", "from csr.h5ad (58616 bytes, hash ", r#"columns: ["class"]"#];
            assert!(shown.iter().all(|part| text.contains(part)), "{text}");
        }
        assert!(summary.unit.is_some(), "{name}");
        let column = summary.columns.iter().find(|column| column.name == "x").unwrap();
        assert_eq!((column.kind.as_str(), column.examples.as_slice()), ("numbers", &["1.5".to_owned(), "30".to_owned()][..]), "{name}");
    }
}
