//! The built program `tn`, from end to end, on a simulation of a few hundred cells.

mod ablations;
mod bad_input;
mod chain;
mod folder;
mod repeatability;
mod resume;
#[path = "../../../tn-model/tests/remote/server.rs"]
mod server;
mod servers;
mod splits;
mod statistics;
mod surprise;
mod tokens;
mod usage;
mod workers;
