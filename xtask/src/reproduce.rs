//! `cargo xtask reproduce`: the main job, from sections to generated cells, scores and a report.
//!
//! Every stage leaves its output in the folder of the run, complete or not at all, so that an interrupted run goes on where
//! it stopped. `results.json` holds no times, paths or dates: the same options and seed give the same bytes, at any number
//! of threads.

mod blocks;
mod calibration;
mod class_means;
mod expectations;
mod figures;
mod focal_training;
mod generation;
mod plan;
mod proximity;
mod real;
mod report;
mod results;
mod run_folder;
mod scoring;
mod simulated;
mod summary;
mod tissue;
mod training;

use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context, Result, ensure};
use serde_json::json;
use tissuenarrator::io::content_hash;
use tissuenarrator::model::Device;

use self::plan::Plan;
use self::results::Results;
use self::run_folder::{RESULTS, Reuse, RunFolder};
use crate::flags::{ReproduceFlags, Tier};

/// Runs the main job. The exit code says whether every number met its expectation.
pub(crate) fn run(flags: &ReproduceFlags) -> Result<ExitCode> {
    if flags.tier == Tier::Full {
        return Ok(refuse_full(flags));
    }
    if let Some(threads) = flags.threads {
        ensure!(threads > 0, "--threads is 0, expected at least 1");
        rayon::ThreadPoolBuilder::new().num_threads(threads).build_global().context("the threads could not be started")?;
    }
    let plan = plan(flags);
    let reuse = if flags.reuse { Reuse::Any } else { Reuse::Interrupted };
    let mut folder = RunFolder::open(&flags.out, &options(flags, &plan)?, &build()?, reuse)?;
    let results = study(&mut folder, flags, &plan, &flags.device.open()?)?;

    results.write_figures(&folder)?;
    folder.write("report.html", report::page(&results, folder.seconds())?.as_bytes())?;
    folder.write_json(RESULTS, &results.json())?;
    println!("{}", summary::text(&results));
    println!("report: {}", folder.file("report.html").display());
    Ok(if results.is_met() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn study(folder: &mut RunFolder, flags: &ReproduceFlags, plan: &Plan, device: &Device) -> Result<Results> {
    let tissue = match (&plan.simulation, &flags.data) {
        (Some(simulation), _) => simulated::tissue(folder, simulation, flags.seed)?,
        (None, data) => real::tissue(folder, data.as_deref().context("a real section needs --data")?, flags)?,
    };
    let sentences = training::sentences(folder, &tissue, plan, flags.seed)?;
    let trained = training::train(folder, &sentences, &tissue.panel, plan, flags.seed, device)?;
    let tasks = generation::tasks(folder, &tissue, plan, flags.seed, flags.tasks.as_deref())?;
    let generated = generation::generate(folder, &trained, &tissue, &tasks, plan, flags.seed)?;
    let proximity = proximity::recover(folder, &trained, &tissue, plan, flags.seed)?;
    folder.stage("score", |_| Results::new(plan, flags.seed, tissue, trained.summary, tasks, generated, proximity))
}

fn plan(flags: &ReproduceFlags) -> Plan {
    let mut plan = if flags.data.is_some() { Plan::real() } else { Plan::small(flags.seed) };
    if flags.smoke {
        plan = plan.smoke();
    }
    plan.training.steps = flags.steps.unwrap_or(plan.training.steps);
    if let Some(trajectories) = flags.samples {
        plan.generation.trajectories = trajectories;
        if let Some(proximity) = &mut plan.proximity {
            proximity.trajectories = trajectories;
        }
    }
    plan
}

/// Returns all that results depend on.
fn options(flags: &ReproduceFlags, plan: &Plan) -> Result<serde_json::Value> {
    Ok(json!({
        "version": env!("CARGO_PKG_VERSION"),
        "seed": flags.seed,
        "plan": plan,
        "device": flags.device.to_string(),
        "data": flags.data.as_deref().map(hash).transpose()?,
        "tasks": flags.tasks.as_deref().map(hash).transpose()?,
        "columns": [&flags.class, &flags.section, &flags.x, &flags.y, &flags.split],
    }))
}

/// Returns what tells this build of the program from others.
fn build() -> Result<String> {
    hash(&std::env::current_exe()?)
}

fn hash(path: &Path) -> Result<String> {
    let hash = || Ok::<_, std::io::Error>(content_hash(std::fs::File::open(path)?)?.0);
    Ok(format!("{:016x}", hash().with_context(|| format!("cannot read {}", path.display()))?))
}

/// Says why the full tier does not run here. It is never shown as passed.
fn refuse_full(flags: &ReproduceFlags) -> ExitCode {
    let reason = match &flags.base {
        None => "it needs the base model: --base DIR, a Hugging Face folder of Qwen3-4B",
        Some(_) => "it is not part of this version; `tn train --base DIR --device cuda` trains such a model",
    };
    println!("tier full: NOT RUN: {reason}");
    ExitCode::FAILURE
}
