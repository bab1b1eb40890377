//! What a run found.

use anyhow::{Context, Result};
use serde_json::{Value, json};
use tissuenarrator::eval::plot::stacked;
use tissuenarrator::prelude::*;

use super::calibration::Calibration;
use super::expectations::{self, Expectation, Outcome};
use super::figures::{self, Figure};
use super::generation::Generated;
use super::plan::Plan;
use super::proximity::ProximityResult;
use super::run_folder::RunFolder;
use super::scoring::{self, ModeScores};
use super::tissue::{Tissue, TissueSummary};
use super::training::TrainingSummary;

/// Everything that a report shows.
pub(super) struct Results {
    pub(super) plan: Plan,
    pub(super) seed: u64,
    pub(super) tissue: TissueSummary,
    pub(super) training: TrainingSummary,
    pub(super) conditioned: ModeScores,
    pub(super) unconditioned: ModeScores,
    /// Of the expected rankings with and without the class.
    pub(super) calibration: [Calibration; 2],
    pub(super) proximity: Option<ProximityResult>,
    pub(super) expectations: Vec<Expectation>,
    pub(super) figures: Vec<Figure>,
}

impl Results {
    /// Scores what was generated, holds it against what is expected, and draws it.
    pub(super) fn new(
        plan: &Plan,
        seed: u64,
        tissue: Tissue,
        training: TrainingSummary,
        tasks: Vec<TaskRecord>,
        generated: Generated,
        proximity: Option<ProximityResult>,
    ) -> Result<Self> {
        let conditioned = scoring::conditioned(&generated, &tasks, &tissue, seed)?;
        let unconditioned = scoring::unconditioned(&generated, &tasks, &tissue, seed)?;
        let expectations = if plan.simulation.is_some() {
            expectations::of_simulation(&conditioned, &unconditioned, proximity.as_ref())
        } else {
            expectations::of_real_section(&conditioned, &unconditioned)
        };
        let figures = figures::draw(&tissue, plan.genes, &generated, &conditioned, &unconditioned, proximity.as_ref())
            .context("drawing the figures")?;
        Ok(Self {
            plan: plan.clone(),
            seed,
            tissue: tissue.summary(),
            training,
            conditioned,
            unconditioned,
            calibration: generated.calibration,
            proximity,
            expectations,
            figures,
        })
    }

    /// Returns whether no expectation was missed. A run that is not judged misses none.
    pub(super) fn is_met(&self) -> bool {
        !self.plan.judged || self.expectations.iter().all(|expectation| expectation.outcome != Outcome::Miss)
    }

    /// Writes the figures as files of their own, and the main ones together.
    pub(super) fn write_figures(&self, folder: &RunFolder) -> Result<()> {
        let path = folder.file("figures");
        std::fs::create_dir_all(&path).with_context(|| format!("cannot make the folder {}", path.display()))?;
        self.figures.iter().try_for_each(|figure| folder.write(&format!("figures/{}.svg", figure.name), figure.svg.as_bytes()))?;
        let main = ["classes", "conditioned", "fold-changes"];
        let overview: Vec<&str> =
            self.figures.iter().filter(|figure| main.contains(&figure.name)).map(|figure| figure.svg.as_str()).collect();
        folder.write("figures/overview.svg", stacked(&overview)?.as_bytes())
    }

    /// Returns the numbers, without times, paths or dates.
    pub(super) fn json(&self) -> Value {
        let scores =
            |mode: &ModeScores| mode.iter().map(|scored| (scored.id.to_owned(), json!(scored.scores))).collect::<serde_json::Map<_, _>>();
        json!({
            "version": env!("CARGO_PKG_VERSION"),
            "seed": self.seed,
            "plan": self.plan,
            "tissue": self.tissue,
            "training": self.training,
            "conditioned": scores(&self.conditioned),
            "unconditioned": scores(&self.unconditioned),
            "calibration": { "conditioned": self.calibration[0], "unconditioned": self.calibration[1] },
            "proximity": self.proximity,
            "judged": self.plan.judged,
            "expectations": self.expectations,
        })
    }
}
