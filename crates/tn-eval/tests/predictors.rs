//! The checks that every `CellPredictor` should pass, on every baseline.

use std::collections::HashMap;

use tn_eval::ExpressionModel;
use tn_eval::baseline::{ClassMean, ClassMeanTable, Lookup, NearestNeighbor, NeighborhoodMean, RandomGenes, RidgeFitter};
use tn_sentence::test_suite::{check_predictor, example_tasks};
use tn_sentence::{GeneRanking, Vocabulary};

fn panel() -> Vocabulary {
    Vocabulary::new(["GFAP", "AQP4", "GAD1"]).unwrap()
}

#[test]
fn nearest_neighbors_keep_the_contract() {
    check_predictor(NearestNeighbor::closest, &example_tasks());
    check_predictor(|| NearestNeighbor::majority_within(NearestNeighbor::DEFAULT_RADIUS), &example_tasks());
    check_predictor(NearestNeighbor::same_class, &example_tasks());
}

#[test]
fn class_means_keep_the_contract() {
    let mut table = ClassMeanTable::new(panel());
    table.add("A", &[0, 2], &[1.0, 0.5]).unwrap();
    check_predictor(|| ClassMean::of_target(table.clone()), &example_tasks());
    check_predictor(|| ClassMean::of_neighbors(table.clone()), &example_tasks());
    check_predictor(|| ClassMean::of_named_neighbors(table.clone(), HashMap::new()), &example_tasks());
}

#[test]
fn random_genes_keep_the_contract() {
    check_predictor(|| RandomGenes::new(panel(), 42), &example_tasks());
}

#[test]
fn lookups_keep_the_contract() {
    let ranking = GeneRanking::parse("GFAP GAD1").unwrap();
    let oracle: Lookup = example_tasks().into_iter().map(|task| (task.cell_name, ranking.clone())).collect();
    check_predictor(|| oracle.clone(), &example_tasks());
}

#[test]
fn means_of_neighborhoods_keep_the_contract() {
    let mean = || NeighborhoodMean::new(panel(), ExpressionModel::MERFISH_BRAIN);
    check_predictor(mean, &example_tasks());
    check_predictor(|| mean().of_nearest(2).with_distance_weights(1.0), &example_tasks());
}

#[test]
fn linear_models_of_neighborhoods_keep_the_contract() {
    let mut fitter = RidgeFitter::of_neighbors_and_target(panel(), ["A", "B"], ExpressionModel::MERFISH_BRAIN);
    example_tasks().iter().for_each(|task| fitter.add(task));
    let model = fitter.fit(1.0).unwrap();
    check_predictor(|| model.clone(), &example_tasks());
}
