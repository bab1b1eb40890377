//! Which cells share a bin, and how each is written.

use std::collections::BTreeMap;

use serde_json::Value;
use tn_sentence::{CellRecord, CoordinateFormat, GeneRanking, Metadata, Position, SentenceRecord, SpatialSentence};
use tn_spatial::{BinGrid, PatchOptions, Traversal, patch_bins};

use super::{golden, text};

fn table(columns: &Value) -> Vec<CellRecord> {
    let n = columns["cell_name"].as_array().unwrap().len();
    let cell = |i: usize| {
        let column = |name: &str| columns[name][i].as_str();
        let known = ["class", "region"].into_iter().filter_map(|key| Some((key, column(key)?)));
        CellRecord {
            cell_name: column("cell_name").unwrap().to_owned(),
            ranking: GeneRanking::parse(column("sentence").unwrap()).unwrap(),
            position: Position::new(columns["x"][i].as_f64().unwrap(), columns["y"][i].as_f64().unwrap()).unwrap(),
            section: column("section").unwrap().to_owned(),
            metadata: Metadata::from_pairs(known).unwrap(),
        }
    };
    (0..n).map(cell).collect()
}

fn patch(case: &Value) -> Vec<SentenceRecord> {
    let keys = |key: &str| case[key].as_array().into_iter().flatten().map(|key| text(key).to_owned()).collect::<Vec<_>>();
    let number = |key: &str| case[key].as_u64().unwrap() as usize;
    let options = PatchOptions::default()
        .with_truncate(number("truncate"))
        .with_min_cells(number("min_cell_num"))
        .with_meta(keys("meta"))
        .with_sentence_meta(keys("sentence_meta"))
        .with_repeats(1);
    let grid = BinGrid::new(case["bin_width"].as_f64().unwrap()).unwrap();
    patch_bins(&table(&case["cells"]), &grid, Traversal::nearest_first(), &options)
}

#[test]
fn bins_hold_the_published_cells() {
    for case in golden("binning") {
        let found: BTreeMap<String, SentenceRecord> =
            patch(&case).into_iter().map(|record| (record.spatial_bin_id.clone(), record)).collect();
        let expected = case["expected"].as_array().unwrap();
        assert_eq!(found.len(), expected.len());
        for bin in expected {
            let record = &found[text(&bin["spatial_bin_id"])];
            assert_eq!(record.section, text(&bin["section"]));
            assert_eq!(Some(u64::from(record.n_cells)), bin["n_cells"].as_u64());
            let sentence = SpatialSentence::parse(&record.sentence).unwrap();
            assert_eq!(sentence.metadata().to_string(), text(&bin["head"]));

            let blocks = bin["blocks"].as_object().unwrap();
            assert_eq!(record.cell_names.len(), blocks.len());
            for (name, cell) in record.cell_names.iter().zip(sentence.cells()) {
                // A cell without genes is published with two blanks between its tags.
                let expected = text(&blocks[name]).replace("<cs>  </cs>", "<cs> </cs>");
                assert_eq!(cell.display(CoordinateFormat::Integer).to_string(), expected);
            }
            for (meta, cell) in record.cell_meta.iter().zip(sentence.cells()) {
                assert_eq!(*meta, cell.metadata().to_string());
            }
        }
    }
}
