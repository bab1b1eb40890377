//! Whatever this crate writes says where it came from, and a summary shows it.

use std::path::Path;

use tn_io::{
    AnnData, AnnDataRow, AnnDataWriter, EncodeOptions, FileSummary, PROVENANCE_KEY, Provenance, TableRecord, TableWriter, TokenRow,
    TokenTableWriter, TruthRecord, encode_file, inspect_file,
};
use tn_sentence::{CellRecord, FinishReason, GeneRanking, GeneratedRecord, Metadata, Position, SentenceRecord, SurpriseRecord, TaskRecord};

/// A file that steps read, and the record of a step that read it.
fn input(folder: &Path) -> Provenance {
    let path = folder.join("input.h5ad");
    std::fs::write(&path, "the input").unwrap();
    Provenance::new("step").with_seed(7).with_option("radius", 30).with_input(&path).unwrap()
}

fn check_summary(summary: &FileSummary, expected: &Provenance) {
    let found = summary.provenance.as_ref().unwrap_or_else(|| panic!("{} has no provenance", summary.file));
    assert_eq!(found, expected, "{}", summary.file);
    let file = &found.inputs[0];
    let version = format!("{} {}", found.step, env!("CARGO_PKG_VERSION"));
    let from = format!("from {} ({} bytes, hash {})", file.name, file.bytes, file.hash);
    let text = summary.to_string();
    for part in [version, from, format!("seed {}", found.seed.unwrap())] {
        assert!(text.contains(&part), "expected {part:?} in {text}");
    }
    for (name, value) in found.options.iter().filter(|(_, value)| !value.is_null()) {
        assert!(text.contains(&format!("{name}: {value}")), "expected {name} in {text}");
    }
}

fn check_table<R: TableRecord>(record: &R) {
    let folder = tempfile::tempdir().unwrap();
    let (path, provenance) = (folder.path().join("table.parquet"), input(folder.path()));
    let mut writer = TableWriter::create(&path).unwrap().with_metadata(PROVENANCE_KEY, &provenance.to_json());
    writer.write(record).unwrap();
    writer.finish().unwrap();
    check_summary(&inspect_file(&path).unwrap(), &provenance);
}

fn task() -> TaskRecord {
    TaskRecord {
        cell_name: "a".to_owned(),
        prompt: "<pos> X: 1, Y: 2 <cs> GFAP </cs>".to_owned(),
        answer: "<pos> X: 4, Y: 5 <meta> class: Astro <cs> AQP4 </cs>".to_owned(),
        x: 4.0,
        y: 5.0,
        section: "s1".to_owned(),
        neighbor_cell_names: vec!["b".to_owned()],
        class: "Astro".to_owned(),
        split: "test".to_owned(),
        scenario: None,
    }
}

#[test]
fn every_table_says_where_it_came_from() {
    check_table(&CellRecord {
        cell_name: "a".to_owned(),
        ranking: GeneRanking::parse("GFAP AQP4").unwrap(),
        position: Position::new(1.0, 2.0).unwrap(),
        section: "s1".to_owned(),
        metadata: Metadata::new(),
    });
    check_table(&SentenceRecord { sentence: "<pos> X: 1, Y: 2 <cs> GFAP </cs>".to_owned(), ..SentenceRecord::default() });
    check_table(&task());
    check_table(&GeneratedRecord {
        task: task(),
        sample: 0,
        model_prompt: "<cs>".to_owned(),
        generated_text: "AQP4 </cs>".to_owned(),
        generated_block: "<cs> AQP4 </cs>".to_owned(),
        finish_reason: FinishReason::Closed,
        n_tokens: 2,
        repairs: 0,
    });
    check_table(&SurpriseRecord::new(0, &task(), Err("too long".to_owned())));
    check_table(&TruthRecord {
        cell_name: "a".to_owned(),
        oracle: GeneRanking::parse("GFAP").unwrap(),
        replicate: GeneRanking::parse("AQP4").unwrap(),
        class: "Astro".to_owned(),
        split: "test".to_owned(),
        proximal: true,
        knockout_neighbor: false,
    });
}

#[test]
fn a_table_of_tokens_says_where_it_came_from() {
    let folder = tempfile::tempdir().unwrap();
    let (path, provenance) = (folder.path().join("tokens.parquet"), input(folder.path()));
    let mut writer = TokenTableWriter::create(&path).unwrap().with_metadata(PROVENANCE_KEY, &provenance.to_json());
    writer.write(&TokenRow { input_ids: vec![5, 7], labels: vec![-100, 7], weights: vec![1.0, 1.0] }).unwrap();
    writer.finish().unwrap();
    check_summary(&inspect_file(&path).unwrap(), &provenance);
}

#[test]
fn an_anndata_file_and_the_cells_made_of_it_say_where_they_came_from() {
    let folder = tempfile::tempdir().unwrap();
    let (path, table, provenance) = (folder.path().join("a.h5ad"), folder.path().join("cells.parquet"), input(folder.path()));
    let mut writer = AnnDataWriter::create(&path, &["GFAP"], &["section"]).unwrap().with_text("provenance", &provenance.to_json());
    let position = Position::new(1.0, 2.0).unwrap();
    writer.push(&AnnDataRow { name: "a", position, columns: &["s1"], genes: &[0], values: &[1.0] }).unwrap();
    writer.finish().unwrap();
    let stored = AnnData::open(&path).unwrap().unstructured_text("tissuenarrator/provenance").unwrap();
    assert_eq!(stored.as_deref(), Some(provenance.to_json().as_str()));
    check_summary(&inspect_file(&path).unwrap(), &provenance);

    encode_file(&path, &table, &EncodeOptions::new().with_seed(3).with_max_genes(5)).unwrap();
    let summary = inspect_file(&table).unwrap();
    let expected = Provenance::new("encode").with_input(&path).unwrap();
    let found = summary.provenance.clone().unwrap();
    assert_eq!((found.step.as_str(), found.seed, &found.inputs), ("encode", Some(3), &expected.inputs));
    assert_eq!((&found.options["max_genes"], &found.options["normalize"]), (&5.into(), &"auto".into()));
    check_summary(&summary, &found);
}
