//! What is in a file, as far as can be told.

use std::path::{Path, PathBuf};

use tn_io::{
    AnnDataRow, AnnDataWriter, ColumnRole, EncodeOptions, FileSummary, InspectWarning, TableReader, ValueScale, encode_file, inspect_file,
    inspect_file_with_tokens,
};
use tn_sentence::{CellRecord, Position};
use tn_spatial::{BinGrid, PatchOptions, Section, Traversal, patch_bins};

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

/// Writes two sections of cells on lattices that get wider, one in so many of them (if more than seven) without expression.
fn write_sections(path: &Path, genes: &[&str], empty: u32) {
    let mut writer = AnnDataWriter::create(path, genes, &["section", "class"]).unwrap();
    for cell in 0..400_u32 {
        let (column, row) = (f64::from(cell / 2 % 20), f64::from(cell / 40));
        let position = Position::new(column * column * 4.0 - 200.0, row * row * 9.0).unwrap();
        let (first, values) = (cell % 3, [3.0, 2.0, 1.0]);
        let expressed: Vec<u32> = if cell % empty == 7 { Vec::new() } else { (0..=first).collect() };
        writer
            .push(&AnnDataRow {
                name: &format!("c{cell}"),
                position,
                columns: &[["s1", "s2"][cell as usize % 2], ["Astro", "Oligo", ""][cell as usize % 3]],
                genes: &expressed,
                values: &values[..expressed.len()],
            })
            .unwrap();
    }
    writer.finish().unwrap();
}

fn words(text: &str) -> usize {
    text.split_whitespace().count()
}

#[test]
fn bins_are_as_full_as_those_that_become_sentences() {
    let folder = tempfile::tempdir().unwrap();
    let (file, table) = (folder.path().join("a.h5ad"), folder.path().join("cells.parquet"));
    write_sections(&file, &["A", "B", "C"], 11);
    encode_file(&file, &table, &EncodeOptions::new().with_columns(["class"])).unwrap();
    let cells = TableReader::<CellRecord>::open(&table).unwrap().read_all().unwrap();
    let sections = Section::of_table(&cells);
    let found = inspect_file(&table).unwrap().bins;
    assert_eq!(found.len(), 2);
    for (occupancy, section) in found.iter().zip(&sections) {
        let bins = BinGrid::new(200.0).unwrap().assign(&section.positions());
        let mut counts: Vec<usize> = bins.values().map(Vec::len).collect();
        counts.sort_unstable();
        let middle = counts.len() / 2;
        let median = if counts.len() % 2 == 1 { counts[middle] as f64 } else { (counts[middle - 1] + counts[middle]) as f64 / 2.0 };
        assert_eq!(occupancy.section.as_deref(), Some(section.name()));
        let cells: usize = counts.iter().sum();
        assert_eq!((occupancy.bins, occupancy.cells, occupancy.median), (counts.len(), cells, median));
        let sparse: usize = counts.iter().filter(|count| **count < 5).sum();
        assert!(counts.len() > 10 && sparse > 0 && occupancy.lower_quartile < occupancy.upper_quartile, "{counts:?}");
        assert_eq!(occupancy.sparse_share, sparse as f64 / cells as f64);
    }
    // In the file, cells without expression have their place as well.
    let text = inspect_file(&file).unwrap();
    assert_eq!(text.bins.iter().map(|occupancy| occupancy.cells).collect::<Vec<_>>(), [200, 200]);
    assert!(text.to_string().contains("bins of 200 micrometers\n  s1 "), "{text}");
}

#[test]
fn tokens_are_those_of_the_sentences() {
    let folder = tempfile::tempdir().unwrap();
    let (file, table) = (folder.path().join("a.h5ad"), folder.path().join("cells.parquet"));
    write_sections(&file, &["A", "B", "C"], 1);
    encode_file(&file, &table, &EncodeOptions::new().with_columns(["class"])).unwrap();
    let cells = TableReader::<CellRecord>::open(&table).unwrap().read_all().unwrap();
    let options = PatchOptions::default().with_repeats(1);
    let sentences = patch_bins(&cells, &BinGrid::new(200.0).unwrap(), Traversal::random(), &options);
    let expected: Vec<usize> = sentences.iter().map(|record| words(&record.sentence)).collect();
    let mean = expected.iter().sum::<usize>() as f64 / expected.len() as f64;

    let summary = inspect_file_with_tokens(&file, &words).unwrap();
    let tokens = summary.tokens.clone().unwrap();
    // Some of the bins are looked at, the fullest among them.
    assert_eq!((tokens.sentences, tokens.sampled_sentences), (expected.len(), 12));
    assert!((tokens.mean / mean - 1.0).abs() < 0.05, "{} tokens, not {mean}", tokens.mean);
    let max = *expected.iter().max().unwrap() as f64;
    assert!(tokens.max <= max && tokens.max > 0.95 * max, "at most {} tokens, not {max}", tokens.max);
    assert!(summary.to_string().contains("tokens on average"), "{summary}");
    assert_eq!(inspect_file_with_tokens(&table, &words).unwrap().tokens, Some(tokens));
    assert_eq!(inspect_file(&file).unwrap().tokens, None);
}

