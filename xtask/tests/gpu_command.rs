//! `xtask gpu` on machines without a GPU: what is absent says so, and everything that can run without one does.

#![allow(clippy::print_stdout, reason = "what is skipped is named")]

use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

fn xtask(arguments: &[&str], out: &Path) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_xtask"));
    command.arg("gpu").args(arguments).arg("--out").arg(out).output().expect("the program starts")
}

fn results(out: &Path, part: &str) -> Value {
    serde_json::from_str(&std::fs::read_to_string(out.join(format!("{part}.json"))).unwrap()).unwrap()
}

fn verdicts(results: &Value) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    results["lines"].as_array().unwrap().iter().map(|line| (text(&line["name"]), text(&line["verdict"]))).collect()
}

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().unwrap()
}

/// Whether this build and this machine have a device by Vulkan; its absence is what is tested elsewhere.
fn has_wgpu() -> bool {
    let found = "wgpu".parse::<tissuenarrator::model::DeviceChoice>().unwrap().open();
    if let Err(reason) = &found {
        println!("skipped: {reason}");
    }
    found.is_ok()
}

#[test]
fn a_machine_without_the_device_says_absent_and_why() {
    for part in ["tests", "gemm", "attention", "train", "generate"] {
        let out = folder();
        // 999 devices are found nowhere.
        let output = xtask(&["--part", part, "--device", "cuda:999"], out.path());
        assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
        let found = results(out.path(), part);
        assert_eq!(verdicts(&found), [(part.to_owned(), "absent".to_owned())]);
        let reason = found["lines"][0]["note"].as_str().unwrap();
        let typed = ["there is no device cuda:999", "built without support for cuda:999"];
        assert!(typed.iter().any(|typed| reason.contains(typed)), "{reason}");
        let table = std::fs::read_to_string(out.path().join(format!("{part}.md"))).unwrap();
        assert!(table.contains("| absent |") && String::from_utf8_lossy(&output.stdout).contains(&table));
    }
}

#[test]
fn wrong_use_is_told_apart_from_failure() {
    let out = folder();
    for arguments in
        [vec!["--part", "nothing"], vec!["--part", "tests", "--device", "gpu"], vec!["--bundle", "somewhere", "--part", "tests"]]
    {
        assert_eq!(xtask(&arguments, out.path()).status.code(), Some(2), "{arguments:?}");
    }
    let bare = Command::new(env!("CARGO_BIN_EXE_xtask")).arg("gpu").output().unwrap();
    assert_eq!(bare.status.code(), Some(2));
}

#[test]
fn the_kernel_suite_passes_on_vulkan() {
    if !has_wgpu() {
        return;
    }
    let out = folder();
    let output = xtask(&["--part", "tests", "--quick", "--device", "wgpu"], out.path());
    let found = results(out.path(), "tests");
    let verdicts = verdicts(&found);
    assert_eq!(output.status.code(), Some(0), "{verdicts:?}\n{}", String::from_utf8_lossy(&output.stdout));
    for name in ["RMSNorm", "attention, exact sums", "AdamW, moments in 8 bits", "decoder, gradients", "decoder, greedy tokens"] {
        assert!(verdicts.contains(&(name.to_owned(), "met".to_owned())), "{name}: {verdicts:?}");
    }
    // Of sizes that nothing is asked of.
    assert!(verdicts.contains(&("G4, host overhead".to_owned(), "not judged".to_owned())), "{verdicts:?}");
}

#[test]
fn what_is_compared_with_torch_is_measured_without_it_and_not_judged() {
    if !has_wgpu() {
        return;
    }
    for (part, line) in
        [("gemm", "G1, seven shapes"), ("attention", "forward and backward"), ("train", "small"), ("generate", "cells, k = 5")]
    {
        let out = folder();
        let output = xtask(&["--part", part, "--quick", "--device", "wgpu"], out.path());
        let found = results(out.path(), part);
        assert_eq!(output.status.code(), Some(0), "{found:#}");
        let lines = found["lines"].as_array().unwrap();
        let line = lines.iter().find(|found| found["name"] == line).unwrap_or_else(|| panic!("{line} in {found:#}"));
        assert!(line["ours"][0].as_f64().unwrap() > 0.0, "{line:#}");
        assert_eq!(line["peer"], Value::Array(Vec::new()));
        assert!(line["note"].as_str().unwrap().contains("no --peer was given"), "{line:#}");
        assert!(lines.iter().all(|line| ["absent", "not judged"].contains(&line["verdict"].as_str().unwrap())), "{found:#}");
    }
}

#[test]
fn a_python_without_torch_is_an_absent_peer() {
    if !has_wgpu() {
        return;
    }
    let out = folder();
    // A program that answers nothing.
    let output = xtask(&["--part", "gemm", "--quick", "--device", "wgpu", "--peer", "true"], out.path());
    assert_eq!(output.status.code(), Some(0));
    assert!(results(out.path(), "gemm")["run"]["peer"]["absent"].is_string());
}
