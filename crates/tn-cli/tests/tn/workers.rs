//! Training by several workers.

use std::time::{Duration, Instant};

use crate::folder::Folder;

#[test]
fn any_number_of_workers_gives_the_same_model() {
    let folder = Folder::with_tables();
    folder.run("train sentences.parquet -o one --steps 4 --batch 2 --accumulate 2");
    folder.run("train sentences.parquet -o two --steps 4 --batch 2 --accumulate 2 --workers 2 --threads 2");
    folder.run("train sentences.parquet -o three --steps 4 --batch 4 --workers 3 --threads 1");
    for name in ["model.safetensors", "training.json"] {
        for workers in ["two", "three"] {
            assert!(folder.bytes(&format!("one/{name}")) == folder.bytes(&format!("{workers}/{name}")), "{workers}/{name}");
        }
    }
    folder.fail("train sentences.parquet -o other --batch 2 --accumulate 2 --workers 5", 2, &["workers is 5, but has to be", "step"]);
    folder.fail("train sentences.parquet -o other --workers 0", 2, &["--workers"]);
}

#[test]
#[cfg(unix)]
fn a_run_that_is_stopped_goes_on_with_fewer_workers() {
    let folder = Folder::with_tables();
    let train = "train sentences.parquet --steps 24 --batch 4 --save-every 5";
    folder.run(&format!("{train} -o whole"));
    let mut child = folder.start(&format!("{train} -o part --workers 2"));
    let begin = Instant::now();
    while !folder.has("part/training_log.jsonl") || folder.text("part/training_log.jsonl").lines().count() < 3 {
        assert!(child.try_wait().expect("the program can be watched").is_none(), "the program ended too early");
        assert!(begin.elapsed() < Duration::from_secs(120), "the program does not get on");
        std::thread::sleep(Duration::from_millis(5));
    }
    let status = std::process::Command::new("kill").args(["-TERM", &child.id().to_string()]).status().expect("kill can be started");
    assert!(status.success());
    assert_eq!(child.wait().expect("the program ends").code(), Some(1));
    assert!(folder.has("part/training_state.safetensors"));
    folder.run(&format!("{train} -o part --resume"));
    assert!(folder.bytes("whole/model.safetensors") == folder.bytes("part/model.safetensors"));
    assert!(folder.bytes("whole/training.json") == folder.bytes("part/training.json"));
}
