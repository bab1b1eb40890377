//! The tasks between two saves, while they are run.

use std::borrow::Cow;
use std::ops::ControlFlow;
use std::sync::{Mutex, PoisonError};

use tissuenarrator::model::generation::RemoteError;
use tissuenarrator::sentence::TaskRecord;

use super::{Deliver, TaskFailure, TaskRow};
use crate::interrupt::Interrupt;
use crate::progress::Task;

/// Some tasks and what is there of their rows.
pub(super) struct Chunk<'t, R, E> {
    tasks: &'t [TaskRecord],
    /// The first task's row in its table.
    first: usize,
    results: Vec<Option<Result<Vec<R>, E>>>,
    failure: Option<RemoteError>,
}

impl<'t, R: TaskRow + Send, E: TaskFailure + Send> Chunk<'t, R, E> {
    /// Begins with the rows that an earlier run has left of the tasks from the row `first` of their table on.
    pub(super) fn new(tasks: &'t [TaskRecord], first: usize, rows: Vec<R>) -> Self {
        let mut rows = rows.into_iter().peekable();
        let results = tasks.iter().zip(first..).map(|(task, row)| {
            let mut of_task = Vec::new();
            while let Some(found) = rows.next_if(|found| found.is_of(task, row, of_task.len())) {
                of_task.push(found);
            }
            (!of_task.is_empty()).then_some(Ok(of_task))
        });
        Self { tasks, first, results: results.collect(), failure: None }
    }

    /// Returns how many tasks are done.
    pub(super) fn done(&self) -> usize {
        self.results.iter().filter(|result| matches!(result, Some(Ok(_)))).count()
    }

    /// Runs the tasks that are missing, until the run is interrupted or servers fail.
    pub(super) fn work(&mut self, work: impl Fn(&[TaskRecord], &[usize], &Deliver<'_, R, E>), progress: &Task, interrupt: &Interrupt) {
        if interrupt.is_requested() {
            return;
        }
        let missing: Vec<usize> = (0..self.tasks.len()).filter(|&index| self.results[index].is_none()).collect();
        let tasks: Cow<'_, [TaskRecord]> = match missing.len() == self.tasks.len() {
            true => self.tasks.into(),
            false => missing.iter().map(|&index| self.tasks[index].clone()).collect(),
        };
        let rows: Vec<usize> = missing.iter().map(|index| self.first + index).collect();
        let chunk = Mutex::new(self);
        work(&tasks, &rows, &|index, result| {
            let mut chunk = chunk.lock().unwrap_or_else(PoisonError::into_inner);
            let result = match result.map_err(E::of_all_tasks) {
                Err(Ok(failure)) => {
                    chunk.failure.get_or_insert(failure);
                    return ControlFlow::Break(());
                }
                Err(Err(error)) => Err(error),
                Ok(of_task) => Ok(of_task),
            };
            chunk.results[missing[index]] = Some(result);
            progress.advance(1);
            if interrupt.is_requested() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
    }

    /// Returns the results of all tasks, or what came between.
    pub(super) fn finish(self) -> Result<Vec<Result<Vec<R>, E>>, Unfinished<R>> {
        if self.failure.is_none() && self.results.iter().all(Option::is_some) {
            return Ok(self.results.into_iter().flatten().collect());
        }
        let done = self.done();
        let rows = self.results.into_iter().flatten().flatten().flatten().collect();
        Err(Unfinished { done, rows, failure: self.failure })
    }
}

/// A chunk that was not finished.
pub(super) struct Unfinished<R> {
    /// Tasks that are done, and their rows.
    pub(super) done: usize,
    pub(super) rows: Vec<R>,
    /// The failure of the servers; none when the run was interrupted.
    pub(super) failure: Option<RemoteError>,
}

#[cfg(test)]
mod tests {
    use tissuenarrator::model::generation::GenerateError;
    use tissuenarrator::model::likelihood::LikelihoodError;
    use tissuenarrator::sentence::{CellLikelihood, FinishReason, GeneratedRecord, SurpriseRecord};

    use super::*;

    fn task(name: &str) -> TaskRecord {
        TaskRecord { cell_name: name.to_owned(), ..TaskRecord::default() }
    }

    fn row(name: &str, sample: u32) -> GeneratedRecord {
        GeneratedRecord {
            task: task(name),
            sample,
            model_prompt: String::new(),
            generated_text: String::new(),
            generated_block: String::new(),
            finish_reason: FinishReason::Closed,
            n_tokens: 1,
            repairs: 0,
        }
    }

    fn generation(tasks: &[TaskRecord], rows: Vec<GeneratedRecord>) -> Chunk<'_, GeneratedRecord, GenerateError> {
        Chunk::new(tasks, 0, rows)
    }

    #[test]
    fn rows_of_an_earlier_run_come_to_their_tasks() {
        let tasks = ["a", "b", "b", "c", "d"].map(task);
        let chunk = generation(&tasks, vec![row("a", 0), row("a", 1), row("b", 0), row("b", 1), row("d", 0), row("d", 1)]);
        let found: Vec<usize> = chunk.results.iter().map(|rows| rows.as_ref().map_or(0, |rows| rows.as_ref().unwrap().len())).collect();
        assert_eq!(found, [2, 2, 0, 0, 2]);
        assert_eq!(chunk.done(), 3);
        let unfinished = chunk.finish().err().unwrap();
        assert_eq!((unfinished.done, unfinished.rows.len()), (3, 6));
    }

    #[test]
    fn rows_of_other_tasks_are_not_taken() {
        let tasks = ["a", "b"].map(task);
        assert_eq!(generation(&tasks, vec![row("x", 0), row("a", 0)]).done(), 0);
        assert_eq!(generation(&tasks, vec![row("a", 1)]).done(), 0);
    }
    #[test]
    fn tasks_of_the_same_cell_are_told_apart_by_their_row() {
        let tasks = ["a", "a", "a", "b"].map(task);
        let row = |row| SurpriseRecord::new(row, &task("a"), Ok(CellLikelihood::default()));
        let chunk = |rows| Chunk::<_, LikelihoodError>::new(&tasks, 64, rows);
        let found = chunk(vec![row(64), row(66)]);
        assert!(found.results.iter().map(Option::is_some).eq([true, false, true, false]));
        assert_eq!(chunk(vec![row(67), row(0)]).done(), 0);
    }
}
