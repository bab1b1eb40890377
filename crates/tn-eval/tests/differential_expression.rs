//! Comparisons of groups of cells beside those of scanpy, SciPy, and a slow and obvious twin.

use std::fs::File;
use std::path::Path;

use arrow::array::{AsArray, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Float32Type};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use proptest::prelude::*;
use serde::Deserialize;
use serde_json::Value;
use tn_eval::{
    DifferentialExpression, DifferentialGene, DifferentialTable, ExpressionMatrix, GeneOrder, Reference, average_ranks, benjamini_hochberg,
    log2_fold_change,
};
use tn_sentence::LogarithmBase;

const GOLDEN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../data-fixtures/golden");

fn golden(name: &str) -> Value {
    serde_json::from_reader(File::open(Path::new(GOLDEN).join(name)).unwrap()).unwrap()
}

/// Numbers, of which those that JSON lacks are text.
fn numbers(values: &Value) -> Vec<f64> {
    let number = |value: &Value| value.as_f64().unwrap_or_else(|| value.as_str().unwrap().parse().unwrap());
    values.as_array().unwrap().iter().map(number).collect()
}

fn strings(values: &Value) -> Vec<String> {
    Vec::deserialize(values).unwrap()
}

/// The cells of a Parquet file with a column for each gene, and their labels.
fn read_cells(name: &str) -> (ExpressionMatrix, Vec<String>) {
    let file = File::open(Path::new(GOLDEN).join(name)).unwrap();
    let batches = ParquetRecordBatchReaderBuilder::try_new(file).unwrap().build().unwrap();
    let batches: Vec<RecordBatch> = batches.map(Result::unwrap).collect();
    let schema = batches[0].schema();
    let genes: Vec<&String> = schema.fields().iter().map(|field| field.name()).filter(|&name| name != "group").collect();
    let mut cells = ExpressionMatrix::new(genes.iter().map(|gene| gene.to_string())).unwrap();
    let mut labels = Vec::new();
    for batch in &batches {
        let columns: Vec<_> = genes.iter().map(|gene| cast(batch.column_by_name(gene).unwrap(), &DataType::Float32).unwrap()).collect();
        for cell in 0..batch.num_rows() {
            let values: Vec<f32> = columns.iter().map(|column| column.as_primitive::<Float32Type>().value(cell)).collect();
            cells.push_dense(&values).unwrap();
        }
        let group = cast(batch.column_by_name("group").unwrap(), &DataType::Utf8).unwrap();
        labels.extend(group.as_string::<i32>().iter().map(|label| label.unwrap().to_string()));
    }
    (cells, labels)
}

/// The comparison that a golden case describes.
fn test_of(case: &Value) -> DifferentialExpression {
    let test = match (case["method"].as_str(), case["tie_correct"].as_bool()) {
        (Some("t-test"), _) => DifferentialExpression::welch(),
        (_, Some(true)) => DifferentialExpression::wilcoxon(),
        _ => DifferentialExpression::wilcoxon_uncorrected(),
    };
    let test = if case["reference"] == "rest" { test } else { test.with_reference(case["reference"].as_str().unwrap()) };
    let test = if case["log1p_base"] == 10 { test.with_log_base(LogarithmBase::Ten) } else { test };
    if case["rankby_abs"] == true { test.with_order(GeneOrder::AbsoluteScore) } else { test }
}

