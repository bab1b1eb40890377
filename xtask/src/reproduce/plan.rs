//! How large each part of a run is. What needs tuning is here.

use data_fixtures::SimulationConfig;
use serde::Serialize;

/// The sizes of a run. Results depend on these values, the seed and the input, and on nothing else.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Plan {
    /// The tier's name in results.
    pub(super) tier: &'static str,
    /// The tissue to simulate; nothing where a real section is read.
    pub(super) simulation: Option<SimulationConfig>,
    /// Metadata of each cell in sentences and tasks, where the input has it.
    pub(super) metadata: Vec<&'static str>,
    /// Neighbors of a cell in training sentences and prompts.
    pub(super) neighbors: usize,
    /// Genes of each cell in sentences and prompts.
    pub(super) genes: usize,
    pub(super) training: TrainingPlan,
    pub(super) generation: GenerationPlan,
    /// The planted effect to recover, in a simulated tissue.
    pub(super) proximity: Option<ProximityPlan>,
    /// Whether the numbers are held against their expectations.
    pub(super) judged: bool,
}

#[derive(Clone, Debug, Serialize)]
pub(super) struct TrainingPlan {
    /// Optimizer steps.
    pub(super) steps: u64,
    /// Sentences of a step.
    pub(super) batch: usize,
    /// Base of the rotary positions.
    pub(super) rope_theta: f64,
    /// How much the cell that a sentence is about counts beside a neighbor of it, in the loss.
    pub(super) target_weight: f32,
    /// Orders of equally expressed genes that the training sentences are drawn from, at least.
    pub(super) tie_draws: usize,
    pub(super) learning_rate: f64,
    /// Sentences of the validation split whose loss is reported at the end.
    pub(super) validation_sentences: usize,
    /// Sentences that the tokenizer is trained on.
    pub(super) tokenizer_sentences: usize,
}

#[derive(Clone, Debug, Serialize)]
pub(super) struct GenerationPlan {
    /// Held-out cells to write, spread evenly over classes.
    pub(super) targets: usize,
    /// Trajectories of each expected ranking.
    pub(super) trajectories: u32,
    /// Tokens of a cell at most: its header and its genes.
    pub(super) max_new_tokens: usize,
}

#[derive(Clone, Debug, Serialize)]
pub(super) struct ProximityPlan {
    /// Optimizer steps for which the decoder is trained on, with neighborhoods of focal cells alone.
    pub(super) steps: u64,
    /// Largest learning rate of these steps.
    pub(super) learning_rate: f64,
    /// How much the focal cell counts beside a neighbor of it in these steps.
    pub(super) target_weight: f32,
    /// Targets have no partner at this distance or less, in micrometers.
    pub(super) clear_radius_um: f64,
    /// Where partners are inserted, in micrometers.
    pub(super) distance_um: f64,
    /// How many partners are inserted next to each target.
    pub(super) count: u32,
    /// Targets at most.
    pub(super) targets: usize,
    /// Trajectories of each expected ranking.
    pub(super) trajectories: u32,
    /// A gene counts as present when it is among this many first genes.
    pub(super) ranks: usize,
}

impl Plan {
    /// The small tier on simulated sections: within 15 minutes on 2 cores.
    pub(super) fn small(seed: u64) -> Self {
        Self {
            tier: "small",
            simulation: Some(SimulationConfig { seed, ..SimulationConfig::default() }),
            metadata: vec!["class", "spatial_domain"],
            neighbors: 8,
            genes: 30,
            training: TrainingPlan {
                steps: 5_000,
                batch: 4,
                rope_theta: 1e6,
                target_weight: 8.0,
                tie_draws: 4,
                learning_rate: 3e-3,
                validation_sentences: 64,
                tokenizer_sentences: 1_000,
            },
            generation: GenerationPlan { targets: 300, trajectories: 16, max_new_tokens: 80 },
            proximity: Some(ProximityPlan {
                steps: 2_000,
                learning_rate: 1e-3,
                target_weight: 100.0,
                clear_radius_um: 45.0,
                distance_um: 15.0,
                count: 2,
                targets: 300,
                trajectories: 16,
                ranks: 30,
            }),
            judged: true,
        }
    }

    /// The small tier on a real section: about 30 minutes of training on 2 cores.
    ///
    /// On the hypothalamus section of docs/reproduce.md, 50 genes and equal weights wrote better cells (overlap@30 0.612) than the settings of
    /// the simulated one (0.603).
    pub(super) fn real() -> Self {
        let small = Self::small(0);
        Self {
            tier: "real",
            simulation: None,
            metadata: vec!["class"],
            neighbors: 10,
            genes: 50,
            training: TrainingPlan { steps: 8_000, rope_theta: 1e4, target_weight: 1.0, tie_draws: 8, ..small.training },
            proximity: None,
            ..small
        }
    }

    /// Shrinks a plan to a run of seconds.
    pub(super) fn smoke(mut self) -> Self {
        self.tier = if self.simulation.is_some() { "smoke" } else { "smoke-real" };
        if let Some(simulation) = &mut self.simulation {
            *simulation = SimulationConfig { cells: 1_200, genes: 120, sections: 3, classes: 8, ..simulation.clone() };
        }
        self.neighbors = 6;
        self.genes = 15;
        self.training = TrainingPlan { steps: 5, batch: 2, validation_sentences: 4, tokenizer_sentences: 50, ..self.training };
        self.generation = GenerationPlan { targets: 16, trajectories: 2, max_new_tokens: 60 };
        if let Some(proximity) = &mut self.proximity {
            proximity.steps = 2;
            proximity.targets = 4;
            proximity.trajectories = 2;
            proximity.ranks = 10;
        }
        self.judged = false;
        self
    }
}
