//! The same seed gives the same bytes.

use crate::folder::Folder;

const STEPS: [&str; 10] = [
    "simulate -o sections.h5ad --cells 360 --genes 60 --sections 3 --classes 8 --truth truth.parquet",
    "encode sections.h5ad -o cells.parquet",
    "patch cells.parquet -o sentences.parquet --neighbors 4 --truncate 12",
    "prompts cells.parquet -o tasks.parquet --neighbors 4 --targets-per-class 2 --truncate 12",
    "train sentences.parquet -o run --steps 3 --batch 2",
    "generate tasks.parquet -o generated.parquet --model run --samples 2 --temperature 1 --max-new-tokens 8",
    "generate tasks.parquet -o consensus.parquet --model run --consensus --samples 2 --max-new-tokens 8 --mode unconditioned",
    "surprise tasks.parquet -o surprise.parquet --model run",
    "baseline tasks.parquet -o random.parquet --method random",
    "score generated.parquet random.parquet --by-class",
];

const FILES: [&str; 13] = [
    "sections.h5ad",
    "truth.parquet",
    "cells.parquet",
    "sentences.parquet",
    "tasks.parquet",
    "run/model.safetensors",
    "run/tokenizer.json",
    "run/training.json",
    "run/panel.txt",
    "generated.parquet",
    "consensus.parquet",
    "surprise.parquet",
    "random.parquet",
];

fn run_all(options: &str) -> (Folder, Vec<String>) {
    let folder = Folder::new();
    let printed = STEPS.iter().map(|step| folder.run(&format!("{step} {options}"))).collect();
    (folder, printed)
}

#[test]
fn one_and_two_threads_give_the_same_bytes_and_another_seed_does_not() {
    let (one, printed_by_one) = run_all("--threads 1");
    let (two, printed_by_two) = run_all("--threads 2");
    for file in FILES {
        assert!(one.bytes(file) == two.bytes(file), "{file} differs between one and two threads");
    }
    assert_eq!(printed_by_one, printed_by_two);

    let (other, _) = run_all("--seed 7");
    for file in FILES.into_iter().filter(|file| *file != "run/panel.txt") {
        assert!(one.bytes(file) != other.bytes(file), "{file} does not depend on the seed");
    }
}
