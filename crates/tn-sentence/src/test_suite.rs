//! Checks that every [`CellPredictor`] should pass.
//!
//! Call [`check_predictor`] from a test of the crate that implements the trait:
//!
//! ```
//! use tn_sentence::{CellPredictor, CellSentence, GeneRanking, Position, PositionError, TaskRecord};
//! use tn_sentence::test_suite::{check_predictor, example_tasks};
//!
//! struct Silent;
//!
//! impl CellPredictor for Silent {
//!     type Error = PositionError;
//!
//!     fn predict(&mut self, task: &TaskRecord) -> Result<CellSentence, Self::Error> {
//!         Ok(CellSentence::new(Position::new(task.x, task.y)?, GeneRanking::default()))
//!     }
//! }
//!
//! check_predictor(|| Silent, &example_tasks());
//! ```

use crate::{CellPredictor, CellSentence, TaskRecord};

/// Checks the contract of [`CellPredictor`] on the given tasks; `build` builds the predictor afresh.
///
/// 1. Every task gets a cell, and the cell lies where the task says (to half a micrometer).
/// 2. A fresh predictor gives the same cells, also when the tasks come in reverse order.
/// 3. The genes of the observed answer have no influence.
/// 4. Broken prompts make nothing panic.
///
/// # Panics
///
/// Panics when a check fails, and says which, for which cell.
pub fn check_predictor<P: CellPredictor>(mut build: impl FnMut() -> P, tasks: &[TaskRecord]) {
    let cells = predict_all(&mut build(), tasks.iter());
    for (task, cell) in tasks.iter().zip(&cells) {
        let (dx, dy) = (cell.position().x() - task.x, cell.position().y() - task.y);
        let name = &task.cell_name;
        assert!(dx.abs() <= 0.5 && dy.abs() <= 0.5, "the cell for {name:?} lies {dx}, {dy} away from its place");
    }

    let mut reversed = predict_all(&mut build(), tasks.iter().rev());
    reversed.reverse();
    assert_same(tasks, &cells, &reversed, "the order of the tasks");

    let hidden: Vec<TaskRecord> = tasks.iter().map(without_genes).collect();
    let blind = predict_all(&mut build(), hidden.iter());
    assert_same(tasks, &cells, &blind, "the genes of the answer");

    let mut predictor = build();
    for task in tasks {
        for prompt in broken_prompts(task) {
            // A cell or an error: both will do.
            let _ = predictor.predict(&TaskRecord { prompt, ..task.clone() });
        }
    }
}

/// Returns three small tasks to check a predictor on.
pub fn example_tasks() -> Vec<TaskRecord> {
    let cell = |x: i32, class: &str, genes: &str| format!("<pos> X: {x}, Y: 0 <meta> class: {class} <cs> {genes} </cs>");
    let neighbors = [cell(90, "B", "GAD1 AQP4"), cell(40, "A", "GFAP AQP4 GAD1"), cell(10, "B", "AQP4")];
    (0..3)
        .map(|i| TaskRecord {
            cell_name: format!("target-{i}"),
            prompt: neighbors[i..].join(" "),
            answer: cell(5, "A", "GFAP GAD1"),
            x: 5.0,
            y: 0.0,
            section: "S1".to_owned(),
            neighbor_cell_names: (i..3).map(|n| format!("neighbor-{n}")).collect(),
            class: "A".to_owned(),
            split: "test".to_owned(),
            scenario: None,
        })
        .collect()
}

fn predict_all<'t, P: CellPredictor>(predictor: &mut P, tasks: impl Iterator<Item = &'t TaskRecord>) -> Vec<CellSentence> {
    tasks
        .map(|task| match predictor.predict(task) {
            Ok(cell) => cell,
            Err(error) => panic!("no cell for {:?}: {error}", task.cell_name),
        })
        .collect()
}

fn assert_same(tasks: &[TaskRecord], cells: &[CellSentence], others: &[CellSentence], cause: &str) {
    for ((task, cell), other) in tasks.iter().zip(cells).zip(others) {
        assert_eq!(cell, other, "{cause} changed the cell for {:?}", task.cell_name);
    }
}

fn without_genes(task: &TaskRecord) -> TaskRecord {
    let header = task.answer.split_inclusive("<cs>").next().unwrap_or_default();
    TaskRecord { answer: format!("{header} </cs>"), ..task.clone() }
}

fn broken_prompts(task: &TaskRecord) -> Vec<String> {
    let middle = task.prompt.floor_char_boundary(task.prompt.len() / 2);
    vec![
        String::new(),
        "no cell here".to_owned(),
        "<pos>".to_owned(),
        "<pos> X: 1e999, Y: <cs> </cs> <cs> <pos>".to_owned(),
        task.prompt[..middle].to_owned(),
        task.prompt[middle..].to_owned(),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Position, PositionError};

    struct Cheat;

    impl CellPredictor for Cheat {
        type Error = PositionError;

        fn predict(&mut self, task: &TaskRecord) -> Result<CellSentence, Self::Error> {
            let (answer, _) = CellSentence::parse_lenient(&task.answer);
            let ranking = answer.map(CellSentence::into_ranking).unwrap_or_default();
            Ok(CellSentence::new(Position::new(task.x, task.y)?, ranking))
        }
    }

    #[test]
    #[should_panic(expected = "the genes of the answer changed the cell for \"target-0\"")]
    fn copying_the_answer_is_found_out() {
        check_predictor(|| Cheat, &example_tasks());
    }
}
