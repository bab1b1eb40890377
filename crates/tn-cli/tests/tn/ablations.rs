//! Runs without a part of what a model is usually told.

use tissuenarrator::io::{TableReader, TableRecord};
use tissuenarrator::sentence::{CellSentence, GeneratedRecord, SentenceRecord, SpatialSentence, TaskRecord};

use crate::folder::Folder;

fn rows<R: TableRecord>(folder: &Folder, name: &str) -> Vec<R> {
    TableReader::open(folder.path(name)).and_then(TableReader::read_all).unwrap_or_else(|error| panic!("{name}: {error}"))
}

#[test]
fn a_run_without_metadata_shows_none_anywhere() {
    let folder = Folder::with_tables();
    folder.run("patch cells.parquet -o bare.parquet --neighbors 4 --truncate 12 --meta=");
    folder.run("prompts cells.parquet -o bare_tasks.parquet --neighbors 4 --targets-per-class 2 --truncate 12 --meta=");
    assert!(rows::<SentenceRecord>(&folder, "bare.parquet").iter().all(|record| !record.sentence.contains("<meta>")));
    let tasks: Vec<TaskRecord> = rows(&folder, "bare_tasks.parquet");
    // What is known of the target stays in the table, for scores by class.
    assert!(tasks.iter().all(|task| !task.prompt.contains("<meta>") && !task.answer.contains("<meta>") && !task.class.is_empty()));

    folder.run("train bare.parquet -o run --steps 3 --batch 2");
    for mode in ["conditioned", "unconditioned"] {
        folder.run(&format!("generate bare_tasks.parquet -o {mode}.parquet --model run --max-new-tokens 8 --mode {mode}"));
        let generated: Vec<GeneratedRecord> = rows(&folder, &format!("{mode}.parquet"));
        assert!(generated.len() == tasks.len() && generated.iter().all(|record| !record.model_prompt.contains("<meta>")), "{mode}");
    }
}

#[test]
fn a_run_without_neighbors_shows_the_cell_alone() {
    let folder = Folder::with_tables();
    folder.run("patch cells.parquet -o alone.parquet --neighbors 0 --truncate 12");
    let sentences: Vec<SentenceRecord> = rows(&folder, "alone.parquet");
    assert_eq!(sentences.len(), 360);
    assert!(sentences.iter().all(|record| record.n_cells == 1));
    assert!(sentences.iter().all(|record| SpatialSentence::parse(&record.sentence).is_ok_and(|sentence| sentence.cells().len() == 1)));

    folder.run("prompts cells.parquet -o tasks_alone.parquet --neighbors 0 --targets-per-class 2 --truncate 12");
    let tasks: Vec<TaskRecord> = rows(&folder, "tasks_alone.parquet");
    let with_neighbors: Vec<TaskRecord> = rows(&folder, "tasks.parquet");
    assert!(tasks.iter().all(|task| task.prompt.is_empty() && task.neighbor_cell_names.is_empty()));
    // The same targets, so that scores can be compared row by row.
    let names = |tasks: &[TaskRecord]| tasks.iter().map(|task| (task.cell_name.clone(), task.answer.clone())).collect::<Vec<_>>();
    assert_eq!(names(&tasks), names(&with_neighbors));

    folder.run("train alone.parquet -o run --steps 3 --batch 2");
    folder.run("generate tasks_alone.parquet -o generated.parquet --model run --max-new-tokens 8");
    let generated: Vec<GeneratedRecord> = rows(&folder, "generated.parquet");
    assert!(generated.iter().all(|record| record.model_prompt.matches("<pos>").count() == 1 && !record.generated_text.is_empty()));
    folder.run("surprise tasks_alone.parquet -o surprise.parquet --model run");
    let nobody = ["none of the", "holds no readable cell"];
    folder.fail("baseline tasks_alone.parquet -o nearest.parquet --method nearest-neighbor", 3, &nobody);
    folder.run("baseline tasks_alone.parquet -o mean.parquet --method class-mean --cells cells.parquet");
    let scores = folder.json("score generated.parquet mean.parquet");
    assert_eq!(scores["generated.parquet"]["rows"], tasks.len());
}

#[test]
fn a_run_without_coordinates_tells_the_model_no_place() {
    let folder = Folder::with_tables();
    folder.run("train sentences.parquet -o run --steps 3 --batch 2 --without-coordinates");
    let tasks: Vec<TaskRecord> = rows(&folder, "tasks.parquet");
    for (mode, ending) in [("conditioned", " <cs>"), ("unconditioned", " <pos>")] {
        let options = format!("--model run --max-new-tokens 80 --mode {mode} --without-coordinates");
        folder.run(&format!("generate tasks.parquet -o {mode}.parquet {options}"));
        for (record, task) in rows::<GeneratedRecord>(&folder, &format!("{mode}.parquet")).iter().zip(&tasks) {
            assert!(!record.model_prompt.contains("X:") && record.model_prompt.ends_with(ending), "{}", record.model_prompt);
            assert_eq!(record.model_prompt.matches("<pos>").count(), 5);
            // What was written is a cell at the place of its target nevertheless.
            let cell = CellSentence::parse_lenient(&record.generated_block).0.expect("a cell was written");
            assert_eq!((cell.position().x(), cell.position().y()), (task.x.round_ties_even(), task.y.round_ties_even()));
        }
    }
    let generate = "generate tasks.parquet -o out.parquet --model run --max-new-tokens 2";
    for (options, warns) in [("", true), ("--without-coordinates", false)] {
        let output = folder.output(&format!("{generate} {options}"));
        let message = String::from_utf8_lossy(&output.stderr);
        assert_eq!(message.contains("run was trained without coordinates: give --without-coordinates"), warns, "{message}");
    }
    let surprise = |options: &str| {
        let result = folder.json(&format!("surprise tasks.parquet -o surprise.parquet --model run {options}"));
        result["mean_surprise"].as_f64().expect("a mean")
    };
    assert_ne!(surprise(""), surprise("--without-coordinates"));
    folder.run("tokenize sentences.parquet -o with.parquet --base run");
    folder.run("tokenize sentences.parquet -o without.parquet --base run --without-coordinates");
    assert!(folder.bytes("without.parquet").len() < folder.bytes("with.parquet").len());
}
