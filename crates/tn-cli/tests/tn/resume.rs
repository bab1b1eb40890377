//! Runs that are interrupted go on where they were.

use std::process::{Child, Command};
use std::time::{Duration, Instant};

use crate::folder::Folder;

/// Waits until something holds, as long as the program runs.
fn wait_until(child: &mut Child, mut holds: impl FnMut() -> bool) {
    let start = Instant::now();
    while !holds() {
        let status = child.try_wait().expect("the program can be watched");
        assert!(status.is_none(), "the program ended too early: {status:?}");
        assert!(start.elapsed() < Duration::from_secs(120), "the program does not get on");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[cfg(unix)]
fn send(child: &Child, signal: &str) {
    let status = Command::new("kill").args([signal, &child.id().to_string()]).status().expect("kill can be started");
    assert!(status.success());
}

const TRAIN: &str = "train sentences.parquet --steps 24 --batch 4 --save-every 5";

#[test]
#[cfg(unix)]
fn training_that_is_asked_to_stop_saves_and_goes_on_to_the_same_weights() {
    let folder = Folder::with_tables();
    folder.run(&format!("{TRAIN} -o whole"));

    let mut child = folder.start(&format!("{TRAIN} -o part"));
    wait_until(&mut child, || folder.has("part/training_log.jsonl") && folder.text("part/training_log.jsonl").lines().count() >= 3);
    send(&child, "-TERM");
    let output = child.wait_with_output().expect("the program ends");
    let message = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{message}");
    assert!(message.contains("interrupted after") && message.contains("--resume"), "{message}");
    assert!(folder.has("part/training_state.safetensors") && folder.has("part/run.json") && !folder.has("part/model.safetensors"));

    folder.fail(&format!("{TRAIN} -o part"), 2, &["unfinished run", "--resume", "delete"]);
    folder.fail("train sentences.parquet --steps 25 --batch 4 -o part --resume", 3, &["other inputs or options: max-steps was 24, is 25"]);
    folder.fail(&format!("{TRAIN} -o part --resume --target-weight 8"), 3, &["target-weight was 1.0, is 8.0"]);
    folder.run(&format!("{TRAIN} -o part --resume"));
    for name in ["model.safetensors", "tokenizer.json", "training.json"] {
        assert!(folder.bytes(&format!("whole/{name}")) == folder.bytes(&format!("part/{name}")), "{name}");
    }
    for name in ["training_state.safetensors", "training_log.jsonl", "run.json"] {
        assert!(!folder.has(&format!("part/{name}")), "{name}");
    }
}

#[test]
#[cfg(unix)]
fn training_that_is_killed_repeats_the_steps_since_the_last_save() {
    let folder = Folder::with_tables();
    folder.run(&format!("{TRAIN} -o whole"));

    let mut child = folder.start(&format!("{TRAIN} -o part"));
    wait_until(&mut child, || folder.has("part/training_log.jsonl") && folder.text("part/training_log.jsonl").lines().count() >= 8);
    child.kill().expect("the program can be killed");
    child.wait().expect("the program ends");
    folder.run(&format!("{TRAIN} -o part --resume"));
    for name in ["model.safetensors", "training.json"] {
        assert!(folder.bytes(&format!("whole/{name}")) == folder.bytes(&format!("part/{name}")), "{name}");
    }
}

#[test]
#[cfg(unix)]
fn states_are_kept_while_a_run_goes_on_and_any_number_of_bits_or_recomputing_resumes() {
    let folder = Folder::with_tables();
    let train = "train sentences.parquet --steps 24 --batch 2 --accumulate 2 --moments eight-bit --save-every 2 --keep-states 3";
    folder.run(&format!("{train} -o whole"));

    let mut child = folder.start(&format!("{train} -o part"));
    wait_until(&mut child, || folder.has("part/training_log.jsonl") && folder.text("part/training_log.jsonl").lines().count() >= 9);
    send(&child, "-TERM");
    assert_eq!(child.wait().expect("the program ends").code(), Some(1));
    let states = || {
        let entries = std::fs::read_dir(folder.path("part")).expect("a folder").flatten();
        let names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
        names.filter(|name| name.starts_with("training_state.")).collect::<Vec<_>>()
    };
    assert_eq!(states().iter().filter(|name| name.contains(".step-")).count(), 3, "{:?}", states());
    assert_eq!(states().len(), 4);

    folder.fail(
        "train sentences.parquet --steps 24 --batch 2 --accumulate 2 -o part --save-every 2 --resume",
        3,
        &["moments was \"EightBit\", is \"F32\""],
    );
    // Another split of the batch and recomputing give the same weights, so the run may go on with less memory.
    let thrifty = train.replace("--batch 2 --accumulate 2", "--batch 1 --accumulate 4 --recompute");
    folder.run(&format!("{thrifty} -o part --resume"));
    assert!(folder.bytes("whole/model.safetensors") == folder.bytes("part/model.safetensors"));
    assert_eq!(states(), Vec::<String>::new());
}

#[test]
fn training_does_not_go_on_from_another_base() {
    let folder = Folder::with_model();
    folder.run("train sentences.parquet -o other --steps 3 --batch 2 --seed 7");
    let train = "train sentences.parquet --steps 2000 --batch 2 --save-every 1 -o part";
    let mut child = folder.start(&format!("{train} --base run"));
    wait_until(&mut child, || folder.has("part/training_state.safetensors"));
    child.kill().expect("the program can be killed");
    child.wait().expect("the program ends");

    folder.fail(&format!("{train} --resume --base other"), 3, &["other inputs or options: ", "model.safetensors has changed"]);
    folder.fail(&format!("{train} --resume --base run --lora-alpha 8"), 3, &["lora-alpha was 32.0, is 8.0"]);
    folder.fail(&format!("{train} --resume --base run --seed 1"), 3, &["another --seed"]);
    std::fs::remove_file(folder.path("part/run.json")).expect("a file");
    folder.fail(&format!("{train} --resume --base run"), 3, &["run.json cannot be read", "delete"]);
}

#[test]
fn resuming_what_is_finished_or_not_begun_is_no_error() {
    let folder = Folder::with_tables();
    let train = "train sentences.parquet --steps 2 --batch 1 -o run --resume --json";
    let first = folder.run(train);
    let written = folder.bytes("run/model.safetensors");
    std::fs::remove_file(folder.path("run/model.safetensors")).expect("a file");
    assert_eq!(folder.run(train), first);
    assert!(!folder.has("run/model.safetensors"), "the finished run was not repeated");
    std::fs::write(folder.path("run/model.safetensors"), written).expect("a file");

    let generate = "generate tasks.parquet -o out.parquet --model run --max-new-tokens 4 --resume";
    let first = folder.run(generate);
    let modified = || std::fs::metadata(folder.path("out.parquet")).and_then(|metadata| metadata.modified()).expect("a time");
    let before = modified();
    assert_eq!(folder.run(generate), first);
    assert_eq!(modified(), before);
    folder.run(&format!("{generate} --seed 1"));
    assert_ne!(modified(), before);

    let surprise = "surprise tasks.parquet -o surprise.parquet --model run --resume";
    let first = folder.run(surprise);
    let written = std::fs::metadata(folder.path("surprise.parquet")).and_then(|metadata| metadata.modified()).expect("a time");
    assert_eq!(folder.run(surprise), first);
    let found = std::fs::metadata(folder.path("surprise.parquet")).and_then(|metadata| metadata.modified()).expect("a time");
    assert_eq!(found, written);
}

#[test]
#[cfg(unix)]
fn generation_that_is_killed_keeps_what_is_written() {
    let folder = Folder::with_model();
    let generate = "generate tasks.parquet --model run --consensus --samples 8 --max-new-tokens 60 --save-every 2";
    check_that_a_killed_run_goes_on(&folder, generate, ("--max-cells 2", "max-cells was 100, is 2"), 3);
}

/// Kills a command when its second shard is there, and goes on with it up to a last one; `refused` is an option that is not that of the run,
/// and what is said of it.
#[cfg(unix)]
fn check_that_a_killed_run_goes_on(folder: &Folder, command: &str, refused: (&str, &str), last_shard: usize) {
    folder.run(&format!("{command} -o whole.parquet"));
    let part = format!("{command} -o part.parquet --threads 1");

    let mut child = folder.start(&part);
    wait_until(&mut child, || folder.has("part.parquet.partial/shard-00001.parquet"));
    child.kill().expect("the program can be killed");
    child.wait().expect("the program ends");
    assert!(!folder.has("part.parquet"));

    folder.fail(&part, 2, &["part.parquet.partial holds an unfinished run", "--resume"]);
    folder.fail(&format!("{part} --resume --seed 1"), 3, &["other inputs or options", "--seed"]);
    folder.fail(&format!("{part} --resume {}", refused.0), 3, &[refused.1]);
    let shard = folder.path("part.parquet.partial/shard-00000.parquet");
    let modified = || std::fs::metadata(&shard).and_then(|metadata| metadata.modified()).expect("a time");
    let before = modified();
    let mut child = folder.start(&format!("{part} --resume"));
    wait_until(&mut child, || folder.has(&format!("part.parquet.partial/shard-{last_shard:05}.parquet")));
    assert_eq!(modified(), before, "the first shard was not repeated");
    assert!(child.wait().expect("the program ends").success());

    assert!(folder.bytes("whole.parquet") == folder.bytes("part.parquet"));
    assert!(!folder.has("part.parquet.partial"));
}

#[test]
#[cfg(unix)]
fn generation_that_is_asked_to_stop_says_how_to_go_on() {
    let folder = Folder::with_model();
    let generate = "generate tasks.parquet -o out.parquet --model run --consensus --samples 8 --max-new-tokens 60 --save-every 2";
    let mut child = folder.start(generate);
    wait_until(&mut child, || folder.has("out.parquet.partial/shard-00000.parquet"));
    send(&child, "-INT");
    let output = child.wait_with_output().expect("the program ends");
    let message = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{message}");
    assert!(message.contains("tasks; what is done is saved") && message.contains("--resume"), "{message}");
    assert!(!folder.has("out.parquet"));
    folder.run(&format!("{generate} --resume"));
}

/// Tasks for all cells of the test split: enough to be interrupted in.
#[cfg(unix)]
fn folder_with_many_tasks() -> Folder {
    let folder = Folder::with_model();
    folder.run("prompts cells.parquet -o many.parquet --neighbors 12 --targets-per-class 0 --truncate 12");
    folder
}

#[test]
#[cfg(unix)]
fn scoring_that_is_killed_keeps_what_is_saved() {
    let surprise = "surprise many.parquet --model run --save-every 4";
    check_that_a_killed_run_goes_on(&folder_with_many_tasks(), surprise, ("--no-influence", "influence was true, is false"), 6);
}

#[test]
#[cfg(unix)]
fn scoring_that_is_asked_to_stop_saves_what_it_has_and_goes_on() {
    let folder = folder_with_many_tasks();
    let surprise = "surprise many.parquet --model run --save-every 30";
    let whole = folder.run(&format!("{surprise} -o whole.csv"));

    let mut child = folder.start(&format!("{surprise} -o part.csv --threads 1"));
    wait_until(&mut child, || folder.has("part.csv.partial/shard-00000.parquet"));
    send(&child, "-INT");
    let output = child.wait_with_output().expect("the program ends");
    let message = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{message}");
    assert!(message.contains("tasks; what is done is saved") && message.contains("--resume"), "{message}");
    assert!(!folder.has("part.csv"));
    assert_eq!(folder.run(&format!("{surprise} -o part.csv --resume")), whole);
    assert!(folder.bytes("whole.csv") == folder.bytes("part.csv"));
}
