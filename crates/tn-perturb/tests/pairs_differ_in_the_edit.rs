//! A control and its perturbed twin differ in exactly the edit.

use tn_perturb::{CONTROL, Change, Edit, PERTURBED, Scenario, TaskPair};
use tn_sentence::{CellRecord, CellSentence, Conditioning, GeneRanking, Metadata, Position, PromptBuilder, SpatialSentence, TaskRecord};
use tn_spatial::{TaskOptions, build_tasks};

fn table() -> Vec<CellRecord> {
    let place = |i: usize, step: usize| (i * step % 499) as f64 * 1.3 - 200.0;
    (0..600)
        .map(|i| CellRecord {
            cell_name: format!("c{i}"),
            ranking: GeneRanking::new((0..6).map(|g| format!("G{}", (i * 17 + g * 5) % 40))).unwrap(),
            position: Position::new(place(i, 211), place(i, 173)).unwrap(),
            section: format!("S{}", i % 2),
            metadata: Metadata::from_pairs([("class", ["A", "B", "C", "D"][i * 7 % 4]), ("split", "test")]).unwrap(),
        })
        .collect()
}

fn options() -> TaskOptions {
    TaskOptions::default().with_neighbors(30).with_truncate(5)
}

fn insertion() -> Scenario {
    Scenario::new("A", Edit::InsertNeighbor { class: "B".into(), distance_um: 12.0, count: 3 }).with_seed(7)
}

fn removal() -> Scenario {
    Scenario::new("A", Edit::RemoveNeighbors { class: "C".into(), radius_um: 40.0 })
}

/// Returns the cells of a task by name.
fn cells(task: &TaskRecord) -> Vec<(String, CellSentence)> {
    let sentence = SpatialSentence::parse(&task.prompt).unwrap();
    assert_eq!(sentence.cells().len(), task.neighbor_cell_names.len());
    task.neighbor_cell_names.iter().cloned().zip(sentence.into_cells()).collect()
}

fn without<'a>(cells: &'a [(String, CellSentence)], names: &[&str]) -> Vec<&'a (String, CellSentence)> {
    cells.iter().filter(|(name, _)| !names.contains(&name.as_str())).collect()
}

fn changed_names(pair: &TaskPair) -> Vec<&str> {
    pair.changes()
        .iter()
        .map(|change| match change {
            Change::Inserted { cell_name, .. } | Change::Removed { cell_name } => cell_name.as_str(),
            other => panic!("{other:?}"),
        })
        .collect()
}

fn check_everything_else_is_equal(pair: &TaskPair) {
    let [control, perturbed] = pair.clone().into_tasks();
    let (left, right) = (control.scenario.clone().unwrap(), perturbed.scenario.clone().unwrap());
    assert_eq!((left.scenario, left.pair_id), (right.scenario, right.pair_id));
    assert_eq!((left.condition.as_str(), right.condition.as_str()), (CONTROL, PERTURBED));
    let edited = TaskRecord {
        prompt: control.prompt.clone(),
        neighbor_cell_names: control.neighbor_cell_names.clone(),
        scenario: control.scenario.clone(),
        ..perturbed
    };
    assert_eq!(edited, control);
}

#[test]
fn the_control_is_the_observed_task() {
    let observed = build_tasks(&table(), &options().with_class("A")).unwrap();
    let pairs = insertion().pairs(&table(), &options()).unwrap();
    assert_eq!(pairs.len(), observed.len());
    for (pair, task) in pairs.iter().zip(observed) {
        assert_eq!(TaskRecord { scenario: None, ..pair.control().clone() }, task);
    }
}

