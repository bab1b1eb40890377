//! Wrong usage, help, and what goes where.

use crate::folder::Folder;

#[test]
fn wrong_usage_ends_with_2() {
    let folder = Folder::with_tables();
    for arguments in [
        "teleport",
        "encode sections.h5ad",
        "encode sections.h5ad -o cells.parquet --tie-break maybe",
        "encode sections.h5ad -o cells.docx",
        "simulate -o other.h5ad --classes 3",
        "patch cells.parquet -o out.parquet --bin-width -1",
        "patch cells.parquet -o out.parquet --bin-width 50 --radius 10",
        "patch cells.parquet -o out.parquet --traversal sideways",
        "baseline tasks.parquet -o out.parquet --method oracle",
        "baseline tasks.parquet -o out.parquet --method class-mean",
        "generate tasks.parquet -o out.parquet --model run --consensus --temperature 1",
        "generate tasks.parquet -o out.parquet --model run --temperature -1",
        "generate tasks.parquet -o out.parquet --model run --samples 0",
        "train sentences.parquet -o run --lr -1",
        "train sentences.parquet -o run --init tiny --base run",
        "score tasks.parquet --threads 0",
    ] {
        folder.fail(arguments, 2, &["error: "]);
    }
    folder.fail("baseline tasks.parquet -o out.parquet --method oracle", 2, &["--method oracle needs --truth TRUTH.parquet"]);
}

#[test]
fn an_output_that_cannot_be_written_ends_with_1_before_the_work() {
    let folder = Folder::with_tables();
    for arguments in [
        "encode sections.h5ad -o no/cells.parquet",
        "patch cells.parquet -o no/out.parquet",
        "baseline tasks.parquet -o no/out.parquet --method nearest-neighbor",
        "generate tasks.parquet -o no/out.parquet --model run",
    ] {
        folder.fail(arguments, 1, &["cannot write", "no/"]);
    }
    folder.fail("simulate -o new.h5ad --cells 60 --sections 1 --truth no/truth.parquet", 1, &["no/truth.parquet"]);
}

#[test]
fn every_command_explains_itself() {
    let folder = Folder::new();
    let help = folder.run("--help");
    for command in ["inspect", "simulate", "encode", "patch", "prompts", "train", "merge", "generate", "baseline", "score"] {
        assert!(help.contains(&format!("\n  {command} ")), "{command}");
        let help = folder.run(&format!("{command} -h"));
        for line in help.lines().map(str::trim).filter(|line| line.starts_with('-')) {
            assert!(line.contains("  "), "an option without a description: {line}");
        }
        assert!(help.contains("--seed") && help.contains("--json"), "{command}");
    }
    assert!(folder.run("--version").starts_with("tn 0."));
}

#[test]
fn only_results_go_to_standard_output() {
    let folder = Folder::with_tables();
    let output = folder.output("train sentences.parquet -o run --steps 2 --batch 1 --json");
    let result: serde_json::Value = serde_json::from_slice(&output.stdout).expect("one JSON object");
    assert_eq!(result["steps"], 2);
    assert!(String::from_utf8_lossy(&output.stderr).contains("2 of 2 steps"));

    let output = folder.output("train sentences.parquet -o quiet --steps 2 --batch 1 --quiet");
    assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
}
