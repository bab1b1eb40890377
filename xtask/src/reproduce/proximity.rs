//! The planted proximity effect: does the model know what a neighbor does to a cell?
//!
//! Cells of the focal class that have no partner near are written twice: as they were observed, and with partners put
//! next to them. What differs between the two is the model's answer, gene by gene, to be held against what was planted.
//! The control puts cells of another class there.

use std::collections::{BTreeMap, HashMap};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use tissuenarrator::eval::{Response, spearman};
use tissuenarrator::perturb::TaskPair;
use tissuenarrator::prelude::*;
use tissuenarrator::sentence::request_seed;

use super::focal_training;
use super::generation::{Writer, task_options};
use super::plan::{Plan, ProximityPlan};
use super::run_folder::RunFolder;
use super::tissue::{Tissue, Truth};
use super::training::{Trained, evenly};

/// What became of the planted effect.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(super) struct ProximityResult {
    /// The class that answers.
    pub(super) focal: String,
    /// The class whose closeness causes the effect.
    pub(super) partner: String,
    /// Targets, each written with and without partners.
    pub(super) pairs: usize,
    /// Spearman's correlation of planted and generated changes over the planted genes.
    pub(super) spearman: Option<f64>,
    /// The same where cells of another class were inserted.
    pub(super) control_spearman: Option<f64>,
    /// The same between planted changes and those seen in the held-out cells themselves, near and far from partners.
    pub(super) observed_spearman: Option<f64>,
    /// Observed focal cells near a partner, and far from any.
    pub(super) observed_cells: [usize; 2],
    pub(super) genes: Vec<PlantedGene>,
}

/// A planted gene and its changes, in log2 units.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(super) struct PlantedGene {
    pub(super) gene: String,
    pub(super) planted: f64,
    pub(super) generated: f64,
    pub(super) control: f64,
    pub(super) observed: f64,
}

/// Measures the effect, or reads what an interrupted run measured.
pub(super) fn recover(
    folder: &mut RunFolder,
    trained: &Trained,
    tissue: &Tissue,
    plan: &Plan,
    seed: u64,
) -> Result<Option<ProximityResult>> {
    let (Some(truth), Some(effect)) = (&tissue.truth, &plan.proximity) else { return Ok(None) };
    let Some((focal, partner, radius_um)) = truth.proximity() else { return Ok(None) };
    let trained = focal_training::train_on(folder, trained, tissue, focal, effect, plan, seed)?;
    folder
        .stage("planted effect", |folder| {
            if let Some(result) = folder.read_json("proximity.json") {
                return Ok(result);
            }
            let study = Study { tissue, plan, effect, focal, partner, seed };
            let result = study.measure(truth, radius_um, &Writer { trained: &trained, tissue, plan, seed })?;
            folder.write_json("proximity.json", &result)?;
            Ok(result)
        })
        .map(Some)
        .context("the planted proximity effect")
}

struct Study<'a> {
    tissue: &'a Tissue,
    plan: &'a Plan,
    effect: &'a ProximityPlan,
    focal: &'a str,
    partner: &'a str,
    seed: u64,
}

