//! Writes a simulated tissue and its truth: `cargo run -p data-fixtures --features files --example simulate -- SECTIONS.h5ad TRUTH.parquet ['{"cells": 12000}']`

use std::error::Error;
use std::path::PathBuf;

use data_fixtures::{SimulatedTissue, write_tissue, write_truth};

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let path = |argument: Option<String>| argument.map(PathBuf::from).ok_or("expected SECTIONS.h5ad TRUTH.parquet [CONFIG]");
    let (sections, truth) = (path(arguments.next())?, path(arguments.next())?);
    let config = arguments.next().unwrap_or_else(|| "{}".to_owned());
    let tissue = SimulatedTissue::new(serde_json::from_str(&config)?)?;
    write_tissue(&tissue, &sections)?;
    write_truth(&tissue, &truth)?;
    Ok(())
}
