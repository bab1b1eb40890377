//! Scenarios: pairs of prompts that differ in exactly one thing.
//!
//! What would change in a cell if its neighborhood were another? A [`Scenario`] takes the observed neighborhoods of a
//! class of cells, edits each, and yields [`TaskPair`]s: a control and its perturbed twin with the same target, place and
//! seed. A predictor writes both, and what differs between them is its answer.
//!
//! ```
//! use tn_perturb::{Edit, Scenario};
//! use tn_sentence::{CellRecord, GeneRanking, Metadata, Position};
//! use tn_spatial::TaskOptions;
//!
//! let cell = |name: &str, x: f64, class: &str| -> Result<CellRecord, Box<dyn std::error::Error>> {
//!     Ok(CellRecord {
//!         cell_name: name.to_owned(),
//!         ranking: GeneRanking::parse("GFAP AQP4")?,
//!         position: Position::new(x, 0.0)?,
//!         section: "S1".to_owned(),
//!         metadata: Metadata::from_pairs([("class", class)])?,
//!     })
//! };
//! let cells = [cell("astro", 0.0, "Astro")?, cell("neuron", 40.0, "Neuron")?, cell("oec", 900.0, "OEC")?];
//!
//! // Put an olfactory ensheathing cell 15 micrometers from every astrocyte.
//! let scenario = Scenario::new("Astro", Edit::InsertNeighbor { class: "OEC".to_owned(), distance_um: 15.0, count: 1 }).with_seed(7);
//! let pairs = scenario.pairs(&cells, &TaskOptions::default().with_neighbors(1))?;
//! assert_eq!(pairs[0].control().neighbor_cell_names, ["neuron"]);
//! assert_eq!(pairs[0].perturbed().neighbor_cell_names, ["neuron", "oec"]);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Which type do I need?
//!
//! | You want | Use |
//! |---|---|
//! | to change neighborhoods | [`Scenario`] with an [`Edit`] |
//! | both sides of each change, and what was changed | [`TaskPair`], [`Change`] |
//! | cells that already live near another class, and those that do not | [`ProximityGroups`] |
//!
//! A scenario is data: it is serialized with `serde`, replayed, and compared. The same scenario, table and seed give the
//! same pairs.
//!
//! # Out of scope
//!
//! Writing the cells is the business of a [`CellPredictor`](tn_sentence::CellPredictor); comparing what was written is
//! that of `tn-eval`.

mod edit;
mod pair;
mod proximity;
mod scenario;

pub use crate::{
    edit::{Change, Edit},
    pair::{CONTROL, PERTURBED, TaskPair},
    proximity::{Proximity, ProximityGroups},
    scenario::{Scenario, ScenarioError},
};
