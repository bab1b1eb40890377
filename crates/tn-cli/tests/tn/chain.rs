//! From a simulated tissue to scores.

use serde_json::json;
use tissuenarrator::io::{TableReader, TableRecord, content_hash};
use tissuenarrator::sentence::{CellRecord, CellSentence, FinishReason, GeneratedRecord, SentenceRecord, TaskRecord};

use crate::folder::Folder;

fn rows<R: TableRecord>(folder: &Folder, name: &str) -> Vec<R> {
    TableReader::open(folder.path(name)).and_then(TableReader::read_all).unwrap_or_else(|error| panic!("{name}: {error}"))
}

#[test]
fn every_step_hands_its_table_to_the_next() {
    let folder = Folder::with_model();
    let cells: Vec<CellRecord> = rows(&folder, "cells.parquet");
    assert_eq!(cells.len(), 360);
    assert!(cells.iter().all(|cell| cell.class().is_some() && cell.split().is_some()));

    let sentences: Vec<SentenceRecord> = rows(&folder, "sentences.parquet");
    assert_eq!(sentences.len(), 360);
    assert!(sentences.iter().all(|record| record.n_cells == 5 && record.sentence.contains("spatial_domain: ")));

    let tasks: Vec<TaskRecord> = rows(&folder, "tasks.parquet");
    assert!(tasks.len() <= 16 && tasks.iter().all(|task| task.split == "test" && task.neighbor_cell_names.len() == 4));

    for name in ["config.json", "model.safetensors", "tokenizer.json", "panel.txt", "training.json"] {
        assert!(folder.has(&format!("run/{name}")), "{name}");
    }
    assert_eq!(folder.text("run/panel.txt").lines().count(), 60);
    assert!(!folder.has("run/training_state.safetensors") && !folder.has("run/training_log.jsonl"));

    let result = folder.json("generate tasks.parquet -o generated.parquet --model run --samples 2 --max-new-tokens 8");
    assert_eq!(result["cells"], 2 * tasks.len());
    let generated: Vec<GeneratedRecord> = rows(&folder, "generated.parquet");
    assert_eq!(generated.len(), 2 * tasks.len());
    let panel = folder.text("run/panel.txt");
    for record in &generated {
        let cell = CellSentence::parse_lenient(&record.generated_block).0.expect("a cell was written");
        assert_eq!(cell.class(), Some(record.task.class.as_str()));
        assert!(cell.ranking().genes().iter().all(|gene| panel.lines().any(|symbol| symbol == gene.as_str())));
        assert!(record.model_prompt.ends_with(" <cs>"));
    }
    assert!(!folder.has("generated.parquet.partial"));

    folder.run("baseline tasks.parquet -o oracle.parquet --method oracle --truth truth.parquet");
    folder.run("baseline tasks.parquet -o random.csv --method random --cells cells.parquet");
    let scores = folder.json("score generated.parquet oracle.parquet random.csv --k 5,10");
    let overlap = |name: &str| scores[name]["overlap@10"]["mean"].as_f64().expect("a mean");
    assert_eq!(scores["generated.parquet"]["rows"], tasks.len());
    assert!(overlap("oracle.parquet") > overlap("random.csv") + 0.2, "{scores:#}");

    let table = folder.run("score generated.parquet oracle.parquet --k 5");
    assert_eq!(table.lines().count(), 3, "{table}");
    assert!(
        table.contains("overlap@5") && table.contains("recall@5") && table.contains("ndcg@5") && table.contains("ndcg_published@5"),
        "{table}"
    );
}

