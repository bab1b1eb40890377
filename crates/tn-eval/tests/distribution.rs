//! Comparisons of two samples of cells: the results of other programs from `data-fixtures/golden/distribution.json`, and what
//! holds for every input.

use std::sync::LazyLock;

use proptest::prelude::*;
use serde::Deserialize;
use serde_json::Value;
use tn_eval::ExpressionMatrix;
use tn_eval::distribution::{
    Agreement, ClassConfusion, ClassifierTest, CorrelationAgreement, DistributionReport, DiversityOptions, GeneCorrelations, LabeledCells,
    LogisticRegression, MoransI, SampleDistances, SpatialWeights, TwoSampleTest, class_composition, diversity, gene_moments,
    moment_agreement, novelty,
};

static GOLDEN: LazyLock<Value> = LazyLock::new(|| {
    let text = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../../data-fixtures/golden/distribution.json"));
    serde_json::from_str(text).expect("golden files are JSON")
});

fn matrix(rows: &[Vec<f32>]) -> ExpressionMatrix {
    let mut cells = ExpressionMatrix::new((0..rows[0].len()).map(|gene| format!("G{gene}"))).unwrap();
    rows.iter().for_each(|row| cells.push_dense(row).unwrap());
    cells
}

fn cells(value: &Value) -> ExpressionMatrix {
    matrix(&Vec::deserialize(value).unwrap())
}

fn numbers(value: &Value) -> Vec<f64> {
    Vec::deserialize(value).unwrap()
}

fn strings(value: &Value) -> Vec<String> {
    Vec::deserialize(value).unwrap()
}

#[track_caller]
fn check(actual: f64, expected: &Value, tolerance: f64) {
    let expected = expected.as_f64().unwrap_or_else(|| panic!("no number expected but {expected}"));
    assert!((actual - expected).abs() <= tolerance, "{actual}, expected {expected}");
}

#[track_caller]
fn check_all(actual: impl IntoIterator<Item = f64>, expected: &Value, tolerance: f64) {
    let expected = expected.as_array().unwrap();
    let actual: Vec<f64> = actual.into_iter().collect();
    assert_eq!(actual.len(), expected.len());
    actual.iter().zip(expected).for_each(|(actual, expected)| check(*actual, expected, tolerance));
}

#[test]
fn gene_correlations_equal_numpy() {
    let (generated, observed) = (cells(&GOLDEN["generated"]), cells(&GOLDEN["observed"]));
    let check_matrix = |found: &GeneCorrelations, expected: &Value| {
        let pairs = (0..10).flat_map(|a| (a + 1..10).map(move |b| (a, b)));
        for ((a, b), expected) in pairs.zip(expected.as_array().unwrap()) {
            match found.between(a, b) {
                Some(found) => check(found, expected, 1e-12),
                None => assert!(expected.is_null(), "{a}, {b}: {expected}"),
            }
        }
    };
    let expected = &GOLDEN["correlations"];
    check_matrix(&GeneCorrelations::pearson(&generated), &expected["pearson"]["generated"]);
    check_matrix(&GeneCorrelations::pearson(&observed), &expected["pearson"]["observed"]);
    check_matrix(&GeneCorrelations::spearman(&generated), &expected["spearman"]["generated"]);
    check_matrix(&GeneCorrelations::spearman(&observed), &expected["spearman"]["observed"]);
    for (agreement, expected) in [
        (CorrelationAgreement::pearson(&generated, &observed).unwrap(), &expected["pearson"]),
        (CorrelationAgreement::spearman(&generated, &observed).unwrap(), &expected["spearman"]),
    ] {
        assert_eq!((agreement.genes, agreement.constant_generated, agreement.constant_observed), (8, 2, 1));
        check(agreement.pearson.unwrap(), &expected["agreement"], 1e-12);
        check(agreement.mean_absolute_difference, &expected["mean_absolute_difference"], 1e-12);
    }
}

#[test]
fn gene_moments_equal_numpy() {
    let (generated, observed) = (cells(&GOLDEN["generated"]), cells(&GOLDEN["observed"]));
    let (moments, expected) = (gene_moments(&generated).unwrap(), &GOLDEN["moments"]);
    check_all(moments.iter().map(|gene| gene.mean), &expected["means"], 1e-12);
    check_all(moments.iter().map(|gene| gene.variance), &expected["variances"], 1e-12);
    check_all(moments.iter().map(|gene| gene.detection), &expected["detection"], 1e-12);
    let agreement = moment_agreement(&generated, &observed).unwrap();
    assert_eq!((agreement.genes as u64, agreement.left_out), (expected["genes"].as_u64().unwrap(), 2));
    let check_agreement = |found: Agreement, expected: &Value| {
        check(found.pearson.unwrap(), &expected["pearson"], 1e-12);
        check(found.spearman.unwrap(), &expected["spearman"], 1e-12);
        check(found.mean_difference, &expected["mean_difference"], 1e-12);
    };
    check_agreement(agreement.log_mean, &expected["agreement"]["log_mean"]);
    check_agreement(agreement.log_variance, &expected["agreement"]["log_variance"]);
    check_agreement(agreement.detection, &expected["agreement"]["detection"]);
}

