//! Highly variable genes beside those of scanpy.

use std::fs::File;
use std::path::Path;

use arrow::array::{AsArray, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Float32Type};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use serde::Deserialize;
use serde_json::Value;
use tn_eval::{ExpressionMatrix, HighlyVariableGenes};

const GOLDEN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../data-fixtures/golden");

fn golden(name: &str) -> Value {
    serde_json::from_reader(File::open(Path::new(GOLDEN).join(name)).unwrap()).unwrap()
}

/// Counts, with a column for each gene, under a transformation.
fn read_counts(name: &str, transform: fn(f32) -> f32) -> ExpressionMatrix {
    let file = File::open(Path::new(GOLDEN).join(name)).unwrap();
    let batches = ParquetRecordBatchReaderBuilder::try_new(file).unwrap().build().unwrap();
    let batches: Vec<RecordBatch> = batches.map(Result::unwrap).collect();
    let genes: Vec<String> = batches[0].schema().fields().iter().map(|field| field.name().clone()).collect();
    let mut counts = ExpressionMatrix::new(genes).unwrap();
    for batch in &batches {
        let columns: Vec<_> = batch.columns().iter().map(|column| cast(column, &DataType::Float32).unwrap()).collect();
        for cell in 0..batch.num_rows() {
            let values: Vec<f32> = columns.iter().map(|column| transform(column.as_primitive::<Float32Type>().value(cell))).collect();
            counts.push_dense(&values).unwrap();
        }
    }
    counts
}

#[track_caller]
fn check(actual: f64, expected: f64, tolerance: f64, what: &str) {
    assert!((actual - expected).abs() <= tolerance * expected.abs().max(1.0), "{what}: {actual}, expected {expected}");
}

#[test]
fn seurat_v3_equals_scanpy() {
    let golden = golden("hvg_seurat_v3.json");
    let cases = golden["cases"].as_array().unwrap();
    assert_eq!(cases.len(), 4);
    for case in cases {
        let transform = if case.get("transform").is_some() { |count: f32| (1.0 + count).log10() } else { |count: f32| count };
        let matrix = case["matrix_id"].as_str().unwrap();
        let genes = HighlyVariableGenes::seurat_v3(&read_counts(&format!("hvg_{matrix}.parquet"), transform)).unwrap();
        let expected = |column: &str| case["expected"][column].as_array().unwrap();
        let number = |column: &str, gene: usize| expected(column)[gene].as_f64().unwrap();
        let top = case["n_top_genes"].as_u64().unwrap() as usize;
        let mut worst = 0.0_f64;
        for (index, gene) in genes.genes().iter().enumerate() {
            check(gene.mean, number("means", index), 1e-6, &gene.gene);
            check(gene.variance, number("variances", index), 1e-6, &gene.gene);
            worst = worst.max((gene.variability - number("variances_norm", index)).abs());
            check(gene.variability, number("variances_norm", index), 1e-6, &gene.gene);
            assert_eq!(gene.rank.filter(|&rank| rank < top).map(|rank| rank as f64), expected("highly_variable_rank")[index].as_f64());
        }
        eprintln!("{matrix}: normalized variances differ by {worst:e}");
    }
}

/// The counts that the script beside the golden file makes by the same formula.
fn made_up_counts(n_cells: u64, n_genes: u64) -> Vec<Vec<u64>> {
    let count = |cell: u64, gene: u64| {
        let skewed = 100_000 / (50 + split_mix(cell * n_genes + gene) % 1_000) - 95;
        let marked = if cell.is_multiple_of(10) && gene.is_multiple_of(17) { 4 } else { 1 };
        skewed * (gene + 43).pow(2) * marked / 4_000_000
    };
    (0..n_cells).map(|cell| (0..n_genes).map(|gene| count(cell, gene)).collect()).collect()
}

/// The `index`-th output of SplitMix64 from seed 0.
fn split_mix(index: u64) -> u64 {
    let mut z = (index + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

#[test]
fn both_flavors_equal_scanpy() {
    let golden = golden("highly_variable.json");
    let cases = golden["cases"].as_array().unwrap();
    assert_eq!(cases.len(), 4);
    for case in cases {
        let [n_cells, n_genes, top] = ["cells", "genes", "n_top_genes"].map(|key| case[key].as_u64().unwrap());
        let counts = made_up_counts(n_cells, n_genes);
        let is_seurat = case["flavor"] == "seurat_v3";
        let mut cells = ExpressionMatrix::new((0..n_genes).map(|gene| format!("G{gene}"))).unwrap();
        for row in counts {
            let value = |count: u64| if is_seurat { count as f32 } else { (count as f32).ln_1p() };
            cells.push_dense(&row.into_iter().map(value).collect::<Vec<f32>>()).unwrap();
        }
        let genes = if is_seurat { HighlyVariableGenes::seurat_v3(&cells) } else { HighlyVariableGenes::cell_ranger(&cells) }.unwrap();
        let expected = &case["expected"];
        let mut worst = 0.0_f64;
        for (index, gene) in genes.genes().iter().enumerate() {
            let expected = expected["variability"][index].as_f64().unwrap();
            worst = worst.max((gene.variability - expected).abs());
            check(gene.variability, expected, 1e-5, &gene.gene);
        }
        eprintln!("{} of {n_genes} genes: differ by {worst:e}", case["flavor"]);
        let chosen = genes.top(top as usize);
        // Of genes that equal the last one, the flavor of Cell Ranger takes all in scanpy.
        let least = genes.genes().iter().find(|gene| gene.gene == *chosen.last().unwrap()).unwrap().variability;
        let is_chosen: Vec<bool> = genes.genes().iter().map(|gene| gene.variability >= least - 1e-6).collect();
        assert_eq!(is_chosen, Vec::<bool>::deserialize(&expected["highly_variable"]).unwrap());
        assert_eq!(chosen.len(), top as usize);
        let markers = (0..n_genes).step_by(17).filter(|gene| chosen.contains(&format!("G{gene}").as_str()));
        assert!(markers.count() > 5);
    }
}
