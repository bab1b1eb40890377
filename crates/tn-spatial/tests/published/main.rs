//! Golden cases recorded from the published Python program, squidpy and SciPy.

mod binning;
mod radius_graph;
mod traversal;

use serde_json::Value;
use tn_sentence::Position;

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

fn positions(value: &Value) -> Vec<Position> {
    let point = |point: &Value| Position::new(point[0].as_f64().unwrap(), point[1].as_f64().unwrap()).unwrap();
    value.as_array().unwrap().iter().map(point).collect()
}

fn numbers(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(|number| number.as_f64().unwrap()).collect()
}
