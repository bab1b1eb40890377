//! Properties of neighbor search, traversals, sentences and tasks.

use proptest::prelude::*;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use tn_sentence::{CellRecord, GeneRanking, Metadata, Position, SentenceRecord, SpatialSentence, TaskRecord};
use tn_spatial::{
    BinGrid, KdTree, LinearScan, NeighborIndex, Neighborhood, Neighborhoods, PatchOptions, Split, SplitRatio, Splitter, TaskOptions,
    Traversal, build_tasks, patch_bins, patch_neighborhoods,
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

    #[test]
    fn every_position_is_in_exactly_one_bin(
        positions in prop::collection::vec(position(), 0..60),
        width in 1e-3..500.0,
        offset in (-300.0..300.0, -300.0..300.0),
    ) {
        let grid = BinGrid::new(width).unwrap().with_offset(offset.0, offset.1).unwrap();
        let bins = grid.assign(&positions);
        let mut members: Vec<usize> = bins.values().flatten().copied().collect();
        members.sort_unstable();
        prop_assert_eq!(members, (0..positions.len()).collect::<Vec<_>>());
        for (bin, members) in bins {
            for &member in &members {
                prop_assert_eq!(grid.bin_of(&positions[member]), bin);
                for (coordinate, index, offset) in [(positions[member].x(), bin.i, offset.0), (positions[member].y(), bin.j, offset.1)] {
                    // As close to a border as rounding may err; far positions end in the outermost bin.
                    let (start, error) = (index as f64 * width + offset, 1e-9 * (1.0 + coordinate.abs() + offset.abs()));
                    let is_inside = start <= coordinate + error && coordinate < start + width + error;
                    prop_assert!(is_inside || index == i64::MAX, "{coordinate} in a bin from {start}");
                }
            }
        }
    }

    #[test]
    fn splits_depend_on_no_order_of_rows_and_keep_to_their_shares(
        sizes in prop::collection::vec(1usize..30, 3..12),
        shares in (0u32..9, 0u32..4, 0u32..4).prop_filter("a ratio", |(train, val, test)| train + val + test > 0),
        seed: u64,
        block in prop::option::of(5.0..40.0),
    ) {
        let mut cells = sections(&sizes);
        let ratio = SplitRatio::new(f64::from(shares.0), f64::from(shares.1), f64::from(shares.2)).unwrap();
        let splitter = block.map_or_else(Splitter::by_section, |width| Splitter::by_block(BinGrid::new(width).unwrap()));
        let splitter = splitter.with_ratio(ratio).with_seed(seed);
        let mut reversed: Vec<CellRecord> = cells.iter().rev().cloned().collect();
        let plan = splitter.split(&mut cells).unwrap();
        prop_assert_eq!(&splitter.split(&mut reversed).unwrap(), &plan);
        reversed.reverse();
        prop_assert_eq!(&reversed, &cells);

        let largest = sizes.iter().max().unwrap();
        for (split, share) in Split::ALL.into_iter().zip(ratio.shares()) {
            let found = cells.iter().filter(|cell| cell.split() == Some(split.name())).count();
            prop_assert_eq!(plan.cells(split), found);
            prop_assert_eq!(found > 0, share > 0.0);
            prop_assert!(found as f64 <= share * cells.len() as f64 + *largest as f64 + 1e-6);
        }
    }
}

/// Returns cells of sections of the given sizes, without splits.
fn sections(sizes: &[usize]) -> Vec<CellRecord> {
    let section = |(number, &size): (usize, &usize)| {
        table(size).into_iter().map(move |cell| CellRecord {
            cell_name: format!("{number}-{}", cell.cell_name),
            section: format!("S{number}"),
            position: Position::new(cell.position.x() / 10.0, cell.position.y() / 10.0).unwrap(),
            metadata: Metadata::new(),
            ..cell
        })
    };
    sizes.iter().enumerate().flat_map(section).collect()
}

#[test]
fn the_tree_finds_what_the_scan_finds_on_a_lattice_of_duplicates() {
    // Every distance occurs many times, and every place twice.
    let lattice = (0..900).map(|i| Position::new(f64::from(i % 30) * 10.0, f64::from(i / 30) * 10.0).unwrap());
    let positions: Vec<Position> = lattice.clone().chain(lattice).collect();
    let (tree, scan) = (KdTree::build(&positions), LinearScan::build(&positions));
    for place in [(0.0, 0.0), (150.0, 150.0), (145.0, 145.0), (150.0, 145.0), (-5.0, 300.0), (290.0, 290.0)] {
        let place = Position::new(place.0, place.1).unwrap();
        for k in [1, 2, 3, 4, 5, 8, 9, 50, 1_799, 1_800] {
            assert_eq!(tree.k_nearest(&place, k), scan.k_nearest(&place, k), "{k} of {place:?}");
        }
        for radius in [0.0, 5.0, 7.0711, 10.0, 14.142135623730951, 20.0, 500.0] {
            assert_eq!(tree.within_radius(&place, radius), scan.within_radius(&place, radius), "{radius} around {place:?}");
        }
    }
}

