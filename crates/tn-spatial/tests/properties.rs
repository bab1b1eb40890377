//! Properties of neighbor search, traversals, sentences and tasks.

use proptest::prelude::*;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use tn_sentence::{CellRecord, GeneRanking, Metadata, Position, SentenceRecord, SpatialSentence, TaskRecord};
use tn_spatial::{
    BinGrid, KdTree, LinearScan, NeighborIndex, Neighborhood, PatchOptions, TaskOptions, Traversal, build_tasks, patch_bins,
    patch_neighborhoods,
};

fn position() -> impl Strategy<Value = Position> {
    // A lattice has many ties and duplicates; the others are anywhere.
    let coordinate = prop_oneof![(-5i32..5).prop_map(|i| f64::from(i) * 10.0), -60.0..60.0, Just(-0.0), Just(1e300)];
    (coordinate.clone(), coordinate).prop_map(|(x, y)| Position::new(x, y).unwrap())
}

proptest! {
    #[test]
    fn the_tree_finds_what_the_scan_finds(
        positions in prop::collection::vec(position(), 0..120),
        place in position(),
        k in 0usize..130,
        radius in prop_oneof![Just(10.0), Just(0.0), 0.0..80.0],
        modulus in 1usize..4,
    ) {
        let (tree, scan) = (KdTree::build(&positions), LinearScan::build(&positions));
        prop_assert_eq!(tree.len(), scan.len());
        prop_assert_eq!(tree.k_nearest(&place, k), scan.k_nearest(&place, k));
        prop_assert_eq!(tree.within_radius(&place, radius), scan.within_radius(&place, radius));
        let keep = |index: usize| index.is_multiple_of(modulus);
        prop_assert_eq!(tree.k_nearest_where(&place, k, &keep), scan.k_nearest_where(&place, k, &keep));
    }

    #[test]
    fn a_traversal_is_a_permutation(positions in prop::collection::vec(position(), 0..60), seed: u64, tau in -3.0..3.0) {
        for name in ["nearest-first", "corner-nearest-first", "inward-outward", "outward-inward", "random"] {
            let traversal: Traversal = name.parse().unwrap();
            let mut order = traversal.with_tau(tau).order(&positions, &mut ChaCha8Rng::seed_from_u64(seed));
            order.sort_unstable();
            prop_assert_eq!(order, (0..positions.len()).collect::<Vec<_>>());
        }
    }
}

fn table(n: usize) -> Vec<CellRecord> {
    let place = |i: usize, step: usize| (i * step % 997) as f64 * 1.25;
    (0..n)
        .map(|i| CellRecord {
            cell_name: format!("c{i}"),
            ranking: GeneRanking::new((0..8).map(|g| format!("G{}", (i * 31 + g * 7) % 50))).unwrap(),
            position: Position::new(place(i, 613), place(i, 389)).unwrap(),
            section: format!("S{}", i % 2),
            metadata: Metadata::from_pairs([("class", ["a", "b", "c"][i % 3]), ("split", ["train", "test"][i % 7 / 6])]).unwrap(),
        })
        .collect()
}

fn all_outputs(cells: &[CellRecord]) -> (Vec<SentenceRecord>, Vec<SentenceRecord>, Vec<TaskRecord>) {
    let options = PatchOptions::default().with_sentence_meta(["class"]);
    let grid = BinGrid::new(200.0).unwrap();
    (
        patch_bins(cells, &grid, Traversal::nearest_first(), &options),
        patch_neighborhoods(cells, Neighborhood::default().with_radius(60.0), &options),
        build_tasks(cells, &TaskOptions::default().with_neighbors(12).with_targets_per_class(50)).unwrap(),
    )
}

#[test]
fn the_number_of_threads_changes_nothing() {
    let cells = table(2_000);
    let on_threads = |n| rayon::ThreadPoolBuilder::new().num_threads(n).build().unwrap().install(|| all_outputs(&cells));
    let (bins, neighborhoods, tasks) = on_threads(1);
    assert!(bins.len() > 100 && neighborhoods.len() > 2_000 && tasks.len() == 150);
    for threads in [2, 5] {
        assert_eq!((bins.clone(), neighborhoods.clone(), tasks.clone()), on_threads(threads));
    }
}

#[test]
fn sentences_never_mix_splits_or_sections() {
    let cells = table(2_000);
    let (bins, neighborhoods, _) = all_outputs(&cells);
    for record in bins.iter().chain(&neighborhoods) {
        for name in &record.cell_names {
            let cell = cells.iter().find(|cell| cell.cell_name == *name).unwrap();
            assert_eq!((cell.section.as_str(), cell.split().unwrap()), (record.section.as_str(), record.split.as_str()));
        }
    }
}

#[test]
fn every_sentence_parses_to_its_cells() {
    let cells = table(2_000);
    let (bins, neighborhoods, _) = all_outputs(&cells);
    for record in bins.iter().chain(&neighborhoods) {
        let sentence = SpatialSentence::parse(&record.sentence).unwrap();
        assert_eq!(sentence.cells().len(), record.n_cells as usize);
        assert_eq!(record.cell_names.len(), record.n_cells as usize);
        assert!(sentence.metadata().get("class").is_some());
    }
}

#[test]
fn repeats_of_a_bin_are_independent_orders_of_the_same_cells() {
    let (bins, ..) = all_outputs(&table(2_000));
    let mut different = 0;
    for pair in bins.chunks(2) {
        let sorted = |record: &SentenceRecord| {
            let mut names = record.cell_names.clone();
            names.sort();
            names
        };
        assert_eq!((pair[0].repeat_idx, pair[1].repeat_idx), (0, 1));
        assert_eq!(sorted(&pair[0]), sorted(&pair[1]));
        different += usize::from(pair[0].cell_names != pair[1].cell_names);
    }
    assert!(different > bins.len() / 2 - 5);
}

#[test]
fn all_five_anchors_occur() {
    // The published program seeds every bin alike. With a large tau the first cell shows the anchor.
    let cells = table(2_000);
    let options = PatchOptions::default().with_repeats(1).with_min_cells(20);
    let bins = patch_bins(&cells, &BinGrid::new(200.0).unwrap(), Traversal::nearest_first().with_tau(30.0), &options);
    let mut corners = std::collections::HashSet::new();
    for record in &bins {
        let sentence = SpatialSentence::parse(&record.sentence).unwrap();
        let first = sentence.cells()[0].position();
        let side = |value: f64| (value.rem_euclid(200.0) / 66.7) as u32;
        corners.insert((side(first.x()), side(first.y())));
    }
    for anchor in [(0, 0), (0, 2), (2, 0), (2, 2), (1, 1)] {
        assert!(corners.contains(&anchor), "{anchor:?}");
    }
}
