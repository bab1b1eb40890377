//! From an AnnData file to cell records.

use std::path::{Path, PathBuf};

use tn_io::{
    AnnData, AnnDataRow, AnnDataWriter, CellTable, EncodeOptions, EncodeSectionError, EncodedCells, Normalization, NormalizedExpression,
    PANEL_KEY, PROVENANCE_KEY, Provenance, SectionReader, TableReader, encode_file,
};
use tn_sentence::{CellRecord, GeneAliases, GeneRanking, LogarithmBase, Position, TieBreak};

fn golden(name: &str) -> PathBuf {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../data-fixtures/golden/anndata")).join(name)
}

fn encode(path: &Path, options: &EncodeOptions) -> Result<Vec<CellRecord>, EncodeSectionError> {
    EncodedCells::new(&AnnData::open(path)?, options)?.collect()
}

/// Writes a file of cells that all express gene 0 to 2 like `values`.
fn write(path: &Path, cells: usize, genes: &[&str], values: &[f32]) {
    let mut writer = AnnDataWriter::create(path, genes, &["section", "cell_type"]).unwrap();
    for i in 0..cells {
        writer
            .push(&AnnDataRow {
                name: &format!("c{i}"),
                position: Position::new(i as f64, 0.5).unwrap(),
                columns: &["s1", "Astro"],
                genes: &(0..values.len() as u32).collect::<Vec<_>>(),
                values,
            })
            .unwrap();
    }
    writer.finish().unwrap();
}

#[test]
fn cells_are_ranked_with_their_places_and_metadata() {
    let options = EncodeOptions::new().with_columns(["class", "y"]).with_tie_break(TieBreak::Symbol);
    let section = AnnData::open(golden("csr.h5ad")).unwrap();
    let mut encoded = EncodedCells::new(&section, &options).unwrap();
    let cells: Vec<CellRecord> = encoded.by_ref().map(Result::unwrap).collect();
    let rankings: Vec<String> = cells.iter().map(|cell| cell.ranking.to_string()).collect();
    assert_eq!(rankings, ["AQP4 MBP", "GFAP", "MBP AQP4 GFAP", "CX3CR1", "GFAP MBP"]);
    // The third cell expresses nothing.
    assert_eq!(encoded.skipped(), 1);
    assert_eq!((cells[2].cell_name.as_str(), cells[2].section.as_str(), cells[2].position.x()), ("cell_3", "s2", 10.0));
    assert_eq!(cells[2].metadata.iter().collect::<Vec<_>>(), [("class", "Micro/glia"), ("y", "8")]);
}

/// The table is written without making records.
#[test]
fn a_table_holds_the_records() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("cells.parquet");
    for (file, columns) in [("csr.h5ad", &["class", "note"][..]), ("nullable.h5ad", &[]), ("csc.h5ad", &["class"])] {
        let options = EncodeOptions::new().with_columns(columns.iter().copied()).with_max_genes(2);
        let records = encode(&golden(file), &options).unwrap();
        encode_file(&golden(file), &path, &options).unwrap();
        assert_eq!(TableReader::<CellRecord>::open(&path).unwrap().read_all().unwrap(), records, "{file}");
        let mut shorter = records;
        shorter.iter_mut().for_each(|cell| cell.ranking.truncate(1));
        assert_eq!(TableReader::<CellRecord>::open(&path).unwrap().with_max_genes(1).read_all().unwrap(), shorter, "{file}");
    }
}

#[test]
fn cells_without_expression_have_places_and_metadata_too() {
    let options = EncodeOptions::new().with_columns(["class"]);
    let section = AnnData::open(golden("csr.h5ad")).unwrap();
    let records = CellTable::read(&section, &options).unwrap().records().unwrap();
    assert_eq!((records.len(), section.n_cells()), (6, 6));
    let mut with_expression = encode(&golden("csr.h5ad"), &options).unwrap();
    with_expression.iter_mut().for_each(|cell| cell.ranking = GeneRanking::default());
    // The third cell expresses nothing.
    let without_third = [&records[..2], &records[3..]].concat();
    assert_eq!(without_third, with_expression);
}

