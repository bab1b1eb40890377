//! Writing cells: sampling one after the other, or the expected ranking over many trajectories.
//!
//! [`CellWriter`] turns tasks into requests and what comes back into cells. A [`Generator`] continues text: [`LocalGenerator`] with a
//! decoder in this process.

mod cell_writer;
mod decoding;
mod error;
mod expected_ranking;
mod generator;
mod local;
mod panel;
mod sampling;
mod trajectory;

pub use cell_writer::{CellWriter, Consensus, GenerationOptions};
pub use error::GenerateError;
pub use expected_ranking::ExpectedRanking;
pub use generator::{Continuation, Deliver, Generator, Request};
pub use local::LocalGenerator;
pub use panel::PanelTokens;
pub use sampling::Sampling;