#[test]
fn every_traversal_draws_its_first_cell_by_the_documented_weights() {
    const RUNS: u32 = 40_000;
    let places = [(0.0, 0.0), (1.5, 0.2), (0.4, 1.1), (2.0, 2.0), (0.9, 0.8), (1.7, 1.2), (0.1, 1.9), (1.1, 0.4)];
    let positions: Vec<Position> = places.iter().map(|&(x, y)| Position::new(x, y).unwrap()).collect();
    let mean = (places.iter().map(|place| place.0).sum::<f64>() / 8.0, places.iter().map(|place| place.1).sum::<f64>() / 8.0);
    let corners = [(0.0, 0.0), (0.0, 2.0), (2.0, 0.0), (2.0, 2.0)];
    // The mean, over equally likely anchors, of the weights that distances give.
    let first = |anchors: &[(f64, f64)], weight: fn(f64) -> f64| -> Vec<f64> {
        let mut probability = vec![0.0; 8];
        for anchor in anchors {
            let weights: Vec<f64> = places.iter().map(|place| weight((place.0 - anchor.0).hypot(place.1 - anchor.1))).collect();
            let sum: f64 = weights.iter().sum();
            for (p, w) in probability.iter_mut().zip(weights) {
                *p += w / sum / anchors.len() as f64;
            }
        }
        probability
    };
    let near = |d: f64| 1.0 / (d + 1e-6);
    let five = [corners.as_slice(), &[mean]].concat();
    for (traversal, expected) in [
        (Traversal::nearest_first(), first(&five, near)),
        (Traversal::nearest_first().with_tau(0.5), first(&five, |d| 1.0 / (d + 1e-6).sqrt())),
        (Traversal::corner_nearest_first(), first(&corners, near)),
        (Traversal::inward_outward(), first(&[mean], |d| (-d).exp())),
        (Traversal::outward_inward(), first(&[mean], f64::exp)),
        (Traversal::random(), vec![0.125; 8]),
    ] {
        let mut found = [0u32; 8];
        for seed in 0..u64::from(RUNS) {
            found[traversal.order(&positions, &mut ChaCha8Rng::seed_from_u64(seed))[0]] += 1;
        }
        let term = |(&found, p): (&u32, &f64)| (f64::from(found) - p * f64::from(RUNS)).powi(2) / (p * f64::from(RUNS));
        let chi_square: f64 = found.iter().zip(&expected).map(term).sum();
        // With seven degrees of freedom, chance exceeds this once in a million.
        assert!(chi_square < 40.6, "{traversal}: {chi_square}, {found:?} against {expected:?}");
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
    for threads in [2, 8] {
        assert_eq!((bins.clone(), neighborhoods.clone(), tasks.clone()), on_threads(threads));
    }
}

#[test]
fn chunks_of_neighborhoods_are_the_whole() {
    let cells = table(300);
    let options = PatchOptions::default().with_sentence_meta(["class"]).with_min_cells(2);
    let neighborhood = Neighborhood::default().with_radius(60.0);
    let chunks: Vec<SentenceRecord> = Neighborhoods::new(&cells, neighborhood, &options).chunks(7).flatten().collect();
    assert!(!chunks.is_empty() && chunks == patch_neighborhoods(&cells, neighborhood, &options));
}

#[test]
fn every_cell_is_in_exactly_one_sentence_of_bins() {
    let cells = table(2_000);
    let options = PatchOptions::default().with_repeats(1).with_min_cells(1);
    for offset in [(0.0, 0.0), (100.0, -37.5)] {
        let grid = BinGrid::new(200.0).unwrap().with_offset(offset.0, offset.1).unwrap();
        let bins = patch_bins(&cells, &grid, Traversal::random(), &options);
        let mut names: Vec<&str> = bins.iter().flat_map(|bin| &bin.cell_names).map(String::as_str).collect();
        let mut expected: Vec<&str> = cells.iter().map(|cell| cell.cell_name.as_str()).collect();
        names.sort_unstable();
        expected.sort_unstable();
        assert_eq!(names, expected);
        for bin in &bins {
            let cell = cells.iter().find(|cell| cell.cell_name == bin.cell_names[0]).unwrap();
            assert_eq!(bin.spatial_bin_id, format!("{}__{}", cell.section, grid.bin_of(&cell.position)));
        }
    }
}

#[test]
fn a_cell_without_neighbors_is_a_sentence_and_a_task_of_its_own() {
    let cells = table(20);
    let options = PatchOptions::default().with_repeats(1).with_min_cells(1).with_meta([""; 0]);
    let alone = patch_neighborhoods(&cells, Neighborhood::default().with_max_cells(0), &options);
    assert_eq!(alone.len(), 20);
    for (record, cell) in alone.iter().zip(&cells) {
        assert_eq!(record.sentence, cell.cell_sentence(&[""; 0], 50).display(tn_sentence::CoordinateFormat::Integer).to_string());
        assert_eq!(record.cell_names, [cell.cell_name.as_str()]);
    }
    let tasks = build_tasks(&cells, &TaskOptions::default().with_neighbors(0).with_meta([""; 0])).unwrap();
    assert!(tasks.iter().all(|task| task.prompt.is_empty() && task.neighbor_cell_names.is_empty() && !task.answer.contains("<meta>")));
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
