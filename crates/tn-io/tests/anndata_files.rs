//! Files written by anndata, in every form that is read or refused. `data-fixtures/golden/anndata/make.py` made them.

use std::path::{Path, PathBuf};

use tn_io::{AnnData, ColumnKind, ReadError, SectionReader};

fn golden(name: &str) -> PathBuf {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../data-fixtures/golden/anndata")).join(name)
}

const COUNTS: [[f32; 4]; 6] =
    [[0.0, 3.0, 1.0, 0.0], [2.0, 0.0, 0.0, 0.0], [0.0; 4], [1.0, 1.0, 5.0, 0.0], [0.0, 0.0, 0.0, 7.0], [4.0, 0.0, 2.0, 0.0]];

fn dense(section: &AnnData) -> Vec<Vec<f32>> {
    // Odd blocks, so that block borders fall within the file.
    [0..1, 1..4, 4..4, 4..6]
        .into_iter()
        .flat_map(|range| {
            let rows = section.rows(range).unwrap();
            (0..rows.len())
                .map(move |row| {
                    let mut values = vec![0.0; 4];
                    let (genes, found) = rows.row(row);
                    genes.iter().zip(found).for_each(|(&gene, &value)| values[gene as usize] = value);
                    values
                })
                .collect::<Vec<_>>()
        })
        .collect()
}

fn check(name: &str) {
    let section = AnnData::open(golden(name)).unwrap();
    assert_eq!(section.n_cells(), 6, "{name}");
    assert_eq!(section.genes(), ["Gfap", "Aqp4", "Mbp", "Cx3cr1"], "{name}");
    assert_eq!(section.cell_names().unwrap()[5], "cell_5", "{name}");
    assert_eq!(dense(&section), COUNTS, "{name}");
    let class = section.text_column("class").unwrap();
    let classes: Vec<_> = (0..6).map(|cell| class.get(cell)).collect();
    assert_eq!(classes, [Some("Astro"), Some("Oligo"), None, Some("Micro/glia"), Some("Astro"), Some("Oligo")], "{name}");
    assert_eq!(section.text_column("section").unwrap().get(3), Some("s2"), "{name}");
}

#[test]
fn matrices_are_read_in_every_form() {
    for name in ["csr.h5ad", "csc.h5ad", "dense.h5ad", "dense_int64_lzf.h5ad", "nullable.h5ad", "spatial_only.h5ad", "old_categories.h5ad"]
    {
        check(name);
    }
}

#[test]
fn layers_are_read() {
    let section = AnnData::open_layer(golden("csr.h5ad"), "log").unwrap();
    assert_eq!(section.matrix_encoding(), ("layers/log".to_owned(), "dense, float64".to_owned()));
    assert!((dense(&section)[1][0] - 3.0_f32.log10()).abs() < 1e-6);
    let error = AnnData::open_layer(golden("csr.h5ad"), "counts").unwrap_err();
    assert!(matches!(&error, ReadError::MissingLayer { layers, .. } if layers == &["log"]), "{error}");
}

#[test]
fn columns_are_read_as_text_and_as_numbers() {
    let section = AnnData::open(golden("csr.h5ad")).unwrap();
    assert_eq!(section.columns(), ["x", "y", "section", "class", "note", "inside"]);
    assert_eq!(section.number_column("x").unwrap(), [1.5, 2.5, 3.5, 10.0, 20.0, 30.0]);
    assert_eq!(section.number_column("y").unwrap(), [5.0, 6.0, 7.0, 8.0, 9.0, 10.0]);
    assert_eq!(section.number_column("inside").unwrap(), [1.0, 0.0, 1.0, 1.0, 0.0, 0.0]);
    assert_eq!(section.text_column("y").unwrap().get(0), Some("5"));
    assert_eq!(section.text_column("inside").unwrap().get(1), Some("false"));
    assert_eq!(section.text_column("note").unwrap().get(3), Some("größer"));
    let kinds = ["x", "y", "section", "note", "inside"].map(|column| section.column_kind(column).unwrap());
    assert_eq!(kinds, [ColumnKind::Number, ColumnKind::Integer, ColumnKind::Category, ColumnKind::Text, ColumnKind::Flag]);
}

#[test]
fn missing_values_of_nullable_columns_are_missing() {
    let section = AnnData::open(golden("nullable.h5ad")).unwrap();
    let age = section.number_column("age").unwrap();
    assert!(age[1].is_nan() && age[2] == 3.0);
    let label = section.text_column("label").unwrap();
    assert_eq!((label.get(0), label.get(1), label.get(2)), (Some("p"), None, Some("q")));
}

#[test]
fn coordinates_are_found_in_obsm() {
    let section = AnnData::open(golden("spatial_only.h5ad")).unwrap();
    assert_eq!(section.coordinates().unwrap().unwrap()[3], [10.0, 8.0]);
    assert_eq!(AnnData::open(golden("dense.h5ad")).unwrap().coordinates().unwrap(), None);
}

#[test]
fn a_missing_column_names_those_that_are_there() {
    let error = AnnData::open(golden("csr.h5ad")).unwrap().text_column("cluster").unwrap_err();
    assert!(error.to_string().ends_with(r#"has no column "cluster"; columns are x, y, section, class, note, inside"#), "{error}");
}

#[test]
fn text_is_no_column_of_numbers() {
    let section = AnnData::open(golden("csr.h5ad")).unwrap();
    for column in ["class", "note"] {
        assert!(matches!(section.number_column(column), Err(ReadError::NotNumbers { .. })), "{column}");
    }
}

fn check_refused(name: &str, advice: &str) {
    let open_and_read = || AnnData::open(golden(name)).and_then(|section| section.rows(0..1));
    let error = open_and_read().unwrap_err();
    assert!(matches!(error, ReadError::UnsupportedEncoding { .. }), "{name}: {error:?}");
    assert!(error.to_string().contains(advice), "{name}: {error}");
}

#[test]
fn what_cannot_be_read_is_refused_with_advice() {
    check_refused("records.h5ad", "write_h5ad(OUT)");
}