#[test]
fn a_person_is_warned_before_anything_is_run() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("a.h5ad");
    let mut writer = AnnDataWriter::create(&file, &["Nfe2", "NFE2", "Gfap"], &["class"]).unwrap();
    for cell in 0..100_u32 {
        let position = Position::new(f64::from(cell % 10) * 9_000.0, f64::from(cell / 10) * 9_000.0).unwrap();
        let name = format!("c{}", cell / 2);
        writer.push(&AnnDataRow { name: &name, position, columns: &["Astro"], genes: &[0], values: &[1.0] }).unwrap();
    }
    writer.finish().unwrap();
    let summary = inspect_file_with_tokens(&file, &words).unwrap();
    let text = summary.to_string();
    for part in [
        "warning: coordinates are in pixels or nanometers",
        "warning: no column says which section a cell is of: name one with --section",
        "warning: gene symbols that are the same in upper case: Nfe2 and NFE2",
        "warning: 50 cells have the name of an earlier cell: c0, c1, c2, c3, c4, …",
        "warning: no bin of 200 micrometers has 5 cells",
    ] {
        assert!(text.contains(part), "expected {part:?} in {text}");
    }
    let json = serde_json::to_value(&summary).unwrap();
    let kinds: Vec<&str> = json["warnings"].as_array().unwrap().iter().map(|warning| warning["kind"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["colliding_symbols", "unit", "no_section_column", "no_full_bin", "repeated_names"]);
    assert_eq!(json["warnings"][1]["unit"], "pixels_or_nanometers");
}

#[test]
fn cells_that_cannot_be_written_have_no_tokens_and_a_reason() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("a.h5ad");
    write_sections(&file, &["A", "a", "C"], 11);
    let summary = inspect_file_with_tokens(&file, &words).unwrap();
    assert_eq!(summary.tokens, None);
    let Some(InspectWarning::NotEncodable { reason }) = summary.warnings.last() else { panic!("{:?}", summary.warnings) };
    assert!(reason.contains("no usable panel: ") && reason.contains(r#"both "A" in upper case"#), "{reason}");

    let blosc = inspect_file_with_tokens(&golden("../sections/blosc.h5ad"), &words).unwrap();
    assert!(blosc.tokens.is_some() || !blosc.warnings.is_empty(), "{blosc}");

    let table = folder.path().join("places.csv");
    let rows: String = (0..9).map(|cell| format!("c{cell},{cell},1,s\n")).collect();
    std::fs::write(&table, format!("cell_name,x,y,section\n{rows}")).unwrap();
    let summary = inspect_file_with_tokens(&table, &words).unwrap();
    assert_eq!((summary.tokens.is_none(), summary.bins[0].cells), (true, 9));
    assert!(summary.to_string().contains(r#"tokens cannot be counted: "#) && summary.to_string().contains(r#"no column "sentence""#));
}

#[test]
fn rows_of_a_table_without_a_usable_place_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let table = folder.path().join("cells.csv");
    std::fs::write(&table, "cell_name,sentence,x,y,section\na,GFAP,1,2,s\nb,GFAP,nan,2,s\nc,GFAP,3,,t\na,GFAP,inf,2,t\n").unwrap();
    let summary = inspect_file(&table).unwrap();
    let text = summary.to_string();
    assert!(text.contains("3 cells have coordinates that are missing or not finite: b, c, a"), "{text}");
    assert!(text.contains("1 cells have the name of an earlier cell: a"), "{text}");
    assert_eq!(summary.bins.iter().map(|occupancy| occupancy.cells).collect::<Vec<_>>(), [1]);
}

#[test]
fn tasks_are_no_cells() {
    let folder = tempfile::tempdir().unwrap();
    let table = folder.path().join("tasks.csv");
    std::fs::write(&table, "cell_name,prompt,answer,x,y\na,p,q,1,2\na,p,q,1,2\n").unwrap();
    let summary = inspect_file(&table).unwrap();
    assert!(summary.bins.is_empty() && summary.warnings.is_empty(), "{summary}");
}