#[test]
fn a_column_can_have_another_name_in_the_table() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("cells.parquet");
    let options = EncodeOptions::new().with_columns(["class"]).with_column_as("note", "split");
    encode_file(&golden("csr.h5ad"), &path, &options).unwrap();
    let table = TableReader::<CellRecord>::open(&path).unwrap();
    assert!(table.metadata()[PROVENANCE_KEY].contains(r#""columns":["class","split=note"]"#), "{:?}", table.metadata());
    let keys: Vec<Vec<String>> =
        table.read_all().unwrap().iter().map(|cell| cell.metadata.iter().map(|(key, _)| key.to_owned()).collect()).collect();
    assert!(keys.iter().any(|keys| keys == &["class", "split"]) && keys.iter().flatten().all(|key| key != "note"), "{keys:?}");
}

#[test]
fn aliases_become_current_symbols_in_rankings_panel_and_provenance() {
    let folder = tempfile::tempdir().unwrap();
    let (section, path) = (folder.path().join("section.h5ad"), folder.path().join("cells.parquet"));
    write(&section, 2, &["March1", "Gfap", "Sept2"], &[3.0, 2.0, 1.0]);
    let aliases = GeneAliases::new([("MARCH1", "MARCHF1"), ("SEPT2", "SEPTIN2"), ("FAM46A", "TENT5A")]).unwrap();
    encode_file(&section, &path, &EncodeOptions::new().with_gene_aliases(aliases)).unwrap();
    let table = TableReader::<CellRecord>::open(&path).unwrap();
    let metadata = table.metadata();
    assert_eq!(metadata[PANEL_KEY], r#"["MARCHF1","GFAP","SEPTIN2"]"#);
    let provenance = Provenance::from_json(&metadata[PROVENANCE_KEY]).unwrap();
    assert_eq!(provenance.options["gene_aliases"], serde_json::json!(["March1=MARCHF1", "Sept2=SEPTIN2"]));
    assert!(table.map(Result::unwrap).all(|cell| cell.ranking.to_string() == "MARCHF1 GFAP SEPTIN2"));

    let colliding = GeneAliases::new([("Sept2", "GFAP")]).unwrap();
    let error = encode(&section, &EncodeOptions::new().with_gene_aliases(colliding)).unwrap_err();
    let source = std::error::Error::source(&error).unwrap().to_string();
    assert_eq!(source, r#"genes "Gfap" (column 1) and "Sept2" (column 2) are both "GFAP""#);
}

#[test]
fn a_file_becomes_a_table_with_its_provenance_and_panel() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("cells.parquet");
    let summary = encode_file(&golden("dense.h5ad"), &path, &EncodeOptions::new().with_columns(["class"])).unwrap();
    assert_eq!((summary.cells, summary.skipped, summary.sections["s2"]), (5, 1, 3));
    let reader = TableReader::<CellRecord>::open(&path).unwrap();
    let metadata = reader.metadata();
    assert_eq!(metadata[PANEL_KEY], r#"["GFAP","AQP4","MBP","CX3CR1"]"#);
    let provenance = Provenance::from_json(&metadata[PROVENANCE_KEY]).unwrap();
    assert_eq!((provenance.step.as_str(), provenance.seed, provenance.inputs[0].name.as_str()), ("encode", Some(42), "dense.h5ad"));
    assert_eq!(reader.read_all().unwrap().len(), 5);
}

#[test]
fn the_number_of_threads_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("a.h5ad");
    write(&file, 40_000, &["A", "B", "C"], &[1.0, 1.0, 2.0]);
    let bytes = |threads: usize| {
        let path = folder.path().join(format!("{threads}.parquet"));
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| encode_file(&file, &path, &EncodeOptions::new())).unwrap();
        std::fs::read(path).unwrap()
    };
    assert!(bytes(1) == bytes(3));
}

#[test]
fn layers_coordinates_and_normalization_can_be_chosen() {
    let log1p = Normalization::Log1p { base: LogarithmBase::Two, target_sum: 100.0 };
    let options = EncodeOptions::new().with_coordinates("y", "x").with_normalization(log1p);
    let cells = encode(&golden("csr.h5ad"), &options.with_max_genes(1)).unwrap();
    assert_eq!((cells[0].position.x(), cells[0].ranking.len()), (5.0, 1));
    let cells = encode(&golden("spatial_only.h5ad"), &EncodeOptions::new()).unwrap();
    assert_eq!(cells[0].position, Position::new(1.5, 5.0).unwrap());
}

#[test]
fn no_normalization_changes_the_order_of_genes() {
    let encode = |normalization| encode(&golden("csr.h5ad"), &EncodeOptions::new().with_normalization(normalization)).unwrap();
    let plain = encode(Normalization::None);
    assert!(plain.iter().any(|cell| cell.ranking.len() > 2));
    for base in [LogarithmBase::Two, LogarithmBase::E, LogarithmBase::Ten] {
        for target_sum in [1e-3, 1.0, 1e4, 1e6] {
            let normalization = Normalization::Log1p { base, target_sum };
            assert_eq!(encode(normalization), plain, "{normalization}");
        }
    }
    assert_eq!(encode(Normalization::Auto), plain);
}

#[test]
fn expression_is_read_on_one_scale() {
    let section = AnnData::open(golden("csr.h5ad")).unwrap();
    let plain = section.rows(0..6).unwrap();
    let asked = Normalization::Log1p { base: LogarithmBase::Two, target_sum: 100.0 };
    let expression = NormalizedExpression::new(&section, asked).unwrap();
    assert_eq!((expression.base(), expression.normalization()), (Some(LogarithmBase::Two), asked));
    let rows = expression.rows(0..6).unwrap();
    for cell in 0..6 {
        let ((genes, values), (same, counts)) = (rows.row(cell), plain.row(cell));
        let total: f32 = counts.iter().sum();
        assert_eq!(genes, same);
        for (value, count) in values.iter().zip(counts) {
            assert!((value - f32::log2(1.0 + count * 100.0 / total)).abs() < 1e-5, "{count} of {total} became {value}");
        }
    }
    let plain_again = NormalizedExpression::new(&section, Normalization::None).unwrap().rows(0..6).unwrap();
    assert_eq!(plain_again, plain);
    assert_ne!(NormalizedExpression::new(&section, Normalization::Auto).unwrap().normalization(), Normalization::Auto);
}

#[test]
fn a_sum_that_nothing_can_be_scaled_to_is_refused() {
    for target_sum in [0.0, -1.0, f64::NAN, f64::INFINITY] {
        let normalization = Normalization::Log1p { base: LogarithmBase::Ten, target_sum };
        let error = encode(&golden("csr.h5ad"), &EncodeOptions::new().with_normalization(normalization)).unwrap_err();
        assert!(matches!(error, EncodeSectionError::InvalidTargetSum { .. }) && error.to_string().contains("--target-sum"), "{error}");
    }
}

#[test]
fn coordinates_in_pixels_become_micrometers_only_when_asked() {
    let file = golden("csr.h5ad");
    let pixels = EncodeOptions::new().with_pixel_size(0.108);
    assert_eq!(encode(&file, &EncodeOptions::new()).unwrap()[0].position, Position::new(1.5, 5.0).unwrap());
    assert_eq!(encode(&file, &pixels).unwrap()[0].position, Position::new(1.5 * 0.108, 5.0 * 0.108).unwrap());
    let places = encode(&golden("spatial_only.h5ad"), &pixels).unwrap();
    assert_eq!(places[0].position, Position::new(1.5 * 0.108, 5.0 * 0.108).unwrap());
}

#[test]
fn raw_is_encoded_by_its_name() {
    let folder = tempfile::tempdir().unwrap();
    let encode = |layer: Option<&str>| {
        let options = layer.map_or_else(EncodeOptions::new, |layer| EncodeOptions::new().with_layer(layer));
        let table = folder.path().join("cells.parquet");
        encode_file(&golden("../sections/gzip.h5ad"), &table, &options).unwrap();
        let reader = TableReader::<CellRecord>::open(&table).unwrap();
        let panel: Vec<String> = serde_json::from_str(&reader.metadata()[PANEL_KEY]).unwrap();
        (panel.len(), reader.read_all().unwrap().iter().map(|cell| cell.ranking.len()).sum::<usize>())
    };
    let (x, raw) = (encode(None), encode(Some("raw/X")));
    assert_eq!((x.0, raw.0), (7, 11));
    assert!(raw.1 > x.1);
}

fn check_error(result: Result<Vec<CellRecord>, EncodeSectionError>, expected: &str) {
    let error = result.unwrap_err();
    assert!(error.to_string().contains(expected), "{error}");
}

#[test]
fn a_missing_column_is_named_with_those_there_are_and_the_option() {
    let file = golden("csr.h5ad");
    check_error(
        encode(&file, &EncodeOptions::new().with_section("slice")),
        r#"has no column "slice"; columns are x, y, section, class, note, inside; did you mean --section section?"#,
    );
    check_error(encode(&file, &EncodeOptions::new().with_coordinates("a", "y")), "did you mean --x x?");
    check_error(encode(&file, &EncodeOptions::new().with_columns(["label"])), "name another with --columns");

    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("a.h5ad");
    write(&file, 2, &["A"], &[1.0]);
    check_error(encode(&file, &EncodeOptions::new().with_columns(["class"])), "did you mean --columns class=cell_type?");
}

#[test]
fn unusable_expression_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("a.h5ad");
    let check = |genes: &[&str], values: &[f32], expected: &str| {
        write(&file, 3, genes, values);
        check_error(encode(&file, &EncodeOptions::new()), expected);
    };
    check(&["A", "B"], &[1.0, -2.0], "cell c0 of");
    check(&["A", "B"], &[1.0, f32::NAN], "cell c0 of");
    check(&["A", "B"], &[1.0, f32::INFINITY], "cell c0 of");
    check(&["A", "B"], &[0.5, 300.0], "--normalize");
    check(&["A", "a"], &[1.0, 2.0], "no usable panel");
    check(&["A", "A"], &[1.0, 2.0], "no usable panel");
    check(&["A", ""], &[1.0, 2.0], "no usable panel");
}

