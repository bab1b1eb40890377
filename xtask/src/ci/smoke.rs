//! The main job at a size of seconds: everything runs, and the number of threads changes nothing.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use crate::workspace::root;

/// Runs the simulated smoke run with 1 and with 2 threads, then one on the file that the first has simulated.
pub(super) fn run() -> Result<()> {
    let folder = root().join("target/ci");
    let (one, two, real) = (folder.join("one-thread"), folder.join("two-threads"), folder.join("from-file"));
    reproduce(&one, &["--threads", "1"])?;
    reproduce(&two, &["--threads", "2"])?;
    let sections = one.join("sections.h5ad");
    reproduce(&real, &["--data", &sections.to_string_lossy()])?;

    let results =
        |folder: &Path| fs::read_to_string(folder.join("results.json")).with_context(|| format!("no results in {}", folder.display()));
    ensure!(
        results(&one)? == results(&two)?,
        "results.json differs between 1 and 2 threads: compare {} and {}",
        one.display(),
        two.display()
    );
    for folder in [&one, &real] {
        check(folder, &serde_json::from_str(&results(folder)?)?)?;
    }
    Ok(())
}

fn reproduce(out: &PathBuf, arguments: &[&str]) -> Result<()> {
    let program = std::env::current_exe()?;
    let output = Command::new(program).args(["reproduce", "--smoke", "--out"]).arg(out).args(arguments).output()?;
    if !output.status.success() {
        bail!("reproduce --smoke {} ended with {}:\n{}", arguments.join(" "), output.status, String::from_utf8_lossy(&output.stderr));
    }
    Ok(())
}

/// Checks that a run left what it should, and that its numbers are numbers. What they are says nothing.
fn check(folder: &Path, results: &Value) -> Result<()> {
    for mode in ["conditioned", "unconditioned"] {
        for predictor in ["model", "class_mean", "nearest_neighbor", "random"] {
            let scores = &results[mode][predictor];
            let overlap = scores["overlap@30"]["mean"].as_f64().with_context(|| format!("no overlap@30 of {mode} {predictor}"))?;
            ensure!((0.0..=1.0).contains(&overlap), "overlap@30 of {mode} {predictor} is {overlap}");
            // After five steps the model does not yet write a whole header by itself.
            ensure!(scores["unreadable"] == 0 || mode == "unconditioned", "{mode} {predictor} has unreadable cells");
        }
    }
    let loss = results["training"]["validation_loss"].as_f64();
    ensure!(loss.is_some_and(f64::is_finite), "the validation loss is {loss:?}");
    let report = fs::read_to_string(folder.join("report.html"))?;
    ensure!(report.matches("<svg").count() >= 4 && report.trim_end().ends_with("</html>"), "report.html is not complete");
    for file in ["model/model.safetensors", "model/tokenizer.json", "model/config.json", "model/panel.txt", "figures/classes.svg"] {
        ensure!(folder.join(file).exists(), "there is no {file} in {}", folder.display());
    }
    Ok(())
}