#[test]
fn distances_equal_double_loops_over_scipy_and_scikit_learn() {
    let (generated, observed) = (cells(&GOLDEN["generated"]), cells(&GOLDEN["observed"]));
    let found = TwoSampleTest::new().with_permutations(0).compare(&generated, &observed).unwrap();
    let expected = &GOLDEN["two_sample"];
    check(found.bandwidth, &expected["bandwidth"], 1e-12);
    check(found.energy.biased, &expected["energy"]["biased"], 1e-12);
    check(found.energy.unbiased, &expected["energy"]["unbiased"], 1e-12);
    check(found.mmd.biased, &expected["mmd"]["biased"], 1e-12);
    check(found.mmd.unbiased, &expected["mmd"]["unbiased"], 1e-12);
}

#[test]
fn the_energy_distance_of_one_gene_is_the_square_of_scipys() {
    let case = &GOLDEN["scipy_energy_distance"];
    let one_gene = |side: &Value| matrix(&numbers(side).iter().map(|&value| vec![value as f32]).collect::<Vec<_>>());
    let found = TwoSampleTest::new().with_permutations(0).compare(&one_gene(&case["x"]), &one_gene(&case["y"])).unwrap();
    check(found.energy.biased.sqrt(), &case["expected"], 1e-12);
}

#[test]
fn drawn_permutations_come_near_the_share_of_all() {
    let case = &GOLDEN["two_sample_exact"];
    let test = TwoSampleTest::new().with_bandwidth(case["sigma"].as_f64().unwrap()).unwrap().with_permutations(20_000);
    let found = test.compare(&cells(&case["x"]), &cells(&case["y"])).unwrap();
    // Four standard errors of a share near 0.1.
    check(found.energy.p_value.unwrap(), &case["p"]["energy"], 0.009);
    check(found.mmd.p_value.unwrap(), &case["p"]["mmd"], 0.009);
}

#[test]
fn morans_i_equals_scanpy_and_its_p_value_squidpy() {
    for case in GOLDEN["autocorrelation"].as_array().unwrap() {
        let neighbors: Vec<Vec<u32>> = Vec::deserialize(&case["neighbors"]).unwrap();
        let raw = SpatialWeights::binary(&neighbors).unwrap();
        let values: Vec<Vec<f64>> = Vec::deserialize(&case["x"]).unwrap();
        let values = matrix(&values.iter().map(|row| row.iter().map(|&value| value as f32).collect()).collect::<Vec<_>>());
        for (weights, expected) in [(raw.clone(), &case["raw"]), (raw.row_standardized(), &case["row_standardized"])] {
            let statistic = MoransI::new(&weights);
            let genes = statistic.of(&values).unwrap();
            check_all(genes.iter().map(|gene| gene.morans_i.unwrap()), &expected["scanpy_morans_i"], 1e-12);
            let one_sided = numbers(&expected["squidpy_pval_norm"]);
            for ((gene, two_sided), one_sided) in genes.iter().zip(numbers(&expected["squidpy_pval_norm_two_tailed"])).zip(one_sided) {
                // Squidpy's are one minus a number near one, exact to 1e-15.
                let p_value = gene.p_value.unwrap();
                assert!((p_value - two_sided).abs() <= 1e-15 + 1e-9 * two_sided, "{p_value}, expected {two_sided}");
                assert!((p_value / 2.0 - one_sided).abs() <= 1e-15 + 1e-9 * one_sided, "{p_value}, expected twice {one_sided}");
            }
            check(statistic.variance(), &expected["squidpy_var_norm"], 1e-14);
        }
    }
}

#[test]
fn composition_equals_scipy_and_confusion_scikit_learn() {
    let case = &GOLDEN["composition"];
    let (written, truth) = (strings(&case["written"]), strings(&case["truth"]));
    let composition = class_composition(&written, &truth).unwrap();
    check(composition.total_variation, &case["total_variation"], 1e-12);
    check(composition.jensen_shannon, &case["jensen_shannon"], 1e-12);
    let confusion = ClassConfusion::new(&written, &truth).unwrap();
    assert_eq!(confusion.classes(), strings(&case["classes"]));
    let classes = confusion.classes();
    for (row, counts) in classes.iter().zip(case["confusion"].as_array().unwrap()) {
        check_all(classes.iter().map(|column| confusion.count(row, column) as f64), counts, 0.0);
    }
    // What is not defined is 0 in the golden file.
    check_all(classes.iter().map(|class| confusion.recall(class).unwrap_or(0.0)), &case["recall"], 1e-12);
    check_all(classes.iter().map(|class| confusion.precision(class).unwrap_or(0.0)), &case["precision"], 1e-12);
}

#[test]
fn diversity_equals_scipy() {
    let case = &GOLDEN["diversity"];
    let options = DiversityOptions::new().with_top_genes(case["top"].as_u64().unwrap() as usize);
    let found = diversity(&cells(&GOLDEN["observed"]), &options).unwrap();
    check(found.panel_coverage, &case["panel_coverage"], 1e-12);
    check(found.usage_entropy, &case["usage_entropy"], 1e-12);
    check(found.mean_jaccard, &case["mean_jaccard"], 1e-12);
}

