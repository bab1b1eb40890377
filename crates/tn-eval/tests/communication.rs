//! Communication beside LIANA and a textbook, and what it should and should not find.

use serde_json::Value;
use tn_eval::ExpressionMatrix;
use tn_eval::communication::{
    Average, CoFactors, Communication, CommunicationError, CommunicationTable, LigandReceptorPair, Molecule, compare_pathways,
};
use tn_sentence::{Position, draw};
use tn_spatial::RadiusGraph;

fn golden() -> Value {
    let text = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../../data-fixtures/golden/communication.json"));
    serde_json::from_str(text).expect("golden files are JSON")
}

fn strings(value: &Value) -> Vec<String> {
    value.as_array().unwrap().iter().map(|text| text.as_str().unwrap().to_string()).collect()
}

/// `ln(1 + counts)`.
fn cells(golden: &Value) -> ExpressionMatrix {
    let mut cells = ExpressionMatrix::new(strings(&golden["genes"])).unwrap();
    for row in golden["counts"].as_array().unwrap() {
        let values: Vec<f32> = row.as_array().unwrap().iter().map(|count| (count.as_f64().unwrap() as f32).ln_1p()).collect();
        cells.push_dense(&values).unwrap();
    }
    cells
}

fn molecule(name: &Value) -> Molecule {
    Molecule::new(name.as_str().unwrap().split('_'))
}

/// Compares with rows of a golden file. Interactions of probability 0 have no row in the table.
fn check(table: &CommunicationTable, rows: &[Value], tolerance: f64) {
    for row in rows {
        let is_same = |name: &str, value: &str| row.get(name).is_none_or(|expected| expected == value);
        let found = table.interactions().iter().find(|found| {
            is_same("source", &found.source)
                && is_same("target", &found.target)
                && is_same("ligand", &found.ligand)
                && is_same("receptor", &found.receptor)
        });
        let probability = found.map_or(0.0, |found| found.probability);
        assert!((probability - row["probability"].as_f64().unwrap()).abs() < tolerance, "{probability} for {row}");
        if let (Some(contacts), Some(found)) = (row.get("contacts"), found) {
            assert_eq!(found.contacts, contacts.as_u64());
        }
    }
}

#[test]
fn pairs_of_genes_are_lianas() {
    let golden = golden();
    let rows = golden["liana"].as_array().unwrap();
    let pairs = [("L1", "R1"), ("L2", "R2"), ("L1", "R2"), ("LA", "RB")].map(|(l, r)| LigandReceptorPair::new(l, r));
    let table = Communication::new(pairs).with_permutations(0).infer(&cells(&golden), &strings(&golden["labels"])).unwrap();
    check(&table, rows, golden["tolerance"]["liana"].as_f64().unwrap());
    assert_eq!(rows.len(), 36);
}

#[test]
fn complexes_and_co_factors_follow_the_textbook() {
    let golden = golden();
    let tolerance = golden["tolerance"]["textbook"].as_f64().unwrap();
    for case in golden["textbook"].as_array().unwrap() {
        let pair = &case["pair"];
        let pair = LigandReceptorPair::new(molecule(&pair["ligand"]), molecule(&pair["receptor"])).with_co_factors(CoFactors {
            agonists: strings(&pair["agonists"]),
            antagonists: strings(&pair["antagonists"]),
            co_stimulators: strings(&pair["co_stimulators"]),
            co_inhibitors: strings(&pair["co_inhibitors"]),
        });
        let mut communication = Communication::new([pair]).with_permutations(0).with_hill(case["hill"].as_f64().unwrap());
        if case["weigh_sizes"].as_bool().unwrap() {
            communication = communication.with_group_sizes();
        }
        let table = communication.infer(&cells(&golden), &strings(&golden["labels"])).unwrap();
        check(&table, case["rows"].as_array().unwrap(), tolerance);
    }
}

fn contacts(golden: &Value) -> RadiusGraph {
    let place = |place: &Value| Position::new(place[0].as_f64().unwrap(), place[1].as_f64().unwrap()).unwrap();
    let places: Vec<Position> = golden["places"].as_array().unwrap().iter().map(place).collect();
    RadiusGraph::new(&places, golden["radius"].as_f64().unwrap()).unwrap()
}

#[test]
fn neighbors_follow_the_textbook() {
    let golden = golden();
    let pairs = [LigandReceptorPair::new("L1", "R1"), LigandReceptorPair::new(Molecule::new(["LA", "LB"]), Molecule::new(["RA", "RB"]))];
    let communication = Communication::new(pairs).with_permutations(0);
    let table = communication.infer_near(&cells(&golden), &strings(&golden["labels"]), &contacts(&golden)).unwrap();
    check(&table, golden["near"].as_array().unwrap(), golden["tolerance"]["textbook"].as_f64().unwrap());
}