#[test]
fn a_file_without_cells_or_expression_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let (file, table) = (folder.path().join("a.h5ad"), folder.path().join("a.parquet"));
    write(&file, 0, &["A"], &[]);
    assert!(matches!(encode_file(&file, &table, &EncodeOptions::new()), Err(EncodeSectionError::NoCells { .. })));
    write(&file, 3, &["A"], &[]);
    assert!(matches!(encode_file(&file, &table, &EncodeOptions::new()), Err(EncodeSectionError::NoExpression { cells: 3, .. })));
    assert!(!table.exists());
}

#[test]
fn a_cell_without_a_place_is_refused() {
    let options = EncodeOptions::new().with_coordinates("age", "y");
    check_error(encode(&golden("nullable.h5ad"), &options), "cell cell_1 of");
}

/// Replaces a number of a file, wherever it is stored.
fn replace_number(file: &Path, from: f64, to: f64) {
    let mut bytes = std::fs::read(file).unwrap();
    let places: Vec<usize> = bytes.windows(8).enumerate().filter(|(_, window)| **window == from.to_le_bytes()).map(|(at, _)| at).collect();
    assert!(!places.is_empty());
    places.iter().for_each(|&at| bytes[at..at + 8].copy_from_slice(&to.to_le_bytes()));
    std::fs::write(file, bytes).unwrap();
}

