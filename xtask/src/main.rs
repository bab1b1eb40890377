//! Commands for contributors and benchmarkers: `cargo xtask reproduce`, `ci`, `fixtures`, `bench` and `gpu`.
//!
//! Each command is a file, and ordinary Rust over the public crates of the workspace.
#![allow(clippy::print_stdout, reason = "the results of a command are printed")]

mod bench;
mod ci;
mod fixtures;
mod flags;
mod gpu;
mod peer;
mod reproduce;
mod workspace;

use std::process::ExitCode;

use clap::Parser;

use self::flags::{Command, Flags};

fn main() -> ExitCode {
    tracing_subscriber::fmt()
        .with_env_filter(tracing_subscriber::EnvFilter::try_from_default_env().unwrap_or_else(|_| "warn".into()))
        .with_writer(std::io::stderr)
        .init();
    let done = match Flags::parse().command {
        Command::Reproduce(flags) => reproduce::run(&flags),
        Command::Ci(flags) => ci::run(&flags),
        Command::Fixtures(flags) => fixtures::run(&flags),
        Command::Bench(flags) => bench::run(&flags),
        Command::Gpu(flags) => gpu::run(&flags),
    };
    done.unwrap_or_else(|error| {
        eprintln!("error: {error:#}");
        ExitCode::FAILURE
    })
}