impl Study<'_> {
    fn measure(&self, truth: &Truth, radius_um: f64, writer: &Writer<'_>) -> Result<ProximityResult> {
        let pairs = self.partner_pairs()?;
        let controls = self.shuffled_pairs(&pairs)?;
        let write = |tasks: &[&TaskRecord]| -> Result<Vec<HashMap<String, f64>>> {
            let tasks: Vec<TaskRecord> = tasks.iter().map(|&task| task.clone()).collect();
            let written = writer.expected(&tasks, Conditioning::Conditioned, self.effect.trajectories)?;
            Ok(written.iter().map(|(_, ranking)| self.scores(&ranking.presence(self.effect.ranks))).collect())
        };
        let observed_as = write(&pairs.iter().map(TaskPair::control).collect::<Vec<_>>())?;
        let with_partner = write(&pairs.iter().map(TaskPair::perturbed).collect::<Vec<_>>())?;
        let with_other = write(&controls.iter().map(TaskPair::perturbed).collect::<Vec<_>>())?;

        let generated = self.fold_changes(&observed_as, &with_partner)?;
        let control = self.fold_changes(&observed_as, &with_other)?;
        let (observed, observed_cells) = self.observed_fold_changes(radius_um);
        let genes: Vec<PlantedGene> = truth
            .tissue
            .proximity_genes()
            .iter()
            .map(|planted| {
                let change = |changes: &HashMap<String, f64>| changes.get(&planted.gene).copied().unwrap_or(0.0);
                PlantedGene {
                    gene: planted.gene.clone(),
                    planted: planted.log2_fold_change,
                    generated: change(&generated),
                    control: change(&control),
                    observed: change(&observed),
                }
            })
            .collect();
        let planted: Vec<f64> = genes.iter().map(|gene| gene.planted).collect();
        let agreement = |of: fn(&PlantedGene) -> f64| {
            let changes: Vec<f64> = genes.iter().map(of).collect();
            spearman(&planted, &changes).ok().map(|correlation| correlation.coefficient)
        };
        Ok(ProximityResult {
            focal: self.focal.to_owned(),
            partner: self.partner.to_owned(),
            pairs: pairs.len(),
            spearman: agreement(|gene| gene.generated),
            control_spearman: agreement(|gene| gene.control),
            observed_spearman: agreement(|gene| gene.observed),
            observed_cells,
            genes,
        })
    }

    /// Returns held-out focal cells without a partner near, each with and without partners put next to it.
    fn partner_pairs(&self) -> Result<Vec<TaskPair>> {
        let scenario = self.insertion(self.partner).with_clear_radius(self.effect.clear_radius_um);
        let pairs = scenario.pairs(&self.tissue.cells, &self.task_options())?;
        Ok(evenly(pairs.len(), self.effect.targets).into_iter().map(|i| pairs[i].clone()).collect())
    }

    /// Returns the same targets with cells of another class put there, drawn for each target from all other classes.
    fn shuffled_pairs(&self, pairs: &[TaskPair]) -> Result<Vec<TaskPair>> {
        let others: Vec<&str> = self.tissue.classes().into_iter().filter(|class| *class != self.focal && *class != self.partner).collect();
        let mut by_class: BTreeMap<&str, HashMap<String, TaskPair>> = BTreeMap::new();
        for class in &others {
            let found = self.insertion(class).pairs(&self.tissue.cells, &self.task_options())?;
            by_class.insert(class, found.into_iter().map(|pair| (pair.control().cell_name.clone(), pair)).collect());
        }
        pairs
            .iter()
            .map(|pair| {
                let name = &pair.control().cell_name;
                let class = others[(request_seed(self.seed, name, 1) % others.len() as u64) as usize];
                by_class[class].get(name).cloned().with_context(|| format!("no control for cell {name}"))
            })
            .collect()
    }

    fn insertion(&self, class: &str) -> Scenario {
        let edit = Edit::InsertNeighbor { class: class.to_owned(), distance_um: self.effect.distance_um, count: self.effect.count };
        Scenario::new(self.focal, edit).with_seed(self.seed).with_donor_split("train")
    }

    /// Returns how tasks are made. With inserted cells they have more neighbors than in training; prompts leave the farthest out again, lest
    /// the number of neighbors be what the model answers to.
    fn task_options(&self) -> TaskOptions {
        task_options(self.plan, self.seed)
    }

    fn scores(&self, presence: &[f32]) -> HashMap<String, f64> {
        self.tissue.panel.iter().zip(presence).map(|(gene, &presence)| (gene.to_owned(), f64::from(presence))).collect()
    }

    fn fold_changes(&self, control: &[HashMap<String, f64>], perturbed: &[HashMap<String, f64>]) -> Result<HashMap<String, f64>> {
        let mut response = Response::new(&self.tissue.panel);
        for (control, perturbed) in control.iter().zip(perturbed) {
            response.add_scores(control, perturbed)?;
        }
        Ok(response.genes()?.into_iter().map(|gene| (gene.gene, gene.log2_fold_change)).collect())
    }

    /// Compares the held-out focal cells near a partner with those far from any, as they were measured.
    fn observed_fold_changes(&self, radius_um: f64) -> (HashMap<String, f64>, [usize; 2]) {
        let cells = self.tissue.split("test");
        let groups = ProximityGroups::new(self.focal, self.partner).within(radius_um).divide(&cells);
        let presence = |rows: &[usize]| {
            let mut shares: HashMap<&str, f64> = HashMap::new();
            for gene in rows.iter().flat_map(|&row| cells[row].ranking.iter().take(self.effect.ranks)) {
                *shares.entry(gene).or_default() += 1.0 / rows.len() as f64;
            }
            shares
        };
        let (near, far) = (presence(groups.proximal()), presence(groups.control()));
        let share = |shares: &HashMap<&str, f64>, gene| shares.get(gene).copied().unwrap_or(0.0) + Response::DEFAULT_PSEUDOCOUNT;
        let changes = self.tissue.panel.iter().map(|gene| (gene.to_owned(), (share(&near, gene) / share(&far, gene)).log2())).collect();
        (changes, [groups.proximal().len(), groups.control().len()])
    }
}
