//! Wilcoxon's and Welch's tests. `cargo xtask bench eval` has the first beside scanpy.

use std::hint::black_box;

use criterion::{Criterion, Throughput};
use tn_eval::{DifferentialExpression, DifferentialTable, ExpressionMatrix};

fn main() {
    let mut criterion = Criterion::default().sample_size(20).configure_from_args();
    two_groups(&mut criterion);
    knockouts(&mut criterion);
    criterion.final_summary();
}

/// Two groups of 5,000 cells and 1,000 genes, of which a cell shows a tenth.
fn two_groups(criterion: &mut Criterion) {
    let cells = matrix(10_000, 1_000, 102);
    let labels: Vec<&str> = (0..10_000).map(|cell| if cell < 5_000 { "a" } else { "b" }).collect();
    let mut group = criterion.benchmark_group("differential_expression");
    group.throughput(Throughput::Elements(cells.n_stored() as u64));
    for (name, test, expected) in [
        ("wilcoxon/2x5k_cells_1k_genes", DifferentialExpression::wilcoxon(), ("G865", 2.980_512)),
        ("welch/2x5k_cells_1k_genes", DifferentialExpression::welch(), ("G345", 3.612_782)),
    ] {
        let test = test.with_reference("b");
        let compare = || test.compare(black_box(&cells), &labels, "a").expect("both groups have cells");
        check(&compare(), expected);
        group.bench_function(name, |bencher| bencher.iter(compare));
    }
    group.finish();
}

/// 35 knock-outs of 1,000 cells and a control of 4,250, 154 genes, of which a cell shows a third.
fn knockouts(criterion: &mut Criterion) {
    let cells = matrix(39_250, 154, 341);
    let labels: Vec<String> =
        (0..39_250).map(|cell| if cell < 35_000 { format!("KO{:02}", cell / 1_000) } else { "control".into() }).collect();
    let test = DifferentialExpression::wilcoxon().with_reference("control");
    let compare = || test.compare_all(black_box(&cells), &labels).expect("every group has cells");
    let tables = compare();
    assert_eq!(tables.len(), 35);
    check(&tables[0], ("G0", 2.105_818));

    let mut group = criterion.benchmark_group("differential_expression");
    group.throughput(Throughput::Elements(cells.n_stored() as u64));
    group.bench_function("wilcoxon/35_knockouts_39k_cells_154_genes", |bencher| bencher.iter(compare));
    group.finish();
}

/// Whether the first gene and its score are those of scanpy, which stores 32 bits.
fn check(table: &DifferentialTable, (gene, score): (&str, f64)) {
    let first = &table.genes()[0];
    assert!(first.gene == gene && (first.score - score).abs() < 1e-5, "{first:?}");
}

/// Skewed values with two decimals, many of them equal; `shown` of 1,024 are other than 0.
fn matrix(n_cells: u64, n_genes: u64, shown: u64) -> ExpressionMatrix {
    let mut cells = ExpressionMatrix::new((0..n_genes).map(|gene| format!("G{gene}"))).expect("the names differ");
    for cell in 0..n_cells {
        let value = |gene| {
            let random = split_mix(cell * n_genes + gene);
            let hundredths = 100_000 / (50 + (random >> 10) % 1_000);
            if random % 1_024 < shown { hundredths as f32 / 100.0 } else { 0.0 }
        };
        cells.push_dense(&(0..n_genes).map(value).collect::<Vec<f32>>()).expect("every value is finite");
    }
    cells
}

/// The `index`-th output of SplitMix64 from seed 0.
fn split_mix(index: u64) -> u64 {
    let mut z = (index + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}
