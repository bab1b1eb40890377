//! Which cells train, validate and test.

use std::collections::{BTreeMap, BTreeSet};

use tissuenarrator::io::{PANEL_KEY, PROVENANCE_KEY, Provenance, TableReader};
use tissuenarrator::sentence::{CellRecord, SentenceRecord, TaskRecord};

use crate::folder::Folder;

/// Returns a folder with `cells.parquet`: 400 cells of so many sections, without splits.
fn unsplit(sections: u32) -> Folder {
    let folder = Folder::new();
    folder.run(&format!("simulate -o sections.h5ad --cells 400 --genes 60 --sections {sections} --classes 8"));
    folder.run("encode sections.h5ad -o cells.parquet --columns class,spatial_domain");
    folder
}

fn cells(folder: &Folder, name: &str) -> Vec<CellRecord> {
    TableReader::open(folder.path(name)).and_then(TableReader::read_all).unwrap_or_else(|error| panic!("{name}: {error}"))
}

#[test]
fn sections_are_divided_and_the_split_goes_on_to_sentences_and_tasks() {
    let folder = unsplit(4);
    let result = folder.json("split cells.parquet -o split.parquet --seed 3");
    let (before, after) = (cells(&folder, "cells.parquet"), cells(&folder, "split.parquet"));
    let mut splits: BTreeMap<&str, &str> = BTreeMap::new();
    for (before, after) in before.iter().zip(&after) {
        let split = after.split().expect("a split");
        assert_eq!(*splits.entry(&after.section).or_insert(split), split);
        assert_eq!((&before.cell_name, &before.ranking, before.class()), (&after.cell_name, &after.ranking, after.class()));
    }
    assert_eq!((before.len(), splits.len()), (after.len(), 4));
    assert_eq!(splits.values().collect::<BTreeSet<_>>().len(), 3);
    for split in ["train", "val", "test"] {
        assert_eq!(result["cells"][split], after.iter().filter(|cell| cell.split() == Some(split)).count(), "{result}");
    }

    let metadata = TableReader::<CellRecord>::open(folder.path("split.parquet")).expect("a table").metadata();
    assert!(metadata.contains_key(PANEL_KEY));
    let provenance = Provenance::from_json(&metadata[PROVENANCE_KEY]).expect("a record");
    assert_eq!((provenance.step.as_str(), provenance.seed, provenance.inputs[0].name.as_str()), ("split", Some(3), "cells.parquet"));

    let patched = folder.json("patch split.parquet -o sentences.parquet --neighbors 4");
    assert_eq!(patched["by_split"], result["cells"]);
    let sentences: Vec<SentenceRecord> =
        TableReader::open(folder.path("sentences.parquet")).and_then(TableReader::read_all).expect("a table");
    assert!(sentences.iter().all(|sentence| splits[sentence.section.as_str()] == sentence.split));
    folder.run("prompts split.parquet -o tasks.parquet --neighbors 4");
    let tasks: Vec<TaskRecord> = TableReader::open(folder.path("tasks.parquet")).and_then(TableReader::read_all).expect("a table");
    assert!(tasks.iter().all(|task| task.split == "test" && splits[task.section.as_str()] == "test"));
}

#[test]
fn few_sections_are_divided_by_blocks() {
    let folder = unsplit(2);
    folder.fail("split cells.parquet -o split.parquet", 3, &["2 sections", "at least 3", "--block UM"]);
    folder.fail("split cells.parquet -o split.parquet --block 100000", 3, &["2 blocks of 100000 micrometers", "a smaller --block"]);
    let result = folder.json("split cells.parquet -o split.parquet --block 80 --ratio 6:2:2");
    let count = |split: &str| result["cells"][split].as_u64().expect("a count");
    assert_eq!(count("train") + count("val") + count("test"), cells(&folder, "split.parquet").len() as u64);
    assert!(count("train") > 2 * count("val") && count("val") > 0 && count("test") > 0, "{result}");
    assert!(result["blocks"]["train"].as_u64() > Some(2), "{result}");
    folder.run("split cells.parquet -o again.parquet --block 80 --ratio 6:2:2 --threads 1");
    assert!(folder.bytes("split.parquet") == folder.bytes("again.parquet"));
}

#[test]
fn splits_that_are_there_are_replaced_only_on_request() {
    let folder = Folder::with_tables();
    folder.fail("split cells.parquet -o split.parquet", 3, &["is of split", "already", "--replace"]);
    folder.run("split cells.parquet -o split.parquet --replace --ratio 1:0:1");
    let found: BTreeSet<String> = cells(&folder, "split.parquet").iter().filter_map(|cell| cell.split().map(str::to_owned)).collect();
    assert_eq!(found, BTreeSet::from(["test".to_owned(), "train".to_owned()]));
    folder.fail("split tasks.parquet -o out.parquet", 3, &["no column \"sentence\"", "`tn encode`"]);
}
