//! Tables of every record type, in every format.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;

use arrow::array::{ArrayRef, DictionaryArray, Float32Array, Int32Array, LargeStringArray, ListArray, RecordBatch, StringArray};
use arrow::datatypes::Int32Type;
use parquet::arrow::ArrowWriter;
use tn_io::{ColumnKind, PROVENANCE_KEY, Provenance, TableError, TableReader, TableRecord, TableWriter, TruthRecord};
use tn_sentence::{
    CellLikelihood, CellRecord, FinishReason, GeneRanking, GeneratedRecord, Metadata, Position, ScenarioLabel, SentenceRecord,
    SurpriseRecord, TaskRecord,
};

fn cell(name: &str) -> CellRecord {
    CellRecord {
        cell_name: name.to_owned(),
        ranking: GeneRanking::parse("GFAP AQP4").unwrap(),
        position: Position::new(-0.1, 1e-7).unwrap(),
        section: "s, 1".to_owned(),
        metadata: Metadata::from_pairs([("class", "L2/3 \"IT\"")]).unwrap(),
    }
}

fn task(name: &str) -> TaskRecord {
    TaskRecord {
        cell_name: name.to_owned(),
        prompt: "<pos> X: 1, Y: 2 <cs> GFAP </cs>".to_owned(),
        answer: "<pos> X: 4, Y: 5 <meta> class: Astro <cs> AQP4 </cs>".to_owned(),
        x: 4.25,
        y: 5.0,
        section: "s1".to_owned(),
        neighbor_cell_names: vec!["a, b".to_owned(), "c".to_owned()],
        class: "Astro".to_owned(),
        split: "test".to_owned(),
        scenario: None,
    }
}

fn check<R: TableRecord + PartialEq + std::fmt::Debug>(records: &[R], columns: &[&str]) {
    let folder = tempfile::tempdir().unwrap();
    for extension in ["parquet", "csv", "tsv"] {
        let path = folder.path().join(format!("table.{extension}"));
        let mut writer = TableWriter::create_with_columns(&path, columns).unwrap();
        writer.write_all(records).unwrap();
        writer.finish().unwrap();
        let read = TableReader::<R>::open(&path).unwrap().read_all().unwrap();
        assert_eq!(read, records, "{extension}");
        // The same rows give the same bytes, written one by one or together.
        let again = folder.path().join(format!("again.{extension}"));
        let mut writer = TableWriter::create_with_columns(&again, columns).unwrap();
        records.iter().for_each(|record| writer.write(record).unwrap());
        writer.finish().unwrap();
        assert!(fs::read(&path).unwrap() == fs::read(&again).unwrap(), "{extension}");
    }
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 6);
}

#[test]
fn several_row_groups_are_the_same_on_any_number_of_threads() {
    // About a kilobyte a row, and more rows than two row groups hold.
    let genes: Vec<String> = (0..150).map(|gene| format!("G{gene}")).collect();
    let cells: Vec<CellRecord> =
        (0..40_001).map(|i| CellRecord { ranking: GeneRanking::new(&genes[i % 50..]).unwrap(), ..cell(&i.to_string()) }).collect();
    let folder = tempfile::tempdir().unwrap();
    let write = |threads: usize| {
        let path = folder.path().join(format!("{threads}.parquet"));
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| {
            let mut writer = TableWriter::create_with_columns(&path, &["class"]).unwrap();
            // Parts of a size that fits neither batches nor row groups.
            cells.chunks(777).for_each(|part| writer.write_all(part).unwrap());
            writer.finish().unwrap();
            assert!(TableReader::<CellRecord>::open(&path).unwrap().read_all().unwrap() == cells, "{threads} threads");
        });
        fs::read(path).unwrap()
    };
    let expected = write(1);
    assert!([2, 8].into_iter().all(|threads| write(threads) == expected));
    let file = parquet::file::reader::SerializedFileReader::new(fs::File::open(folder.path().join("1.parquet")).unwrap()).unwrap();
    assert!(parquet::file::reader::FileReader::num_row_groups(&file) > 1);
}