/// Compares with a table of scanpy, whose scores and fold changes have 32 bits, and whose order of equal scores is arbitrary.
fn check_table(table: &DifferentialTable, case: &Value, what: &str) {
    let expected = &case["expected"];
    let names = strings(&expected["names"]);
    assert_eq!(table.genes().len(), names.len(), "{what}");
    let mut checked = 0;
    let mut check = |column: &str, tolerance: f64, value: fn(&DifferentialGene) -> f64| {
        let Some(expected) = expected.get(column) else { return };
        for (gene, expected) in names.iter().zip(numbers(expected)) {
            let actual = value(table.gene(gene).unwrap());
            // P-values span many orders of magnitude.
            let size = if column.starts_with("pvals") { expected } else { expected.abs().max(1.0) };
            let close = actual == expected || (actual - expected).abs() <= tolerance * size;
            // Scanpy has some number for means below 0.
            assert!(close || (column == "logfoldchanges" && actual.is_nan()), "{what} {gene} {column}: {actual}, expected {expected}");
            checked += 1;
        }
    };
    check("scores", 1e-5, |row| row.score);
    check("logfoldchanges", 1e-4, |row| row.log2_fold_change);
    check("pvals", 1e-6, |row| row.p_value);
    check("pvals_adj", 1e-6, |row| row.adjusted_p_value);
    check("pct_nz_group", 1e-12, |row| row.pct_nz_group);
    check("pct_nz_reference", 1e-12, |row| row.pct_nz_reference);
    assert!(checked >= 5 * names.len());
    let rank_by = |score: f64| if case["rankby_abs"] == true { score.abs() } else { score };
    for (row, expected) in table.genes().iter().zip(numbers(&expected["scores"])) {
        let (score, expected) = (rank_by(row.score), rank_by(expected));
        let close = score == expected || (score - expected).abs() <= 1e-5 * expected.abs().max(1.0);
        assert!(close, "{what}: {} stands in the place of a gene that scores {expected}", row.gene);
    }
}

#[test]
fn rank_sums_equal_scanpy() {
    let golden = golden("wilcoxon.json");
    let cases = golden["cases"].as_array().unwrap();
    assert_eq!(cases.len(), 24);
    for case in cases {
        let (cells, labels) = read_cells(&format!("wilcoxon_{}.parquet", case["matrix_id"].as_str().unwrap()));
        let table = test_of(case).compare(&cells, &labels, case["group"].as_str().unwrap()).unwrap();
        let what = format!("{} {} tie_correct {}", case["matrix_id"], case["reference"], case["tie_correct"]);
        check_table(&table, case, &what);
        assert!(table.genes().iter().all(|row| row.log2_fold_change.is_finite()));
    }
}

/// Signed values, made up by the script beside the golden file.
fn made_up_cells(golden: &Value) -> (ExpressionMatrix, Vec<String>) {
    let rows: Vec<Vec<f32>> = Vec::deserialize(&golden["values"]).unwrap();
    let mut cells = ExpressionMatrix::new((0..rows[0].len()).map(|gene| format!("G{gene}"))).unwrap();
    rows.iter().for_each(|row| cells.push_dense(row).unwrap());
    (cells, strings(&golden["labels"]))
}

#[test]
fn both_tests_of_signed_values_equal_scanpy() {
    let golden = golden("differential_expression.json");
    let (cells, labels) = made_up_cells(&golden);
    for case in golden["scanpy"].as_array().unwrap() {
        let table = test_of(case).with_log_base(LogarithmBase::Two).compare(&cells, &labels, case["group"].as_str().unwrap()).unwrap();
        let what = format!("{} {} {} {}", case["method"], case["tie_correct"], case["group"], case["reference"]);
        check_table(&table, case, &what);
        // Only the gene that is never above 0 has means that make no fold change.
        assert!(table.genes().iter().all(|row| row.log2_fold_change.is_nan() == (row.gene == "G2")), "{what}");
    }
}

#[test]
fn both_tests_equal_scipy() {
    let golden = golden("differential_expression.json");
    let (cells, labels) = made_up_cells(&golden);
    for case in golden["scipy"].as_array().unwrap() {
        let (group, reference) = (case["group"].as_str().unwrap(), case["reference"].as_str().unwrap());
        let reference = if reference == "rest" { Reference::Rest } else { Reference::from(reference) };
        let compare = |test: DifferentialExpression| test.with_reference(reference.clone()).compare(&cells, &labels, group).unwrap();
        let check = |table: &DifferentialTable, column: &str, equal: f64, value: fn(&DifferentialGene) -> f64| {
            for (gene, expected) in cells.genes().iter().zip(numbers(&case[column])) {
                let actual = value(table.gene(gene).unwrap());
                // Where all values are equal, SciPy has no result.
                let expected = if expected.is_nan() { equal } else { expected };
                let close = actual == expected || (actual - expected).abs() <= 1e-9 * expected.abs();
                assert!(close, "{gene} {column}: {actual}, expected {expected}");
            }
        };
        check(&compare(DifferentialExpression::wilcoxon()), "rank_sum_pvals", 1.0, |row| row.p_value);
        check(&compare(DifferentialExpression::welch()), "welch_scores", 0.0, |row| row.score);
        check(&compare(DifferentialExpression::welch()), "welch_pvals", 1.0, |row| row.p_value);
    }
}

