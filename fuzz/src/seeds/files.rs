//! Seeds of the readers of files.

use std::fs;
use std::io::Write;
use std::path::Path;

use flate2::Compression;
use flate2::write::GzEncoder;
use tn_io::{AnnDataRow, AnnDataWriter, TableRecord, TableWriter, TruthRecord};
use tn_sentence::{
    CellLikelihood, CellRecord, FinishReason, GeneRanking, GeneratedRecord, Metadata, Position, ScenarioLabel, SentenceRecord,
    SurpriseRecord, TaskRecord,
};

use super::{ANSWER, GENERATED, NEIGHBORS, save};
use crate::table::EXTENSIONS;

const GOLDEN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../data-fixtures/golden");

/// Seeds of the reader of AnnData files: those that anndata and h5py wrote, and one of our own.
pub fn h5ad() {
    for entry in fs::read_dir(Path::new(GOLDEN).join("anndata")).expect("the committed files").flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.ends_with(".h5ad") {
            save("h5ad", &name, &fs::read(entry.path()).expect("a committed file"));
        }
    }
    let folder = tempfile::tempdir().expect("a folder for temporary files");
    let path = folder.path().join("own.h5ad");
    let mut writer = AnnDataWriter::create(&path, &["GFAP", "AQP4", "MBP"], &["section", "class"]).expect("distinct columns");
    for (name, class, genes) in [("a", "Astro", &[0, 2][..]), ("b", "", &[1])] {
        let values = &[3.0, 1.0][..genes.len()];
        let row = AnnDataRow { name, position: position(), columns: &["s1", class], genes, values };
        writer.push(&row).expect("space for temporary files");
    }
    writer.finish().expect("space for temporary files");
    save("h5ad", "own.h5ad", &fs::read(&path).expect("a file just written"));
}

/// Seeds of the readers of tables: every record in every format, and a table that another program wrote.
pub fn table() {
    let task = TaskRecord {
        cell_name: "t".to_owned(),
        prompt: NEIGHBORS.to_owned(),
        answer: ANSWER.to_owned(),
        x: 4768.25,
        neighbor_cell_names: vec!["a, b".to_owned(), "c".to_owned()],
        scenario: Some(ScenarioLabel { scenario: "knockout".to_owned(), condition: "control".to_owned(), pair_id: "1".to_owned() }),
        ..TaskRecord::default()
    };
    let likelihood = CellLikelihood { genes: ranking(), gene_log_probabilities: vec![-1.5, -0.25], ..CellLikelihood::default() };
    let surprise = SurpriseRecord::new(0, &task, Ok(likelihood));
    let cell = CellRecord {
        cell_name: "c".to_owned(),
        ranking: ranking(),
        position: position(),
        section: "s, 1".to_owned(),
        metadata: Metadata::from_pairs([("class", "L2/3 \"IT\"")]).expect("a key that can be written"),
    };
    let sentence = SentenceRecord { sentence: NEIGHBORS.to_owned(), cell_names: vec!["a".to_owned()], ..SentenceRecord::default() };
    let generated = GeneratedRecord {
        task: task.clone(),
        sample: 1,
        model_prompt: NEIGHBORS.to_owned(),
        generated_text: GENERATED.to_owned(),
        generated_block: ANSWER.to_owned(),
        finish_reason: FinishReason::Length,
        n_tokens: 12,
        repairs: 1,
    };
    let truth = TruthRecord {
        cell_name: "c".to_owned(),
        oracle: ranking(),
        replicate: ranking(),
        class: "Astro".to_owned(),
        split: "test".to_owned(),
        proximal: true,
        knockout_neighbor: false,
    };
    save_tables("cells", &cell, &["class"]);
    save_tables("sentences", &sentence, &[]);
    save_tables("tasks", &task, &[]);
    save_tables("generated", &generated, &[]);
    save_tables("surprise", &surprise, &[]);
    save_tables("truth", &truth, &[]);
    let xenium = fs::read(Path::new(GOLDEN).join("sections/xenium/cells.parquet")).expect("a committed file");
    save("table", "xenium.parquet", &with_format(0, &xenium));
}

fn save_tables<R: TableRecord>(name: &str, record: &R, columns: &[&str]) {
    let folder = tempfile::tempdir().expect("a folder for temporary files");
    for (format, extension) in EXTENSIONS.iter().enumerate() {
        let is_compressed = extension.ends_with(".gz");
        let path = folder.path().join(format!("{name}.{}", extension.trim_end_matches(".gz")));
        let mut writer = TableWriter::<R>::create_with_columns(&path, columns).expect("distinct columns");
        writer.write(record).expect("space for temporary files");
        writer.finish().expect("space for temporary files");
        let bytes = fs::read(&path).expect("a file just written");
        let bytes = if is_compressed { compress(&bytes) } else { bytes };
        save("table", &format!("{name}.{extension}"), &with_format(format, &bytes));
    }
}

fn with_format(format: usize, bytes: &[u8]) -> Vec<u8> {
    [&[format as u8], bytes].concat()
}

fn compress(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).and_then(|()| encoder.finish()).expect("memory does not fail")
}

fn position() -> Position {
    Position::new(12.5, -80.0).expect("finite")
}

fn ranking() -> GeneRanking {
    GeneRanking::parse("GFAP AQP4").expect("distinct symbols")
}