#[test]
fn the_first_bad_row_of_many_row_groups_is_named() {
    let rows = 40_000;
    let sentences = (0..rows).map(|row| if row == 35_000 || row == 37_000 { "A A" } else { "A" });
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("cell_name", Arc::new(StringArray::from_iter_values((0..rows).map(|row| row.to_string())))),
        ("sentence", Arc::new(StringArray::from_iter_values(sentences))),
        ("x", Arc::new(Float32Array::from(vec![0.0; rows]))),
        ("y", Arc::new(Float32Array::from(vec![0.0; rows]))),
        ("section", Arc::new(StringArray::from_iter_values((0..rows).map(|_| "s")))),
    ];
    let batch = RecordBatch::try_from_iter(columns).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("cells.parquet");
    let properties = parquet::file::properties::WriterProperties::builder().set_max_row_group_row_count(Some(1_000)).build();
    let mut writer = ArrowWriter::try_new(fs::File::create(&path).unwrap(), batch.schema(), Some(properties)).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
    let error = TableReader::<CellRecord>::open(&path).unwrap().read_all().unwrap_err();
    assert!(matches!(error, TableError::InvalidValue { row: 35_000, .. }), "{error}");
}

#[test]
fn cells_survive_every_format() {
    let mut without_class = cell("b");
    without_class.metadata = Metadata::new();
    without_class.ranking = GeneRanking::default();
    check(&[cell("a"), without_class], &["class"]);
    check::<CellRecord>(&[], &["class"]);
    // More rows than fit into a batch.
    check(&(0..5_000).map(|i| cell(&i.to_string())).collect::<Vec<_>>(), &["class"]);
}

#[test]
fn sentences_survive_every_format() {
    let sentence = SentenceRecord {
        spatial_bin_id: "s1__0_3".to_owned(),
        section: "s1".to_owned(),
        sentence: "<pos> X: 1, Y: 2 <cs> GFAP </cs>\n<pos> X: 3, Y: 2 <cs> AQP4 </cs>".to_owned(),
        cell_names: vec!["a".to_owned(), "b\"c".to_owned()],
        cell_meta: vec!["class: x".to_owned(), "class: y, layer: z".to_owned()],
        n_cells: 2,
        traversal: "nearest-first".to_owned(),
        repeat_idx: 1,
        split: "train".to_owned(),
    };
    check(&[sentence], &[]);
}

#[test]
fn tasks_survive_every_format_with_and_without_a_scenario() {
    let label = |condition: &str| ScenarioLabel {
        scenario: "remove Microglia within 30".to_owned(),
        condition: condition.to_owned(),
        pair_id: "a#1".to_owned(),
    };
    let perturbed = TaskRecord { scenario: Some(label("perturbed")), ..task("a") };
    let lonely = TaskRecord { prompt: String::new(), neighbor_cell_names: Vec::new(), section: String::new(), ..task("b") };
    check(&[task("a"), perturbed, lonely], &[]);
}

#[test]
fn generated_cells_survive_every_format() {
    let generated = GeneratedRecord {
        task: task("a"),
        sample: 3,
        model_prompt: "… <cs>".to_owned(),
        generated_text: String::new(),
        generated_block: "<pos> X: 4, Y: 5 <cs> </cs>".to_owned(),
        finish_reason: FinishReason::Length,
        n_tokens: 400,
        repairs: 2,
    };
    check(&[generated], &[]);
}

fn likelihood() -> CellLikelihood {
    CellLikelihood {
        genes: GeneRanking::parse("GFAP AQP4").unwrap(),
        gene_log_probabilities: vec![-0.1 - 0.2, -1.0 / 3.0],
        header: -0.5,
        close: -1e-7,
        without_neighbors: -2.0,
        neighbors: vec!["a, \"b\"".to_owned(), "Astro at 4, 5".to_owned()],
        influences: vec![0.1, -3e-17],
        neighbors_left_out: 2,
    }
}

#[test]
fn surprises_survive_every_format_scored_or_not() {
    let alone = CellLikelihood { neighbors: Vec::new(), influences: Vec::new(), ..likelihood() };
    let unasked = CellLikelihood { influences: Vec::new(), ..likelihood() };
    let outcomes = [Ok(likelihood()), Ok(alone), Err("nothing \"observed\", none".to_owned()), Ok(unasked)];
    let record = |(row, outcome)| SurpriseRecord::new(row, &task("a"), outcome);
    check(&(0..).zip(outcomes).map(record).collect::<Vec<_>>(), &[]);
}