#[test]
fn smaller_weights_write_cells_of_the_same_panel() {
    let folder = Folder::with_model();
    let panel = folder.text("run/panel.txt");
    for weights in ["f32", "bf16", "int8"] {
        folder.run(&format!(
            "generate tasks.parquet -o {weights}.parquet --model run --temperature 1 --max-new-tokens 8 --weights {weights}"
        ));
        let generated: Vec<GeneratedRecord> = rows(&folder, &format!("{weights}.parquet"));
        let cells = generated.iter().filter_map(|record| CellSentence::parse_lenient(&record.generated_block).0);
        let genes: Vec<String> =
            cells.flat_map(|cell| cell.ranking().genes().iter().map(ToString::to_string).collect::<Vec<_>>()).collect();
        assert!(!genes.is_empty() && genes.iter().all(|gene| panel.lines().any(|symbol| symbol == gene)), "{weights}: {genes:?}");
    }
    folder.run("generate tasks.parquet -o default.parquet --model run --temperature 1 --max-new-tokens 8");
    assert!(rows::<GeneratedRecord>(&folder, "default.parquet") == rows::<GeneratedRecord>(&folder, "f32.parquet"));
}

#[test]
fn an_expected_ranking_that_no_longer_changes_is_not_drawn_further() {
    let folder = Folder::with_model();
    let tokens = |options: &str| {
        let result = folder.json(&format!("generate tasks.parquet -o out.parquet --model run --consensus --samples 64 {options}"));
        result["tokens"].as_u64().expect("a count")
    };
    // The first gene settles before all sixty do.
    let (all, sixty, one) = (tokens(""), tokens("--early-stop 60"), tokens("--early-stop 1"));
    assert!(one < all && one <= sixty && sixty <= all, "{one}, {sixty} and {all} tokens");
}

#[test]
fn every_baseline_writes_every_task() {
    let folder = Folder::with_tables();
    let tasks: Vec<TaskRecord> = rows(&folder, "tasks.parquet");
    for (method, options) in [
        ("nearest-neighbor", ""),
        ("majority", "--radius 100"),
        ("same-class", ""),
        ("class-mean", "--cells cells.parquet"),
        ("class-mean", "--cells cells.parquet --mode unconditioned"),
        ("random", ""),
        ("random", "--panel sections.h5ad"),
        ("oracle", "--truth truth.parquet"),
        ("replicate", "--truth truth.parquet"),
    ] {
        folder.run(&format!("baseline tasks.parquet -o out.parquet --method {method} {options}"));
        let generated: Vec<GeneratedRecord> = rows(&folder, "out.parquet");
        assert_eq!(generated.len(), tasks.len(), "{method}");
        assert!(generated.iter().all(|record| record.finish_reason == FinishReason::Closed), "{method}");
    }
}

#[test]
fn a_model_writes_in_every_mode() {
    let folder = Folder::with_model();
    for (options, ending) in [
        ("--mode unconditioned --max-new-tokens 30", "Y: "),
        ("--mode position-only --max-new-tokens 8", " <cs>"),
        ("--greedy --free --max-new-tokens 8", " <cs>"),
        ("--consensus --samples 3 --max-new-tokens 8", " <cs>"),
        ("--order near-to-far --max-cells 1 --max-new-tokens 8", " <cs>"),
    ] {
        folder.run(&format!("generate tasks.parquet -o out.parquet --model run {options}"));
        for record in rows::<GeneratedRecord>(&folder, "out.parquet") {
            let end = record.model_prompt.trim_end_matches(|c: char| c.is_ascii_digit() || c == '-');
            assert!(end.ends_with(ending), "{options}: {}", record.model_prompt);
            assert_ne!(record.finish_reason, FinishReason::Error, "{options}");
        }
    }
}

