//! Golden cases recorded from the published Python program.
//!
//! Where our default differs on purpose, the test names the difference; the `compat` functions are then compared with
//! the record.

mod cell_sentence;
mod clean_up;
mod prompt_order;
mod ranking;
mod spatial_sentence;

use serde_json::Value;
use tn_sentence::{CellSentence, Metadata};

/// Returns the cases of a golden file.
fn golden(name: &str) -> Vec<Value> {
    let path = format!("{}/../../data-fixtures/golden/{name}.json", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
    let mut file: Value = serde_json::from_str(&text).unwrap();
    serde_json::from_value(file["cases"].take()).unwrap()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap()
}

fn strings(value: &Value) -> Vec<&str> {
    value.as_array().unwrap().iter().map(text).collect()
}

fn numbers(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(|number| number.as_f64().unwrap()).collect()
}

fn pairs(metadata: &Metadata) -> Vec<[&str; 2]> {
    metadata.iter().map(|(key, value)| [key, value]).collect()
}

/// Compares a cell with its record. Our gene symbols are upper case; the record keeps the case of the text.
fn assert_cell(cell: &CellSentence, expected: &Value) {
    assert_eq!([cell.position().x(), cell.position().y()], [expected["x"].as_f64().unwrap(), expected["y"].as_f64().unwrap()]);
    assert_eq!(serde_json::json!(pairs(cell.metadata())), expected["meta"]);
    let genes: Vec<String> = strings(&expected["cs"]).iter().map(|gene| gene.to_uppercase()).collect();
    assert_eq!(cell.ranking().iter().collect::<Vec<_>>(), genes);
}

/// Compares texts without looking at case (of genes) and at the number of blanks.
fn assert_same_text(found: &str, expected: &str) {
    let words = |text: &str| text.to_uppercase().split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(words(found), words(expected));
}
