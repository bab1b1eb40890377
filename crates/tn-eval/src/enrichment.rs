//! Which sets of genes a ranking or a list of genes is about.

mod error;
mod over_representation;
mod prerank;
mod ranked_genes;
mod running_sum;

pub use self::error::EnrichmentError;
pub use self::over_representation::{OverRepresentation, SetOverlap};
pub use self::prerank::{EnrichedSet, Prerank, PrerankTable};

pub(crate) use self::ranked_genes::RankedGenes;
pub(crate) use self::running_sum::{Peak, RunningSum};
