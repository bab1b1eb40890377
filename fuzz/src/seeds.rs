//! The inputs to start from, one small function for each target: they are put into its corpus whenever it starts.

#[cfg(feature = "files")]
mod files;

use std::fs;
use std::path::Path;

#[cfg(feature = "files")]
pub use self::files::{h5ad, table};

const NEIGHBORS: &str =
    "section: S1 <pos> X: 10, Y: -20.5 <meta> class: OEC, note: a%2C b <cs> AQP1 GJA1 </cs> <POS> x: +3, y: 4 <cs> GFAP";
const ANSWER: &str = "<pos> X: 4768, Y: 6093 <meta> class: HY GABA, spatial_domain: N/A, flag <cs> GDA DLK1 RREB1 </cs>";
const GENERATED: &str = " GDA the DLK1 GDA <b> GDA </cs> <pos> X: 1e5, Y: 2 <cs> A </cs>";

/// Seeds of the parsers of text.
pub fn cell_sentence() {
    for (name, text) in [("neighbors", NEIGHBORS), ("answer", ANSWER), ("generated", &format!("{ANSWER}{GENERATED}"))] {
        save("cell_sentence", name, text.as_bytes());
    }
}

/// Seeds of prompts and of clean-up.
pub fn prompt_and_cleanup() {
    for (name, answer) in [("with_answer", ANSWER), ("without_answer", "")] {
        let text = ["cell-7", "4768.25", "-6093", "HY GABA", NEIGHBORS, answer, GENERATED].join("\n");
        save("prompt_and_cleanup", name, text.as_bytes());
    }
}

fn save(target: &str, name: &str, bytes: &[u8]) {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target);
    fs::create_dir_all(&corpus).expect("a folder that can be written");
    fs::write(corpus.join(name), bytes).expect("a folder that can be written");
}