#[test]
fn p_values_are_right_far_into_the_tail() {
    for case in golden("differential_expression.json")["tail"].as_array().unwrap() {
        let (n, m) = (case["n"].as_u64().unwrap(), case["m"].as_u64().unwrap());
        let mut cells = ExpressionMatrix::new(["Gad1"]).unwrap();
        (1..=n + m).for_each(|value| cells.push_dense(&[value as f32]).unwrap());
        let labels: Vec<&str> = (1..=n + m).map(|value| if value > m { "neuron" } else { "glia" }).collect();
        for (test, expected) in [(DifferentialExpression::wilcoxon(), "rank_sum_pval"), (DifferentialExpression::welch(), "welch_pval")] {
            let (actual, expected) =
                (test.compare(&cells, &labels, "neuron").unwrap().genes()[0].p_value, case[expected].as_f64().unwrap());
            assert!((actual - expected).abs() <= 1e-6 * expected, "{n} and {m}: {actual}, expected {expected}");
        }
    }
}

/// Cells with values of which many are equal or 0, some below 0, and labels of which each occurs twice at least.
fn labeled_cells(n_cells: std::ops::Range<usize>) -> impl Strategy<Value = (ExpressionMatrix, Vec<&'static str>)> {
    (n_cells, 1..4_usize).prop_flat_map(|(n_cells, n_genes)| {
        let value = prop_oneof![3 => Just(0.0), 2 => (-4..12_i8).prop_map(|value| f32::from(value) / 4.0), 1 => -1.0..3.0_f32];
        let values = prop::collection::vec(prop::collection::vec(value, n_genes), n_cells);
        let labels = prop::collection::vec(prop::sample::select(vec!["a", "b", "c", "d"]), n_cells - 8);
        (values, labels).prop_map(move |(values, mut labels)| {
            labels.extend(["a", "a", "b", "b", "c", "c", "d", "d"]);
            let mut cells = ExpressionMatrix::new((0..n_genes).map(|gene| format!("G{gene}"))).unwrap();
            values.iter().for_each(|values| cells.push_dense(values).unwrap());
            (cells, labels)
        })
    })
}

/// The values of a gene in the cells with a label for which `chosen` holds.
fn dense(cells: &ExpressionMatrix, labels: &[&str], gene: usize, chosen: impl Fn(&str) -> bool) -> Vec<f64> {
    let value = |cell: usize| {
        let (genes, values) = cells.cell(cell);
        genes.iter().position(|&index| index as usize == gene).map_or(0.0, |place| f64::from(values[place]))
    };
    (0..labels.len()).filter(|&cell| chosen(labels[cell])).map(value).collect()
}

