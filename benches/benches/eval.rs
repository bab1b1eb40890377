//! A baseline and its scores.

use std::hint::black_box;

use benches::{cell_records, tasks, tissue};
use criterion::{Criterion, Throughput};
use tissuenarrator::eval::baseline::NearestNeighbor;
use tissuenarrator::eval::{predict_tasks, score_generated};
use tissuenarrator::prelude::*;

const CELLS: usize = 1_000;

fn main() {
    let mut criterion = Criterion::default().sample_size(10).configure_from_args();
    let tasks = tasks(&cell_records(&tissue(4_000)), CELLS);
    nearest_neighbor(&mut criterion, &tasks);
    score(&mut criterion, &tasks);
    criterion.final_summary();
}

fn nearest_neighbor(criterion: &mut Criterion, tasks: &[TaskRecord]) {
    let mut group = criterion.benchmark_group("eval");
    group.throughput(Throughput::Elements(CELLS as u64));
    group.bench_function("baseline/nearest_neighbor/1k_cells", |bencher| {
        bencher.iter(|| {
            let (generated, failures) = predict_tasks(&mut NearestNeighbor::closest(), black_box(tasks));
            assert_eq!((generated.len(), failures.len()), (CELLS, 0));
        });
    });
    group.finish();
}

fn score(criterion: &mut Criterion, tasks: &[TaskRecord]) {
    let (generated, _) = predict_tasks(&mut NearestNeighbor::closest(), tasks);
    let expected = score_generated(&generated, &[10, 30]).expect("there are cells to score");
    assert_eq!((expected.rows, expected.unreadable), (CELLS, 0));
    let overlap = expected.mean("overlap@30").expect("a metric of the table");
    assert!((0.2..0.4).contains(&overlap), "neighbors share some genes: {overlap}");

    let mut group = criterion.benchmark_group("eval");
    group.throughput(Throughput::Elements(CELLS as u64));
    group.bench_function("score/1k_cells", |bencher| {
        bencher.iter(|| {
            let scores = score_generated(black_box(&generated), &[10, 30]).expect("there are cells to score");
            assert!(scores == expected, "the same cells gave other scores");
        });
    });
    group.finish();
}