#[test]
fn the_number_of_threads_changes_nothing() {
    let golden = golden();
    let (cells, labels, contacts) = (cells(&golden), strings(&golden["labels"]), contacts(&golden));
    let pairs = [LigandReceptorPair::new("L1", "R1").with_pathway("P"), LigandReceptorPair::new("L2", Molecule::new(["RA", "RB"]))];
    let communication = Communication::new(pairs).with_permutations(99).with_average(Average::Truncated(0.1));
    let run = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| [communication.infer(&cells, &labels).unwrap(), communication.infer_near(&cells, &labels, &contacts).unwrap()])
    };
    let one = run(1);
    assert_eq!(one, run(2));
    assert_eq!(one, run(8));
    assert_ne!(one[0], communication.clone().with_seed(1).infer(&cells, &labels).unwrap());
}

/// Sixty cells of three groups; the first makes a ligand, the second has its receptor, all have the rest at random.
fn planted() -> (ExpressionMatrix, Vec<&'static str>) {
    let mut cells = ExpressionMatrix::new(["LIG", "REC", "NOISE_L", "NOISE_R"]).unwrap();
    let labels: Vec<&str> = (0..60).map(|cell| ["A", "B", "C"][cell % 3]).collect();
    for (cell, label) in labels.iter().enumerate() {
        let noise = |gene: u64| (draw(gene, cell as u64) % 4) as f32;
        let planted = |group| if *label == group { 3.0 } else { 0.0 };
        cells.push_dense(&[planted("A"), planted("B"), noise(0), noise(1)]).unwrap();
    }
    (cells, labels)
}

#[test]
fn what_was_planted_is_found_and_noise_is_not() {
    let (cells, labels) = planted();
    let pairs = [LigandReceptorPair::new("LIG", "REC"), LigandReceptorPair::new("NOISE_L", "NOISE_R")];
    let table = Communication::new(pairs).with_permutations(999).infer(&cells, &labels).unwrap();
    let of_pair = |ligand: &str| table.interactions().iter().filter(|row| row.ligand == ligand).cloned().collect::<Vec<_>>();
    let planted = of_pair("LIG");
    assert_eq!(planted.len(), 1, "{planted:?}");
    assert_eq!((planted[0].source.as_str(), planted[0].target.as_str(), planted[0].p_value), ("A", "B", 0.001));
    let noise = of_pair("NOISE_L");
    assert!(!noise.is_empty() && noise.iter().all(|row| row.p_value > 0.01), "{noise:?}");
}

#[test]
fn a_steep_hill_is_a_step_and_a_silent_subunit_silences() {
    let (cells, labels) = planted();
    let complex = LigandReceptorPair::new("LIG", Molecule::new(["REC", "LIG"]));
    let pairs = [LigandReceptorPair::new("LIG", "REC"), complex];
    let table = Communication::new(pairs).with_permutations(0).with_hill(5_000.0).infer(&cells, &labels).unwrap();
    assert_eq!(table.interactions().iter().map(|row| row.probability).collect::<Vec<_>>(), [1.0]); // 1 is above the half saturation
}

#[test]
fn other_names_of_groups_change_nothing_else() {
    let (cells, labels) = planted();
    let pairs = [LigandReceptorPair::new("NOISE_L", "NOISE_R")];
    let infer = |labels: &[&str]| Communication::new(pairs.clone()).with_permutations(0).infer(&cells, labels).unwrap();
    let renamed: Vec<&str> = labels
        .iter()
        .map(|label| match *label {
            "A" => "z",
            "B" => "y",
            _ => "x",
        })
        .collect();
    let sorted = |table: CommunicationTable, names: [&str; 3], own: [&str; 3]| {
        let name = |group: &str| names[own.iter().position(|other| *other == group).unwrap()].to_string();
        let mut rows: Vec<(String, String, f64)> =
            table.interactions().iter().map(|row| (name(&row.source), name(&row.target), row.probability)).collect();
        rows.sort_by(|a, b| (&a.0, &a.1).cmp(&(&b.0, &b.1)));
        rows
    };
    let own = ["A", "B", "C"];
    assert_eq!(sorted(infer(&labels), own, own), sorted(infer(&renamed), own, ["z", "y", "x"]));
}

