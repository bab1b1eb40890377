//! How probable observed cells are.

use tissuenarrator::io::{TableReader, TableRecord, TableWriter};
use tissuenarrator::model::SentenceTokenizer;
use tissuenarrator::model::kernels::packed_linear::WeightFormat;
use tissuenarrator::model::likelihood::CellScorer;
use tissuenarrator::model::qwen3::PackedQwen3;
use tissuenarrator::sentence::{CellLikelihood, CellSentence, Conditioning, PromptBuilder, SurpriseRecord, TaskRecord};

use crate::folder::Folder;

fn rows<R: TableRecord>(folder: &Folder, name: &str) -> Vec<R> {
    TableReader::open(folder.path(name)).and_then(TableReader::read_all).unwrap_or_else(|error| panic!("{name}: {error}"))
}

fn write(folder: &Folder, name: &str, tasks: &[TaskRecord]) {
    let mut writer = TableWriter::create(folder.path(name)).expect("a table");
    writer.write_all(tasks).and_then(|()| writer.finish()).expect("a table");
}

/// Scores tasks that can all be scored.
fn score(folder: &Folder, options: &str) -> Vec<CellLikelihood> {
    folder.run(&format!("surprise tasks.parquet -o out.parquet {options}"));
    let likelihood = |record: SurpriseRecord| record.outcome.unwrap_or_else(|error| panic!("{options}: {error}"));
    rows(folder, "out.parquet").into_iter().map(likelihood).collect()
}

#[test]
fn observed_cells_are_scored_as_by_the_library() {
    let folder = Folder::with_model();
    let tasks: Vec<TaskRecord> = rows(&folder, "tasks.parquet");
    let result = folder.json("surprise tasks.parquet -o surprise.parquet --model run");
    let records: Vec<SurpriseRecord> = rows(&folder, "surprise.parquet");
    assert!(!folder.has("surprise.parquet.partial"));

    let model = PackedQwen3::load(folder.path("run"), WeightFormat::F32).expect("a model");
    let tokenizer = SentenceTokenizer::load(folder.path("run")).expect("a tokenizer");
    let scorer = CellScorer::new(model, tokenizer, PromptBuilder::new(Conditioning::Conditioned)).expect("one folder");
    let expected = (0..).zip(&tasks).map(|(row, task)| SurpriseRecord::new(row, task, Ok(scorer.score(task).expect("an observed cell"))));
    assert!(records == expected.collect::<Vec<_>>());

    let likelihoods: Vec<&CellLikelihood> = records.iter().flat_map(|record| &record.outcome).collect();
    for (likelihood, task) in likelihoods.iter().zip(&tasks) {
        let answer = CellSentence::parse(&task.answer).expect("an observed cell");
        assert_eq!(&likelihood.genes, answer.ranking());
        assert_eq!(likelihood.genes.len(), likelihood.gene_log_probabilities.len());
        let (mut shown, mut named) = (likelihood.neighbors.clone(), task.neighbor_cell_names.clone());
        shown.sort();
        named.sort();
        assert_eq!((shown, likelihood.influences.len()), (named, 4));
    }
    assert_eq!((&result["tasks"], &result["scored"], &result["failed"]), (&tasks.len().into(), &tasks.len().into(), &0.into()));
    let mean = likelihoods.iter().map(|likelihood| likelihood.surprise()).sum::<f64>() / tasks.len() as f64;
    assert!((result["mean_surprise"].as_f64().expect("a mean") - mean).abs() < 1e-9, "{result:#} and {mean}");

    folder.run("surprise tasks.parquet -o surprise.csv --model run");
    assert!(rows::<SurpriseRecord>(&folder, "surprise.csv") == records);
}

#[test]
fn influences_can_be_left_out() {
    let folder = Folder::with_model();
    let with = score(&folder, "--model run");
    let without = score(&folder, "--model run --no-influence");
    assert!(with.iter().all(|likelihood| likelihood.influences.iter().any(|influence| *influence != 0.0)));
    let expected = with.into_iter().map(|likelihood| CellLikelihood { influences: Vec::new(), ..likelihood });
    assert!(without == expected.collect::<Vec<_>>());
}

