//! Writing cells: sampling one after the other, or the expected ranking over many trajectories.

mod error;
mod expected_ranking;
mod generator;
mod panel;
mod sampling;
mod trajectory;

pub use error::GenerateError;
pub use expected_ranking::ExpectedRanking;
pub use generator::{GenerationOptions, Generator};
pub use panel::PanelTokens;
pub use sampling::Sampling;
