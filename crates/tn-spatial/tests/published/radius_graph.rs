//! Radius graphs as squidpy and SciPy build them.

use serde_json::Value;
use tn_sentence::Position;
use tn_spatial::{KdTree, LinearScan, NeighborIndex, RadiusGraph};

use super::{golden, numbers, positions};

fn indices(value: &Value) -> Vec<usize> {
    value.as_array().unwrap().iter().map(|index| index.as_u64().unwrap() as usize).collect()
}

fn labeled(points: &[Position], labels: &[usize], label: usize) -> Vec<Position> {
    points.iter().zip(labels).filter(|(_, other)| **other == label).map(|(point, _)| *point).collect()
}

fn check_graph(case: &Value, index: &impl NeighborIndex) {
    let points = positions(&case["points"]);
    let radius = case["radius"].as_f64().unwrap();
    let (mut edges, mut stored, mut sum) = (0, 0, 0.0);
    for (cell, expected) in case["expected"]["neighbours"].as_array().unwrap().iter().enumerate() {
        let mut found = index.within_radius(&points[cell], radius);
        found.retain(|neighbor| neighbor.index != cell);
        edges += found.len();
        stored += found.iter().filter(|neighbor| neighbor.distance > 0.0).count();
        sum += found.iter().map(|neighbor| neighbor.distance).sum::<f64>();

        let mut found: Vec<usize> = found.into_iter().map(|neighbor| neighbor.index).collect();
        found.sort_unstable();
        assert_eq!(found, indices(expected));
    }
    assert_eq!(case["expected"]["n_edges_directed"].as_u64(), Some(edges as u64));
    assert_eq!(case["expected"]["distance_entries_stored"].as_u64(), Some(stored as u64));
    assert!((sum - case["expected"]["distance_sum"].as_f64().unwrap()).abs() < 1e-6);
}

#[test]
fn cells_within_the_radius_are_squidpys() {
    for case in golden("radius_graph").iter().filter(|case| case.get("rule").is_none()) {
        let points = positions(&case["points"]);
        check_graph(case, &KdTree::build(&points));
        check_graph(case, &LinearScan::build(&points));
        let graph = RadiusGraph::new(&points, case["radius"].as_f64().unwrap()).unwrap();
        for (cell, expected) in case["expected"]["neighbours"].as_array().unwrap().iter().enumerate() {
            assert_eq!(graph.neighbors(cell).iter().map(|index| *index as usize).collect::<Vec<_>>(), indices(expected));
        }

        let labels = indices(&case["labels"]);
        let tree = KdTree::build(&points);
        let is_near_label_0 = |(cell, point): (usize, &Position)| {
            let found = tree.within_radius(point, case["radius"].as_f64().unwrap());
            found.iter().any(|neighbor| neighbor.index != cell && labels[neighbor.index] == 0)
        };
        let near: Vec<bool> = points.iter().enumerate().map(is_near_label_0).collect();
        assert_eq!(serde_json::json!(near), case["expected_near_label0"]);
    }
}

#[test]
fn the_nearest_partner_is_scipys() {
    for case in golden("radius_graph").iter().filter(|case| case.get("rule").is_some()) {
        let points = positions(&case["points"]);
        let labels = indices(&case["labels"]);
        let partners = KdTree::build(&labeled(&points, &labels, 1));
        let distances: Vec<f64> = labeled(&points, &labels, 0).iter().map(|focal| partners.k_nearest(focal, 1)[0].distance).collect();
        for (found, expected) in distances.iter().zip(numbers(&case["expected_min_distance"])) {
            assert!((found - expected).abs() < 1e-12);
        }
        let radius = case["radius"].as_f64().unwrap();
        let proximal: Vec<bool> = distances.iter().map(|distance| *distance < radius).collect();
        assert_eq!(serde_json::json!(proximal), case["expected_proximal"]);
    }
}