#[test]
fn lists_of_numbers_are_lists_in_parquet_and_json_in_text() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    for name in ["surprise.parquet", "surprise.csv"] {
        let mut writer = TableWriter::create(path(name)).unwrap();
        writer.write(&SurpriseRecord::new(0, &task("a"), Ok(likelihood()))).unwrap();
        writer.finish().unwrap();
    }
    let summary = tn_io::inspect_file(&path("surprise.parquet")).unwrap();
    let kind = |name: &str| summary.columns.iter().find(|column| column.name == name).unwrap().kind.clone();
    assert_eq!((kind("influences").as_str(), kind("neighbors").as_str()), ("lists of numbers", "lists"));
    let text = fs::read_to_string(path("surprise.csv")).unwrap();
    assert!(text.contains("\"[0.1, -3e-17]\""), "{text}");
    fs::write(path("broken.csv"), text.replace("[0.1, -3e-17]", "[0.1, x]")).unwrap();
    let error = TableReader::<SurpriseRecord>::open(path("broken.csv")).and_then(TableReader::read_all).unwrap_err();
    assert!(matches!(&error, TableError::InvalidValue { column, row: 0, .. } if column == "influences"), "{error}");
}

#[test]
fn lists_of_numbers_of_other_programs_are_read() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("surprise.parquet");
    let text = |value: &str| Arc::new(StringArray::from(vec![value])) as ArrayRef;
    let number = || Arc::new(Float32Array::from(vec![1.5])) as ArrayRef;
    let integers = ListArray::from_iter_primitive::<Int32Type, _, _>(vec![Some(vec![Some(-1)])]);
    let columns = |probabilities: ArrayRef| {
        vec![
            ("task", Arc::new(Int32Array::from(vec![0])) as ArrayRef),
            ("cell_name", text("a")),
            ("x", number()),
            ("y", number()),
            ("log_likelihood_without_neighbors", number()),
            ("close", number()),
            ("genes", text("['GFAP']")),
            ("gene_log_probabilities", probabilities),
            ("influences", text("[0.5]")),
        ]
    };
    write_arrow(&path, columns(Arc::new(integers)));
    let read = TableReader::<SurpriseRecord>::open(&path).unwrap().read_all().unwrap().remove(0);
    let likelihood = read.outcome.unwrap();
    assert_eq!((likelihood.gene_log_probabilities, likelihood.influences), (vec![-1.0], vec![0.5]));
    write_arrow(&path, columns(number()));
    let error = TableReader::<SurpriseRecord>::open(&path).unwrap_err();
    assert!(matches!(&error, TableError::WrongType { column, .. } if column == "gene_log_probabilities"), "{error}");
}

#[test]
fn the_truth_survives_every_format() {
    let truth = TruthRecord {
        cell_name: "a".to_owned(),
        oracle: GeneRanking::parse("GFAP AQP4").unwrap(),
        replicate: GeneRanking::parse("AQP4").unwrap(),
        class: "Astro".to_owned(),
        split: "test".to_owned(),
        proximal: true,
        knockout_neighbor: false,
    };
    check(&[truth], &[]);
}

#[test]
fn provenance_is_read_back_from_the_table() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("cells.parquet");
    let provenance = Provenance::new("encode").with_seed(42);
    let mut writer = TableWriter::create(&path).unwrap().with_metadata(PROVENANCE_KEY, &provenance.to_json());
    writer.write(&cell("a")).unwrap();
    writer.finish().unwrap();
    let metadata = TableReader::<CellRecord>::open(&path).unwrap().metadata();
    assert_eq!(Provenance::from_json(&metadata[PROVENANCE_KEY]), Some(provenance));
}