#[test]
fn headers_and_genes_are_those_of_the_training_cells() {
    let folder = Folder::with_model();
    assert!(folder.text("run/header.json").contains(r#""key": "class""#));
    // Genes of several tokens too.
    std::fs::write(folder.path("genes.txt"), "GFAP\nNOT-IN-THE-TOKENIZER\nNOT-EITHER\n").expect("a file");
    for options in ["", "--panel genes.txt", "--panel genes.txt --consensus --samples 2"] {
        folder.run(&format!("generate tasks.parquet -o out.parquet --model run --mode unconditioned --max-new-tokens 120 {options}"));
        for record in rows::<GeneratedRecord>(&folder, "out.parquet") {
            let cell = CellSentence::parse(&record.generated_block).expect("a well-formed cell");
            assert!(cell.metadata().get("class").is_some_and(|class| !class.is_empty()), "{}", record.generated_block);
            let unknown = cell.ranking().iter().find(|gene| !["GFAP", "NOT-IN-THE-TOKENIZER", "NOT-EITHER"].contains(gene));
            assert!(options.is_empty() || unknown.is_none(), "{unknown:?}");
        }
    }
}

#[test]
fn a_consensus_names_many_more_genes_than_were_drawn() {
    let folder = Folder::with_model();
    folder.run("generate tasks.parquet -o out.parquet --model run --consensus --samples 2 --max-new-tokens 5");
    for record in rows::<GeneratedRecord>(&folder, "out.parquet") {
        let cell = CellSentence::parse(&record.generated_block).expect("a well-formed cell");
        assert!(cell.ranking().len() > 10);
        assert!(record.n_tokens <= 10);
    }
}

#[test]
fn an_adapter_and_the_merged_model_write_the_same() {
    let folder = Folder::with_model();
    folder.run("train sentences.parquet -o lora --base run --lora-rank 4 --lora-alpha 8 --lr 1e-2 --steps 3 --batch 2");
    for name in ["adapter/adapter_config.json", "adapter/adapter_model.safetensors", "adapter/panel.txt", "training.json"] {
        assert!(folder.has(&format!("lora/{name}")), "{name}");
    }
    assert!(!folder.has("lora/model.safetensors"));
    folder.run("merge --base run --adapter lora/adapter -o merged");

    folder.run("generate tasks.parquet -o base.parquet --model run --greedy --max-new-tokens 8");
    folder.run("generate tasks.parquet -o adapted.parquet --model run --adapter lora/adapter --greedy --max-new-tokens 8");
    folder.run("generate tasks.parquet -o merged.parquet --model merged --greedy --max-new-tokens 8");
    let texts = |name| rows::<GeneratedRecord>(&folder, name).into_iter().map(|record| record.generated_text).collect::<Vec<_>>();
    assert_eq!(texts("adapted.parquet"), texts("merged.parquet"));
    assert_ne!(texts("adapted.parquet"), texts("base.parquet"));

    // Without the adapter, the model is not restricted to what it has learned.
    assert!(folder.has("merged/header.json") && folder.has("merged/panel.txt"));
    folder.run("merge --base merged --adapter lora/adapter -o restored --undo");
    assert!(!folder.has("restored/header.json") && !folder.has("restored/panel.txt"));
}

#[test]
fn all_weights_of_a_checkpoint_can_be_trained() {
    let folder = Folder::with_model();
    folder.run("train sentences.parquet -o full --base run --full --steps 2 --batch 2");
    assert!(folder.has("full/model.safetensors") && !folder.has("full/adapter"));
    assert_ne!(folder.bytes("full/model.safetensors"), folder.bytes("run/model.safetensors"));
}

#[test]
fn bins_and_neighborhoods_are_two_ways_to_make_sentences() {
    let folder = Folder::with_tables();
    folder.run("patch cells.parquet -o bins.parquet --bin-width 100 --min-cells 2 --meta class --sentence-meta spatial_domain");
    let bins: Vec<SentenceRecord> = rows(&folder, "bins.parquet");
    assert!(bins.iter().all(|record| record.sentence.starts_with("spatial_domain: ") && record.traversal == "nearest-first"));
    assert!(bins.iter().any(|record| record.repeat_idx == 1));

    folder.run("patch cells.parquet -o near.parquet --radius 40 --min-cells 1 --split test");
    let near: Vec<SentenceRecord> = rows(&folder, "near.parquet");
    assert!(near.iter().all(|record| record.split == "test" && record.repeat_idx == 0));
}

#[test]
fn a_file_is_summarized() {
    let folder = Folder::with_model();
    let text = folder.run("inspect sections.h5ad");
    for part in ["360", "60 genes", "counts", "--class", "spatial_domain", "bins of 200 micrometers"] {
        assert!(text.contains(part), "{part:?} in\n{text}");
    }
    assert_eq!(folder.json("inspect tasks.parquet")["rows"], rows::<TaskRecord>(&folder, "tasks.parquet").len());

    // Every section of the file and of the table of its cells has bins, and every cell lies in one.
    for name in ["sections.h5ad", "cells.parquet"] {
        let summary = folder.json(&format!("inspect {name} --tokenizer run"));
        let bins = summary["bins"].as_array().expect("a list");
        assert_eq!(bins.len(), 3, "{summary:#}");
        assert_eq!(bins.iter().map(|section| section["cells"].as_u64().expect("a count")).sum::<u64>(), 360, "{summary:#}");
        let tokens = |key: &str| summary["tokens"][key].as_f64().expect("a number");
        assert!(tokens("per_cell") > 10.0 && tokens("max") >= tokens("mean"), "{summary:#}");
    }
    folder.fail("inspect sections.h5ad --tokenizer nowhere", 3, &["nowhere"]);
}

#[test]
fn every_output_says_where_it_came_from() {
    let folder = Folder::with_model();
    folder.run("generate tasks.parquet -o generated.parquet --model run --max-new-tokens 2");
    folder.run("baseline tasks.parquet -o baseline.parquet --method nearest-neighbor");
    folder.run("surprise tasks.parquet -o surprise.parquet --model run");
    folder.run("tokenize sentences.parquet -o tokens.parquet --base run");
    for (output, step, input) in [
        ("sections.h5ad", "simulate", None),
        ("truth.parquet", "simulate", None),
        ("cells.parquet", "encode", Some("sections.h5ad")),
        ("sentences.parquet", "patch", Some("cells.parquet")),
        ("tasks.parquet", "prompts", Some("cells.parquet")),
        ("generated.parquet", "generate", Some("tasks.parquet")),
        ("baseline.parquet", "baseline", Some("tasks.parquet")),
        ("surprise.parquet", "surprise", Some("tasks.parquet")),
        ("tokens.parquet", "tokenize", Some("sentences.parquet")),
    ] {
        let provenance = &folder.json(&format!("inspect {output}"))["provenance"];
        assert_eq!(provenance["step"], step, "{output}");
        assert_eq!(provenance["version"], env!("CARGO_PKG_VERSION"), "{output}");
        assert_eq!(provenance["seed"], 42, "{output}");
        assert!(provenance["options"].as_object().is_some_and(|options| !options.is_empty()), "{output}: {provenance:#}");
        if let Some(input) = input {
            let (hash, bytes) = content_hash(folder.bytes(input).as_slice()).expect("a hash");
            let expected = json!({ "name": input, "bytes": bytes, "hash": format!("{hash:016x}") });
            let inputs = provenance["inputs"].as_array().expect("a list");
            assert!(inputs.contains(&expected), "{output}: {provenance:#}");
        }
        assert!(folder.run(&format!("inspect {output}")).contains(&format!("made by {step} ")), "{output}");
    }
}

#[test]
fn bins_can_begin_elsewhere() {
    let folder = Folder::with_tables();
    let bins = |offset: &str| -> Vec<(String, String)> {
        folder.run(&format!("patch cells.parquet -o bins.parquet --bin-width 120 --repeats 1 --min-cells 1 {offset}"));
        let sentences: Vec<SentenceRecord> = rows(&folder, "bins.parquet");
        assert_eq!(sentences.iter().map(|record| record.n_cells).sum::<u32>(), 360, "{offset}");
        sentences.into_iter().map(|record| (record.spatial_bin_id, record.sentence)).collect()
    };
    let usual = bins("");
    assert_eq!(usual, bins("--bin-offset 0,0"));
    assert_ne!(usual, bins("--bin-offset -50,20.5"));
    // One bin farther, the same cells have other names.
    let names = |bins: &[(String, String)]| bins.iter().map(|(id, _)| id.clone()).collect::<Vec<_>>();
    let moved = bins("--bin-offset 120,120");
    assert_eq!(usual.len(), moved.len());
    assert!(names(&usual) != names(&moved));
}
