//! Orders of cells, and neighborhoods as text.

use std::hint::black_box;

use benches::{GENES, METADATA, NEIGHBORS, cell_records, tissue};
use criterion::{Criterion, Throughput};
use data_fixtures::SimulatedTissue;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use tissuenarrator::prelude::*;

fn main() {
    let mut criterion = Criterion::default().sample_size(10).configure_from_args();
    traversal(&mut criterion);
    neighborhoods(&mut criterion);
    criterion.final_summary();
}

fn traversal(criterion: &mut Criterion) {
    let positions = positions(&tissue(10_000));
    let traversal = Traversal::nearest_first();
    let order = || traversal.order(black_box(&positions), &mut ChaCha8Rng::seed_from_u64(7));
    let expected = order();
    let mut sorted = expected.clone();
    sorted.sort_unstable();
    assert!(sorted.into_iter().eq(0..positions.len()), "an order is a permutation");

    let mut group = criterion.benchmark_group("spatial");
    group.throughput(Throughput::Elements(positions.len() as u64));
    group.bench_function("traversal/nearest_first/10k_cells", |bencher| {
        bencher.iter(|| assert!(order() == expected, "the same seed gave another order"));
    });
    group.finish();
}

fn positions(tissue: &SimulatedTissue) -> Vec<Position> {
    tissue.cells().map(|cell| Position::new(cell.x, cell.y).expect("simulated coordinates are finite")).collect()
}

fn neighborhoods(criterion: &mut Criterion) {
    let cells = cell_records(&tissue(5_000));
    let neighborhood = Neighborhood::default().with_max_cells(NEIGHBORS);
    let options = PatchOptions::default().with_truncate(GENES).with_meta(METADATA).with_repeats(1);
    let expected: usize = patch_neighborhoods(&cells, neighborhood, &options).iter().map(|record| record.sentence.len()).sum();

    let mut group = criterion.benchmark_group("spatial");
    group.throughput(Throughput::Elements(cells.len() as u64));
    group.bench_function("patch_neighborhoods/5k_cells", |bencher| {
        bencher.iter(|| {
            let sentences = patch_neighborhoods(black_box(&cells), neighborhood, &options);
            assert_eq!(sentences.len(), cells.len(), "every cell has a sentence");
            assert_eq!(sentences.iter().map(|record| record.sentence.len()).sum::<usize>(), expected);
        });
    });
    group.finish();
}