#[test]
fn coordinates_that_are_not_finite_are_refused_with_their_cell() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("a.h5ad");
    for value in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        // The place of the eighth cell is as far as its number.
        write(&file, 20, &["A"], &[1.0]);
        replace_number(&file, 7.0, value);
        let error = encode(&file, &EncodeOptions::new()).unwrap_err();
        assert!(matches!(&error, EncodeSectionError::Coordinates { cell, .. } if cell == "c7"), "{value}: {error:?}");
    }
}

#[test]
fn a_cell_without_genes_is_left_out_and_counted() {
    let folder = tempfile::tempdir().unwrap();
    let (file, table) = (folder.path().join("a.h5ad"), folder.path().join("a.parquet"));
    let mut writer = AnnDataWriter::create(&file, &["A", "B"], &["section"]).unwrap();
    let position = Position::new(1.0, 2.0).unwrap();
    for (name, genes) in [("full", &[0, 1][..]), ("bare", &[]), ("half", &[1])] {
        let values = &[3.0, 1.0][..genes.len()];
        writer.push(&AnnDataRow { name, position, columns: &["s"], genes, values }).unwrap();
    }
    // A section of which no cell expresses anything is empty in the table.
    writer.push(&AnnDataRow { name: "alone", position, columns: &["t"], genes: &[0], values: &[0.0] }).unwrap();
    writer.finish().unwrap();
    let summary = encode_file(&file, &table, &EncodeOptions::new()).unwrap();
    assert_eq!((summary.cells, summary.skipped), (2, 2));
    assert_eq!(summary.sections.keys().collect::<Vec<_>>(), ["s"]);
    let cells = TableReader::<CellRecord>::open(&table).unwrap().read_all().unwrap();
    assert_eq!(cells.iter().map(|cell| cell.cell_name.as_str()).collect::<Vec<_>>(), ["full", "half"]);
}

#[test]
fn a_cell_without_a_section_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("a.h5ad");
    let mut writer = AnnDataWriter::create(&file, &["A"], &["section"]).unwrap();
    let position = Position::new(1.0, 2.0).unwrap();
    writer.push(&AnnDataRow { name: "lost", position, columns: &[""], genes: &[0], values: &[1.0] }).unwrap();
    writer.finish().unwrap();
    check_error(encode(&file, &EncodeOptions::new()), "cell lost of");
}
