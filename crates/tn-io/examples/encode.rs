//! Encodes an AnnData file: `cargo run -p tn-io --example encode -- SECTION.h5ad CELLS.parquet [COLUMN…]`
#![allow(clippy::print_stdout, reason = "the summary is the result")]

use std::error::Error;
use std::path::Path;

use tn_io::{EncodeOptions, encode_file};

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [section, cells, columns @ ..] = arguments.as_slice() else {
        return Err("expected SECTION.h5ad CELLS.parquet [COLUMN…]".into());
    };
    let options = EncodeOptions::new().with_columns(columns);
    let summary = encode_file(Path::new(section), Path::new(cells), &options)?;
    println!("{} cells, {:.1} genes per cell, sections {:?}", summary.cells, summary.mean_genes, summary.sections);
    Ok(())
}