/// The rank-sum test as a textbook has it.
fn dense_rank_sum(group: &[f64], reference: &[f64], correct: bool) -> f64 {
    let pooled = [group, reference].concat();
    let rank_sum: f64 = average_ranks(&pooled)[..group.len()].iter().sum();
    let (n, m, total) = (group.len() as f64, reference.len() as f64, pooled.len() as f64);
    let mut distinct = pooled.clone();
    distinct.sort_by(f64::total_cmp);
    distinct.dedup();
    let sizes = distinct.iter().map(|value| pooled.iter().filter(|other| *other == value).count() as f64);
    let ties: f64 = sizes.map(|t| t.powi(3) - t).sum();
    let correction = if correct { 1.0 - ties / (total.powi(3) - total) } else { 1.0 };
    let score = (rank_sum - n * (total + 1.0) / 2.0) / (correction * n * m * (total + 1.0) / 12.0).sqrt();
    if score.is_nan() { 0.0 } else { score }
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

fn dense_welch(group: &[f64], reference: &[f64]) -> f64 {
    let variance_of_mean = |values: &[f64]| {
        let squares: f64 = values.iter().map(|value| (value - mean(values)).powi(2)).sum();
        squares / (values.len() as f64 - 1.0) / values.len() as f64
    };
    let score = (mean(group) - mean(reference)) / (variance_of_mean(group) + variance_of_mean(reference)).sqrt();
    if score.is_nan() { 0.0 } else { score }
}

fn share_detected(values: &[f64]) -> f64 {
    values.iter().filter(|&&value| value != 0.0).count() as f64 / values.len() as f64
}

/// Compares every row of a table with the values of its gene.
fn check_against_dense(
    table: &DifferentialTable,
    cells: &ExpressionMatrix,
    labels: &[&str],
    score: impl Fn(&[f64], &[f64]) -> f64,
) -> Result<(), TestCaseError> {
    prop_assert_eq!(table.genes().len(), cells.n_genes());
    for row in table.genes() {
        let gene = cells.genes().iter().position(|name| *name == row.gene).unwrap();
        let group = dense(cells, labels, gene, |label| label == table.group());
        let reference = dense(cells, labels, gene, |label| match table.reference() {
            Reference::Rest => label != table.group(),
            Reference::Group(name) => label == name,
        });
        prop_assert_eq!((table.n_group(), table.n_reference()), (group.len(), reference.len()));
        let expected = score(&group, &reference);
        prop_assert!(row.score == expected || (row.score - expected).abs() <= 1e-9 * expected.abs().max(1.0), "{} {expected}", row.score);
        let expected = log2_fold_change(mean(&group), mean(&reference), LogarithmBase::E);
        prop_assert!((row.log2_fold_change - expected).abs() < 1e-6 || expected.is_nan(), "{} {expected}", row.log2_fold_change);
        prop_assert_eq!((row.pct_nz_group, row.pct_nz_reference), (share_detected(&group), share_detected(&reference)));
    }
    let p_values: Vec<f64> = table.genes().iter().map(|row| row.p_value).collect();
    let adjusted: Vec<f64> = table.genes().iter().map(|row| row.adjusted_p_value).collect();
    prop_assert_eq!(adjusted, benjamini_hochberg(&p_values));
    Ok(())
}

proptest! {
    #[test]
    fn sparse_equals_dense((cells, labels) in labeled_cells(9..60)) {
        for reference in [Reference::Rest, Reference::from("b")] {
            let tables = |test: DifferentialExpression| test.with_reference(reference.clone()).compare_all(&cells, &labels).unwrap();
            for table in tables(DifferentialExpression::wilcoxon()) {
                check_against_dense(&table, &cells, &labels, |group, reference| dense_rank_sum(group, reference, true))?;
            }
            for table in tables(DifferentialExpression::wilcoxon_uncorrected()) {
                check_against_dense(&table, &cells, &labels, |group, reference| dense_rank_sum(group, reference, false))?;
            }
            for table in tables(DifferentialExpression::welch()) {
                check_against_dense(&table, &cells, &labels, dense_welch)?;
            }
        }
    }

    #[test]
    fn all_groups_at_once_equal_one_after_the_other((cells, labels) in labeled_cells(9..60)) {
        for test in [DifferentialExpression::wilcoxon(), DifferentialExpression::welch()] {
            for test in [test.clone(), test.with_reference("d")] {
                for table in test.compare_all(&cells, &labels).unwrap() {
                    let alone = test.compare(&cells, &labels, table.group()).unwrap();
                    prop_assert_eq!(format!("{table:?}"), format!("{alone:?}"));
                }
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    /// Enough values to be sorted by their bytes.
    #[test]
    fn many_cells_are_ranked_as_few((cells, labels) in labeled_cells(400..900)) {
        for reference in [Reference::Rest, Reference::from("b")] {
            for table in DifferentialExpression::wilcoxon().with_reference(reference).compare_all(&cells, &labels).unwrap() {
                check_against_dense(&table, &cells, &labels, |group, reference| dense_rank_sum(group, reference, true))?;
            }
        }
    }

    #[test]
    fn any_number_of_threads_gives_the_same_bits((cells, labels) in labeled_cells(100..400)) {
        for test in [DifferentialExpression::wilcoxon(), DifferentialExpression::welch()] {
            let with_threads = |threads: usize| {
                let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
                pool.install(|| format!("{:?}", test.compare_all(&cells, &labels).unwrap()))
            };
            let one = with_threads(1);
            prop_assert_eq!(&one, &with_threads(2));
            prop_assert_eq!(&one, &with_threads(8));
        }
    }
}