#[test]
fn modes_and_orders_show_the_model_other_prompts() {
    let folder = Folder::with_model();
    let total = |options: &str| score(&folder, &format!("--model run {options}")).iter().map(CellLikelihood::total).sum::<f64>();
    let usual = total("");
    for options in ["--mode position-only", "--order near-to-far", "--max-cells 1", "--tau 0", "--seed 7"] {
        let other = total(options);
        assert!(other.is_finite() && other != usual, "{options}: {other}");
    }
    // The genes follow the same header, whoever has written it.
    let unconditioned = score(&folder, "--model run --mode unconditioned");
    assert!((unconditioned.iter().map(CellLikelihood::total).sum::<f64>() - usual).abs() < 1e-3);
    assert!(unconditioned.iter().all(|likelihood| likelihood.header < 0.0));
    let one = score(&folder, "--model run --max-cells 1 --order far-to-near");
    assert!(one.iter().all(|likelihood| likelihood.neighbors.len() == 1 && likelihood.influences.len() == 1));
    // The only neighbor is all of the neighborhood.
    assert!(one.iter().all(|likelihood| (likelihood.influences[0] - likelihood.gain()).abs() < 1e-9));
}

#[test]
fn smaller_weights_and_merged_adapters_change_little() {
    let folder = Folder::with_model();
    let near = |one: &[CellLikelihood], other: &[CellLikelihood], tolerance: f64| {
        one.iter().zip(other).all(|(one, other)| (one.surprise() - other.surprise()).abs() < tolerance)
    };
    let base = score(&folder, "--model run");
    for weights in ["bf16", "int8"] {
        let rounded = score(&folder, &format!("--model run --weights {weights}"));
        assert!(rounded != base && near(&rounded, &base, 0.1), "{weights}");
    }
    folder.run("train sentences.parquet -o lora --base run --lora-rank 4 --lora-alpha 8 --lr 1e-2 --steps 3 --batch 2");
    folder.run("merge --base run --adapter lora/adapter -o merged");
    let (adapted, merged) = (score(&folder, "--model run --adapter lora/adapter"), score(&folder, "--model merged"));
    assert!(near(&adapted, &merged, 1e-4) && !near(&adapted, &base, 1e-3));
}

#[test]
fn a_task_without_an_observed_cell_is_named_with_the_reason() {
    let folder = Folder::with_model();
    let mut tasks: Vec<TaskRecord> = rows(&folder, "tasks.parquet");
    tasks[1].answer = String::new();
    write(&folder, "some.parquet", &tasks);
    let output = folder.output("surprise some.parquet -o out.parquet --model run --json");
    let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{stderr}");
    let reason = format!("the task of cell {} has no observed genes", tasks[1].cell_name);
    assert!(stderr.contains(&format!("1 of {} tasks could not be scored; the first one: {reason}", tasks.len())), "{stderr}");
    let result: serde_json::Value = serde_json::from_str(&stdout).expect("one JSON object");
    assert_eq!((&result["failed"], &result["scored"]), (&1.into(), &(tasks.len() - 1).into()));
    for (record, row) in rows::<SurpriseRecord>(&folder, "out.parquet").into_iter().zip(0..) {
        assert_eq!((record.task, record.outcome.err()), (row, (row == 1).then(|| reason.clone())));
    }

    tasks.iter_mut().for_each(|task| task.answer = String::new());
    write(&folder, "none.parquet", &tasks);
    let parts = ["none of the", "has no observed genes", "`tn prompts`"];
    folder.fail("surprise none.parquet -o other.parquet --model run", 3, &parts);
}

#[test]
fn prompts_that_are_too_long_lose_their_farthest_neighbors() {
    let folder = Folder::with_model();
    let config: serde_json::Value = serde_json::from_str(&folder.text("run/config.json")).expect("a configuration");
    let read_at_most = |context: usize| {
        let mut config = config.clone();
        config["max_position_embeddings"] = context.into();
        std::fs::write(folder.path("run/config.json"), config.to_string()).expect("a file");
    };
    read_at_most(90);
    let result = folder.json("surprise tasks.parquet -o out.parquet --model run");
    let records: Vec<SurpriseRecord> = rows(&folder, "out.parquet");
    let left_out: Vec<usize> = records.iter().flat_map(|record| &record.outcome).map(|found| found.neighbors_left_out as usize).collect();
    assert_eq!(left_out.len(), records.len());
    assert!(left_out.iter().all(|&left_out| (1..=4).contains(&left_out)), "{left_out:?}");
    assert_eq!(
        (&result["shortened_prompts"], &result["neighbors_left_out"]),
        (&records.len().into(), &left_out.iter().sum::<usize>().into())
    );
    for likelihood in records.iter().flat_map(|record| &record.outcome) {
        let shown = 4 - likelihood.neighbors_left_out as usize;
        assert_eq!((likelihood.neighbors.len(), likelihood.influences.len()), (shown, shown));
    }
    read_at_most(8);
    folder.fail("surprise tasks.parquet -o other.parquet --model run", 3, &["without any neighbor", "context is 8", "--answer-genes"]);
}
