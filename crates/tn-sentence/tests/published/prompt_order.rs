//! The order of the neighbors in a prompt.

use serde_json::Value;
use tn_sentence::{CellSentence, Conditioning, PromptBuilder, PromptOrder, SpatialSentence, TaskRecord};

use super::{golden, numbers, text};

fn task(case: &Value) -> TaskRecord {
    TaskRecord { prompt: text(&case["prompt"]).to_owned(), answer: text(&case["answer"]).to_owned(), ..TaskRecord::default() }
}

fn order(builder: PromptBuilder, task: &TaskRecord) -> Vec<CellSentence> {
    builder.build(task).unwrap().neighbors
}

#[test]
fn fixed_orders_agree() {
    for case in golden("reorder_prompt") {
        let prompt_order = match case["order"].as_str() {
            Some("far_to_near") => PromptOrder::FarToNear,
            Some("near_to_far") => PromptOrder::NearToFar,
            None => PromptOrder::AsGiven,
            Some(other) => panic!("{other}"),
        };
        let max_cells = case["total_prompt_cells"].as_u64().map_or(usize::MAX, |n| n as usize);
        let builder = PromptBuilder::new(Conditioning::Conditioned).with_order(prompt_order).with_max_cells(max_cells);
        // The published program drops the head of a prompt that it cuts; ours keeps it. Only cells are compared.
        let expected = SpatialSentence::parse(text(&case["expected"])).unwrap();
        assert_eq!(order(builder, &task(&case)), expected.cells());
    }
}

#[test]
fn the_weighted_order_has_the_published_distribution() {
    const RUNS: u32 = 20_000;
    for case in golden("reorder_prompt_random") {
        let task = task(&case);
        let tau = case["tau"].as_f64().unwrap();
        let given = SpatialSentence::parse(&task.prompt).unwrap().into_cells();
        let mut first = vec![0.0; given.len()];
        let mut place = vec![0.0; given.len()];
        for seed in 0..u64::from(RUNS) {
            let builder = PromptBuilder::new(Conditioning::Conditioned).with_order(PromptOrder::FarToNearWeighted { tau }).with_seed(seed);
            for (i, cell) in order(builder, &task).iter().enumerate() {
                let index = given.iter().position(|other| other == cell).unwrap();
                place[index] += i as f64 / f64::from(RUNS);
                if i == 0 {
                    first[index] += 1.0 / f64::from(RUNS);
                }
            }
        }
        // The first is exact: four standard errors of our runs. The second was estimated from 3,000 reference runs.
        assert_close(&first, &numbers(&case["expected_first_probability"]), 0.015);
        assert_close(&place, &numbers(&case["reference_mean_position"]), 0.12);
    }
}

fn assert_close(found: &[f64], expected: &[f64], tolerance: f64) {
    for (found, expected) in found.iter().zip(expected) {
        assert!((found - expected).abs() < tolerance, "{found} against {expected}");
    }
}