#[test]
fn logistic_regression_equals_scikit_learn() {
    let case = &GOLDEN["logistic_regression"];
    let labels: Vec<bool> = numbers(&case["labels"]).iter().map(|&label| label == 1.0).collect();
    for expected in case["expected"].as_array().unwrap() {
        let model = LogisticRegression::fit(&cells(&case["x"]), &labels, 1.0 / expected["C"].as_f64().unwrap()).unwrap();
        check_all(model.coefficients, &expected["coefficients"], 1e-7);
        check(model.intercept, &expected["intercept"], 1e-7);
    }
}

/// Two programs of genes, two classes, and numbers that are not exact.
fn section(n: usize, seed: u64) -> (ExpressionMatrix, Vec<&'static str>) {
    let value = |cell: usize, gene: usize| (tn_sentence::draw(seed, (cell * 100 + gene) as u64) % 1_000) as f32 / 700.0;
    let row = |cell: usize| (0..20).map(|gene| (value(cell, gene) + value(cell, gene % 2 + 20) - 1.2).max(0.0)).collect();
    let labels = (0..n).map(|cell| if cell % 3 == 0 { "Astro" } else { "Neuron" }).collect();
    (matrix(&(0..n).map(row).collect::<Vec<_>>()), labels)
}

#[test]
fn results_have_the_same_bytes_on_any_number_of_threads() {
    let ((generated, written), (observed, measured)) = (section(150, 1), section(170, 2));
    let lists = (0..150_u32).map(|cell| (0..150).filter(|other| (1..4).contains(&cell.abs_diff(*other))).collect::<Vec<_>>());
    let weights = SpatialWeights::binary(lists).unwrap().row_standardized();
    let results = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| {
            let (written, measured) = (LabeledCells::new(&generated, &written).unwrap(), LabeledCells::new(&observed, &measured).unwrap());
            let two_sample = TwoSampleTest::new().with_permutations(49).with_max_cells(100);
            let report = DistributionReport::with_tests(&written, &measured, &two_sample, &ClassifierTest::new()).unwrap();
            let genes = MoransI::new(&weights).with_permutations(19).of(&generated).unwrap();
            let options = DiversityOptions::new().with_top_genes(5).with_pairs(500).with_cells(50);
            let ranks = CorrelationAgreement::spearman(&generated, &observed).unwrap();
            let rest = (diversity(&generated, &options).unwrap(), novelty(&generated, &observed, &options).unwrap(), ranks);
            serde_json::to_string(&(report, genes, rest)).unwrap()
        })
    };
    let expected = results(1);
    assert_eq!(results(2), expected);
    assert_eq!(results(8), expected);
}

fn sample() -> impl Strategy<Value = ExpressionMatrix> {
    let row = prop::collection::vec(prop_oneof![Just(0.0_f32), (-8..16_i8).prop_map(|value| f32::from(value) / 4.0)], 5);
    prop::collection::vec(row, 2..30).prop_map(|rows| matrix(&rows))
}

fn distances(x: &ExpressionMatrix, y: &ExpressionMatrix) -> SampleDistances {
    TwoSampleTest::new().with_permutations(9).compare(x, y).unwrap()
}

proptest! {
    #[test]
    fn distances_are_symmetric_and_in_their_range(x in sample(), y in sample()) {
        let (there, back) = (distances(&x, &y), distances(&y, &x));
        prop_assert!((there.energy.biased - back.energy.biased).abs() < 1e-9 && (there.mmd.biased - back.mmd.biased).abs() < 1e-9);
        prop_assert!((0.0..=1.0).contains(&there.energy_coefficient) && (0.0..=2.0).contains(&there.mmd.biased));
        prop_assert!(there.energy.unbiased <= there.energy.biased + 1e-12 && there.mmd.unbiased <= there.mmd.biased + 1e-12);
        let p_value = there.energy.p_value.unwrap();
        prop_assert!((0.1 - 1e-12..=1.0).contains(&p_value));
    }

    #[test]
    fn a_sample_is_at_no_distance_from_itself(x in sample()) {
        let same = distances(&x, &x);
        prop_assert!(same.energy.biased < 1e-12 && same.mmd.biased < 1e-12);
        prop_assert_eq!((same.energy.p_value, same.mmd.p_value), (Some(1.0), Some(1.0)));
    }

    #[test]
    fn compositions_stay_in_their_range(p in prop::collection::vec(0..5_u8, 1..30), q in prop::collection::vec(0..5_u8, 1..30)) {
        let names = |classes: &[u8]| classes.iter().map(|class| format!("class {class}")).collect::<Vec<_>>();
        let found = class_composition(&names(&p), &names(&q)).unwrap();
        prop_assert!((0.0..=1.0 + 1e-12).contains(&found.total_variation));
        // Lin's bound: the divergence in bits is never above the total variation.
        prop_assert!((0.0..=found.total_variation + 1e-12).contains(&found.jensen_shannon));
    }
}
