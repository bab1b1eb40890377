//! Prints what is in a file: `cargo run -p tn-io --example inspect -- FILE`
#![allow(clippy::print_stdout, reason = "the summary is the result")]

use std::error::Error;
use std::path::Path;

fn main() -> Result<(), Box<dyn Error>> {
    for file in std::env::args().skip(1) {
        println!("{}", tn_io::inspect_file(Path::new(&file))?);
    }
    Ok(())
}
