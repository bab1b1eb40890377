//! A simulated tissue through files and back.

use data_fixtures::{SimulatedCell, SimulatedTissue, SimulationConfig, TRUTH_RANKS, TissueTruth, write_tissue, write_truth};
use tn_io::{AnnData, EncodeOptions, TRUTH_KEY, TableReader, TruthRecord, encode_file};
use tn_sentence::CellRecord;

fn tissue() -> SimulatedTissue {
    SimulatedTissue::new(SimulationConfig { cells: 900, sections: 3, ..SimulationConfig::default() }).unwrap()
}

#[test]
fn simulated_cells_survive_the_file_and_are_ranked_by_counts() {
    let folder = tempfile::tempdir().unwrap();
    let (file, table) = (folder.path().join("s.h5ad"), folder.path().join("cells.parquet"));
    let tissue = tissue();
    write_tissue(&tissue, &file).unwrap();
    let options = EncodeOptions::new().with_columns(["class", "split", "spatial_domain", "perturbation"]);
    let summary = encode_file(&file, &table, &options).unwrap();
    assert_eq!((summary.cells, summary.genes, summary.sections.len()), (900, 300, 3));

    let simulated: Vec<SimulatedCell> = tissue.cells().collect();
    let records = TableReader::<CellRecord>::open(&table).unwrap().read_all().unwrap();
    for (cell, record) in simulated.iter().zip(&records) {
        assert_eq!(cell.name, record.cell_name);
        assert_eq!((cell.x, cell.y), (record.position.x(), record.position.y()));
        assert_eq!((Some(cell.class), Some(cell.split.as_str())), (record.class(), record.split()));
        assert_eq!(record.metadata.get("perturbation"), Some(cell.perturbation_label()));
        assert_eq!(record.ranking.len(), cell.counts.len());
        let count = |gene: &str| {
            let index = tissue.panel().iter().position(|symbol| symbol == gene).unwrap() as u32;
            cell.counts.counts[cell.counts.genes.binary_search(&index).unwrap()]
        };
        assert!(record.ranking.iter().map(count).is_sorted_by(|a, b| a >= b));
    }

    let truth = AnnData::open(&file).unwrap().unstructured_text("tissuenarrator/truth").unwrap().unwrap();
    assert_eq!(serde_json::from_str::<TissueTruth>(&truth).unwrap(), tissue.truth());
}

#[test]
fn the_truth_table_holds_every_cell_and_what_was_planted() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("truth.parquet");
    let tissue = tissue();
    write_truth(&tissue, &path).unwrap();
    let reader = TableReader::<TruthRecord>::open(&path).unwrap();
    let truth: TissueTruth = serde_json::from_str(&reader.metadata()[TRUTH_KEY]).unwrap();
    assert_eq!(truth, tissue.truth());
    let rows = reader.read_all().unwrap();
    assert_eq!(rows.len(), 900);
    for (cell, row) in tissue.cells().zip(&rows) {
        assert_eq!((&cell.name, cell.proximal), (&row.cell_name, row.proximal));
        assert_eq!(row.oracle.len(), TRUTH_RANKS);
        assert_eq!(row.replicate.len(), tissue.replicate(&cell).len());
    }
}
