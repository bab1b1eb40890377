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
        "encode sections.h5ad -o out.parquet --target-sum 100",
        "encode sections.h5ad -o out.parquet --normalize none --target-sum 100",
        "encode sections.h5ad -o out.parquet --normalize log1p10 --target-sum 0",
        "encode sections.h5ad -o out.parquet --normalize log1p7",
        "simulate -o other.h5ad --classes 3",
        "patch cells.parquet -o out.parquet --bin-width -1",
        "patch cells.parquet -o out.parquet --bin-width 50 --radius 10",
        "patch cells.parquet -o out.parquet --traversal sideways",
        "baseline tasks.parquet -o out.parquet --method oracle",
        "baseline tasks.parquet -o out.parquet --method class-mean",
        "generate tasks.parquet -o out.parquet --model run --consensus --temperature 1",
        "generate tasks.parquet -o out.parquet --model run --temperature -1",
        "generate tasks.parquet -o out.parquet --model run --samples 0",
        "generate tasks.parquet -o out.parquet",
        "generate tasks.parquet -o out.parquet --backend openai",
        "generate tasks.parquet -o out.parquet --backend openai --url localhost:8000",
        "generate tasks.parquet -o out.parquet --backend openai --url http://localhost:1 --timeout 0",
        "generate tasks.parquet -o out.parquet --backend openai --url http://localhost:1 --timeout 1e300",
        "generate tasks.parquet -o out.parquet --backend openai --url http://localhost:1 --in-flight-tokens 0",
        "generate tasks.parquet -o out.parquet --backend carrier-pigeon --url http://localhost:1",
        "generate tasks.parquet -o out.parquet --model run --url http://localhost:1",
        "generate tasks.parquet -o out.parquet --model run --model-name run",
        "surprise tasks.parquet -o out.parquet",
        "surprise tasks.parquet -o out.docx --model run",
        "surprise tasks.parquet -o out.parquet --model run --save-every 0",
        "surprise tasks.parquet -o out.parquet --model run --tau -1",
        "surprise tasks.parquet -o out.parquet --model run --weights f64",
        "train sentences.parquet -o run --lr -1",
        "train sentences.parquet -o run --init tiny --base run",
        "train sentences.parquet -o run --base sections --lora-alpha nan",
        "train sentences.parquet -o run --base sections --lora-alpha 0",
        "train sentences.parquet -o run --base sections --lora-rank 0",
        "train sentences.parquet -o run --max-tokens 15",
        "tokenize sentences.parquet -o out.parquet",
        "tokenize sentences.parquet -o out.parquet --base run --epochs 0",
        "train sentences.parquet -o run --steps 0",
        "patch cells.parquet -o out.parquet --bin-width inf",
        "patch cells.parquet -o out.parquet --radius 0",
        "patch cells.parquet -o out.parquet --radius nan",
        "patch cells.parquet -o out.parquet --tau -1",
        "patch cells.parquet -o out.parquet --truncate 0",
        "patch cells.parquet -o out.parquet --neighbors -1",
        "patch cells.parquet -o out.parquet --bin-offset 50",
        "patch cells.parquet -o out.parquet --bin-offset 0,inf",
        "patch cells.parquet -o out.parquet --bin-offset 50,50 --radius 10",
        "split cells.parquet -o out.parquet --ratio 8:2",
        "split cells.parquet -o out.parquet --ratio 0:0:0",
        "split cells.parquet -o out.parquet --block 0",
        "split cells.parquet -o out.docx",
        "patch cells.parquet -o out.parquet --repeats 0",
        "prompts cells.parquet -o out.parquet --radius -3",
        "prompts cells.parquet -o out.parquet --neighbors -1",
        "prompts cells.parquet -o out.parquet --truncate 0",
        "prompts cells.parquet -o out.parquet --answer-genes 0",
        "encode sections.h5ad -o out.parquet --max-genes 0",
        "baseline tasks.parquet -o out.parquet --method random --max-genes 0",
        "baseline tasks.parquet -o out.parquet --method majority --radius 0",
        "generate tasks.parquet -o out.parquet --model run --tau nan",
        "generate tasks.parquet -o out.parquet --model run --max-cells 0",
        "generate tasks.parquet -o out.parquet --model run --samples 4097",
        "generate tasks.parquet -o out.parquet --model run --max-new-tokens 1000001",
        "simulate -o other.h5ad --cells 0",
        "simulate -o other.h5ad --cells 100000001",
        "score tasks.parquet --threads 0",
    ] {
        folder.fail(arguments, 2, &["error: "]);
    }
    folder.fail("patch cells.parquet -o out.parquet --bin-width -1", 2, &["--bin-width", "above 0"]);
    folder.fail("simulate -o other.parquet", 2, &["other.parquet does not end in .h5ad"]);
    folder.fail("baseline tasks.parquet -o out.parquet --method oracle", 2, &["--method oracle needs --truth TRUTH.parquet"]);
}

#[test]
fn an_output_that_is_an_input_is_refused() {
    let folder = Folder::with_model();
    for arguments in [
        "patch cells.parquet -o cells.parquet",
        "split cells.parquet -o cells.parquet",
        "prompts cells.parquet -o ./cells.parquet",
        "generate tasks.parquet -o tasks.parquet --model run",
        "surprise tasks.parquet -o tasks.parquet --model run",
        "baseline tasks.parquet -o tasks.parquet --method nearest-neighbor",
        "baseline tasks.parquet -o cells.parquet --cells cells.parquet --method class-mean",
        "merge --base run --adapter run -o run",
        "train sentences.parquet --base run -o run",
    ] {
        folder.fail(arguments, 2, &["is an input, too"]);
    }
}

#[test]
fn training_takes_as_many_steps_as_asked_for() {
    let folder = Folder::with_tables();
    folder.run("patch cells.parquet -o few.parquet --bin-width 2000 --truncate 3 --repeats 1 --split train");
    let result = folder.json("train few.parquet -o long --steps 7 --batch 4");
    let sequences = result["sequences"].as_u64().expect("a number");
    assert!(sequences < 28, "{sequences} sequences");
    assert_eq!(result["steps"], 7);

    let output = folder.output("train few.parquet -o short --steps 7000 --epochs 1 --batch 4 --json");
    let result: serde_json::Value = serde_json::from_slice(&output.stdout).expect("one JSON object");
    let planned = sequences.div_ceil(4);
    assert_eq!(result["steps"], planned);
    let message = String::from_utf8_lossy(&output.stderr);
    assert!(message.contains(&format!("7000 steps were asked for, 1 epochs have {planned}")), "{message}");
}

#[test]
fn an_output_that_cannot_be_written_ends_with_1_before_the_work() {
    let folder = Folder::with_tables();
    for arguments in [
        "encode sections.h5ad -o no/cells.parquet",
        "patch cells.parquet -o no/out.parquet",
        "split cells.parquet -o no/out.parquet --replace",
        "baseline tasks.parquet -o no/out.parquet --method nearest-neighbor",
        "generate tasks.parquet -o no/out.parquet --model run",
        "surprise tasks.parquet -o no/out.parquet --model run",
    ] {
        folder.fail(arguments, 1, &["cannot write", "no/"]);
    }
    folder.fail("simulate -o new.h5ad --cells 60 --sections 1 --truth no/truth.parquet", 1, &["no/truth.parquet"]);
}

#[test]
fn every_command_explains_itself() {
    let folder = Folder::new();
    let help = folder.run("--help");
    for command in [
        "inspect", "simulate", "encode", "split", "patch", "prompts", "train", "tokenize", "merge", "generate", "baseline", "score",
        "surprise",
    ] {
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
