//! Runs without a part of what a model is usually told.

use tissuenarrator::io::{TableReader, TableRecord};
use tissuenarrator::sentence::{GeneratedRecord, SentenceRecord, SpatialSentence, TaskRecord};

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