#[test]
fn an_insertion_adds_real_cells_at_the_distance_and_nothing_else() {
    let table = table();
    for pair in insertion().pairs(&table, &options()).unwrap() {
        check_everything_else_is_equal(&pair);
        let (control, perturbed) = (cells(pair.control()), cells(pair.perturbed()));
        let names = changed_names(&pair);
        assert_eq!((names.len(), perturbed.len()), (3, control.len() + 3));
        assert_eq!(without(&perturbed, &names), control.iter().collect::<Vec<_>>());

        for change in pair.changes() {
            let Change::Inserted { cell_name, x, y } = change else {
                panic!("{change:?}");
            };
            assert!(((x - pair.control().x).hypot(y - pair.control().y) - 12.0).abs() < 1e-9);
            let donor = table.iter().find(|cell| cell.cell_name == *cell_name).unwrap();
            let (_, inserted) = perturbed.iter().find(|(name, _)| name == cell_name).unwrap();
            assert_eq!((donor.class(), inserted.class()), (Some("B"), Some("B")));
            assert_eq!(*inserted.ranking(), donor.ranking.top(5));
        }
    }
}

#[test]
fn a_removal_takes_cells_of_the_class_within_the_radius_and_nothing_else() {
    let table = table();
    let pairs = removal().pairs(&table, &options()).unwrap();
    assert!(!pairs.is_empty());
    for pair in pairs {
        check_everything_else_is_equal(&pair);
        let (control, perturbed) = (cells(pair.control()), cells(pair.perturbed()));
        let target = Position::new(pair.control().x, pair.control().y).unwrap();
        let should_go = |name: &str| {
            let cell = table.iter().find(|cell| cell.cell_name == name).unwrap();
            cell.class() == Some("C") && cell.position.distance(&target) <= 40.0
        };
        let expected: Vec<&str> = pair.control().neighbor_cell_names.iter().map(String::as_str).filter(|name| should_go(name)).collect();
        assert_eq!(changed_names(&pair), expected);
        assert!(!expected.is_empty());
        assert_eq!(perturbed.iter().collect::<Vec<_>>(), without(&control, &expected));
    }
}

#[test]
fn shared_neighbors_come_in_the_same_order_in_the_text_for_the_model() {
    let builder = PromptBuilder::new(Conditioning::Conditioned).with_max_cells(33);
    for pair in insertion().pairs(&table(), &options()).unwrap() {
        let control = builder.build(pair.control()).unwrap();
        let mut perturbed = builder.build(pair.perturbed()).unwrap();
        assert_eq!(control.header_text, perturbed.header_text);
        perturbed.neighbors.retain(|cell| control.neighbors.contains(cell));
        assert_eq!(control.neighbors, perturbed.neighbors);
    }
}

#[test]
fn the_same_scenario_gives_the_same_pairs_after_serialization() {
    for scenario in [insertion().with_donor_split("test").with_clear_radius(5.0), removal()] {
        let text = serde_json::to_string(&scenario).unwrap();
        let replayed: Scenario = serde_json::from_str(&text).unwrap();
        assert_eq!(scenario, replayed);
        let pairs = scenario.pairs(&table(), &options()).unwrap();
        assert_eq!(pairs, replayed.pairs(&table(), &options()).unwrap());
        let text = serde_json::to_string(&pairs).unwrap();
        assert_eq!(serde_json::from_str::<Vec<TaskPair>>(&text).unwrap(), pairs);
    }
}

#[test]
fn another_seed_draws_other_cells() {
    let names = |seed| {
        let pairs = insertion().with_seed(seed).pairs(&table(), &options()).unwrap();
        pairs.iter().flat_map(|pair| changed_names(pair).into_iter().map(str::to_owned).collect::<Vec<_>>()).collect::<Vec<_>>()
    };
    assert_eq!(names(1), names(1));
    assert_ne!(names(1), names(2));
}

#[test]
fn a_scenario_that_is_misspelled_is_refused() {
    for text in [
        r#"{"focal_class": "A", "edit": "insert", "class": "B"}"#,
        r#"{"focal_class": "A", "edit": "remove-neighbors", "class": "B"}"#,
        r#"{"edit": "remove-neighbors", "class": "B", "radius_um": 30}"#,
    ] {
        assert!(serde_json::from_str::<Scenario>(text).is_err(), "{text}");
    }
}