#[test]
fn who_is_alone_says_nothing() {
    let (cells, labels) = planted();
    let apart: Vec<Position> = (0..60).map(|cell| Position::new(f64::from(cell) * 100.0, 0.0).unwrap()).collect();
    let communication = Communication::new([LigandReceptorPair::new("LIG", "REC")]).with_permutations(9);
    let near = |radius| communication.infer_near(&cells, &labels, &RadiusGraph::new(&apart, radius).unwrap()).unwrap();
    assert!(near(50.0).interactions().is_empty());
    let next = near(100.0);
    assert_eq!((next.interactions().len(), next.interactions()[0].contacts), (1, Some(20)));
}

#[test]
fn small_groups_and_unmeasured_pairs_are_named() {
    let (cells, mut labels) = planted();
    labels[0] = "rare";
    labels[3] = "";
    let pairs = [LigandReceptorPair::new("LIG", "REC"), LigandReceptorPair::new("LIG", Molecule::new(["REC", "GONE"]))];
    let table = Communication::new(pairs).with_permutations(0).infer(&cells, &labels).unwrap();
    assert_eq!(table.groups().iter().map(|group| group.cells).collect::<Vec<_>>(), [18, 20, 20]);
    assert_eq!((table.left_out()[0].group.as_str(), table.left_out()[0].cells), ("rare", 1));
    assert_eq!(table.unmeasured(), ["LIG - REC_GONE"]);
    assert_eq!(table.interactions()[0].p_value, 1.0);
}

#[test]
fn pathways_are_summed_and_compared() {
    let (cells, labels) = planted();
    let pairs = [
        LigandReceptorPair::new("LIG", "REC").with_pathway("PLANTED"),
        LigandReceptorPair::new("NOISE_L", "NOISE_R").with_pathway("NOISE"),
    ];
    let infer = |labels: &[&str]| Communication::new(pairs.clone()).with_permutations(199).infer(&cells, labels).unwrap();
    let observed = infer(&labels);
    let planted: Vec<_> = observed.pathways(0.01);
    assert_eq!((planted.len(), planted[0].pathway.as_str(), planted[0].pairs), (1, "PLANTED", 1));
    assert_eq!(observed.strengths(0.01)[0][1], planted[0].probability);
    let swapped: Vec<&str> = labels
        .iter()
        .map(|label| match *label {
            "A" => "C",
            "C" => "A",
            other => other,
        })
        .collect();
    let changes = compare_pathways(&observed, &infer(&swapped), 0.01);
    assert_eq!(changes.len(), 2);
    assert_eq!((changes[0].source.as_str(), changes[1].source.as_str()), ("A", "C"));
    assert_eq!((changes[0].second, changes[0].log2_ratio(), changes[1].difference()), (0.0, f64::NEG_INFINITY, planted[0].probability));
}

#[test]
fn bad_input_is_an_error_with_its_values() {
    let (cells, labels) = planted();
    let pair = || LigandReceptorPair::new("LIG", "REC");
    let infer = |communication: Communication, labels: &[&str]| communication.infer(&cells, labels).unwrap_err().to_string();
    assert_eq!(infer(Communication::new([pair()]), &labels[1..]), "60 cells and 59 labels cannot be paired");
    let one = RadiusGraph::new(&[Position::new(0.0, 0.0).unwrap()], 1.0).unwrap();
    let error = Communication::new([pair()]).infer_near(&cells, &labels, &one).unwrap_err();
    assert_eq!(error, CommunicationError::LengthMismatch { cells: 60, labels: 1 });
    let error = infer(Communication::new([pair()]).with_half_saturation(f64::NAN), &labels);
    assert_eq!(error, "the half saturation is NaN; it must be a number above 0");
    let error = infer(Communication::new([pair()]).with_min_cells(21), &labels);
    assert_eq!(error, "no group has 21 cells; groups are A (20 cells), B (20 cells), C (20 cells)");
    let error = infer(Communication::new([LigandReceptorPair::new("lig", "rec")]), &labels);
    assert!(error.starts_with("none of 1 pairs has all its genes among the 4 of the matrix, for example lig - rec"), "{error}");
    assert_eq!(infer(Communication::new([pair()]).with_hill(0.0), &labels), "hill's coefficient is 0; it must be a number above 0");
    let error = infer(Communication::new([pair()]).with_average(Average::Truncated(0.5)), &labels);
    assert_eq!(error, "the truncated share is 0.5; it must be from 0 to below 0.5");
    let mut negative = cells.clone();
    negative.push_dense(&[-1.0, 0.0, 0.0, 0.0]).unwrap();
    let labels = [&labels[..], &["A"]].concat();
    let error = Communication::new([pair()]).infer(&negative, &labels).unwrap_err();
    assert_eq!(error, CommunicationError::Negative { gene: "LIG".into(), cell: 60, value: -1.0 });
}
