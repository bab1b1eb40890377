//! Real sections, against what the published program, squidpy and SciPy find in them.
//!
//! The data are not part of the repository; without them the tests are skipped by name.

use std::{collections::BTreeMap, path::PathBuf};

use serde_json::Value;
use tissuenarrator::{
    io::{AnnData, EncodeOptions, EncodedCells},
    perturb::ProximityGroups,
    sentence::CellRecord,
    spatial::{BinGrid, NeighborIndex, PatchOptions, Section, Traversal, patch_bins},
};

const DATA_SETS: [&str; 2] = ["merfish_hypothalamus", "merfish_lung_tumour"];

/// Returns the cells of a data set and its reference results, or nothing where the data are absent.
fn load(test: &str, name: &str) -> Option<(Vec<CellRecord>, Value)> {
    let shared = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared"));
    let data = shared.join(format!("data/{name}/{name}.h5ad"));
    if !data.exists() {
        eprintln!("skipped {test}: ../shared is absent");
        return None;
    }
    let reader = AnnData::open(&data).unwrap();
    // Without the column `split`: the reference does not keep splits apart.
    let options = EncodeOptions::new().with_columns(["class"]);
    let cells = EncodedCells::new(&reader, &options).unwrap().collect::<Result<_, _>>().unwrap();
    let expected = std::fs::read_to_string(shared.join(format!("golden/real/{name}_expected.json"))).unwrap();
    Some((cells, serde_json::from_str(&expected).unwrap()))
}

#[test]
fn bins_hold_as_many_cells_as_published() {
    for name in DATA_SETS {
        let Some((cells, expected)) = load("bins_hold_as_many_cells_as_published", name) else {
            return;
        };
        let expected = &expected["bins"];
        let grid = BinGrid::new(expected["bin_width"].as_f64().unwrap()).unwrap();
        let options = PatchOptions::default().with_repeats(1).with_min_cells(expected["min_cell_num"].as_u64().unwrap() as usize);
        let found: BTreeMap<String, u32> = patch_bins(&cells, &grid, Traversal::nearest_first(), &options)
            .into_iter()
            .map(|record| (record.spatial_bin_id, record.n_cells))
            .collect();
        assert_eq!(serde_json::json!(found), expected["n_cells"], "{name}");
    }
}

#[test]
fn the_radius_graph_has_squidpys_edges() {
    for name in DATA_SETS {
        let Some((cells, expected)) = load("the_radius_graph_has_squidpys_edges", name) else {
            return;
        };
        let expected = &expected["radius_graph"];
        let radius = expected["radius"].as_f64().unwrap();
        let edges = |section: &Section<'_>| {
            let index = section.index();
            // Every cell finds itself, which is no edge.
            section.cells().map(|cell| index.within_radius(&cell.position, radius).len() - 1).sum::<usize>()
        };
        let found: BTreeMap<&str, usize> = Section::of_table(&cells).iter().map(|section| (section.name(), edges(section))).collect();
        assert_eq!(serde_json::json!(found), expected["directed_edges_by_section"], "{name}");
    }
}

#[test]
fn proximity_groups_have_the_published_sizes() {
    for name in DATA_SETS {
        let Some((cells, expected)) = load("proximity_groups_have_the_published_sizes", name) else {
            return;
        };
        for case in expected["proximity"].as_array().unwrap() {
            let class = |key: &str| case[key].as_str().unwrap().to_owned();
            let groups = ProximityGroups::new(class("focal"), class("partner")).within(case["radius"].as_f64().unwrap()).divide(&cells);
            assert_eq!(Some(groups.proximal().len() as u64), case["n_proximal"].as_u64(), "{name}");
            assert_eq!(Some(groups.control().len() as u64), case["n_control"].as_u64(), "{name}");
        }
    }
}