fn write_arrow(path: &Path, columns: Vec<(&str, ArrayRef)>) {
    let batch = RecordBatch::try_from_iter(columns).unwrap();
    let mut writer = ArrowWriter::try_new(fs::File::create(path).unwrap(), batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
}

#[test]
fn tables_of_other_programs_are_read() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("cells.parquet");
    let dictionary: DictionaryArray<Int32Type> = vec![Some("Astro"), None].into_iter().collect();
    write_arrow(
        &path,
        vec![
            ("sentence", Arc::new(LargeStringArray::from(vec!["gfap AQP4", "MBP"]))),
            ("cell_name", Arc::new(Int32Array::from(vec![7, 8]))),
            ("x", Arc::new(Float32Array::from(vec![1.5, 2.0]))),
            ("y", Arc::new(Int32Array::from(vec![3, 4]))),
            ("section", Arc::new(StringArray::from(vec!["s", "s"]))),
            ("Class", Arc::new(dictionary)),
            ("volume", Arc::new(Float32Array::from(vec![Some(0.5), None]))),
        ],
    );
    let cells = TableReader::<CellRecord>::open(&path).unwrap().read_all().unwrap();
    assert_eq!((cells[0].cell_name.as_str(), cells[0].ranking.to_string().as_str()), ("7", "GFAP AQP4"));
    assert_eq!((cells[0].position.x(), cells[1].position.y()), (1.5, 4.0));
    assert_eq!(cells[0].metadata.iter().collect::<Vec<_>>(), [("class", "Astro"), ("volume", "0.5")]);
    assert!(cells[1].metadata.is_empty());
}

#[test]
fn text_may_be_compressed() {
    let folder = tempfile::tempdir().unwrap();
    let plain = folder.path().join("tasks.tsv");
    let mut writer = TableWriter::create(&plain).unwrap();
    writer.write_all(&[task("a"), task("b")]).unwrap();
    writer.finish().unwrap();
    let path = folder.path().join("tasks.tsv.gz");
    let mut encoder = flate2::write::GzEncoder::new(fs::File::create(&path).unwrap(), flate2::Compression::fast());
    encoder.write_all(&fs::read(&plain).unwrap()).unwrap();
    encoder.finish().unwrap();
    assert_eq!(TableReader::<TaskRecord>::open(&path).unwrap().read_all().unwrap(), [task("a"), task("b")]);

    let bytes = fs::read(&path).unwrap();
    for length in 0..bytes.len() {
        fs::write(&path, &bytes[..length]).unwrap();
        assert!(TableReader::<TaskRecord>::open(&path).and_then(TableReader::read_all).is_err(), "cut to {length} bytes");
    }
    assert!(matches!(TableWriter::<TaskRecord>::create(&path), Err(TableError::UnknownFormat { .. })));
}

#[test]
fn the_misspelled_column_of_published_tables_is_read() {
    let text = |values: &[&str]| -> ArrayRef { Arc::new(StringArray::from(values.to_vec())) };
    let number = |value: f32| -> ArrayRef { Arc::new(Float32Array::from(vec![value])) };
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("published.parquet");
    let cells = |extra: Vec<(&'static str, ArrayRef)>| {
        let own = vec![
            ("cell_name", text(&["a"])),
            ("sentence", text(&["GFAP"])),
            ("x", number(1.0)),
            ("y", number(2.0)),
            ("section", text(&["s"])),
        ];
        write_arrow(&path, [own, extra].concat());
        TableReader::<CellRecord>::open(&path).unwrap().read_all().unwrap().remove(0).metadata
    };
    let metadata = cells(vec![("neigbor_class", text(&["T cell"]))]);
    assert_eq!((metadata.get("neighbor_class"), metadata.get("neigbor_class")), (Some("T cell"), None));
    let metadata = cells(vec![("neigbor_class", text(&["T cell"])), ("neighbor_class", text(&["B cell"]))]);
    assert_eq!((metadata.get("neighbor_class"), metadata.get("neigbor_class")), (Some("B cell"), Some("T cell")));

    let task = task("a");
    write_arrow(
        &path,
        vec![
            ("cell_name", text(&[&task.cell_name])),
            ("prompt", text(&[&task.prompt])),
            ("answer", text(&[&task.answer])),
            ("neigbor_class", text(&["['T cell', 'B cell']"])),
        ],
    );
    let read = TableReader::<TaskRecord>::open(&path).unwrap().read_all().unwrap().remove(0);
    assert_eq!((read.cell_name, read.answer, read.class.as_str()), (task.cell_name, task.answer, "Astro"));
}

