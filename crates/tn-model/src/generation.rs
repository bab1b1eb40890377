//! Writing cells: sampling one after the other, or the expected ranking over many trajectories.
//!
//! [`CellWriter`] turns tasks into requests and what comes back into cells. A [`Generator`] continues text: [`LocalGenerator`] with a
//! decoder in this process, and with the feature `remote` `RemoteGenerator` through a server.

mod cell_writer;
mod decoding;
mod error;
mod expectation;
mod expected_ranking;
mod generator;
mod grammar;
mod local;
#[cfg(feature = "remote")]
mod remote;
mod sampling;
mod scheduler;
mod session;
mod trajectory;

pub use cell_writer::{CellWriter, Consensus, GenerationOptions, Shortened};
pub use decoding::{ForcedTokens, Passes};
pub use error::GenerateError;
pub use expected_ranking::ExpectedRanking;
pub use generator::{Continuation, Deliver, Generator, Request};
pub use grammar::{ForbiddenToken, Grammar, GrammarError, GrammarState, HeaderField};
pub use local::{EarlyStop, ExpectationOptions, Hear, LocalGenerator};
#[cfg(feature = "remote")]
pub use remote::{AttemptError, RemoteError, RemoteGenerator, RemoteOptions, SampleRequests};
pub use sampling::Sampling;
pub use scheduler::Batching;