#[test]
fn a_task_without_place_and_class_takes_them_from_its_answer() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tasks.csv");
    let answer = r#""<pos> X: 4, Y: 5 <meta> class: Astro <cs> AQP4 </cs>""#;
    fs::write(&path, format!("cell_name,prompt,answer,neighbor_cell_names\na,,{answer},\"['b', 'c']\"\n")).unwrap();
    let tasks = TableReader::<TaskRecord>::open(&path).unwrap().read_all().unwrap();
    assert_eq!((tasks[0].x, tasks[0].y, tasks[0].class.as_str()), (4.0, 5.0, "Astro"));
    assert_eq!(tasks[0].neighbor_cell_names, ["b", "c"]);
}

#[test]
fn predictions_of_other_programs_need_only_a_block() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("generated.csv");
    fs::write(&path, "cell_name,prompt,answer,x,y,class,generated_block\na,p,q,1,2,Astro,<cs> GFAP </cs>\n").unwrap();
    let generated = TableReader::<GeneratedRecord>::open(&path).unwrap().read_all().unwrap();
    assert_eq!(generated[0].generated_text, "<cs> GFAP </cs>");
    assert_eq!((generated[0].finish_reason, generated[0].sample), (FinishReason::Closed, 0));
}

fn check_error(content: &str, expected: &str) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("cells.csv");
    fs::write(&path, content).unwrap();
    let error = TableReader::<CellRecord>::open(&path).and_then(TableReader::read_all).unwrap_err();
    let message = error.to_string().replace(&folder.path().display().to_string(), "");
    assert_eq!(message, expected);
}

#[test]
fn errors_name_the_file_the_row_and_the_column() {
    check_error("cell_name,x,y\na,1,2\n", r#"/cells.csv has no column "sentence"; columns are cell_name, x, y"#);
    check_error("cell_name,sentence,x,y,section\na,GFAP,1,2,s\nb,GFAP,left,2,s\n", r#"row 1 of /cells.csv: "x" is "left""#);
    check_error("cell_name,sentence,x,y,section\na,GFAP,,2,s\n", r#"row 0 of /cells.csv has no "x""#);
    check_error("cell_name,sentence,x,y,section\na,GFAP GFAP,1,2,s\n", r#"row 0 of /cells.csv: "sentence" is "GFAP GFAP""#);
    check_error("cell_name,sentence,x,y,section\na,GFAP,inf,2,s\n", r#"row 0 of /cells.csv: "x, y" is "inf, 2""#);
    check_error("cell_name,sentence,x,y,section\na,GFAP,1,nan,s\n", r#"row 0 of /cells.csv: "x, y" is "1, NaN""#);
    check_error("cell_name,sentence,x,y,section\na,GFAP\n", "/cells.csv is not a well-formed table");
}

#[test]
fn a_column_of_the_wrong_type_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("cells.parquet");
    let text = || Arc::new(StringArray::from(vec!["a"])) as ArrayRef;
    write_arrow(&path, vec![("cell_name", text()), ("sentence", text()), ("x", text()), ("y", text()), ("section", text())]);
    let error = TableReader::<CellRecord>::open(&path).unwrap_err();
    assert!(matches!(&error, TableError::WrongType { column, expected: ColumnKind::Number, .. } if column == "x"), "{error}");

    let list = ListArray::from_iter_primitive::<Int32Type, _, _>(vec![Some(vec![Some(1)])]);
    write_arrow(&path, vec![("sentence", Arc::new(list))]);
    let error = TableReader::<SentenceRecord>::open(&path).unwrap_err();
    assert!(matches!(&error, TableError::WrongType { column, .. } if column == "sentence"), "{error}");
}

#[test]
fn a_table_needs_a_known_extension_and_distinct_columns() {
    let unknown = TableReader::<CellRecord>::open("cells.xlsx").unwrap_err();
    assert_eq!(unknown.to_string(), r#"cells.xlsx has the extension "xlsx", expected .parquet, .csv or .tsv"#);
    let repeated = TableWriter::<CellRecord>::create_with_columns("cells.csv", &["x"]).unwrap_err();
    assert!(matches!(repeated, TableError::RepeatedColumn { .. }));
}

#[test]
fn an_unfinished_table_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["cells.parquet", "cells.csv"] {
        let mut writer = TableWriter::create(folder.path().join(name)).unwrap();
        writer.write(&cell("a")).unwrap();
        drop(writer);
    }
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}
